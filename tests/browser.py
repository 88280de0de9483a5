"""A headless Chromium under the tests' hand, by the DevTools protocol through a pipe."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"
SECONDS = 300  # an answer or a state of the page may take, on a busy machine


def find():
    """Path of a Chromium or Chrome; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with one page.

    Attributes:
        complaints: what the page wrote to the console as an error or warning, or threw.
        requests: every URL it asked for, but for data: and blob: ones.
    """

    def __init__(self, path):
        self.complaints, self.requests = [], []
        self._folder = tempfile.mkdtemp(prefix="browser-")
        ours, theirs = self._pipes()
        command = [path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += ["--remote-debugging-pipe", "--no-first-run", "--hide-scrollbars"]
        command += ["--disable-background-networking", f"--user-data-dir={self._folder}/profile"]
        # It reads from 3 and writes to 4.
        start = (
            "import os, sys\n"
            f"os.dup2({theirs[0]}, 3), os.dup2({theirs[1]}, 4)\n"
            "os.execv(sys.argv[1], sys.argv[1:])"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", start, *command, "about:blank"],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": self._folder},
        )
        for fd in theirs:
            os.close(fd)
        self._from, self._to = ours
        self._buffer, self._last, self._session = b"", 0, None
        self._session = self._attach()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    @staticmethod
    def _pipes():
        down, up = os.pipe(), os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (down[0], up[1])]
        os.close(down[0])
        os.close(up[1])
        return (up[0], down[1]), tuple(high)

    def _attach(self):
        pages = self.wait_for(lambda: self._pages())
        target = {"targetId": pages[0]["targetId"], "flatten": True}
        return self.send("Target.attachToTarget", **target)["sessionId"]

    def _pages(self):
        targets = self.send("Target.getTargets")["targetInfos"]
        return [target for target in targets if target["type"] == "page"]

    def close(self):
        with contextlib.suppress(OSError, AssertionError):
            self._session = None
            self.send("Browser.close")
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for fd in (self._from, self._to):
            os.close(fd)
        shutil.rmtree(self._folder, ignore_errors=True)

    def send(self, method, **params):
        """Gives a command and returns its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._to, content) :]
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._last:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _receive(self, deadline):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(deadline - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            content = os.read(self._from, 1 << 20)
            assert content, "the browser is gone"
            self._buffer += content
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, event, params):
        if event == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"])
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append([a.get("value") for a in params["args"]])
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"])
        elif event == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("data:", "blob:")):
                self.requests.append(url)

    def open(self, url, width=1280, height=900, *, phone=False, dark=False, printed=False):
        """Loads a page in a window of that size, or as on paper."""
        self.complaints.clear()
        self.requests.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1}
        self.send("Emulation.setDeviceMetricsOverride", mobile=phone, **size)
        self.send("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        media = "print" if printed else ""
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.send("Page.navigate", url=url)
        self.wait_for(
            lambda: self.js("document.readyState === 'complete' && location.href !== 'about:blank'")
        )
        self.frames()

    def js(self, expression):
        """Value of an expression in the page, as JSON carries it; a promise is awaited."""
        wanted = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        found = self.send("Runtime.evaluate", **wanted)
        assert "exceptionDetails" not in found, (expression[:200], found["exceptionDetails"])
        return found["result"].get("value")

    def wait_for(self, state):
        """Asks until the answer is true, and returns it."""
        deadline = time.monotonic() + SECONDS
        while not (answer := state()):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)
        return answer

    def frames(self, n=3):
        """Waits until that many frames are drawn."""
        step = "await new Promise(requestAnimationFrame);" * n
        self.js(f"(async () => {{ {step} return true; }})()")

    def centre(self, selector):
        """Where in the window the middle of an element is, once it is scrolled into view."""
        find = f"document.querySelector({json.dumps(selector)})"
        return self.js(
            f"(() => {{ const e = {find}; e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )

    def drag(self, points):
        """Presses the mouse at the first point, moves over the others, and lets go."""
        kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*points, points[-1]], strict=True):
            button = {"button": "left", "buttons": int(kind != "mouseReleased"), "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)
        self.frames()

    def touch(self, points):
        """The same with a finger."""
        for i, (x, y) in enumerate(points):
            kind = "touchMove" if i else "touchStart"
            self.send("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.frames()

    def press(self, key, *, shift=False):
        """Presses a key, such as "ArrowLeft" or "Tab"."""
        codes = {"Tab": 9, "Enter": 13, " ": 32, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38}
        codes |= {"ArrowRight": 39, "ArrowDown": 40}
        key = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key["key"] == "Enter" else {}
        shift = 8 if shift else 0
        self.send("Input.dispatchKeyEvent", type="keyDown", modifiers=shift, **key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", modifiers=shift, **key)

    def screenshot(self, path, *, whole=False):
        """Writes a PNG of the window, or of the whole page."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
