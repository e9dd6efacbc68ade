"""The size of input of code that names none: solved from the layer behind the flattened map, and told."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from networks import pooled
from torch import Tensor, nn

import cnnexplain
from cnnexplain.core.loading import ModelOptions
from cnnexplain.engine import input_size
from cnnexplain.errors import shortage_behind
from cnnexplain.runner.model import build
from cnnexplain.runner.options import DeviceOptions


def by_numbers(x: Tensor, numbers: int) -> Tensor:
    return x.view(-1, numbers)


def by_rows(x: Tensor, _numbers: int) -> Tensor:
    return x.reshape(x.size(0), -1)


def by_flatten(x: Tensor, _numbers: int) -> Tensor:
    return torch.flatten(x, 1)


class LeNet(nn.Module):
    """Of a picture of side s a map of 16 channels and side ((s - 4) // 2 - 4) // 2."""

    def __init__(self, channels: int, numbers: int, flat: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__()
        self.flat, self.numbers = flat, numbers
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(numbers, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc1(self.flat(x, self.numbers))


@pytest.mark.parametrize("flat", [by_numbers, by_rows, by_flatten])
@pytest.mark.parametrize(
    ("channels", "cells", "side"),
    [(3, 5, 32), (1, 4, 28), (3, 13, 64), (4, 9, 48), (3, 22, 100), (3, 61, 256), (3, 46, 196), (3, 2, 20)],
)
def test_the_size_is_solved_from_the_first_linear_layer(
    channels: int, cells: int, side: int, flat: Callable[[Tensor, int], Tensor]
) -> None:
    explainer = cnnexplain.load(LeNet(channels, 16 * cells * cells, flat))
    preprocess = explainer.model.preprocess
    assert (preprocess.channels, *preprocess.input_size) == (channels, side, side)
    assert preprocess.resize == (side, side)
    (choice,) = [one for one in explainer.choices if one.setting == "input size"]
    assert choice.value == f"{channels}x{side}x{side}"
    assert choice.reason.startswith(
        f"fc1 takes {16 * cells * cells} numbers: 16 channels of {cells}x{cells}; --input-size"
    )
    assert explainer.model.choose_layer().value == "conv2"


@pytest.mark.parametrize("cells", [250, 252, 271, 300])
def test_sizes_above_a_thousand_pixels_are_solved_by_shapes_alone(cells: int) -> None:
    """A side s gives ((s - 4) // 2 - 4) // 2 cells, so that four in a row fit; the roundest is taken."""
    fits = range(4 * cells + 12, 4 * cells + 16)
    side = max(fits, key=lambda one: one & -one)
    assert cnnexplain.load(LeNet(1, 16 * cells * cells, by_rows)).model.preprocess.input_size == (side, side)


def test_code_that_looks_at_values_is_tried_with_values() -> None:
    class Looking(LeNet):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x / max(1.0, float(x.max())))

    assert cnnexplain.load(Looking(3, 16 * 46 * 46, by_rows)).model.preprocess.input_size == (196, 196)


def test_a_network_of_linear_layers_alone_tells_channels_and_size() -> None:
    for numbers, size in ((784, (1, 28, 28)), (3072, (3, 32, 32)), (1024, (1, 32, 32))):
        module = nn.Sequential(nn.Flatten(), nn.Linear(numbers, 10))
        preprocess = cnnexplain.load(module).model.preprocess
        assert (preprocess.channels, *preprocess.input_size) == size


def test_a_map_of_one_cell_is_told_too() -> None:
    pools = [nn.Conv2d(3, 8, 3, padding=1), *(nn.MaxPool2d(2) for _ in range(5))]
    explainer = cnnexplain.load(nn.Sequential(*pools, nn.Flatten(), nn.Linear(8, 2)))
    (choice,) = [one for one in explainer.choices if one.setting == "input size"]
    assert choice.value == "3x32x32"
    assert choice.reason.startswith("layer 7 takes 8 numbers: 8 channels of 1x1")


class Late(nn.Module):
    """Its first convolution in the code is not the first that a picture meets."""

    def __init__(self) -> None:
        super().__init__()
        self.second, self.first, self.fc = nn.Conv2d(4, 5, 3), nn.Conv2d(1, 4, 3), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.second(self.first(x)).mean((2, 3)))


def test_channels_are_tried_too_and_any_size_keeps_the_usual() -> None:
    explainer = cnnexplain.load(Late())
    preprocess = explainer.model.preprocess
    assert (preprocess.channels, preprocess.input_size, preprocess.resize) == (1, (224, 224), (256, 256))


@pytest.mark.parametrize(
    "module",
    [
        pooled(),
        LeNet(3, 16 * 53 * 53, by_numbers),
        nn.Sequential(nn.Conv2d(3, 2, 3)),  # a segmentation: it cannot be explained, but not for its size
    ],
)
def test_what_takes_the_usual_size_keeps_it(module: nn.Module) -> None:
    explainer = cnnexplain.load(module)
    assert explainer.model.preprocess.input_size == (224, 224)
    assert not [one for one in explainer.choices if one.setting == "input size"]


def test_a_size_that_was_given_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_size, "_search", lambda *_: pytest.fail("it was tried out"))
    explainer = cnnexplain.load(LeNet(3, 400, by_numbers), input_size="33")
    assert explainer.model.preprocess.input_size == (33, 33)
    with pytest.raises(cnnexplain.CnnexplainError) as caught:
        _ = cnnexplain.load(LeNet(3, 400, by_numbers), input_size="60").model.labels
    assert "takes 400" in caught.value.hint or "(-1, 400)" in caught.value.hint


