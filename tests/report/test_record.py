"""Records: as the schema says, and readable by any JSON parser whatever the names in them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from cnnexplain.core import records
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Geometry
from cnnexplain.core.results import Detail
from cnnexplain.errors import ImageError
from cnnexplain.report.pages import record

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "record.schema.json").read_text("utf-8"))
FILES = ("cat.jpg.gradcam.png", "cat.jpg.gradcam.npz")

Make = Callable[..., Explanation]


def valid(one: dict[str, Any]) -> dict[str, Any]:
    """The record as a reader gets it, after checking it against the schema."""
    read: dict[str, Any] = json.loads(records.line(one), parse_constant=pytest.fail)
    jsonschema.Draft202012Validator(SCHEMA).validate(read)
    return read


def explained(
    explanation: Explanation,
    command: str = "gradcam",
    model: str = "m",
    files: tuple[str, str | None] = FILES,
    overview: str | None = None,
) -> dict[str, Any]:
    """The record of an explanation with one picture for everything."""
    return record.explained(
        explanation, command, model, [files] * len(explanation.results), {"overview": overview}
    )


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_an_explained_picture(explanation: Make) -> None:
    read = valid(explained(explanation(), "gradcam", "resnet50"))
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
            "kind": "map",
            "method": "gradcam",
            "layer": "conv_head",
            "target": read["predictions"][0],
            "scale": "evidence",
            "shape": [7, 7],
            "min": 0.0,
            "max": 3.14159,
            "peak": list(explanation().heatmaps[0].peak or ()),
            "picture": "cat.jpg.gradcam.png",
            "raw": "cat.jpg.gradcam.npz",
        }
    ]


def test_no_raw_file_no_key(explanation: Make) -> None:
    read = valid(explained(explanation(), "gradcam", "resnet50", ("a.png", None)))
    assert "raw" not in read["explanations"][0]


def test_nothing_positive_has_no_peak(explanation: Make) -> None:
    read = valid(explained(explanation(values=np.full((3, 5), -2.0))))
    assert read["explanations"][0]["peak"] is None
    assert read["explanations"][0]["shape"] == [3, 5]


def test_a_record_reads_back_as_it_was(explanation: Make) -> None:
    for one in (
        explained(explanation("caf\udce9.jpg")),
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
    one = explained(explanation(name, labels=(name,)), "gradcam", name)
    text = records.line(one)
    assert text.isascii()
    assert len(text.splitlines()) == 1
    read = valid(one)
    for said in (read["image"], read["model"], read["predictions"][0]["label"]):
        said.encode("utf-8")
        assert said == records.readable(name)


def test_bytes_that_are_not_utf8_are_named() -> None:
    assert records.readable("caf\udce9 \ud83d") == "caf\\xe9 \\ud83d"
    assert records.readable("café 🐈") == "café 🐈"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_refused(value: float, explanation: Make) -> None:
    with pytest.raises(ImageError, match="not a finite number"):
        explained(explanation(values=np.array([[0.0, value]])))
    good = explanation()
    bad = Explanation(good.image, good.picture, good.geometry, (Prediction(0, "cat", value, 1.0),), ())
    with pytest.raises(ImageError, match="a probability"):
        explained(bad)
    with pytest.raises(ValueError, match="JSON"):
        records.line({"min": value})


def test_every_finding_needs_its_files_and_there_are_no_others(explanation: Make, units: Make) -> None:
    both = explanation(methods=("gradcam", "layercam"))
    for one, files in (
        (both, [FILES]),
        (units(), []),
        (explanation(), [FILES] * 2),
    ):
        with pytest.raises(ValueError, match=r"zip\(\)"):
            record.explained(one, "gradcam", "m", files)


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
    one = explained(explanation(), "gradcam", "resnet50")
    with pytest.raises(jsonschema.ValidationError):
        valid({**one, key: value})
    valid({**one, "another": value})


def test_records_need_neither_jinja_nor_torch() -> None:
    code = "import sys, cnnexplain.report.pages.record; print({'jinja2', 'torch', 'numpy', 'PIL'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


COMPLETE = {"baseline": "mean", "steps": 50, "difference": 5.10000049, "sum": 5.09, "gap": 0.01}
GUIDED = {"rule": "guided", "count": 49, "kinds": {"ReLU6": 49}}


def test_what_else_was_found_out_stands_under_its_own_keys(explanation: Make) -> None:
    facts = {
        "completeness": COMPLETE,
        "rectifiers": GUIDED,
        "samples": np.int64(25),
        "noise": np.float32(0.15),
        "even": True,
        "names": ("caf\udce9", None),
        "none": {},
    }
    detail = Detail(facts, ("Mind the caf\udce9.",))
    one = explained(explanation(layer="input", scale="signed", detail=detail))
    (read,) = valid(one)["explanations"]
    assert read["scale"] == "signed"
    assert read["completeness"] == {**COMPLETE, "difference": 5.1}
    assert read["rectifiers"] == GUIDED
    assert (read["samples"], read["noise"], read["even"]) == (25, 0.15, True)
    assert (read["names"], read["none"]) == (["caf\\xe9", None], {})
    assert read["remarks"] == ["Mind the caf\\xe9."]
    assert valid(one) == one
    assert "remarks" not in explained(explanation())["explanations"][0]


@pytest.mark.parametrize("value", [np.nan, np.float32(np.inf), {"a": [{"b": -np.inf}]}])
def test_a_fact_that_is_not_a_number_is_refused(value: Any, explanation: Make) -> None:
    with pytest.raises(ImageError, match=r"gap.* is .*not a finite number"):
        explained(explanation(detail=Detail({"gap": value})))


def test_facts_that_cannot_be_recorded_are_a_defect(explanation: Make, units: Make) -> None:
    with pytest.raises(TypeError, match="weights cannot be recorded: it is a ndarray"):
        explained(explanation(detail=Detail({"weights": np.zeros(3)})))
    for one, name in ((explanation, "layer"), (explanation, "raw"), (units, "unit")):
        with pytest.raises(ValueError, match=f"must not be called {name}"):
            explained(one(detail=Detail({name: 3})))


def test_a_unit(units: Make) -> None:
    made = units(rules=("deconv", "guided"), detail=Detail({"rectifiers": GUIDED}, ("So it is.",)))
    read = valid(explained(made, "deconv", files=("cat.jpg.deconv.png", None)))
    assert len(read["explanations"]) == 6
    assert "overview" not in read
    first = made.reconstructions[0]
    assert read["explanations"][0] == {
        "kind": "unit",
        "method": "deconv",
        "layer": "blocks.2",
        "target": None,
        "unit": {
            "channel": 55,
            "cell": [0, 4],
            "at": list(first.place or ()),
            "activation": 3.41123,
            "sees": sees(first.box),
        },
        "shape": [40, 50],
        "min": -2.5,
        "max": 1.25,
        "peak": list(first.peak or ()),
        "picture": "cat.jpg.deconv.png",
        "remarks": ["So it is."],
        "rectifiers": GUIDED,
    }
    assert [one["method"] for one in read["explanations"]] == ["deconv", "guided"] * 3
    assert read["explanations"][-1]["unit"]["cell"] is None


def sees(box: tuple[float, ...]) -> list[int]:
    left, top, right, bottom = box
    return [int(np.floor(left)), int(np.floor(top)), int(np.ceil(right)), int(np.ceil(bottom))]


def test_what_a_unit_sees_is_whole_pixels_of_the_picture(units: Make) -> None:
    made = units(sees=(0, 0, 224, 224))
    one = made.reconstructions[0]
    for box, wanted in (
        ((-3.2, -0.1, 71.5, 40.0), [0, 0, 60, 40]),
        ((12.3, 4.0, 12.4, 5.0000000001), [12, 4, 13, 5]),
        ((-9.0, 50.0, -2.0, 58.0), [0, 40, 0, 40]),  # nothing but padding
    ):
        moved = replace(one, sees=(0, 0, 224, 224), geometry=Geometry((60, 40), box))
        unit = explained(replace(made, results=(moved,)))["explanations"][0]["unit"]
        assert unit["sees"] == wanted


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_unit_that_is_not_a_number_is_refused(value: float, units: Make) -> None:
    made = units()
    one = made.reconstructions[0]
    for bad in (replace(one, activation=value), replace(one, values=one.values + np.float32(value))):
        with pytest.raises(ImageError, match="not a finite number"):
            explained(replace(made, results=(bad,)))


def test_the_overview_of_several_layers(units: Make) -> None:
    made = units(layers=("blocks.0", "blocks.2"))
    assert valid(explained(made, overview="cat.jpg.deconv.png"))["overview"] == "cat.jpg.deconv.png"
    with pytest.raises(jsonschema.ValidationError):
        valid(explained(made, overview="/a.png"))
    failed = record.failed("a.jpg", ImageError("cut short", "load it again"), "deconv", "m")
    with pytest.raises(jsonschema.ValidationError):
        valid({**failed, "overview": "a.png"})


def test_the_schema_is_strict_with_units_and_maps(explanation: Make, units: Make) -> None:
    one = explained(units())
    unit = one["explanations"][0]
    target = one["predictions"][0]
    bad: list[dict[str, Any]] = [
        {**unit, "target": target},
        {key: value for key, value in unit.items() if key != "unit"},
        {key: value for key, value in unit.items() if key != "target"},
        {**unit, "scale": "signed"},
        {**unit, "remarks": []},
        {**unit, "remarks": "So it is."},
        {**unit, "rectifiers": {"rule": "guided", "count": -1}},
        {**unit, "completeness": {"sum": 3}},
        *({**unit, "unit": {**unit["unit"], **change}} for change in (
            {"channel": None}, {"cell": [1]}, {"cell": [-1, -1]}, {"activation": "3"}, {"sees": [0.5, 0, 1, 1]},
            {"sees": None},
        )),
        {**explained(explanation())["explanations"][0], "target": None},
        {**explained(explanation())["explanations"][0], "scale": "loud"},
    ]  # fmt: skip
    for found in bad:
        with pytest.raises(jsonschema.ValidationError):
            valid({**one, "explanations": [found]})
    valid({**one, "explanations": [unit, explained(explanation())["explanations"][0]]})


def test_records_of_earlier_releases_are_valid(explanation: Make) -> None:
    one = explained(explanation())
    before = {key: value for key, value in one["explanations"][0].items() if key not in ("scale", "kind")}
    valid({**one, "explanations": [before]})
