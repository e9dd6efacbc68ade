"""What every kind of result must satisfy, and what becomes of a kind that nobody here knows."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import numpy as np
import pytest
from networks import pooled, settle
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cnnexplain
from cnnexplain.cli.console import Console, ConsoleOptions
from cnnexplain.commands import ImageCommand, ModelCommand
from cnnexplain.core import registry
from cnnexplain.core import results as result_room
from cnnexplain.core.explanation import Answer, Batch, Explanation
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.records import line
from cnnexplain.core.results import Detail, Result, entry, result_class, summaries
from cnnexplain.render import is_drawn, pictures, pictures_of_model
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.report.pages import record
from cnnexplain.report.pages.card import require_sound
from cnnexplain.report.pages.figures import figures
from cnnexplain.report.pages.long import pages
from cnnexplain.report.pages.page import page
from cnnexplain.runner.options import RunOptions
from cnnexplain.runner.request import Joining, Request
from cnnexplain.runner.run import run
from cnnexplain.runner.tensorboard.log import TensorBoardLog

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "record.schema.json").read_text("utf-8"))
NOISE = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
KINDS = registry.own_names(result_room)
OF_MODEL = ("kernels", "summary", "synthesis")


@cache
def explainer() -> cnnexplain.Explainer:
    return cnnexplain.load(settle(pooled(), (32, 32)), input_size="32", crop_pct=1.0)


@cache
def explained(kind: str) -> Explanation:
    """An image of which results of a kind are known; a new kind is added here."""
    command = {
        "map": ("gradcam", {"method": ("gradcam", "eigencam"), "target": "top2"}),
        "unit": ("deconv", {"layer": ("features",), "top": 2}),
        "channels": ("activations", {"layer": ("features", "fc")}),
        "winners": ("occlusion", {"window": 8, "stride": 8}),
        "comparison": ("compare", {"method": ("gradcam", "gradient"), "cells": 4}),
    }[kind]
    explanation = explainer().explain(NOISE, command[0], **command[1])
    return dataclasses.replace(
        explanation, results=tuple(result for result in explanation.results if result.kind == kind)
    )


@cache
def samples(kind: str) -> tuple[Result, ...]:
    """Some results of a kind."""
    if kind == "kernels":
        return tuple(explainer().filters(layer=("features.0", "fc")))
    if kind == "synthesis":
        return explainer().maximize(layer="features.0", channel="0,1", steps=2)[:2]
    return (explainer().summary(),) if kind == "summary" else explained(kind).results


def valid(made: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it reads back; fails where the schema does not allow it."""
    read: dict[str, Any] = json.loads(line(made), parse_constant=pytest.fail)
    jsonschema.Draft202012Validator(SCHEMA).validate(read)
    return read


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_one_file_with_one_class(kind: str) -> None:
    module = importlib.import_module(f"cnnexplain.core.results.{kind}")
    (name,) = module.__all__
    made = result_class(kind)
    assert made is getattr(module, name)
    assert issubclass(made, Result)
    assert made.kind == kind
    assert made.__dataclass_params__.frozen  # type: ignore[attr-defined]
    for room in ("render", "report"):
        assert importlib.import_module(f"cnnexplain.{room}.{kind}")
    assert is_drawn(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_those_of_the_contract(kind: str) -> None:
    results = samples(kind)
    assert results
    for one in results:
        assert one.kind == kind
        assert isinstance(one.method, str)
        assert one.method
        assert isinstance(one.layer, str)
        assert bool(one.layer) != one.of_whole_model
        assert isinstance(one.detail, Detail)
        assert one.name
        assert one.name_parts().keys() <= {"method", "layer", "target"}
        assert all(isinstance(part, str) for part in one.name_parts().values())
        for name, values in one.arrays().items():
            assert name.isidentifier()
            assert isinstance(values, np.ndarray)
            assert not values.dtype.hasobject, f"{name} could not be read without pickle"
        values = one.distribution()
        if isinstance(values, np.ndarray):
            assert values.ndim == 1
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.layer = "another"  # type: ignore[misc]
    together = [results[:1], *([results] if kind == "unit" else [])]
    assert all(type(some[0]).arrays_of(some).keys() == some[0].arrays().keys() for some in together)


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_reads_back_as_it_was_written(kind: str) -> None:
    for one in samples(kind):
        if one.of_whole_model:
            written = {"kind": kind, **one.record()}
        else:
            written = entry(one, "a.png", "a.npz")
            assert (written["kind"], written["picture"], written["raw"]) == (kind, "a.png", "a.npz")
            assert written.keys() >= {*one.record(), *one.detail.facts}
            assert written.get("remarks", []) == list(one.detail.remarks)
        read = json.loads(line(written))
        again = Result.from_record(read)
        assert again.kind == kind
        assert again.record() == read == json.loads(line(again.record()))
        assert (again.method, again.layer) == (read.get("method", ""), read.get("layer", ""))
        assert again.summary() == one.summary()


@pytest.mark.parametrize("kind", KINDS)
def test_a_summary_is_one_line(kind: str) -> None:
    for one in samples(kind):
        assert len(one.summary().splitlines()) == 1
        assert one.summary().strip() == one.summary() != ""


def test_a_detail_cannot_take_another_keys_place() -> None:
    one = dataclasses.replace(samples("map")[0], detail=Detail({"kind": "other", "notes": 1}))
    with pytest.raises(ValueError, match="a fact must not be called kind"):
        entry(one, None, None)


@pytest.mark.parametrize("kind", KINDS)
def test_records_are_as_the_schema_says_and_every_entry_says_its_kind(kind: str) -> None:
    if kind in OF_MODEL:
        results = samples(kind)
        whole = {one.kind: one.record() for one in results if one.of_whole_model}
        entries = [entry(one, "a.png", None) for one in results if not one.of_whole_model]
        made = valid(record.inspected("inspect", "net", entries, whole))
        assert bool(made["explanations"]) != (kind in made)
    else:
        found = explained(kind)
        made = valid(record.explained(found, "explain", "net", [("a.png", "a.npz")] * len(found.results)))
        assert made["explanations"]
    assert {one["kind"] for one in made["explanations"]} <= {kind}
    require_sound(made)


@pytest.mark.parametrize("kind", KINDS)
def test_every_result_is_drawn(kind: str) -> None:
    options = RenderOptions()
    if kind in OF_MODEL:
        drawn = [picture for one in samples(kind) for picture in pictures_of_model([one], options)]
    else:
        drawn = list(pictures(explained(kind), options))
    assert {id(one) for picture in drawn for one in picture.shows} == {id(one) for one in samples(kind)}
    # A synthesised picture alone has as many pixels as the model was given.
    assert all(min(picture.image.size) > 50 for picture in drawn if picture.name != "plain")


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in ("summary", "winners", "comparison", "synthesis")]
)
def test_entries_of_earlier_versions_which_have_no_kind_say_the_same(kind: str) -> None:
    entries = [json.loads(line(entry(one, "a.png", None))) for one in samples(kind)]
    before = [{key: value for key, value in one.items() if key != "kind"} for one in entries]
    assert list(summaries(before)) == list(summaries(entries))
    assert [Result.from_record(one).record() for one in before] == entries
    made, earlier = ({**image(), "explanations": some} for some in (entries, before))
    require_sound({**earlier, "image": None} if kind in OF_MODEL else earlier)
    assert list(figures(earlier)) == list(figures(made)) != []