def test_what_fits_no_size_fails_as_before_and_comes_back_unchanged() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(7, 2)).train()
    before = {name: (one.data_ptr(), one._version) for name, one in module.state_dict().items()}
    with pytest.raises(
        cnnexplain.CnnexplainError, match=r"failed on an input of \(1, 3, 224, 224\)"
    ) as caught:
        _ = cnnexplain.load(module).model.labels
    assert "no square picture of 28 to 512 pixels fits" in caught.value.hint
    assert {name: (one.data_ptr(), one._version) for name, one in module.state_dict().items()} == before
    assert module.training
    assert all(one.requires_grad for one in module.parameters())


class Strict(nn.Module):
    """Says itself which size it takes."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words, self.net = words, pooled()

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != (300, 300):
            raise ValueError(self.words)
        return self.net(x)


@pytest.mark.parametrize(
    "words",
    [
        "image size must be 300",
        "Input height (224) does not fit model (300).",
        "got 3x224x224, not 3x300x300px, 300",
    ],
)
def test_a_size_that_the_error_names_is_tried(words: str) -> None:
    explainer = cnnexplain.load(Strict(words))
    assert explainer.model.preprocess.input_size == (300, 300)
    (choice,) = [one for one in explainer.choices if one.setting == "input size"]
    assert choice.reason.startswith("its error names this size; ")
    assert cnnexplain.load(Strict("no")).model.preprocess.input_size == (224, 224)


def test_where_no_size_fits_the_hint_says_so() -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, 8, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(9, 2)
    )  # behind a pool
    with pytest.raises(cnnexplain.CnnexplainError, match=r"failed on an input of") as caught:
        _ = cnnexplain.load(module).model.labels
    assert re.search(r"takes 9 numbers .*: no square .* 64x128 .* look at what", caught.value.hint)
    with pytest.raises(cnnexplain.CnnexplainError) as caught:
        _ = cnnexplain.load(module, input_size="1x72x72").model.labels
    assert "no square" not in caught.value.hint  # none was tried


class Halving(nn.Module):
    """Of a picture of HxW a map of 4 channels and (H >> pools) x (W >> pools) cells."""

    def __init__(self, channels: int, cells: int, pools: int, flat: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__()
        self.flat, self.pools, self.numbers = flat, pools, 4 * cells
        self.conv, self.fc = nn.Conv2d(channels, 4, 3, padding=1), nn.Linear(self.numbers, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        for _ in range(self.pools):
            x = F.max_pool2d(x, 2)
        return self.fc(self.flat(x, self.numbers))


@pytest.mark.parametrize("flat", [by_numbers, by_rows, by_flatten])
@pytest.mark.parametrize(
    ("channels", "height", "width", "pools"),
    [
        (1, 40, 98, 2),  # a spectrogram
        (3, 32, 64, 2), (3, 32, 64, 3), (3, 48, 160, 2), (3, 48, 160, 3), (3, 48, 160, 4), (3, 24, 94, 1),  # plates
        (1, 32, 100, 2), (3, 66, 200, 1), (3, 120, 160, 3),
    ],
)  # fmt: skip
def test_an_oblong_size_in_use_is_taken_and_the_others_that_fit_are_named(
    channels: int, height: int, width: int, pools: int, flat: Callable[[Tensor, int], Tensor]
) -> None:
    rows, columns = height >> pools, width >> pools
    explainer = cnnexplain.load(Halving(channels, rows * columns, pools, flat))
    preprocess = explainer.model.preprocess
    assert (preprocess.channels, *preprocess.input_size) == (channels, height, width)
    (choice,) = [one for one in explainer.choices if one.setting == "input size"]
    assert choice.value == f"{channels}x{height}x{width}"
    start = (
        f"fc takes {4 * rows * columns} numbers: 4 channels of {rows}x{columns}, and this size is in wide use"
    )
    assert choice.reason.startswith(start)
    others = choice.reason.removeprefix(f"{start}; ").partition(" fit too")[0].split(", ")
    assert others
    for other in others:
        assert _predictions(Halving(channels, rows * columns, pools, flat), other) == 3
    assert explainer.model.choose_layer().value == "conv"


def _predictions(module: nn.Module, size: str) -> int:
    return len(cnnexplain.load(module, input_size=size).model.labels)


def test_an_oblong_map_may_come_from_strides_that_differ_by_direction() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, (8, 2), (8, 2)), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 5 * 49, 2))
    assert cnnexplain.load(module).model.preprocess.input_size == (40, 98)


def test_oblong_sizes_are_tried_with_values_where_code_looks_at_them() -> None:
    class Looking(Halving):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x / max(1.0, float(x.max())))

    assert cnnexplain.load(Looking(1, 10 * 24, 2, by_rows)).model.preprocess.input_size == (40, 98)


@pytest.mark.parametrize(
    ("channels", "height", "width", "pools", "told"),
    [
        (1, 64, 128, 2, ["1x64x128", "1x128x64"]),  # spectrograms and pictures of people: both in use
        (3, 36, 68, 2, ["3x36x68", "3x68x36"]),  # neither is
    ],
)
def test_where_only_a_person_can_choose_the_hint_names_the_sizes(
    channels: int, height: int, width: int, pools: int, told: list[str]
) -> None:
    cells = (height >> pools) * (width >> pools)
    with pytest.raises(cnnexplain.CnnexplainError, match=r"failed on an input of") as caught:
        _ = cnnexplain.load(Halving(channels, cells, pools, by_rows)).model.labels
    sizes = re.search(r"no square .* fits, but (.+) do: .*--input-size (\S+) ", caught.value.hint)
    assert sizes is not None
    named = sizes[1].split(", ")
    assert set(told) <= set(named)
    assert sizes[2] == named[0]
    for size in named:
        assert _predictions(Halving(channels, cells, pools, by_rows), size) == 3


def test_crop_and_checkpoints_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 30 * 30, 2))\n"
    )
    model, loaded, choices = build(f"{tmp_path / 'net.py'}:net", ModelOptions(crop_pct=0.5), DeviceOptions())
    assert (model.preprocess.input_size, model.preprocess.resize) == ((32, 32), (64, 64))
    assert ("input size", "3x32x32") in [(one.setting, one.value) for one in choices]
    torch.save(loaded.module.state_dict(), tmp_path / "net.pth")
    options = ModelOptions(arch=f"{tmp_path / 'net.py'}:net")
    assert build(str(tmp_path / "net.pth"), options, DeviceOptions())[0].preprocess.input_size == (32, 32)


class Short(nn.Module):
    """Its memory holds no picture above 100 pixels, which it says itself or in words of its own."""

    def __init__(self, wrapped: bool) -> None:
        super().__init__()
        self.wrapped, self.net, self.sides = wrapped, pooled(), []

    def forward(self, x: Tensor) -> Tensor:
        self.sides.append(x.shape[-1])
        if x.shape[-1] > 100:
            error = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            if self.wrapped:
                raise ValueError("the backbone failed") from error
            raise error
        return self.net(x)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_shortage_of_memory_is_no_wrong_size(wrapped: bool) -> None:
    module = Short(wrapped).eval()
    explainer = cnnexplain.load(module)
    assert explainer.model.preprocess.input_size == (224, 224)
    assert set(module.sides) == {224}
    with pytest.raises(cnnexplain.CnnexplainError) as caught:
        _ = explainer.model.labels
    told = shortage_behind(caught.value) or caught.value
    assert "there is not enough memory" in told.problem


def test_a_busy_machine_finds_the_same_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", itertools.count(0, 10).__next__)
    assert cnnexplain.load(LeNet(3, 16 * 46 * 46, by_rows)).model.preprocess.input_size == (196, 196)


def test_tries_are_bounded() -> None:
    module = LeNet(3, 16, by_flatten)
    module.fc1 = nn.Linear(10**6 + 1, 2)  # which no size gives
    sides: list[int] = []
    module.register_forward_pre_hook(
        lambda _, given: sides.extend(given[0].shape[-1:] * (not given[0].is_meta))
    )
    assert cnnexplain.load(module).model.preprocess.input_size == (224, 224)
    # For three channels and for one.
    assert len(sides) < 3 * len(input_size.USUAL)
    assert sum(side**2 for side in sides if side > 512) < 2 * (input_size.PIXELS + input_size.LARGEST**2)


def test_what_was_settled_is_not_looked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 30 * 30, 2))\n"
    )
    reference = f"{tmp_path / 'net.py'}:net"
    first, *_ = build(reference, ModelOptions(), DeviceOptions())
    monkeypatch.setattr(input_size, "_search", lambda *_: pytest.fail("it was tried out"))
    again, _, choices = build(reference, ModelOptions(), DeviceOptions(), first.preprocess)
    assert again.preprocess == first.preprocess
    assert "input size" not in [one.setting for one in choices]
