"""Variants of an image: what only computes what they change gives the scores of computing all."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from architectures import architecture, size_of
from networks import as_model, pooled, settle
from test_sweep import CONVOLUTIONAL, HYBRID, hooks
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cnnexplain.engine.model import Model
from cnnexplain.engine.perturb import variants
from cnnexplain.engine.perturb.scores import Perturbed
from cnnexplain.engine.perturb.variants import Variants

KRYPTON = ("torchvision:vgg16@128", "torchvision:resnet18@128", "torchvision:inception_v3@139")
FAMILIES = (*KRYPTON, *CONVOLUTIONAL[::2], *HYBRID[::2])  # forty


def corners(size: tuple[int, int], window: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Windows at the corners, in the middle, and at an odd place."""
    room = size[0] - window[0], size[1] - window[1]
    places = [
        (0, 0),
        (0, room[1]),
        (room[0], 0),
        room,
        (room[0] // 2, room[1] // 2),
        (room[0] // 3, room[1] // 5),
    ]
    top, left = zip(*places, strict=True)
    return torch.tensor(top), torch.tensor(left)


def both(model: Model, window: tuple[int, int] = (5, 7)) -> tuple[Tensor, Tensor, Perturbed]:
    """The scores of variants by what they change, and by all of each."""
    torch.manual_seed(3)
    size = model.preprocess.input_size
    channels = model.preprocess.channels
    image = model.layout.of(torch.randn(1, channels, *size).to(model.blank()))
    top, left = corners(size, window)
    patches = torch.randn(len(top), channels, *window).to(image)
    with model.borrowed(), torch.no_grad():
        followed = Perturbed(model, image)
        scores = followed.windows(lambda rows: patches[rows.start : rows.stop], top, left)
        variants = image.repeat(len(top), 1, 1, 1)
        for row, (y, x) in enumerate(zip(top.tolist(), left.tolist(), strict=True)):
            variants[row, :, y : y + window[0], x : x + window[1]] = patches[row]
        whole = torch.cat([model.forward(model.layout.of(one[None])) for one in variants])
    return scores, whole, followed


def assert_same(scores: Tensor, whole: Tensor) -> None:
    spread = float(whole.max() - whole.min())
    assert float((scores - whole).abs().max()) <= 1e-6 * max(spread, 1e-3)
    assert float((whole - whole[:1]).abs().max()) > 0  # or else nothing was changed


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_any_architecture(name: str) -> None:
    size = size_of(name)
    module = settle(architecture(name), size).double()  # untrained networks make much of rounding
    model = as_model(module, size)
    before = hooks(module)
    scores, whole, followed = both(model, (size[0] // 8, size[1] // 8))
    assert_same(scores, whole)
    assert not followed.reason
    assert hooks(module) == before


class Layers(nn.Module):
    """One kind of layer between two convolutions, pooled."""

    def __init__(self, layer: Callable[[Tensor], Tensor], channels: int = 6) -> None:
        super().__init__()
        self.first, self.layer = nn.Conv2d(3, 6, 3, padding=1), layer
        self.last = nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(self.first(x))).mean((2, 3))


def conv(*args: int, **kwargs: object) -> nn.Module:
    torch.manual_seed(1)
    return nn.Conv2d(*args, **kwargs)  # type: ignore[arg-type]


LOCAL: dict[str, Callable[[Tensor], Tensor]] = {
    "uneven stride": conv(6, 6, (3, 5), stride=(2, 3), padding=(0, 2)),
    "dilated": conv(6, 6, 3, dilation=(2, 3), padding=(2, 3)),
    "grouped, stride beyond the kernel": conv(6, 6, 2, stride=3, groups=3),
    "padding same": conv(6, 6, (2, 4), padding="same"),
    "circular padding": conv(6, 6, 3, padding=1, padding_mode="circular"),
    "transposed": nn.ConvTranspose2d(6, 6, 2, stride=2),
    "max pool": nn.MaxPool2d(3, 2, 1),
    "max pool, rounded up": nn.MaxPool2d(3, 2, ceil_mode=True),
    "max pool, dilated": nn.MaxPool2d(2, 1, 0, 2),
    "average pool": nn.AvgPool2d(3, 2, 1),
    "average pool without its padding": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "average pool, rounded up": nn.AvgPool2d(3, 2, ceil_mode=True),
    "average pool, other divisor": nn.AvgPool2d(2, divisor_override=3),
    "adaptive pool": nn.AdaptiveAvgPool2d((5, 4)),
    "in place": lambda x: F.relu_(x).mul_(2).add_(x.sigmoid()),
    "prelu": nn.PReLU(6),
    "padded by hand": lambda x: F.pad(x, (1, 2, 3, 0)),
    "padded with a value": lambda x: F.pad(x, (1, 2, 3, 0), value=1.5),
    "cropped by hand": lambda x: F.pad(x, (-1, -2, -3, 0)),
    "sliced in space": lambda x: x[:, :, 2:-1, 3:],
    "sliced in channels": lambda x: torch.cat((x[:, 3:], x[:, :3]), 1),
    "flipped": lambda x: x.flip(3),
    "shifted sum": lambda x: x + x.roll(1, 2),
    "shuffled": nn.ChannelShuffle(3),
    "shuffled by view": lambda x: x.view(x.size(0), 2, 3, *x.shape[2:]).transpose(1, 2).reshape_as(x),
    "joined with what does not change": lambda x: x * torch.ones_like(x) + torch.zeros_like(x[:1]),
    "group norm": nn.GroupNorm(2, 6),
    "squeeze and excite": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "attention over cells": lambda x: x * x.flatten(2).softmax(2).view_as(x),
    "upsampled": nn.Upsample(scale_factor=2),
    "written into a view that goes on": lambda x: torch.cat((x, x), 1)[:, :6].add_(1).mul_(2),
    "maximum": lambda x: torch.maximum(x, -x),
    "number minus": lambda x: 1 - x,
    "one for each place": lambda x: x + torch.linspace(0, 1, x.shape[3]),
}


@pytest.mark.parametrize("name", LOCAL)
def test_any_layer(name: str) -> None:
    torch.manual_seed(0)
    scores, whole, followed = both(as_model(Layers(LOCAL[name]).eval().double(), (33, 40)))
    assert_same(scores, whole)
    assert not followed.reason


def test_any_window_of_a_stack_of_any_strides() -> None:
    for seed, (kernel, stride, pad) in enumerate(product((1, 2, 3, 5), (1, 2, 3), (0, 1))):
        torch.manual_seed(seed)
        layers = [
            nn.Conv2d(3, 4, kernel, stride, min(pad, kernel // 2)), nn.ReLU(), nn.MaxPool2d(2, 1),
            nn.Conv2d(4, 4, 3, stride, pad), nn.ReLU(inplace=True), nn.BatchNorm2d(4),
        ]  # fmt: skip
        model = as_model(
            settle(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), (41, 37)), (41, 37)
        )
        for window in ((1, 1), (4, 9), (41, 37)):
            scores, whole, _ = both(model, window)
            assert_same(scores, whole)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_is_followed_as_well(precision: str) -> None:
    torch.manual_seed(0)
    scores, whole, followed = both(as_model(settle(pooled(), (32, 32)), (32, 32), precision=precision))
    assert not followed.reason
    assert float((scores - whole).abs().max()) < 0.02 * float(whole.max() - whole.min())


def test_only_what_changes_is_computed() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = pooled()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    _, _, followed = both(as_model(settle(Counted(), (64, 64)), (64, 64)))
    assert 0 < followed.progress.cells < 0.1 * followed.progress.of_cells
    assert not followed.progress.whole_from


class Unfollowed(nn.Module):
    """What boxes cannot be followed through; `kind` says how."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.conv = kind, nn.Conv2d(3, 4, 3, padding=1)
        self.register_buffer("kept", torch.zeros(4, 32, 32))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.kind == "written into a view":
            x[:, :2].mul_(3)
            x = x * 2
        elif self.kind == "written by index":
            x[:, 0, 3:9] = 1.0
        elif self.kind == "places of the largest":
            values, places = F.max_pool2d(x, 2, return_indices=True)
            x = F.max_unpool2d(values, places, 2)
        elif self.kind == "its memory":
            x = x + float(x.detach().numpy().mean())
        return x.mean((2, 3))


@pytest.mark.parametrize(
    "kind", ["written into a view", "written by index", "places of the largest", "its memory"]
)
def test_what_cannot_be_followed_is_computed_whole_and_says_so(kind: str) -> None:
    torch.manual_seed(0)
    model = as_model(Unfollowed(kind).eval().double(), (32, 32))
    if kind == "its memory":
        model.chunks.alone = "its answer depends on the batch"
    scores, whole, followed = both(model)
    assert_same(scores, whole)
    assert followed.reason


def test_maps_of_a_layer_are_replaced_and_what_comes_before_runs_once() -> None:
    torch.manual_seed(0)
    module = settle(pooled(), (16, 16))
    model, image = as_model(module, (16, 16)), torch.randn(1, 3, 16, 16)
    before = hooks(module)
    rows: list[int] = []
    watch = module.features[0].register_forward_hook(lambda _module, _args, output: rows.append(len(output)))
    with model.borrowed(), torch.no_grad():
        _ = model.trace
        maps = module.features(image)
        rows.clear()

        def without(chunk: range, own: Tensor) -> Tensor:
            torch.testing.assert_close(own, maps)
            return torch.stack([own[0].index_fill(0, torch.tensor(channel), 0) for channel in chunk])

        scores = Perturbed(model, image).layer("features", without, 8)
        assert rows == [8]  # as the model's code sees it; one image goes through
        for channel in range(8):
            left_out = maps.index_fill(1, torch.tensor(channel), 0)
            expected = module.fc(module.flat(module.pool(left_out)))
            torch.testing.assert_close(scores[channel : channel + 1], expected)
    watch.remove()
    assert hooks(module) == before


class Convolved(TorchDispatchMode):
    """How many images go through each convolution at once, whatever the model's code sees."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "convolution" in str(func) and not isinstance(args[0], Variants):
            self.images.append(len(args[0]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", [FAMILIES[1], "timm:efficientnet_lite0"])
def test_only_one_image_goes_through_what_comes_before_a_layer(name: str) -> None:
    model = as_model(settle(architecture(name), size_of(name)), size_of(name))
    layer = str(model.choose_layer().value)
    with model.borrowed(), torch.no_grad(), Convolved() as convolved:
        _ = model.head
        image = torch.randn(1, 3, *size_of(name))
        convolved.images.clear()
        perturbed = Perturbed(model, image)
        perturbed.layer(
            layer, lambda rows, own: own.repeat(len(rows), 1, 1, 1), 5, scores=model.forward(image)[0]
        )
    assert not perturbed.reason
    assert set(convolved.images) == {1}


@pytest.mark.parametrize(
    "name", ["timm:efficientnet_lite0@64", "timm:resnet10t", "timm:mobilenetv3_small_050"]
)
def test_what_comes_before_a_layer_is_computed_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = as_model(settle(architecture(name), size_of(name)), size_of(name))
    last = model.choose_layer().value
    by_all: list[str] = []  # operators that were carried out on all of each variant
    on_all = variants._on_all

    def noted(call: variants.Application) -> object:
        by_all.append(str(call.func))
        return on_all(call)

    def changed(rows: range, own: Tensor) -> Tensor:
        assert not by_all
        return own * torch.linspace(0, 1, len(rows))[:, None, None, None]

    monkeypatch.setattr(variants, "_on_all", noted)
    with model.borrowed(), torch.no_grad():
        perturbed = Perturbed(model, torch.randn(1, 3, *size_of(name)))
        assert len(perturbed.layer(last, changed, 16)) == 16
    assert not perturbed.reason


def test_no_hook_is_left_where_the_model_fails() -> None:
    module = settle(pooled(), (16, 16))
    model, before = as_model(module, (16, 16)), hooks(module)

    def fails(chunk: range, own: Tensor) -> Tensor:
        raise ZeroDivisionError(f"{chunk} {own.shape}")

    with model.borrowed(), pytest.raises(Exception, match="range"):
        Perturbed(model, torch.randn(1, 3, 16, 16)).layer("features", fails, 2)
    assert hooks(module) == before