# A kind that nobody here knows, as a later version or a command of one's own writes it.

UNKNOWN = [
    {
        "kind": "atlas",
        "method": "atlas",
        "layer": "features",
        "score": 0.25,
        "nearest": [1, 2],
        "picture": None,
    },
    {"kind": "atlas"},
    {
        "kind": "atlas",
        "unit": "metre",
        "channels": 3,
        "title": None,
        "target": "blue",
        "shape": [1],
        "max": "high",
    },
    {
        "kind": "atlas",
        "layer": None,
        "method": 3,
        "peak": "none",
        "target": {"box": [1, 2, 3, 4]},
        "picture": "x.png",
    },
]


def image(*entries: Mapping[str, Any], name: str = "a.png") -> dict[str, Any]:
    """The record of an image with these entries."""
    best = {"index": 1, "label": "cat", "probability": 0.5, "logit": 1.0}
    start = {"schema": 1, "image": name, "status": "ok", "command": "atlas", "model": "net", "size": [32, 32]}
    return {**start, "activation": "softmax", "predictions": [best], "explanations": list(entries)}


def described(**more: Any) -> dict[str, Any]:
    """A run.json."""
    start = {
        "cnnexplain": "0.1.0",
        "status": "finished",
        "command": "atlas",
        "arguments": "cnnexplain atlas net",
    }
    model = {"reference": "net", "name": "net", "source": "here", "weights_sha256": "0" * 64, "parameters": 3}
    model |= {
        "classes": 2,
        "device": "cpu",
        "precision": "fp32",
        "preprocess": dataclasses.asdict(Preprocess()),
    }
    settled = {"model": model, "options": {}, "choices": [], "images": {"count": 1, "ok": 1, "error": 0}}
    ended = {"started": "2026-11-21T08:00:00Z", "seconds": 1.0, "versions": {}, "seed": 0}
    return {**start, **settled, **ended, **more}


