"""One page for a folder of runs: everything in one file, nothing fetched, readable without its figures. No torch."""

import base64
import importlib.util
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import numpy as np

from .. import __version__
from ..collect import Collection, Entry, collect, demand_baseline
from ..errors import UserError
from . import calibration, curves, items, scenes, tables, tracks, words
from .markup import Html, embedded, join, tag
from .packing import Room, deflate

HERE = Path(__file__).parent
SCRIPTS = ("core.js", "curves.js", "process.js", "main.js")
MOST = 9_800_000  # bytes of a page: it travels by mail
SECTIONS = {
    "statement": "Findings", "curves": "Curves", "process": "Selection", "calibration": "Calibration",
    "costs": "Costs", "made": "What was run", "runs": "Runs", "reproduce": "Reproduce",
}  # fmt: skip


class Written(NamedTuple):
    """A page that was written, and what its reader should know."""

    path: Path
    size: int  # bytes
    runs: int
    left_out: int
    notes: list[str]


def write_report(
    paths: Sequence[Path], out: Path, *, baseline: str, metric: str, include_items: bool, any_version: bool
) -> Written:
    """The page of all runs at or below `paths`. Damaged, unfinished and foreign folders are named in it."""
    library = plotly()
    collection = collect(paths, any_version=any_version)
    if not collection.entries and not collection.left_out:
        raise UserError(f"no run below {', '.join(map(str, paths))}", "alrun run ... makes one, alrun ls lists them")
    if collection.entries:
        demand_baseline(collection, baseline)
    page, notes = render(collection, paths, library, baseline=baseline, metric=metric, include_items=include_items)
    content = page.encode(errors="replace")  # a name of a folder may be bytes that are no text
    _write(out, content)
    return Written(out, len(content), len(collection.entries), len(collection.left_out), notes)


def plotly() -> str:
    """plotly.js as the Python package ships it; the package itself is not imported."""
    spec = importlib.util.find_spec("plotly")
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise UserError("a report needs plotly, which is not installed", "pip install 'alrun[report]'")
    return path.read_text(encoding="utf-8")


def render(
    collection: Collection, paths: Sequence[Path], library: str, *, baseline: str, metric: str, include_items: bool
) -> tuple[str, list[str]]:
    """The page, and notes on what it lacks."""
    found = curves.lines(collection)
    statement, best = words.statement(collection, baseline, metric)
    settings, metrics = curves.drawn(found, baseline)
    shown = scenes.chosen([line for strategies in found.values() for line in strategies.values()])
    _calibrate(settings, found, shown)
    for setting in settings:
        setting["pair"] = _pair(best.get(setting["name"], ()), setting["baseline"])
    families = list(dict.fromkeys(setting["family"] for setting in settings))
    listed = [
        {
            "name": name,
            "settings": [at for at, setting in enumerate(settings) if setting["family"] == name],
            "noMap": "No map was kept in these runs.",
        }
        for name in families
    ]
    data: dict[str, Any] = {"families": listed, "settings": settings, "metrics": metrics, "grid": scenes.GRID}
    script = '"use strict";\n' + "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    fixed: dict[str, Any] = {
        "title": Html(_title(families)), "version": __version__, "script": Html(script), "statement": statement,
        "style": Html((HERE / "style.css").read_text(encoding="utf-8")), "plotly": embedded(_packed(library)),
        "hashes": join([Html(f"'sha256-{_digest(text)}'") for text in (script, library)], " "),
        "navigation": join(tag("a", name, href=f"#{key}") for key, name in SECTIONS.items()),
        "costs": tables.costs(found), "made": tables.made(collection, found), "runs": tables.runs(collection, found),
        "reproduce": tables.reproduce(collection, found, paths),
        "lead": _lead(collection),
    }  # fmt: skip
    spent = sum(len(str(value).encode(errors="replace")) for value in fixed.values()) + len(embedded(data))
    room = Room(max(0, MOST - spent - 60_000))
    notes = _process(data, shown, room, include_items)
    notes += [f"left out to keep the page below 10 MB: {text}" for text in room.omitted]
    fixed["footer"] = _footer(notes)
    fixed["data"] = embedded(data)
    texts = {key: value if isinstance(value, Html) else tag("span", value)[6:-7] for key, value in fixed.items()}
    return Template((HERE / "template.html").read_text(encoding="utf-8")).substitute(texts), notes


