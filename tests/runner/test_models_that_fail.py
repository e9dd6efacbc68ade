"""A model that fails on single pictures, or on several at once: that costs those pictures, and no other."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands.activations import Activations
from cnnexplain.commands.deconv import Deconv
from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.commands.saliency import Saliency
from cnnexplain.core.explanation import Explanation
from cnnexplain.errors import ImageMemoryError, LayerError, ModelError
from cnnexplain.images.find import ImagePath
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.runner.explain import BatchSize, Prepared, explain
from cnnexplain.runner.explain_images import hopeful
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.write import Job, Writer
from cnnexplain.runner.workers.shard import _portable
from cnnexplain.runner.workers.worker import Done, Worker

SIDE = 16


class Net(nn.Module):
    """Its map is the picture's brightness in squares of 4 pixels; `trouble` is called with every batch."""

    def __init__(self, trouble: Callable[[Tensor], Any] = lambda _: None) -> None:
        super().__init__()
        self.blocks = nn.Conv2d(3, 2, 4, stride=4, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.blocks.weight.fill_(1 / 48)
            self.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        self.trouble, self.sizes = trouble, []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        self.trouble(x)
        return self.head(self.blocks(x).mean((2, 3)))


def dark(x: Tensor) -> bool:
    """Whether a picture of the batch is all black; the blank one that a model is traced with is grey."""
    return bool((x.amax((1, 2, 3)) < -1.5).any())


class SilentError(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


def raises(error: BaseException) -> Callable[[Tensor], None]:
    def trouble(x: Tensor) -> None:
        if dark(x):
            raise error

    return trouble


class Own(BaseException):
    """Of a stranger's own kind."""


TROUBLE = {
    "its own error": (raises(ValueError("too dark")), "ValueError: too dark"),
    "the end of the program": (raises(SystemExit(3)), "SystemExit: 3"),
    "an error of no known kind": (raises(Own("mine")), "Own: mine"),
    "an error without a text": (raises(SilentError()), "SilentError"),
    "an error of torch": (lambda x: torch.zeros(2).view(3) if dark(x) else None, "RuntimeError: shape"),
}


def opened(folder: Path, model: Any, number: int, dark_ones: tuple[int, ...]) -> list[Job]:
    jobs = []
    for position in range(number):
        level = 0 if position in dark_ones else 60 + 10 * position
        picture = Image.new("RGB", (SIDE, SIDE), (level,) * 3)
        if level:
            picture.paste((255, 255, 255), (4 * (position % 4), 8, 4 * (position % 4) + 4, 12))
        path = folder / f"{position}.png"
        picture.save(path)
        jobs.append(Job(position, ImagePath(str(path), ""), path.name))
    return jobs


def worked(
    tmp_path: Path,
    net: Net,
    number: int = 10,
    dark_ones: tuple[int, ...] = (),
    size: int = 4,
    layer: tuple[str, ...] = (),
) -> dict[int, dict[str, Any]]:
    """The record of every picture, by its position."""
    model = cnnexplain.load(net, input_size=str(SIDE), crop_pct=1.0).model
    bound, _ = GradCAM(layer=layer).bind(model)
    net.sizes.clear()
    folder = OutputFolder(tmp_path / "out")
    folder.open({}, overwrite=False)
    writer = Writer(folder, "gradcam", "net", frozenset(), RenderOptions(), save_raw=True)
    worker = Worker(model, bound, writer, BatchSize(size), 2, number)
    jobs = opened(tmp_path, model, number, dark_ones)
    with model.borrowed():
        done = list(worker.explained(jobs))
    folder.close()
    assert len(done) == number
    return {one.job.position: one.record for one in done}


@pytest.mark.parametrize("kind", TROUBLE)
def test_a_picture_on_which_the_model_fails_costs_its_own_record(tmp_path: Path, kind: str) -> None:
    trouble, said = TROUBLE[kind]
    found = worked(tmp_path, Net(trouble), dark_ones=(0, 5))
    assert {position for position, one in found.items() if one["status"] == "error"} == {0, 5}
    for position in (0, 5):
        error = found[position]["error"]
        assert error["type"] == "ImageModelError"
        assert said in error["message"]
        assert "--max-failures" in error["hint"]


def test_the_others_are_explained_as_if_it_had_not_been_there(tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    net = Net(raises(ValueError("too dark")))
    found = worked(tmp_path / "with", net, dark_ones=(1,))
    assert net.sizes.count(1) == 1, "every batch is filled up but for the picture that is tried alone"
    expected = worked(tmp_path / "without", Net(), dark_ones=(1,))
    kept = ("predictions", "explanations", "status")
    for position in set(found) - {1}:
        assert {name: found[position][name] for name in kept} == {
            name: expected[position][name] for name in kept
        }


def test_a_gradient_that_fails_on_one_picture_costs_that_one(tmp_path: Path) -> None:
    class Backwards(Net):
        def forward(self, x: Tensor) -> Tensor:
            scores = super().forward(x)
            if scores.requires_grad and dark(x):

                def refuse(_gradient: Tensor) -> None:
                    raise ArithmeticError("no way back")

                scores.register_hook(refuse)
            return scores

    found = worked(tmp_path, Backwards(), dark_ones=(3,))
    assert [position for position, one in found.items() if one["status"] == "error"] == [3]
    assert "ArithmeticError: no way back" in found[3]["error"]["message"]


def test_a_model_that_takes_one_picture_at_a_time_is_given_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "any").mkdir()
    net = Net(lambda x: x.view(1, 3, SIDE, SIDE))
    found = worked(tmp_path / "one", net, number=9)
    assert {one["status"] for one in found.values()} == {"ok"}
    assert net.sizes[-5:] == [1] * 5, "and is not tried with several again"
    expected = worked(tmp_path / "any", Net(), number=9, size=1)
    assert [one["explanations"] for one in found.values()] == [
        one["explanations"] for one in expected.values()
    ]


def test_a_gpu_that_takes_no_further_work_is_not_asked_again(tmp_path: Path) -> None:
    net = Net(raises(RuntimeError("CUDA error: device-side assert triggered")))
    with pytest.raises(ModelError, match="device-side assert"):
        worked(tmp_path, net, dark_ones=(2,))
    assert net.sizes == [4]


def test_a_defect_of_ours_is_raised_where_nothing_was_explained(tmp_path: Path) -> None:
    def prepared(model: Any, level: int) -> Prepared:
        picture = Image.new("RGB", (SIDE, SIDE), (level,) * 3)
        return Prepared(str(level), picture, *model.preprocess.apply(picture))

    model = cnnexplain.load(Net(), input_size=str(SIDE)).model
    bound, _ = GradCAM().bind(model)

    class Defective:
        def explain(self, model: Any, batch: Any) -> Any:
            if dark(batch.inputs):
                raise KeyError("planted")
            return bound.explain(model, batch)

    with model.borrowed():
        some = list(explain(model, Defective(), [prepared(model, level) for level in (0, 90, 200)]))  # type: ignore[arg-type]
    assert [type(found) for _, found in some] == [KeyError, Explanation, Explanation]
    worker_folder = OutputFolder(tmp_path / "out")
    worker_folder.open({}, overwrite=False)
    writer = Writer(worker_folder, "gradcam", "net", frozenset(), RenderOptions(), save_raw=False)
    for dark_ones, worked_before, fails in (
        (range(8), False, True),
        (range(8), True, False),  # as on resume, or in a process whose first batch holds them
        ((0, 1, 2, 3), False, False),
        ((0, 5), False, False),
    ):
        worker = Worker(model, Defective(), writer, BatchSize(4), 1, 8)  # type: ignore[arg-type]
        done = worker.explained(opened(tmp_path, model, 8, tuple(dark_ones)))
        judged: list[Done] = []
        with model.borrowed(), pytest.raises(KeyError) if fails else nullcontext():
            judged.extend(hopeful(done, "net", works=worked_before))
        if not fails:
            assert [one.job.position for one in judged if one.suspect is not None] == list(dark_ones)
    worker_folder.close()


class Detour(Net):
    """Dark pictures go past the layer `blocks`."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.mean((2, 3))[:, :2]) if dark(x) else super().forward(x)


def test_a_picture_that_goes_past_the_layer_that_was_named_costs_its_own_record(tmp_path: Path) -> None:
    found = worked(tmp_path, Detour(), dark_ones=(0, 5), layer=("blocks",))
    assert {position for position, one in found.items() if one["status"] == "error"} == {0, 5}
    assert "'blocks' takes no part" in found[0]["error"]["message"]


@pytest.mark.parametrize(
    ("method", "refused"),
    [
        (GradCAM(layer=("head",)), True),
        (Deconv(layer=("head",)), True),
        (Saliency(method=("guided-gradcam",), layer="head"), True),
        (Activations(layer=("head",)), False),  # which shows vectors too
    ],
)
def test_a_layer_without_a_map_is_refused_before_the_first_picture(method: Any, refused: bool) -> None:
    class Rectified(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.blocks(x).relu().mean((2, 3)))

    model = cnnexplain.load(Rectified(), input_size=str(SIDE)).model
    with pytest.raises(LayerError, match="'head' returns a vector") if refused else nullcontext():
        method.bind(model)


@pytest.mark.parametrize(
    ("trouble", "hint"),
    [(MemoryError("no room"), "use a smaller --input-size"), (ValueError("no"), "preprocessing")],
)
def test_a_model_that_fails_on_every_picture_is_given_up_early(
    tmp_path: Path, trouble: Exception, hint: str
) -> None:
    """Also one that is short of memory on each."""
    model = cnnexplain.load(Net(raises(trouble)), input_size=str(SIDE), crop_pct=1.0).model
    bound, _ = GradCAM().bind(model)
    folder = OutputFolder(tmp_path / "out")
    folder.open({}, overwrite=False)
    writer = Writer(folder, "gradcam", "net", frozenset(), RenderOptions(), save_raw=False)
    worker = Worker(model, bound, writer, BatchSize(2), 1, 20)
    jobs = opened(tmp_path, model, 20, tuple(range(20)))
    with model.borrowed():
        found = hopeful(worker.explained(jobs), "net")
        with pytest.raises(ModelError, match="each of the first 8 pictures") as told:
            list(found)
    assert hint in told.value.hint
    folder.close()


class LocalError(Exception):
    """An error that cannot be made anew from what it keeps."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize("error", [LocalError(1, 2), KeyError("plain"), ImageMemoryError("short", "hint")])
def test_what_failed_reaches_another_process(error: Exception) -> None:
    done = Done(Job(0, ImagePath("a.png", ""), "a"), {"status": "error"}, suspect=error)
    found = pickle.loads(pickle.dumps(_portable(done))).suspect
    assert str(error) in str(found)
