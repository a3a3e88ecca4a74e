"""A browser without a window, driven through its DevTools protocol over two pipes."""

import base64
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
    *("--remote-debugging-pipe", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


def program() -> str | None:
    """The path of a browser that is installed here."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """A page of the browser, and the events that it has told of."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._session: dict[str, str] = {}
        self._number, self._rest = 0, b""
        self.events: list[dict[str, Any]] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        attached = self("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        """Calls a method of the protocol; returns its result."""
        self._number += 1
        call = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(call).encode() + b"\0")
        while True:
            told = self._read()
            if told.get("id") == self._number:
                if "error" in told:
                    raise ValueError(f"{method}: {told['error']}")
                return dict(told["result"])
            self.events.append(told)

    def open(
        self, page: pathlib.Path, *, width: int, is_dark: bool, height: int = 900
    ) -> None:
        """Opens a file in a window of so many pixels, and waits until it is shown."""
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = "dark" if is_dark else "light"
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self("Emulation.setEmulatedMedia", features=[feature])
        self.events.clear()
        self("Page.navigate", url=page.as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._read())

    def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        told = self("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in told:
            raise ValueError(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def move(self, x: float, y: float) -> None:
        """Moves the pointer."""
        self("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def requests(self) -> list[str]:
        """The addresses that have been asked for, but for those that hold data."""
        sent = self._params("Network.requestWillBeSent")
        urls = [str(each["request"]["url"]) for each in sent]
        return [url for url in urls if not url.startswith("data:")]

    def complaints(self) -> list[str]:
        """The errors and warnings in the console."""
        thrown = self._params("Runtime.exceptionThrown")
        logged = self._params("Log.entryAdded")
        said = self._params("Runtime.consoleAPICalled")
        return [json.dumps(each) for each in (*thrown, *logged, *said)]

    def picture(self, file: pathlib.Path, *, height: int | None = None) -> None:
        """Takes a picture of all of the page, or of its first pixels."""
        size = self("Page.getLayoutMetrics")["cssContentSize"]
        whole = height is None
        clip = {"x": 0, "y": 0, "width": size["width"], "scale": 1}
        clip["height"] = size["height"] if height is None else height
        shot = self("Page.captureScreenshot", clip=clip, captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))

    def _params(self, method: str) -> list[dict[str, Any]]:
        return [e["params"] for e in self.events if e.get("method") == method]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            found = os.read(self._answers, 1 << 20)
            if not found:
                raise EOFError("the browser has ended")
            self._rest += found
        line, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(line))


@contextlib.contextmanager
def browsing(browser: str) -> Iterator[Tab]:
    """Yields a tab of a browser that ends with the body."""
    (theirs_in, commands), (answers, theirs_out) = os.pipe(), os.pipe()
    # High numbers first: 3 and 4, which the browser reads and writes, may be these.
    high = [fcntl.fcntl(pipe, fcntl.F_DUPFD, 50) for pipe in (theirs_in, theirs_out)]

    def place() -> None:
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [browser, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=place,
        )
        for pipe in (theirs_in, theirs_out, *high):
            os.close(pipe)
        try:
            yield Tab(commands, answers)
        finally:
            process.kill()
            process.wait()
            os.close(commands)
            os.close(answers)