@cache
def _packed(library: str) -> str:
    return deflate(library)


@cache
def _digest(script: str) -> str:
    """What the browser compares before it runs a script: nothing that data bring along can run."""
    return base64.b64encode(sha256(script.encode()).digest()).decode()


def _lead(collection: Collection) -> str:
    strategies, settings = len({entry.strategy for entry in collection.entries}), len(collection.settings)
    absent = len(collection.left_out)
    out = f"; {absent} folder{'s are' if absent != 1 else ' is'} in no average, named below" if absent else ""
    return (
        f"{len(collection.entries):,} finished runs of {strategies} strategies in {settings} "
        f"setting{'s' * (settings != 1)}{out}"
    )


def _title(families: Sequence[str]) -> str:
    names = list(dict.fromkeys(name.partition(" · ")[0] for name in families))
    text = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return tag("b", f"Which labels to buy: {text or 'no finished run'}")[3:-4]


def _pair(best: Sequence[str], baseline: str | None) -> list[str]:
    """The two strategies first shown side by side: the baseline and the best of the others."""
    others = [name for name in best if name != baseline]
    return [*([baseline] if baseline else []), *others][:2]


def _calibrate(settings: list[dict[str, Any]], found: tables.Found, shown: Sequence[Entry]) -> None:
    kept = {entry.folder for entry in shown}
    for setting in settings:
        seeds = set()
        for line in setting["lines"]:
            members = [entry for entry in found[setting["name"]][line["label"]] if entry.folder in kept]
            line["calibration"] = calibration.calibrated(members) or None
            seeds |= {entry.seed for entry in members}
        setting["calibrated"] = f"{len(seeds)} seed{'s' * (len(seeds) != 1)} taken together"


def _process(data: dict[str, Any], shown: Sequence[Entry], room: Room, include_items: bool) -> list[str]:
    """Add scenes, tracks and items to the data; what went wrong."""
    found, trouble = scenes.scenes(shown)
    names = [setting["name"] for setting in data["settings"]]
    wanted: dict[str, tuple[Entry, np.ndarray, np.ndarray]] = {}
    for scene in found:
        entry, bought, rows = wanted.get(scene.dataset, (scene.shown[0], np.empty(0, int), np.empty(0, int)))
        picked = [row for batches in scene.batches for batch in batches for row in batch.rows]
        wanted[scene.dataset] = entry, np.union1d(bought, np.array(picked, int)), np.union1d(rows, scene.row)
    wanted = {key: (entry, bought, np.setdiff1d(rows, bought)) for key, (entry, bought, rows) in wanted.items()}
    half = Room(room.left // 2)  # what the items do not need is left to the maps
    data["items"], places, absent = items.told(wanted, half, include=include_items)
    rest = Room(room.left - (room.left // 2 - half.left))
    data["scenes"], data["tracks"], unread = tracks.told(found, rest, names)
    room.omitted += [*half.omitted, *rest.omitted]
    for scene in data["scenes"]:
        scene["items"] = places[scene.pop("dataset")]
    return [*trouble, *unread, *absent]


def _footer(notes: Sequence[str]) -> Html:
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    made = f"Made by alrun {__version__} on {when} from the runs' files alone; figures by plotly.js (MIT licence)."
    return join([tag("span", made), *(join([tag("br"), tag("span", note)]) for note in notes)])


def _write(out: Path, content: bytes) -> None:
    if out.is_dir():
        raise UserError(f"{out} is a folder", f"name the page: --out {out / 'report.html'}")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"cannot write {out}: {error.strerror or error}", "choose another place: --out") from error
