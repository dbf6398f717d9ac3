"""A picture of a page of `alrun report`: the selection process with an item under the pointer.

python scripts/report_screenshot.py report.html docs/figures/report.png [--cycle 2] [--dark] [--from curves]
"""

import argparse
import io
from pathlib import Path

from chromium import Chromium
from PIL import Image

READY = "window.Plotly && document.querySelectorAll('#batches tr[data-at]').length"
STILL = "new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 600))"


def main() -> None:
    """Open the page, go to a cycle, point at the first item that strategy B buys in it, and save what is seen."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("page", type=Path)
    ask.add_argument("picture", type=Path)
    ask.add_argument("--cycle", type=int, default=2)
    ask.add_argument("--dark", action="store_true")
    ask.add_argument("--width", type=int, default=1400)
    ask.add_argument("--start", default="curves", help="the section at the top: statement, curves, process, ...")
    ask.add_argument("--end", default="calibration", help="the section below the last one shown")
    asked = ask.parse_args()
    with Chromium(width=asked.width, height=1000, dark=asked.dark) as browser:
        browser.open(asked.page)
        browser.wait(READY)
        browser.ask(f"(async () => {{ process.cycle = {asked.cycle}; await drawProcess(); }})()")
        browser.ask("pin(process.open.sides.at(-1).batches[process.cycle][0])")
        browser.ask(STILL)
        edge = "document.getElementById({!r}).getBoundingClientRect().top + scrollY"
        top, bottom = (int(browser.ask(edge.format(name))) for name in (asked.start, asked.end))
        browser.picture(asked.picture, clip=(0, top, asked.width, bottom - top))
        if browser.trouble:
            raise SystemExit(f"the page is in trouble: {browser.trouble}")
    # A palette is a third of the size and looks the same.
    buffer = io.BytesIO()
    Image.open(asked.picture).convert("RGB").quantize(255, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    asked.picture.write_bytes(buffer.getvalue())


if __name__ == "__main__":
    main()