@pytest.mark.parametrize("one", UNKNOWN)
def test_an_unknown_kind_is_told_in_one_line(one: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    (said,) = summaries([one])
    assert said.startswith("atlas")
    assert Result.from_record(one).summary() == said
    assert Result.from_record(one).record() == one
    assert Result.from_record(one).arrays() == {}
    mixed = [one, entry(samples("map")[0], None, None), one]
    assert len(list(summaries(mixed))) == 3
    for entries in ([one], mixed):
        console = Console(ConsoleOptions())
        console.planned(1, 0)
        console.recorded(image(*entries))
        assert "atlas" in capsys.readouterr().err


@pytest.mark.parametrize("one", UNKNOWN)
@pytest.mark.parametrize("many", [1, 150])
@pytest.mark.parametrize("judged", [False, True])
def test_an_unknown_kind_is_a_plain_table_on_the_page(one: dict[str, Any], many: int, judged: bool) -> None:
    known = entry(samples("map")[0], "m.png", None)
    records = [image(one, known, name=f"{place}.png") for place in range(many)]
    run_of = described(images={"count": many, "ok": many, "error": 0})
    if judged:
        expected = {"index": 0, "label": "dog", "source": "folder"}
        records = [{**made, "expected": expected, "right": False} for made in records]
        run_of["answers"] = {"right": 0, "labelled": many, "classes": 2}
    for made in records:
        require_sound(made)
    made_pages = dict(pages(run_of, records))
    assert ("report/images-1.html" in made_pages) == (many > 100)
    shown = made_pages["report/images-1.html" if many > 100 else "index.html"]
    assert "atlas" in shown
    assert "What was recorded" in shown
    assert ("0.25" in shown) == ("score" in one)
    assert "m.png" in shown, "and what is known is shown as ever"


@pytest.mark.parametrize("one", UNKNOWN)
def test_an_unknown_kind_in_a_model_is_on_the_page(one: dict[str, Any]) -> None:
    made = {**image(one), "image": None, "size": None, "predictions": []}
    require_sound(made)
    assert "What was recorded" in page(described(), [made])


@pytest.mark.parametrize("one", UNKNOWN[:3])
def test_tensorboard_is_told_of_an_unknown_kind(one: dict[str, Any], tmp_path: Path) -> None:
    made = image(one, entry(samples("map")[0], None, None))
    with TensorBoardLog(tmp_path, "atlas") as board:
        board.images([made], {"a.png": 1})
        board.record(made, tmp_path, "a.png", 1)
    found = EventAccumulator(str(tmp_path)).Reload()
    scalars = {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]}
    assert scalars["atlas/best class/probability"] == 0.5
    if "score" in one:
        assert scalars["atlas/atlas at features/score"] == 0.25


@dataclass(frozen=True, eq=False)
class Place(Result):
    """A result of a kind of one's own, which has values and no drawing."""

    kind: ClassVar[str] = "atlas"
    method: ClassVar[str] = "atlas"  # type: ignore[misc]

    layer: str
    values: np.ndarray
    detail: Detail = field(default_factory=lambda: Detail({"score": 0.25}, ("A remark.",)))

    def record(self) -> dict[str, Any]:
        return {"kind": self.kind, "method": self.method, "layer": self.layer, "at": self.values.tolist()}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"values": self.values}

    def distribution(self) -> np.ndarray:
        return self.values


@dataclass(frozen=True)
class Atlas(ImageCommand):
    """Yields such results of every image."""

    seeded: ClassVar[bool] = False

    def bind(self, model: Any) -> tuple[Atlas, tuple[()]]:
        return self, ()

    def explain(self, model: Any, batch: Batch) -> Answer:
        logits = model.forward(batch.inputs).detach()
        means = batch.inputs.mean((2, 3)).numpy()
        return Answer(logits, tuple((Place("stem", mean), Place("head", mean)) for mean in means))


@dataclass(frozen=True)
class ModelAtlas(ModelCommand):
    """Yields such results of the model."""

    seeded: ClassVar[bool] = False

    def bind(self, model: Any) -> tuple[ModelAtlas, tuple[()]]:
        return self, ()

    def inspect(self, model: Any) -> Iterator[Place]:
        yield Place("stem", np.arange(3, dtype=np.float32))
        yield Place("head", np.arange(2, dtype=np.float32))


class Watcher:
    """An observer that counts."""

    def __init__(self) -> None:
        self.done = self.new = 0
        self.heard: list[str] = []

    def loaded(self, *_: Any) -> None: ...

    def finding(self, result: Result) -> None:
        self.heard.append(result.summary())

    def planned(self, images: int, done: int) -> None:
        self.done = done

    def recorded(self, made: Mapping[str, Any], *, again: bool = False, listed: bool = True) -> None:
        self.new += not again
        assert made["status"] == "ok", made

    def notice(self, topic: str, text: str) -> None:
        if topic != "graph":
            self.heard.append(text)


