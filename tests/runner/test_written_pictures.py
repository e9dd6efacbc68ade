"""What a writer leaves in OUT for one picture: drawn, raw, recorded; and whether that still holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core import records
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.results.unit import Reconstruction
from cnnexplain.images.find import ImagePath
from cnnexplain.render import Picture
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.runner.output import write
from cnnexplain.runner.output.files import written_by_us
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.write import Explained, Job, Writer

Make = Callable[..., Writer]


def drawn(explanation: Explanation, _options: RenderOptions) -> Iterator[Picture]:
    """Plain pictures of the kinds that there are."""
    image = Image.new("RGB", (8, 8))
    for heatmap in explanation.heatmaps:
        yield Picture(lambda: image, (heatmap,))
    sheets: dict[str, list[Reconstruction]] = {}
    for found in explanation.reconstructions:
        sheets.setdefault(found.layer, []).append(found)
    for sheet in sheets.values():
        yield Picture(lambda: image, tuple(sheet))
    if len(sheets) > 1:
        yield Picture(lambda: image, ())


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(write, "pictures", drawn)
    folder = OutputFolder(tmp_path / "out")
    folder.open({}, overwrite=False)

    def made(asked: tuple[str, ...] = (), save_raw: bool = False) -> Writer:
        return Writer(folder, "deconv", "resnet50", frozenset(asked), RenderOptions(), save_raw)

    yield made
    folder.close()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    Image.new("RGB", (60, 40)).save(tmp_path / "cat.png")
    return Job(0, ImagePath(str(tmp_path / "cat.png"), ""), "cat.png")


def explanation(job: Job, *layers: str, maps: tuple[str, ...] = ()) -> Explanation:
    """Three units by two rules of every layer, the last one without a place."""
    picture = Image.open(job.source.path)
    geometry = Preprocess().geometry(picture.size)
    chance = np.random.default_rng(0)
    cat = Prediction(3, "cat", 0.5, 1.0)

    def unit(layer: str, number: int, rule: str) -> Reconstruction:
        values = chance.standard_normal((3, 20, 40)).astype(np.float32)
        cell = None if number == 2 else (number, 2)
        box = (10 * number, 5, 10 * number + 40, 25)
        return Reconstruction(
            rule, layer, 7 + number, cell, (7, 7), 3.5 - number, box, values, (224, 224), geometry
        )

    return Explanation(
        job.image,
        picture,
        geometry,
        (cat,),
        (
            *(
                Heatmap("gradcam", layer, cat, chance.random((7, 7), np.float32), geometry, scale="signed")
                for layer in maps
            ),
            *(
                unit(layer, number, rule)
                for layer in layers
                for number in range(3)
                for rule in ("deconv", "guided")
            ),
        ),
    )


def written(writer: Writer, job: Job, found: Explanation) -> dict[str, Any]:
    """The record as it reads back."""
    made = writer.write(Explained(job, found))
    assert made["status"] == "ok", made
    read: dict[str, Any] = json.loads(records.line(made))
    assert read == made
    return read


def names(done: dict[str, Any], kind: str = "picture") -> list[str]:
    return list(dict.fromkeys(one[kind] for one in done["explanations"]))


def files(writer: Writer) -> list[str]:
    return sorted(one.name for one in writer.folder.path.iterdir() if one.is_file())


def test_one_layer_is_one_sheet(writer: Make, job: Job) -> None:
    done = written(writer(), job, explanation(job, "blocks.2"))
    assert names(done) == files(writer()) == ["cat.png.deconv.png"]
    assert len(done["explanations"]) == 6
    assert "overview" not in done


def test_several_layers_have_a_sheet_each_and_an_overview(writer: Make, job: Job) -> None:
    one = writer()
    done = written(one, job, explanation(job, "blocks.0", "blocks.2"))
    assert names(done) == ["cat.png.deconv.blocks.0.png", "cat.png.deconv.blocks.2.png"]
    assert done["overview"] == "cat.png.deconv.png"
    assert files(one) == sorted((*names(done), done["overview"]))
    assert all(written_by_us(one.folder.path / name) for name in files(one))


def test_a_layer_that_was_asked_for_is_in_the_name(writer: Make, job: Job) -> None:
    assert names(written(writer(("layer",)), job, explanation(job, "a"))) == ["cat.png.deconv.a.png"]


@pytest.mark.parametrize(
    "layers", [("../../x", "/etc/passwd"), ("a b", "a_b-c8687a08"), ("", "."), ("B", "b")]
)
def test_hostile_layers_stay_apart_and_below(layers: tuple[str, ...], writer: Make, job: Job) -> None:
    one = writer(save_raw=True)
    done = written(one, job, explanation(job, *layers))
    assert len({name.casefold() for name in (*names(done), done["overview"])}) == 3
    assert files(one) == sorted((*names(done), *names(done, "raw"), done["overview"]))
    assert one.still_there(job, done)
    for name, layer in zip(names(done, "raw"), layers, strict=True):
        expected = [unit for unit in explanation(job, *layers).reconstructions if unit.layer == layer]
        with np.load(one.folder.path / name) as raw:
            assert raw["values"].sum() == pytest.approx(sum(unit.values.sum() for unit in expected), rel=1e-3)


def test_a_raw_sheet_reads_back(writer: Make, job: Job) -> None:
    one, found = writer(save_raw=True), explanation(job, "blocks.2")
    done = written(one, job, found)
    assert names(done, "raw") == ["cat.png.deconv.npz"]
    path = one.folder.path / "cat.png.deconv.npz"
    assert written_by_us(path)
    with np.load(path, allow_pickle=False) as raw:
        assert raw["values"].dtype == np.float32
        assert raw["values"].shape == (6, 3, 224, 224)
        assert raw["rules"].tolist() == ["deconv", "guided"] * 3
        assert raw["channels"].tolist() == [7, 7, 8, 8, 9, 9]
        assert raw["cells"].tolist() == [[0, 2], [0, 2], [1, 2], [1, 2], [-1, -1], [-1, -1]]
        assert raw["activations"].tolist() == [3.5, 3.5, 2.5, 2.5, 1.5, 1.5]
        assert raw["sees"].tolist() == [list(unit.sees) for unit in found.reconstructions]
        assert raw["box"].tolist() == list(found.geometry.box)
        assert "cnnexplain" in raw
        for values, unit in zip(raw["values"], found.reconstructions, strict=True):
            left, top, right, bottom = unit.sees
            assert (values[:, top:bottom, left:right] == unit.values).all()
            assert np.count_nonzero(values) == np.count_nonzero(unit.values)


def test_a_raw_map_reads_back(writer: Make, job: Job) -> None:
    one, found = writer(save_raw=True), explanation(job, maps=("input",))
    done = written(one, job, found)
    assert (names(done), names(done, "raw")) == (["cat.png.deconv.png"], ["cat.png.deconv.npz"])
    assert written_by_us(one.folder.path / "cat.png.deconv.npz")
    with np.load(one.folder.path / "cat.png.deconv.npz", allow_pickle=False) as raw:
        assert (raw["values"] == found.heatmaps[0].values).all()
        assert raw["box"].tolist() == list(found.geometry.box)


@pytest.mark.parametrize(
    "name",
    ["cat.png.deconv.png", "cat.png.deconv.b.png", "cat.png.deconv.b.npz"],
    ids=["the overview", "a sheet", "its values"],
)
def test_what_is_gone_or_anothers_is_made_again(name: str, writer: Make, job: Job) -> None:
    one = writer(save_raw=True)
    done = written(one, job, explanation(job, "a", "b"))
    assert one.still_there(job, done)
    (one.folder.path / name).write_bytes(b"my holidays")
    assert not one.still_there(job, done)
    (one.folder.path / name).unlink()
    assert not one.still_there(job, done)


@pytest.mark.parametrize(
    "change",
    [
        {"overview": "../cat.png"},
        {"overview": "dog.png.deconv.png"},
        {"overview": None},
        {"overview": ["cat.png.deconv.png"]},
        {"explanations": [{}]},
        {"explanations": 3},
        {"size": [1]},
    ],
)
def test_an_edited_record_does_not_hold(change: dict[str, Any], writer: Make, job: Job) -> None:
    one = writer()
    done = written(one, job, explanation(job, "a", "b"))
    assert not one.still_there(job, {**done, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"unit": None},
        {"unit": {"channel": 3}},
        {"unit": []},
        {"target": 3},
        {"picture": "dog.png"},
        {"picture": 3},
        {"remarks": 3},
        {"deep": json.loads("[" * 900 + "]" * 900)},
    ],
)
def test_an_edited_finding_does_not_hold(change: dict[str, Any], writer: Make, job: Job) -> None:
    one = writer()
    done = written(one, job, explanation(job, "a", "b"))
    first, *rest = done["explanations"]
    assert not one.still_there(job, {**done, "explanations": [{**first, **change}, *rest]})
