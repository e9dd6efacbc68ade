"""Feature maps in records, on the page and on the terminal; channels that fire in no image."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from cnnexplain.cli.console import Console, ConsoleOptions
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.records import kind_of
from cnnexplain.core.reduce import SilentChannels, reduced
from cnnexplain.core.results.channels import FEW_BLANK, FeatureMaps
from cnnexplain.core.words import never_fired
from cnnexplain.engine.channels import histogram, statistics
from cnnexplain.report.pages.figures import figures
from cnnexplain.report.pages.page import page
from cnnexplain.report.pages.record import explained, failed

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "record.schema.json").read_text())
)


def made(
    explanation: Callable[..., Explanation],
    *layers: Any,
    image: str = "cat.jpg",
    one_picture: bool = True,
    **fields: Any,
) -> dict:
    """The record of layers with these values, each (C, h, w) or (C,), and with these `fields`."""
    found = explanation(image)
    maps = tuple(
        replace(
            FeatureMaps(
                f"layer<{number}>",
                np.asarray(values, np.float32),
                tuple(range(len(values))),
                len(values),
                statistics(torch.tensor(values, dtype=torch.float32)),
                histogram(torch.tensor(values, dtype=torch.float32)),
                found.geometry,
            ),
            **fields,
        )
        for number, values in enumerate(layers)
    )
    files = [
        ("strip.png" if one_picture else f"{number}.png", f"{number}.npz") for number in range(len(maps))
    ]
    whole = Explanation(found.image, found.picture, found.geometry, found.predictions, results=maps)
    return explained(whole, "activations", "resnet50", files)


MAPS = [[[0.0, 2], [0, 0]], [[0, 0], [0, 0]], [[-1, -2], [-1, -1]]]


def test_a_record_says_what_was_measured(explanation: Callable[..., Explanation]) -> None:
    record = made(explanation, MAPS, [3.0, -1])
    SCHEMA.validate(record)
    maps, vector = record["explanations"]
    assert maps["channels"] == {
        "count": 3,
        "mean": pytest.approx(-0.25),
        "sparsity": pytest.approx(11 / 12, abs=1e-5),
        "silent": [1, 2],
        "shown": [
            {"channel": 0, "activation": 2, "strength": 0.5, "at": maps["peak"]},
            {"channel": 1, "activation": 0, "strength": 0, "at": None},
            {"channel": 2, "activation": -1, "strength": 0, "at": None},
        ],
    }
    assert (maps["target"], maps["shape"], maps["min"], maps["max"]) == (None, [2, 2], -2, 2)
    assert (vector["shape"], vector["peak"], vector["channels"]["silent"]) == ([1, 1], None, [1])


def test_the_schema_refuses_what_is_neither(explanation: Callable[..., Explanation]) -> None:
    record = made(explanation, MAPS)
    for broken in (
        {"channels": {"count": 3}},
        {"unit": {"channel": 1, "cell": None, "activation": 1, "sees": [0, 0, 1, 1]}},
        {"scale": "signed"},
        {"target": record["predictions"][0]},
    ):
        bad = {**record, "explanations": [{**record["explanations"][0], **broken}]}
        assert not SCHEMA.is_valid(bad), broken


def test_every_entry_is_of_one_kind() -> None:
    assert [kind_of(one) for one in ({"unit": {}}, {"channels": {}}, {"target": {}})] == [
        "unit",
        "channels",
        "map",
    ]


def test_layers_of_one_picture_are_one_figure_and_sheets_are_one_each(
    explanation: Callable[..., Explanation], run: Callable[..., dict[str, Any]]
) -> None:
    record = made(explanation, MAPS, [3.0, -1])
    (strip,) = figures(record)
    assert strip.table is not None
    assert strip.table.rows[0] == ("layer<0>", "3 channels of 2 × 2", "−2 to 2", "−0.25", "91.7%", "2")
    assert [link.href for link in strip.links] == ["./strip.png", "./0.npz", "./1.npz"]
    sheets = list(figures(made(explanation, MAPS, [3.0, -1], one_picture=False)))
    assert [one.src for one in sheets] == ["./0.png", "./1.png"]
    assert sheets[0].table is not None
    assert sheets[0].table.rows[0][:3] == ("0", "2", "0.5")
    shown = page(run(silent_channels={"layer<0>": {"channels": [1, 2], "count": 3, "images": 2}}), [record])
    assert "layer&lt;0&gt;" in shown
    assert "layer<0>" not in shown
    assert "Fired in no image" in shown
    assert "2 of 3 channels" in shown


def test_a_long_list_of_channels_is_cut_and_says_so(explanation: Callable[..., Explanation]) -> None:
    (sheet,) = figures(made(explanation, np.ones((2048, 1, 2)).tolist()))
    assert sheet.table is not None
    assert len(sheet.table.rows) == 50
    assert sheet.table.title == "The first 50 of 2,048 channels"


def test_channels_that_fire_in_no_image(explanation: Callable[..., Explanation]) -> None:
    other = [[[0.0, 0], [0, 0]], [[0, 3], [0, 0]], [[0, 0], [0, 0]]]
    records = [
        made(explanation, MAPS),
        failed("bad.jpg", ValueError("no"), "activations", "m"),
        made(explanation, other),
    ]
    assert reduced(SilentChannels(), records).results() == {
        "layer<0>": {"channels": [2], "count": 3, "images": 2}
    }
    assert reduced(SilentChannels(), records[:2]).results() == {}  # one picture proves nothing
    assert (
        reduced(SilentChannels(), [*records, made(explanation, np.ones((3, 1, 2)).tolist())]).results() == {}
    )


def test_the_terminal_tells_layers(
    explanation: Callable[..., Explanation], capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(ConsoleOptions())
    console.planned(1, 0)
    console.recorded(made(explanation, MAPS, [3.0, -1]))
    assert capsys.readouterr().err.splitlines() == [
        "cat.jpg  2 layers",
        "   layer<0>, 3 channels of 2x2, 0 reaches 2, 2 silent",
        "   layer<1>, 2 units, 0 reaches 3",
    ]


@pytest.mark.parametrize(
    ("values", "fields", "words"),
    [
        (MAPS, {"shown": 1}, "layer<0>, 3 channels of 2x2, 0 reaches 2, 2 silent"),
        (MAPS[::-1], {"shown": 2}, "layer<0>, 3 channels of 2x2, one that is not drawn reaches 2, 2 silent"),
        (MAPS[:1], {}, "layer<0>, 1 channel of 2x2, 0 reaches 2"),
        ([3.0, -1], {"labels": ("cat", "dog")}, "layer<0>, 2 units, 0 cat reaches 3"),
        ([-1.5], {"labels": ("ripe",)}, "layer<0>, 1 unit, ripe reaches −1.5"),
    ],
)
def test_what_a_layer_reaches_is_said_of_all_its_channels(
    explanation: Callable[..., Explanation],
    capsys: pytest.CaptureFixture[str],
    values: Any,
    fields: dict[str, Any],
    words: str,
) -> None:
    record = made(explanation, values, **fields)
    console = Console(ConsoleOptions())
    console.planned(1, 0)
    console.recorded(record)
    assert capsys.readouterr().err == f"cat.jpg  {words}\n"
    (figure,) = figures(record)
    assert words.removesuffix(", 2 silent").split(", ")[-1] in figure.alt


def test_the_record_lists_what_is_drawn_of_blank_channels_too(
    explanation: Callable[..., Explanation],
) -> None:
    record = made(explanation, np.zeros((60, 2, 2)).tolist())
    (found,) = record["explanations"]
    assert [one["channel"] for one in found["channels"]["shown"]] == list(range(FEW_BLANK))
    assert len(found["channels"]["silent"]) == 60


@pytest.mark.parametrize(
    ("channels", "count", "words"),
    [
        ([3, 7], 40, "relu: 2 of 40 channels fired in none of 8 images: 3, 7"),
        ([0], 1, "relu: 1 of 1 channel fired in none of 8 images: 0"),
    ],
)
def test_silent_channels_in_words(channels: list[int], count: int, words: str) -> None:
    assert never_fired("relu", {"channels": channels, "count": count, "images": 8}) == words