NET = """
from networks import Rectified

def net():
    return Rectified()
"""
SETTINGS = ModelOptions(input_size="32", crop_pct=1.0, mean="0.5", std="0.5")


def carried_out(folder: Path, out: str, **options: Any) -> Watcher:
    """A run of `Atlas` over three images."""
    if not (folder / "in").exists():
        (folder / "in").mkdir()
        (folder / "own.py").write_text(NET)
        for place in range(3):
            Image.fromarray(np.roll(NOISE, place)).save(folder / "in" / f"{place}.png")
    given = RunOptions(output=folder / out, batch_size="2", workers=1, save_raw=True, **options)
    watcher = Watcher()
    own = f"{folder / 'own.py'}:net"
    run(Request("atlas", Atlas(), own, (str(folder / "in"),), run=given, model=SETTINGS), watcher)
    return watcher


def test_a_run_over_an_unknown_kind_is_written_told_and_resumed(tmp_path: Path) -> None:
    first = carried_out(tmp_path, "out", tensorboard=tmp_path / "board")
    assert (first.done, first.new) == (0, 3)
    written = (tmp_path / "out" / "results.jsonl").read_bytes()
    for row in map(json.loads, written.splitlines()):
        stem, head = row["explanations"]
        assert (stem["kind"], stem["layer"], head["layer"]) == ("atlas", "stem", "head")
        assert (stem["picture"], stem["score"], stem["remarks"]) == (None, 0.25, ["A remark."])
        assert stem["raw"] != head["raw"]
        with np.load(tmp_path / "out" / stem["raw"], allow_pickle=False) as raw:
            np.testing.assert_allclose(raw["values"], stem["at"])
            assert str(raw["layer"]) == "stem"
    report = (tmp_path / "out" / "index.html").read_text()
    assert report.count("What was recorded") == 6
    found = EventAccumulator(str(tmp_path / "board")).Reload()
    assert [event.value for event in found.Scalars("atlas/atlas at stem/score")] == [0.25] * 3
    assert found.Tags()["histograms"].count("atlas/atlas at stem") == 1
    (tmp_path / "out" / "index.html").unlink()
    again = carried_out(tmp_path, "out", tensorboard=tmp_path / "board")
    assert (again.done, again.new) == (3, 0), "what is not drawn is not missing either"
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == written
    assert (tmp_path / "out" / "index.html").read_text().count("What was recorded") == 6


def test_raw_values_that_are_gone_are_written_again(tmp_path: Path) -> None:
    carried_out(tmp_path, "out")
    for raw in (tmp_path / "out").glob("1.png*.npz"):
        raw.unlink()
    again = carried_out(tmp_path, "out")
    assert (again.done, again.new) == (2, 1)
    assert len(list((tmp_path / "out").glob("*.npz"))) == 6


def test_parts_with_an_unknown_kind_are_joined(tmp_path: Path) -> None:
    for part in (1, 2):
        carried_out(tmp_path, f"part{part}", shard=f"{part}/2")
    carried_out(tmp_path, "whole")
    watcher = Watcher()
    parts = Joining((str(tmp_path / "part1"), str(tmp_path / "part2")))
    run(Request("merge", parts, run=RunOptions(output=tmp_path / "all")), watcher)
    assert watcher.new == 3
    joined, whole = (
        {
            path.name: path.read_bytes()
            for path in (tmp_path / name).iterdir()
            if path.suffix in (".jsonl", ".npz")
        }
        for name in ("all", "whole")
    )
    assert joined == whole
    assert "What was recorded" in (tmp_path / "all" / "index.html").read_text()


def test_a_look_into_a_model_that_finds_an_unknown_kind(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(NET)
    for _ in range(2):  # the second time over what the first has left
        watcher = Watcher()
        given = RunOptions(output=tmp_path / "out", tensorboard=tmp_path / "board", save_raw=True)
        own = f"{tmp_path / 'own.py'}:net"
        run(Request("atlas", ModelAtlas(), own, run=given, model=SETTINGS), watcher)
        assert watcher.heard == ["atlas at stem", "atlas at head"]
        (row,) = map(json.loads, (tmp_path / "out" / "results.jsonl").read_text().splitlines())
        assert [(one["kind"], one["score"], one["picture"]) for one in row["explanations"]] == [
            ("atlas", 0.25, None)
        ] * 2
        assert (tmp_path / "out" / "index.html").read_text().count("What was recorded") == 2
    assert (tmp_path / "out" / row["explanations"][0]["raw"]).is_file()
    found = EventAccumulator(str(tmp_path / "board")).Reload()
    assert found.Scalars("atlas/score")[0].value == 0.25
