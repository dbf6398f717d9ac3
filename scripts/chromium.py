"""A headless Chromium, driven over its debugging pipe: for screenshots of pages and for tests of them."""

import base64
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path
from select import select
from time import monotonic
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Software rendering of WebGL, no network service of its own, and no sandbox only where root forbids one.
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--force-prefers-reduced-motion",
    "--hide-scrollbars",
    "--mute-audio",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)


def find() -> str | None:
    """The browser's path, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One page of one browser; everything it logs and every address it asks for is kept."""

    def __init__(self, *, width: int, height: int, dark: bool = False, patience: float = 60) -> None:
        self.width, self.height, self.dark, self.patience = width, height, dark, patience
        self.trouble: list[str] = []  # console errors and exceptions
        self.asked: list[str] = []  # addresses
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        path = find()
        if path is None:
            raise FileNotFoundError("no Chromium: apt-get install chromium")
        self.home = tempfile.mkdtemp(prefix="chromium-")
        ours, theirs = os.pipe(), os.pipe()  # browser -> here, here -> browser
        words = [
            path,
            *FLAGS,
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            f"--user-data-dir={self.home}",
            "about:blank",
        ]
        quiet = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, theirs[0], 3), (os.POSIX_SPAWN_DUP2, ours[1], 4)]
        actions += [(os.POSIX_SPAWN_DUP2, quiet, fd) for fd in (0, 1, 2)]
        self.process = os.posix_spawn(path, words, os.environ, file_actions=actions, setpgroup=0)
        for end in (theirs[0], ours[1], quiet):
            os.close(end)
        self.reading, self.writing = ours[0], theirs[1]
        self.buffer, self.count, self.session = b"", 0, None
        pages = self.call("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(self.width)
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"}],
        )
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.reading)
        os.close(self.writing)
        shutil.rmtree(self.home, ignore_errors=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the browser; its answer."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        number, until = self.count, monotonic() + self.patience
        while True:
            answer = self._next(until, method)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _next(self, until: float, waiting: str) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            ready, _, _ = select([self.reading], [], [], max(0.0, until - monotonic()))
            if not ready:
                raise TimeoutError(f"the browser does not answer: {waiting}")
            self.buffer += os.read(self.reading, 1 << 20)
        text, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(text)
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                about = params["exceptionDetails"]
                self.trouble.append(about.get("exception", {}).get("description") or about["text"])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                self.trouble.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.trouble.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])

    def resize(self, width: int, height: int | None = None) -> None:
        """Another width of the window."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height or self.height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, page: Path) -> None:
        """Load a file and wait until it is there."""
        self.call("Page.navigate", url=page.resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", expression))
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true."""
        until = monotonic() + self.patience
        while not self.ask(f"Boolean({expression})"):
            if monotonic() > until:
                raise TimeoutError(f"never true: {expression}; {self.trouble}")
            self.ask("new Promise(done => setTimeout(done, 50))")

    def press(self, key: str) -> None:
        """One key, as a keyboard sends it."""
        codes = {
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
            "ArrowDown": 40,
            "Enter": 13,
            "Escape": 27,
            "Tab": 9,
            "Home": 36,
            "End": 35,
            " ": 32,
        }
        text = {"Enter": "\r", " ": " "}.get(key)
        about = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes[key]} | (
            {"text": text} if text else {}
        )
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def point(self, x: float, y: float, *, click: bool = False) -> None:
        """Move the pointer, and click."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path: Path, *, whole: bool = True, clip: tuple[int, int, int, int] | None = None) -> None:
        """A PNG of the whole page, of the window, or of (x, y, width, height)."""
        options: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole or clip is not None}
        if clip:
            options["clip"] = dict(zip(("x", "y", "width", "height"), clip, strict=True)) | {"scale": 1}
        elif whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))

    def paper(self, path: Path) -> None:
        """A PDF as the page prints."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"]))
