"""A headless Chromium that a test drives: it opens pages, asks them by JavaScript, moves the mouse, takes pictures.

By Chromium's own protocol over a websocket, for which tornado, which Dask brings, is enough.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from itertools import count
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SOFTWARE = ("--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader", "--hide-scrollbars")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")


class Browser:
    """Used as a context manager; ``folder`` is for its profile."""

    def __init__(self, folder: Path, size: tuple[int, int] = (1400, 1000)) -> None:
        self.profile, self._size = folder / "profile", size
        self._numbers, self._loop, self._session = count(), asyncio.new_event_loop(), ""

    def __enter__(self) -> Browser:
        assert BROWSER is not None
        size = f"--window-size={self._size[0]},{self._size[1]}"
        here = (f"--user-data-dir={self.profile}", "--remote-debugging-port=0", size, "about:blank")
        self._process = subprocess.Popen([BROWSER, "--headless", *SOFTWARE, *QUIET, *here], stderr=subprocess.DEVNULL)
        self._socket = self._loop.run_until_complete(self._connect())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._leave())
        self._loop.close()
        self._process.kill()
        self._process.wait()

    async def _connect(self) -> WebSocketClientConnection:
        told, until = self.profile / "DevToolsActivePort", time.monotonic() + 120
        while not told.exists() or len(told.read_text().split()) < 2:
            assert time.monotonic() < until, "Chromium does not start"
            await asyncio.sleep(0.05)
        port, path = told.read_text().split()
        return await websocket_connect(f"ws://127.0.0.1:{port}{path}", max_message_size=2**28)

    async def _leave(self) -> None:
        self._socket.close()
        while await self._socket.read_message() is not None:  # answers that nobody has waited for
            pass

    def __call__(self, method: str, **parameters: object) -> dict[str, Any]:
        """A command of the protocol, and its result."""
        return self._loop.run_until_complete(asyncio.wait_for(self._ask(method, parameters), 60))

    async def _ask(self, method: str, parameters: dict[str, object]) -> dict[str, Any]:
        number = next(self._numbers)
        session = {} if method.startswith("Target.") else {"sessionId": self._session}
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": parameters, **session}))
        while (text := await self._socket.read_message()) is not None:
            answer = json.loads(text)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])
        raise AssertionError("Chromium is gone")

    def open(self, url: str) -> None:
        """Open a page in a tab of its own, which all that follows is about."""
        page = self("Target.createTarget", url=url)["targetId"]
        self._session = self("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self("Emulation.setFocusEmulationEnabled", enabled=True)  # else no part of a page ever is the current one

    def run(self, script: str) -> Any:
        """Value of an expression in the page."""
        found = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 120.0) -> Any:
        """Value of an expression as soon as it is true."""
        until = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < until, f"never came: {script}"
            time.sleep(0.1)
        return value

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse's button, move it in ten steps, let go."""
        button = {"button": "left", "clickCount": 1}
        self("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], **button)
        for i in range(1, 11):
            x, y = (a + (b - a) * i / 10 for a, b in zip(start, end, strict=True))
            self("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
        self("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], **button)

    def picture(self, path: Path, **part: float) -> Path:
        """A picture of the page, or of a part of it (x, y, width, height)."""
        clip = {"clip": {**part, "scale": 1}} if part else {}
        path.write_bytes(base64.b64decode(self("Page.captureScreenshot", format="png", **clip)["data"]))
        return path
