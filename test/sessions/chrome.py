# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A real browser for tests: headless Chromium, led through chromedriver's plain HTTP."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

CHROMIUM = next(
    (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
)
DRIVER = shutil.which("chromedriver")


class Browser:
    """One window. Skips the test where there is no Chromium or no chromedriver."""

    def __init__(self, width=1200, height=900, dark=False):
        if not CHROMIUM or not DRIVER:
            pytest.skip("needs Chromium and chromedriver")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._process = subprocess.Popen(
            [DRIVER, f"--port={self._port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._session = ""
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--hide-scrollbars"]  # fmt: skip
        options = {"binary": CHROMIUM, "args": [*flags, *(["--force-dark-mode"] if dark else [])]}
        options["mobileEmulation"] = {
            "deviceMetrics": {"width": width, "height": height, "pixelRatio": 1.0}
        }
        logs = {"performance": "ALL", "browser": "ALL"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": logs}
        try:
            self.wait(self._is_up)
            body = {"capabilities": {"alwaysMatch": wanted}}
            self._session = "/session/" + self._ask("POST", "/session", body)["sessionId"]
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _is_up(self):
        try:
            return self._ask("GET", "/status")["ready"]
        except OSError:
            return False

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self._port}{self._session}{path}"
        with urllib.request.urlopen(
            urllib.request.Request(url, data, method=method), timeout=60
        ) as reply:
            return json.load(reply)["value"]

    def open(self, url):
        self._ask("POST", "/url", {"url": url})

    def run(self, script):
        """Return what a script returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def text(self, selector):
        return self.run(f"return document.querySelector({json.dumps(selector)}).innerText")

    def press(self, key):
        """Press and release a key, as a keyboard would."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": actions}]})

    def wait(self, condition, timeout=20.0):
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"not within {timeout:g} s"
            time.sleep(0.02)

    def screenshot(self):
        """Return the window as PNG, base64."""
        return self._ask("GET", "/screenshot")

    def log(self, kind):
        return self._ask("POST", "/se/log", {"type": kind})

    def requests(self):
        """Return the addresses of all requests that the page has made since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def close(self):
        try:
            if self._session:
                self._ask("DELETE", "")
        except (OSError, urllib.error.HTTPError):
            pass
        self._process.terminate()
        self._process.wait(20)
