"""What the terminal tells of the records that a run makes."""

from __future__ import annotations

from typing import Any

import pytest

from cnnexplain.cli.console import Console, ConsoleOptions


def found(method: str, layer: str, channel: int | None = None, **more: Any) -> dict[str, Any]:
    """A map, or a unit's projection where there is a channel."""
    if channel is None:
        target = {"index": 282, "label": "tiger cat", "probability": 0.39, "logit": 8.0}
        return {
            "method": method,
            "layer": layer,
            "target": target,
            "peak": [1, 2],
            "picture": "a.png",
            **more,
        }
    unit = {
        "channel": channel,
        "cell": [0, channel],
        "activation": 3.4078 - abs(channel - 55),
        "sees": [0, 0, 9, 9],
    }
    sheet = f"{layer}.png"
    return {
        "method": method,
        "layer": layer,
        "target": None,
        "unit": unit,
        "peak": None,
        "picture": sheet,
        **more,
    }


def told(capsys: pytest.CaptureFixture[str], *explanations: dict[str, Any]) -> list[str]:
    console = Console(ConsoleOptions())
    console.planned(1, 0)
    console.recorded({"image": "photos/cat.jpg", "status": "ok", "explanations": list(explanations)})
    return capsys.readouterr().err.splitlines()


def test_a_map_of_pixels_stands_at_no_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, found("gradient", "input")) == [
        "cat.jpg  tiger cat 39.0%, gradient strongest at x 1, y 2"
    ]
    assert told(capsys, found("gradcam", "conv")) == [
        "cat.jpg  tiger cat 39.0%, gradcam at conv strongest at x 1, y 2"
    ]


def test_a_sheet_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    sheet = [found("deconv", "blocks.2", channel) for channel in range(50, 59)]
    assert told(capsys, *sheet) == ["cat.jpg  9 units of blocks.2 by deconv, strongest channel 55 (3.41)"]
    both = [found(rule, "blocks.2", channel) for channel in (55, 7) for rule in ("deconv", "guided")]
    assert told(capsys, *both) == [
        "cat.jpg  2 units of blocks.2 by deconv and guided, strongest channel 55 (3.41)"
    ]


def test_several_sheets_are_counted_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, found("deconv", "a", 55), found("deconv", "b\x1b[2J", 3)) == [
        "cat.jpg  2 layers",
        "   1 unit of a by deconv, strongest channel 55 (3.41)",
        "   1 unit of b\\x1b[2J by deconv, strongest channel 3 (−48.6)",
    ]


def test_several_maps_are_counted_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, found("gradient", "input"), found("guided", "input", peak=None))
    assert lines[0] == "cat.jpg  2 maps"
    assert lines[2].endswith("guided nothing positive")
