"""Records: as the schema says, and readable by any JSON parser whatever the names in them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from cnnexplain.core.explanation import Explanation, Prediction
from cnnexplain.errors import ImageError
from cnnexplain.report import record

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "record.schema.json").read_text("utf-8"))
FILES = [("cat.jpg.gradcam.png", "cat.jpg.gradcam.npz")]

Make = Callable[..., Explanation]


def valid(one: dict[str, Any]) -> dict[str, Any]:
    """The record as a reader gets it, after checking it against the schema."""
    read: dict[str, Any] = json.loads(record.line(one), parse_constant=pytest.fail)
    jsonschema.Draft202012Validator(SCHEMA).validate(read)
    return read


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_an_explained_picture(explanation: Make) -> None:
    read = valid(record.explained(explanation(), "gradcam", "resnet50", FILES))
    assert (read["schema"], read["image"], read["status"], read["size"]) == (1, "cat.jpg", "ok", [60, 40])
    assert (read["command"], read["model"], len(read["predictions"])) == ("gradcam", "resnet50", 5)
    assert read["predictions"][0] == {
        "index": 280,
        "label": "Egyptian cat",
        "probability": 0.390123,
        "logit": 8.0,
    }
    assert read["explanations"] == [
        {
            "method": "gradcam",
            "layer": "conv_head",
            "target": read["predictions"][0],
            "shape": [7, 7],
            "min": 0.0,
            "max": 3.14159,
            "peak": list(explanation().heatmaps[0].peak or ()),
            "picture": "cat.jpg.gradcam.png",
            "raw": "cat.jpg.gradcam.npz",
        }
    ]


def test_no_raw_file_no_key(explanation: Make) -> None:
    read = valid(record.explained(explanation(), "gradcam", "resnet50", [("a.png", None)]))
    assert "raw" not in read["explanations"][0]


def test_nothing_positive_has_no_peak(explanation: Make) -> None:
    read = valid(record.explained(explanation(values=np.full((3, 5), -2.0)), "gradcam", "m", FILES))
    assert read["explanations"][0]["peak"] is None
    assert read["explanations"][0]["shape"] == [3, 5]


def test_a_record_reads_back_as_it_was(explanation: Make) -> None:
    for one in (
        record.explained(explanation("caf\udce9.jpg"), "gradcam", "m", FILES),
        record.failed(
            "caf\udce9.jpg", ImageError("cannot read caf\udce9.jpg", "leave it out"), "gradcam", "m"
        ),
    ):
        assert valid(one) == one


def test_a_failed_picture() -> None:
    read = valid(record.failed("a.jpg", ImageError("it is cut short", "download it again"), "gradcam", "m"))
    assert read["error"] == {"type": "ImageError", "message": "it is cut short", "hint": "download it again"}
    assert (read["status"], read["size"], read["predictions"], read["explanations"]) == (
        "error",
        None,
        [],
        [],
    )


def test_another_librarys_error_is_quoted() -> None:
    read = valid(record.failed("a.jpg", ValueError("bad tile\nand more"), "gradcam", "m"))
    assert read["error"] == {"type": "ValueError", "message": "ValueError: bad tile"}


@pytest.mark.parametrize(
    "name",
    [
        "caf\udce9.jpg",
        "lone \ud83d.jpg",
        "two\nlines\r.jpg",
        "\x1b[31m.jpg",
        "\u202egpj.exe",
        "\u2028\x85.jpg",
        "\"quotes'\\.jpg",
        "日本語 🐈.jpg",
        "\x00.jpg",
    ],
)
def test_any_name_is_one_ascii_line_of_real_unicode(name: str, explanation: Make) -> None:
    one = record.explained(explanation(name, labels=(name,)), "gradcam", name, FILES)
    text = record.line(one)
    assert text.isascii()
    assert len(text.splitlines()) == 1
    read = valid(one)
    for said in (read["image"], read["model"], read["predictions"][0]["label"]):
        said.encode("utf-8")
        assert said == record.readable(name)


def test_bytes_that_are_not_utf8_are_named() -> None:
    assert record.readable("caf\udce9 \ud83d") == "caf\\xe9 \\ud83d"
    assert record.readable("café 🐈") == "café 🐈"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_refused(value: float, explanation: Make) -> None:
    with pytest.raises(ImageError, match="not a finite number"):
        record.explained(explanation(values=np.array([[0.0, value]])), "gradcam", "m", FILES)
    good = explanation()
    bad = Explanation(good.image, good.picture, good.geometry, (Prediction(0, "cat", value, 1.0),), ())
    with pytest.raises(ImageError, match="a probability"):
        record.explained(bad, "gradcam", "m", [])
    with pytest.raises(ValueError, match="JSON"):
        record.line({"min": value})


def test_files_must_match_the_maps(explanation: Make) -> None:
    with pytest.raises(ValueError, match="zip"):
        record.explained(explanation(methods=("gradcam", "layercam")), "gradcam", "m", FILES)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", [60]),
        ("status", "fine"),
        ("image", None),
        ("predictions", []),
        ("schema", 2),
    ],
)
def test_the_schema_is_strict(key: str, value: Any, explanation: Make) -> None:
    one = record.explained(explanation(), "gradcam", "resnet50", FILES)
    with pytest.raises(jsonschema.ValidationError):
        valid({**one, key: value})
    valid({**one, "another": value})


def test_records_need_neither_jinja_nor_torch() -> None:
    code = "import sys, cnnexplain.report.record; print({'jinja2', 'torch', 'numpy', 'PIL'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
