"""`--precision auto`: by planted models and a planted clock, and what a run makes of the choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands import bound
from cnnexplain.commands.activations import Activations
from cnnexplain.commands.compare import Compare
from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.commands.occlusion import Occlusion
from cnnexplain.commands.saliency import Saliency
from cnnexplain.core.choice import Choice
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.errors import OptionError
from cnnexplain.images.decoded import Decoded
from cnnexplain.runner import precision
from cnnexplain.runner.explain import Prepared, prepared

COMMANDS = [GradCAM(), Saliency(), Occlusion(), Activations(), Compare(method=("gradcam", "gradient"))]


class Planted(nn.Module):
    """Exact in every precision, but for one value of its map, which is `off` by a share of the largest in half."""

    def __init__(self, off: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.off = off
        self.conv = nn.Conv2d(3, 4, 3, stride=4)
        self.relu = nn.ReLU()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        half = torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False):
            x = x * (1 + self.off * half * torch.linspace(0, 1, x.shape[-1]))
            torch.rand(1)  # what is drawn for the choice must not be missing later
            return self.head(self.relu(self.conv(x)).mean((2, 3)))


def pictures(model: cnnexplain.engine.model.Model, count: int) -> list[Prepared]:
    draw = np.random.default_rng(0)
    images = [Image.fromarray(draw.integers(0, 256, (40, 40, 3), np.uint8)) for _ in range(count)]
    return [prepared(str(n), Decoded(image, image.size), model.preprocess) for n, image in enumerate(images)]


def clock(*seconds: float) -> Callable[[], float]:
    """A clock by which passes take so long, one after another."""
    times: Iterator[float] = accumulate(second for spent in seconds for second in (0.0, spent))
    return lambda: next(times)


def chosen(
    off: float, fp32: float = 1, bf16: float = 1, command: object = None, *, available: bool = True
) -> Choice:
    model = cnnexplain.load(Planted(off), preprocess=Preprocess(input_size=(32, 32))).model
    method, _ = bound(command or GradCAM(), model)
    with model.borrowed():
        return precision.measured(
            model, method, pictures(model, 3), 3, available=lambda _: available, clock=clock(fp32, bf16)
        )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_half_is_taken_where_it_changes_nothing_and_is_faster(command: object) -> None:
    faster, slower, chance = (chosen(0, *times, command=command) for times in ((3, 1.5), (1, 1.4), (1, 0.98)))
    assert faster.value == "bf16"
    assert "of the first 3 images" in faster.reason
    assert "within 0" in faster.reason
    assert "0.50 times as long" in faster.reason
    assert (slower.value, chance.value) == ("fp32", "fp32")
    assert "1.40 times as long" in slower.reason


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_half_is_not_taken_where_maps_are_off_however_fast_it_is(command: object) -> None:
    choice = chosen(0.5, 9, 1, command)
    assert choice.value == "fp32"
    assert "1.0% is allowed" in choice.reason


def test_nothing_is_measured_where_the_device_has_none() -> None:
    choice = chosen(0, 9, 1, available=False)
    assert (choice.value, choice.reason) == ("fp32", "bf16 is not known to be in this processor")


def test_random_numbers_of_a_model_are_not_missing_after_the_choice() -> None:
    model = cnnexplain.load(Planted(0), preprocess=Preprocess(input_size=(32, 32))).model
    method, _ = bound(GradCAM(), model)
    with model.borrowed():
        state = torch.get_rng_state()
        precision.measured(model, method, pictures(model, 1), 1, available=lambda _: True, clock=clock(1, 1))
        assert torch.equal(torch.get_rng_state(), state)


def test_processors_are_asked_by_the_words_of_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "cpuinfo"
    monkeypatch.setattr(precision, "PROCESSORS", listed)
    cpu = torch.device("cpu")
    assert not precision.has_bf16(cpu)  # no such file
    for flags, there in (
        ("fpu avx512f avx512_bf16", True),
        ("fpu amx_bf16 amx_tile", True),
        ("fp asimd bf16 i8mm", True),
        ("fpu avx2 avx512f", False),
    ):
        listed.write_text(f"flags\t\t: {flags}\n")
        assert precision.has_bf16(cpu) is there


def test_a_run_that_is_continued_takes_the_choice_over() -> None:
    identity = {"command": "gradcam", "model": "net", "precision": "fp32"}
    before = {
        "identity": identity | {"precision": "bf16"},
        "choices": [
            {"what": "device", "reason": "x"},
            {"what": "precision", "value": "bf16", "reason": "faster"},
        ],
    }
    assert precision.continued(before, identity) == Choice("precision", "bf16", "faster")
    assert precision.continued(before, identity | {"model": "other"}) is None
    assert precision.continued({}, identity) is None
    reason = "as in the run that is continued"
    assert precision.continued({"identity": identity}, identity) == Choice("precision", "fp32", reason)


@pytest.mark.parametrize("made", [lambda: nn.Conv2d(3, 2, 3), lambda: "bundled:efficientnet_lite0"])
def test_python_is_told_that_there_are_no_first_images(made: Callable[[], nn.Module | str]) -> None:
    with pytest.raises(OptionError, match="first images") as caught:
        cnnexplain.load(made(), precision="auto")
    assert "fp32, bf16 or fp16" in caught.value.hint
