"""Pages to look at, and a headless Chromium to look at them with."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.results import Detail
from cnnexplain.core.results.map import Heatmap, Scale
from cnnexplain.core.results.unit import Reconstruction

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-pipe"
)


class PageLeftError(Exception):
    """The browser went to another page while it was asked about one."""


class Browser:
    """One tab of a headless Chromium, spoken to over a pipe; remembers every address that it asked for."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []  # of the console, and errors that nothing caught
        self._process = process
        self._commands = commands
        self._answers = os.fdopen(answers, "rb")
        self._sent = 0
        self._session: dict[str, str] = {}
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")
        self._call("Performance.enable", timeDomain="threadTicks")

    def open(self, page: Path, width: int = 1300, height: int = 900, scheme: str = "light") -> None:
        """Show a file in a window of the given size and wait until all is loaded."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.requests.clear()
        self.complaints.clear()
        self._call(
            "Page.resetNavigationHistory"
        )  # it has room for 50 entries, and drops others once it is full
        self._call("Page.navigate", url=page.absolute().as_uri())
        while self.ask("document.readyState") != "complete":  # asked from here: the page may run no scripts
            time.sleep(0.01)

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page; promises are waited for. None where the page is left meanwhile."""
        try:
            answer = self._call(
                "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
            )
        except PageLeftError:
            return None
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The value of an expression as soon as it is one that counts as true; fails after ten seconds."""
        value = self.ask(f"""
            new Promise((done, fail) => {{
                const end = performance.now() + 10000;
                const look = () => {{
                    const value = {expression};
                    if (value) done(value);
                    else if (performance.now() > end) done(null);
                    else setTimeout(look, 10);
                }};
                look();
            }})
        """)
        assert value, expression
        return value

    def point(self, x: float, y: float, kind: str = "mouseMoved", **more: Any) -> None:
        """Move the mouse in the window, or press or release its button."""
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def medium(self, name: str) -> None:
        """Show the page as on another medium, such as print; on the screen where empty."""
        self._call("Emulation.setEmulatedMedia", media=name)

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        """Put fingers on the window, move or lift them: touchStart, touchMove or touchEnd."""
        fingers = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(points)]
        self._call("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)

    def press(self, key: str, shift: bool = False) -> None:
        """Press and release a key: a letter, or a name such as ArrowLeft."""
        letter = {"text": key} if len(key) == 1 else {}
        modifiers = {"modifiers": 8 if shift else 0}
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, **letter, **modifiers)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key, **modifiers)

    def scripts(self, allowed: bool) -> None:
        """Let the pages that are opened from now on run scripts, or none."""
        self._call("Emulation.setScriptExecutionDisabled", value=not allowed)

    def spent(self) -> float:
        """Seconds of the processor that the page's thread has taken since it was opened."""
        metrics = self._call("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    def look(self) -> Image.Image:
        """The window as a picture."""
        shot = self._call("Page.captureScreenshot", format="png")["data"]
        return Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB")

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._sent += 1
        call = {"id": self._sent, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(call).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == self._sent:
                if "navigated" in message.get("error", {}).get("message", ""):
                    raise PageLeftError
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _receive(self) -> dict[str, Any]:
        received = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "Chromium went away"
            received += byte
        message: dict[str, Any] = json.loads(received)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]))

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(20)
        self._answers.close()
        os.close(self._commands)


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A tab of a Chromium, which keeps what it keeps in a folder."""
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    # Chromium reads commands from descriptor 3 and answers on 4.
    command = f'exec "$0" {FLAGS} --user-data-dir="$1" about:blank 3<&{commands_out} 4>&{answers_in}'
    process = subprocess.Popen(
        ["bash", "-c", command, str(CHROMIUM), str(profile)],
        pass_fds=(commands_out, answers_in),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands_out)
    os.close(answers_in)
    tab = Browser(process, commands_in, answers_out)
    yield tab
    tab.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed, so the page was not looked at")
    with browsing(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture(name="explanation")
def explanation_fixture() -> Callable[..., Explanation]:
    return _explanation


@pytest.fixture(name="run", scope="session")
def run_fixture() -> Callable[..., dict[str, Any]]:
    return _run


@pytest.fixture(name="units")
def units_fixture() -> Callable[..., Explanation]:
    return _units


def _explanation(
    image: str = "cat.jpg",
    labels: tuple[str, ...] = ("Egyptian cat", "tabby, tabby cat", "tiger cat", "lynx", "plastic bag"),
    values: np.ndarray[Any, Any] | None = None,
    methods: tuple[str, ...] = ("gradcam",),
    layer: str = "conv_head",
    scale: Scale = "evidence",
    detail: Detail | None = None,
) -> Explanation:
    """What was found out about a made-up picture of 60 x 40 pixels."""
    picture = Image.new("RGB", (60, 40), "navy")
    geometry = Preprocess().geometry(picture.size)
    shares = [0.390123456, 0.2, 0.1, 0.01, 0.0001][: len(labels)]
    predictions = tuple(
        Prediction(280 + position, label, share, 8.0 - position)
        for position, (label, share) in enumerate(zip(labels, shares, strict=True))
    )
    if values is None:
        values = np.zeros((7, 7))
        values[2, 5] = 3.14159265
    maps = tuple(
        Heatmap(
            one,
            layer,
            predictions[0],
            values.astype(np.float32),
            geometry,
            scale=scale,
            detail=detail or Detail(),
        )
        for one in methods
    )
    return Explanation(image, picture, geometry, predictions, maps)


def _units(
    image: str = "cat.jpg",
    layers: tuple[str, ...] = ("blocks.2",),
    rules: tuple[str, ...] = ("deconv",),
    channels: tuple[int, ...] = (55, 7, 0),
    sees: tuple[int, int, int, int] = (100, 20, 150, 60),
    detail: Detail | None = None,
) -> Explanation:
    """What units of a made-up picture saw: the first of each layer the strongest, the last one without a place."""
    made = _explanation(image)
    left, top, right, bottom = sees
    values = np.zeros((3, bottom - top, right - left), np.float32)
    values[1, 4, 5], values[2, 3, 2] = -2.5, 1.25
    found = tuple(
        Reconstruction(
            rule,
            layer,
            channel,
            None if place == len(channels) - 1 else (place, 4),
            (14, 14),
            3.41123456 - place,
            sees,
            values,
            (224, 224),
            made.geometry,
            detail or Detail(),
        )
        for layer in layers
        for place, channel in enumerate(channels)
        for rule in rules
    )
    return Explanation(image, made.picture, made.geometry, made.predictions, found)


def _run(**changed: Any) -> dict[str, Any]:
    """A run.json."""
    return {
        "cnnexplain": "0.1.0",
        "status": "finished",
        "command": "gradcam",
        "arguments": "cnnexplain gradcam resnet50 cat.jpg -o out",
        "model": {
            "reference": "resnet50",
            "name": "resnet50",
            "source": "timm resnet50.a1_in1k, weights from the Hugging Face hub",
            "weights_sha256": "0123456789abcdef" * 4,
            "parameters": 25557032,
            "classes": 1000,
            "preprocess": {
                "input_size": [224, 224],
                "channels": 3,
                "resize": [235, 235],
                "crop_mode": "center",
                "interpolation": "bicubic",
                "mean": [0.485, 0.456, 0.406],
                "std": [0.229, 0.224, 0.225],
            },
            "device": "cpu",
            "precision": "fp32",
        },
        "options": {"method": ["gradcam"], "layer": None, "target": "top", "save_raw": True},
        "choices": [{"what": "layer", "value": "conv_head", "reason": "the last map before pooling"}],
        "images": {"count": 2, "ok": 1, "error": 1},
        "started": "2026-11-21T08:00:00Z",
        "seconds": 3.2,
        "versions": {"torch": "2.15.0"},
        "seed": 0,
        **changed,
    }
