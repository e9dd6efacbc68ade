"""Layers that run several times, pictures cut or mirrored within a model, parallel branches, strides by direction.

Every network scores red, green and blue where they are found, so that the right places are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import as_model, default_layer, pooled, settle
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.core.explanation import Batch, Explanation
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.errors import LayerError

SIDE, CELL = 64, 8
SPOT = (6, 1)  # row and column of the red cell: left below
AT = (12, 52)  # x and y of its middle


def colours(channels: int = 3, kernel: Any = CELL, out: int = 3, weight: float = 1.0) -> nn.Conv2d:
    """A layer whose channel k is the mean of colour k over a cell."""
    layer = nn.Conv2d(channels, out, kernel, kernel, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(min(channels, out)):
            layer.weight[channel, channel] = weight / layer.weight[0, 0].numel()
    return layer


class Colours(nn.Module):
    """Class k scores colour k, as the mean over all cells; `way` says what is done with the picture before."""

    def __init__(self, way: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.features, self.way = colours(), way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(lambda one: self.features(one).mean((2, 3)), x)  # type: ignore[arg-type]


def spotted(row: int = SPOT[0], column: int = SPOT[1]) -> Image.Image:
    """Black, with one red cell."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL, 0] = 255
    return Image.fromarray(pixels)


def explained(module: nn.Module, command: str = "gradcam", **options: Any) -> Explanation:
    preprocess = Preprocess(mean=(0.0,), std=(1.0,)).with_crop((SIDE, SIDE), 1.0)
    explainer = cnnexplain.load(module.eval(), preprocess=preprocess)
    if command != "deconv":
        options["target"] = "0"
    return explainer.explain(spotted(), command, **options)


def turned_by(angle: float) -> Callable[[Tensor], Tensor]:
    def turned(x: Tensor) -> Tensor:
        cos, sin = np.cos(angle), np.sin(angle)
        theta = torch.tensor([[[cos, -sin, 0], [sin, cos, 0]]], dtype=x.dtype).expand(len(x), -1, -1)
        return F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)

    return turned


def pasted(x: Tensor) -> Tensor:
    canvas = x.new_zeros(1, 3, 80, 128)
    canvas[..., 16:, 48:112] = x
    return canvas


LAID = {
    "mirrored columns": lambda x: x.flip(3),
    "mirrored rows": lambda x: torch.flip(x, [2]),
    "both": lambda x: x.flip((-1, -2)),
    "flipud of a channel": lambda x: torch.stack([x[:, 0].flip(1), x[:, 1].flip(1), x[:, 2].flip(1)], 1),
    "slice": lambda x: x[:, :, 32:, :48],
    "mirrored slice": lambda x: x[..., 8:, 0:40].flip(3),
    "slice of a mirrored one": lambda x: x.flip(3)[:, :, :, 24:],
    "narrow": lambda x: x.narrow(2, 24, 40),
    "chunk": lambda x: x.chunk(2, 2)[1],
    "split": lambda x: torch.split(x, [40, 24], dim=2)[1],
    "padded and cut back": lambda x: F.pad(x, (8, 8, 16, 0))[:, :, 16:, 8:-8],
    "turned": lambda x: x.transpose(2, 3).flip(2),
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "rot90 twice": lambda x: torch.rot90(x, 2, [2, 3]),
    "rot90 the other way": lambda x: torch.rot90(x, -1, (-2, -1)),
    "transposed": lambda x: x.transpose(2, 3),
    "permuted": lambda x: x.permute(0, 1, 3, 2),
    "mT": lambda x: x.mT,
    "swapaxes": lambda x: x.swapaxes(-1, -2),
    "movedim": lambda x: torch.movedim(x, 3, 2),
    "transposed with channels last": lambda x: x.permute(0, 2, 3, 1).transpose(1, 2).permute(0, 3, 1, 2),
    "framed on the left": lambda x: F.pad(x, (64, 0, 0, 0)),
    "framed by another": lambda x: torch.cat([torch.zeros_like(x), x, x.new_zeros(1, 3, SIDE, 32)], 3),
    "pasted": pasted,
    "framed by a layer": nn.ZeroPad2d((0, 32, 16, 0)),
    "framed and mirrored": lambda x: F.pad(x, (64, 0, 0, 0)).flip(3),
    "mirrored and framed": lambda x: F.pad(x.flip(3), (64, 0, 0, 8)),
    "framed evenly": lambda x: F.pad(x, (16, 16, 16, 16)),
    "framed and transposed": lambda x: F.pad(x, (32, 0, 0, 0)).transpose(2, 3),
    "rot90 and mirrored": lambda x: torch.rot90(x, 3, (3, 2)).flip(3),
    "resized": lambda x: F.interpolate(x, scale_factor=2.0),
}


@pytest.mark.parametrize("way", LAID)
def test_each_run_is_laid_where_it_came_from(way: str) -> None:
    """The plain run and the one of a picture that was mirrored or cut: both have the spot where it is."""
    found = explained(Colours(lambda net, x: net(x) + net(LAID[way](x))), layer="features").heatmaps
    assert [one.layer for one in found] == ["features", "features #2"]
    assert [one.peak for one in found] == [AT, AT] if way != "resized" else found[1].peak is not None
    plain = found[0]
    assert plain.values[SPOT] > 0
    assert np.count_nonzero(plain.values) == 1
    left, top, right, bottom = found[1].geometry.box
    assert left <= AT[0] <= right
    assert top <= AT[1] <= bottom
    assert found[1].detail.facts["run"] == {"number": 2, "of": 2}
    assert any("runs 2 times" in one for one in found[1].detail.remarks)


def test_the_cut_that_a_run_saw_is_known() -> None:
    found = explained(Colours(lambda net, x: net(x) + net(x[:, :, 32:, :48])), layer="features").heatmaps[1]
    assert found.geometry.box == (0, 32, 48, 64)
    assert found.values.shape == (4, 6)
    assert found.detail.facts["laid"] == {
        "back": True,
        "turned": False,
        "mirrored": [],
        "box": [0, 0.5, 0.75, 1],
    }
    assert any("cut to" in one for one in found.detail.remarks)


LOST = {
    "grid_sample": turned_by(0.5),
    "index": lambda x: x[:, :, torch.randperm(SIDE, generator=torch.Generator().manual_seed(0))],
    "roll": lambda x: torch.roll(x, 32, 3),
    "joins": lambda x: x + x.flip(3),
}


@pytest.mark.parametrize("way", LOST)
def test_a_map_that_cannot_be_laid_back_says_so(way: str) -> None:
    module = Colours(lambda net, x: net(x) + net(LOST[way](x)))
    first, second = explained(module, layer="features").heatmaps
    assert (first.peak, second.peak) == (AT, None)
    assert first.placed
    assert not second.placed
    assert second.max > 0
    facts = second.detail.facts["laid"]
    assert facts["back"] is False
    assert way in facts["why"]
    assert any(one.startswith("Not laid back on the picture:") for one in second.detail.remarks)
    _, choices = _bound(module, layer=("features",))
    assert [one.value for one in choices if one.setting == "place"] == ["features #2"]


@pytest.mark.parametrize(
    ("way", "peak"),
    [
        (lambda x: x[:, :, 16:, :40], AT),
        (lambda x: x.flip(2)[..., :56], AT),
        (turned_by(0.3), None),
        (lambda x: x.transpose(2, 3), AT),
        (lambda x: F.pad(x, (64, 0, 0, 0)), AT),
        (lambda x: torch.cat([x.new_zeros(1, 3, 32, SIDE), x], 2), AT),
        (pasted, AT),
        (lambda x: torch.roll(x, (32, 8), (2, 3)), None),
        (lambda x: torch.rot90(x, 1, (2, 3)), AT),
    ],
)
def test_what_is_cut_or_moved_before_the_only_run_is_told(
    way: Callable[[Tensor], Tensor], peak: tuple[int, int] | None
) -> None:
    module = Colours(lambda net, x: net(way(x)))
    (found,) = explained(module).heatmaps
    assert found.layer == "features"
    assert found.peak == peak
    _, choices = _bound(module)
    assert [one.value for one in choices if one.setting == "place"] == ["features"]


@pytest.mark.parametrize(
    "way",
    [
        lambda x: x,
        lambda x: x[:, [2, 1, 0]].flip(1),  # channels
        lambda x: torch.cat([x[:, :1], x[:, 1:]], 1),
        lambda x: x * x.amax((2, 3), keepdim=True).sigmoid(),
        lambda x: torch.stack([x[:, :, 0::2], x[:, :, 1::2]], 3).flatten(2, 3),
        lambda x: F.pad(x, (3, 3, 3, 3))[:, :, 3:-3, 3:-3],
        lambda x: F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2),
        lambda x: torch.roll(F.conv2d(x, x.new_ones(8, 3, 1, 1)).mT, 8, 3).roll(-8, 3).mT[:, :3],
        lambda x: x.permute(0, 2, 3, 1)[..., :3].permute(0, 3, 1, 2),
    ],
)
def test_what_leaves_the_picture_where_it_is_is_no_move(way: Callable[[Tensor], Tensor]) -> None:
    (found,) = explained(Colours(lambda net, x: net(way(x)))).heatmaps
    assert found.placed
    assert found.geometry.box == (0, 0, SIDE, SIDE)
    assert "laid" not in found.detail.facts


def test_the_default_layer_that_runs_twice_has_both_runs_explained() -> None:
    module = Colours(lambda net, x: (net(x) + net(x.flip(3))) / 2)
    found = explained(module).heatmaps
    assert [(one.layer, one.peak) for one in found] == [("features", AT), ("features #2", AT)]
    np.testing.assert_allclose(found[0].values, found[1].values, atol=1e-7)
    assert [one.detail.facts["share"] for one in found] == [0.5, 0.5]
    (one,) = explained(module, layer="features #2").heatmaps
    assert (one.layer, one.peak) == ("features #2", AT)


def test_the_same_picture_twice_through_one_network() -> None:
    """Siamese towers: the first run speaks for the class, the second against it."""
    found = explained(Colours(lambda net, x: 3 * net(x) - net(x))).heatmaps
    assert {one.layer: (one.peak, one.min < 0) for one in found} == {
        "features": (AT, False),
        "features #2": (None, True),
    }
    assert found[0].detail.facts["share"] == 0.75


class Shared(nn.Module):
    """One block at three depths, and once on pooled values."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.fc = colours(3, 4), nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.block(self.stem(x)).relu(), 2)
        x = F.max_pool2d(self.block(x).relu(), 2)
        x = self.block(x).relu()
        return self.fc(self.block(x.mean((2, 3), keepdim=True)).flatten(1))


def test_a_block_at_several_depths_has_a_map_of_each() -> None:
    found = explained(Shared(), layer="block").heatmaps
    assert [(one.layer, one.values.shape) for one in found] == [
        ("block", (16, 16)),
        ("block #2", (8, 8)),
        ("block #3", (4, 4)),
    ]
    (default,) = explained(Shared()).heatmaps
    assert (default.layer, default.values.shape) == ("block #3", (4, 4))


def test_a_run_that_is_not_there_is_refused() -> None:
    model = as_model(Colours(lambda net, x: net(x) + net(x.flip(3))).eval(), (SIDE, SIDE))
    assert model.find_layer("features#2") == "features #2"
    with pytest.raises(LayerError, match="runs 2 times for a picture: there is no run 3") as caught:
        model.find_layer("features #3")
    assert "--layer features" in caught.value.hint


def test_a_unit_of_a_mirrored_run_is_where_it_looks() -> None:
    module = Colours(lambda net, x: net(x) + net(x.flip(3)))
    mirrored = (SPOT[0], 7 - SPOT[1])
    for layer, run, cell in (
        ("features", "features #2", mirrored),  # the last
        ("features #1", "features", SPOT),
        ("features #2", "features #2", mirrored),
    ):
        for options in ({}, {"at": f"{AT[0]},{AT[1]}"}):
            (found,) = explained(
                module, "deconv", layer=layer, channel="0", rule="gradient", **options
            ).reconstructions
            assert (found.layer, found.cell, found.place) == (run, cell, AT)
            assert any("features runs 2 times for a picture" in one for one in found.detail.remarks)


def test_guided_gradcam_of_all_runs_is_on_the_spot() -> None:
    class Rectified(Colours):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.relu())

    (found,) = explained(
        Rectified(lambda net, x: net(x) + net(x.flip(3))), "saliency", method="guided-gradcam"
    ).heatmaps
    rows, columns = np.nonzero(found.values)
    assert found.values.any()
    assert (rows // CELL == SPOT[0]).all()
    assert (columns // CELL == SPOT[1]).all()


class Fusion(nn.Module):
    """Two backbones, red seen by `a` and blue by `b`, joined by a line through both; with a common stem or none."""

    def __init__(self, red: float, blue: float, stem: bool = False) -> None:
        super().__init__()
        self.stem = colours(3, 2) if stem else nn.Identity()
        self.a, self.b, self.fc = colours(kernel=4), colours(kernel=4), nn.Linear(6, 2, bias=False)
        with torch.no_grad():
            self.b.weight[0, 0] = 1 / 16
            self.fc.weight.zero_()
            self.fc.weight[0, 0], self.fc.weight[0, 3] = red, blue

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.fc(torch.cat([self.a(x).mean((2, 3)), self.b(x).mean((2, 3))], 1))


@pytest.mark.parametrize("stem", [False, True])
@pytest.mark.parametrize(("red", "blue", "order"), [(10, -0.1, ["a", "b"]), (0.1, 5, ["b", "a"])])
def test_the_branch_that_decides_comes_first(red: float, blue: float, order: list[str], stem: bool) -> None:
    found = explained(Fusion(red, blue, stem)).heatmaps
    assert [one.layer for one in found] == order
    assert found[0].peak is not None
    assert abs(found[0].peak[0] - AT[0]) <= 4
    share = max(abs(red), abs(blue)) / (abs(red) + abs(blue))
    assert found[0].detail.facts["share"] == pytest.approx(share, abs=1e-3)
    choice = as_model(Fusion(red, blue, stem).eval(), (SIDE, SIDE)).choose_layer()
    assert choice.value == "a, b"
    assert "only together" in choice.reason


class Residual(nn.Module):
    """What a block makes is added to what it was given outside of any module, as in many a tutorial's ResNet9."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.block = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.second, self.last = nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, padding=1)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = self.block(x) + x
        x = self.second(x)
        x = self.last(x) + x
        return self.fc(x.mean((2, 3)))


class Scales(nn.Module):
    """The means of three maps of other sizes, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (nn.Conv2d(3, 3, 3, 2, 1) for _ in range(3))
        self.fc = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        first = self.one(x)
        second = self.two(first)
        return self.fc(torch.cat([one.mean((2, 3)) for one in (first, second, self.three(second))], 1))


class Bypassed(nn.Module):
    """The mean colour of the picture beside a map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 3, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.cat([self.conv(x).mean((2, 3)), x.mean((2, 3))], 1))


class BypassedFusion(Fusion):
    """Two branches, and the mean colour of the picture past both."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.mean((2, 3))[:, :2]


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        (Residual, "second"),
        (Scales, "one, two, three"),
        (Bypassed, "conv"),
        (BypassedFusion, "a, b"),
        (Shared, "block"),
    ],
)
def test_the_layers_that_are_chosen_cut_the_network(network: Callable[[], nn.Module], layers: str) -> None:
    """With what they give back detached, the scores need no gradient; or it is said that they still do."""
    torch.manual_seed(0)
    model = as_model(network().eval(), (SIDE, SIDE))
    names, choice = model.runs.choose()
    assert choice.value == layers
    inputs = torch.rand(1, 3, SIDE, SIDE, requires_grad=True)
    handles = [
        model.module.get_submodule(name.partition(" #")[0]).register_forward_hook(
            lambda *given: given[2].detach()
        )
        for name in names
    ]
    with model.borrowed():
        needed = model.forward(inputs.clone()).requires_grad
    for handle in handles:
        handle.remove()
    assert needed == ("past that" in choice.reason) == (network in (Bypassed, BypassedFusion))


def test_branches_of_which_none_counts_share_nothing() -> None:
    class Gated(Fusion):
        def forward(self, x: Tensor) -> Tensor:
            return (self.a(x) * self.b(x)).mean((2, 3))[:, :2] * 0

    found = explained(Gated(1, 1)).heatmaps
    assert [one.layer for one in found] == ["a", "b"]
    for one in found:
        assert "share" not in one.detail.facts
        assert one.detail.remarks == (
            "One of several branches; in none of them does anything count for the class.",
        )


def test_many_branches_are_not_all_shown() -> None:
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.each = nn.ModuleList(nn.Conv2d(3, 3, 3) for _ in range(12))

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([one(x).mean((2, 3)) for one in self.each]).sum(0)

    choice = as_model(Many().eval(), (SIDE, SIDE)).choose_layer()
    assert choice.value == "each.11"
    assert "past that" in choice.reason


BATCHES = {
    "mirrored": lambda x: torch.cat([x, x.flip(3)]),
    "crops": lambda x: torch.stack([x[..., :32, :32], x[..., 32:, 32:]], 1).view(-1, 3, 32, 32),
    "flattened crops": lambda x: torch.stack([x[..., :32, :32], x[..., 32:, 32:]], 1).flatten(0, 1),
    "patches": lambda x: (
        x.unfold(2, 32, 32).unfold(3, 32, 32).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 32, 32)
    ),
}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("way", BATCHES)
def test_a_model_that_makes_a_batch_of_a_picture_is_refused_with_a_way_out(way: str, named: bool) -> None:
    module = Colours(lambda net, x: net(BATCHES[way](x)).mean(0, keepdim=True)).eval()
    with pytest.raises(LayerError, match="makes several pictures out of one") as caught:
        explained(module, **({"layer": "features"} if named else {}))
    assert "every run is explained" in caught.value.hint


class Directed(nn.Module):
    """Strides that differ by direction, with the layers in blocks and functions between them."""

    def __init__(self, stride: tuple[int, int], norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.pool = nn.Sequential(nn.MaxPool2d(stride), nn.Conv2d(8, 64, 3, padding=1))
        self.last = Block(nn.BatchNorm2d(64) if norm else nn.Conv2d(64, 64, 1), stride)
        self.fc = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.last(self.pool(self.conv(x))).mean((2, 3)))


class Block(nn.Module):
    """The rectifier is a function, so that no layer returns what the block does."""

    def __init__(self, inner: nn.Module, stride: tuple[int, int]) -> None:
        super().__init__()
        self.inner, self.stride = inner, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.inner(F.avg_pool2d(x, self.stride)))


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(
    ("stride", "size", "shape"),
    [
        ((4, 1), (64, 64), (4, 64)),
        ((1, 4), (64, 64), (64, 4)),
        ((4, 2), (64, 128), (4, 32)),
        ((2, 1), (32, 32), (8, 32)),
    ],
)
def test_strides_may_differ_by_direction(
    stride: tuple[int, int], size: tuple[int, int], shape: tuple[int, int], norm: bool
) -> None:
    module = Directed(stride, norm).eval()
    assert default_layer(module, size) == "last"
    model = as_model(module, size)
    for layer in ("last", "last.inner"):
        with model.borrowed(), model.capture(layer) as maps:
            model.forward(torch.rand(2, 3, *size))
        assert maps[layer].shape == (2, 64, *shape)
        field = model.field(layer)
        assert (field.rows.stride, field.columns.stride) == (stride[0] ** 2, stride[1] ** 2)
    with model.borrowed(), model.outputs("last") as found:
        model.forward(torch.rand(2, 3, *size))
    assert found["last"].values.shape == (2, 64, *shape)


def _bound(module: nn.Module, **options: Any) -> Any:
    from cnnexplain.commands.gradcam import GradCAM

    return GradCAM(**options).bind(as_model(module.eval(), (SIDE, SIDE)))


class Apart(nn.Module):
    """Two branches, of which the second counts for `classes`, and is cut off from the gradient as `way` says."""

    def __init__(self, way: str, classes: list[int]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.way, self.classes = way, classes
        self.one, self.two = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 6, 3, padding=1)
        self.fc, self.side = nn.Linear(6, 4), nn.Linear(6, len(classes))

    def aside(self, x: Tensor) -> Tensor:
        if self.way == "no_grad":
            with torch.no_grad():
                return self.two(x).relu()
        if self.way == "numpy":
            return torch.from_numpy(self.two(x).relu().detach().numpy())
        if self.way == "data":
            return self.two(x).relu().data
        if self.way == "input":
            return self.two(x.detach()).relu()
        return self.two(x).relu().detach()

    def forward(self, x: Tensor) -> Tensor:
        scores = self.fc(self.one(x).relu().mean((2, 3)))
        if self.way == "constant":  # what is detached and does not depend on the picture
            return scores + scores.detach() * 0 + self.side.bias.detach().mean()
        if self.way == "inside":  # and what passes the layer all the same
            return scores - scores.amax(1, keepdim=True).detach()
        added = torch.zeros_like(scores)
        added[:, self.classes] = self.side(self.aside(x).mean((2, 3)))
        return scores + added


@pytest.mark.parametrize("way", ["detach", "no_grad", "numpy", "data", "input"])
@pytest.mark.parametrize("classes", [[2], [1, 3], [0, 1, 2, 3]])
def test_a_branch_without_gradient_that_counts_is_told(way: str, classes: list[int]) -> None:
    model = as_model(Apart(way, classes).eval(), (16, 16))
    assert model.runs.unseen == tuple(classes)
    reason = model.runs.choose()[1].reason
    words = {1: "of 'class 2'", 2: "of 'class 1' and 1 more", 4: "of all classes"}[len(classes)]
    assert f"part of the score {words} does not pass it: it is detached" in reason
    inputs = torch.randn(2, 3, 16, 16)
    for index in range(4):
        bound, _ = GradCAM(target=str(index)).bind(model)
        with model.borrowed():
            (found,) = bound.explain(model, Batch(inputs)).results[1]
        told = any("does not pass the layer: it is detached" in one for one in found.detail.remarks)
        assert told == (index in classes)
    assert not any(child._forward_hooks for child in model.module.modules())


@pytest.mark.parametrize("way", ["constant", "inside"])
def test_what_is_detached_and_does_not_pass_by_is_not_told(way: str) -> None:
    model = as_model(Apart(way, [1]).eval(), (16, 16))
    assert model.trace.moves.detached
    assert model.runs.unseen == ()
    assert "does not pass" not in model.runs.choose()[1].reason


def test_scores_that_change_in_number_are_left_to_the_pictures() -> None:
    class Grows(Apart):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[:, : 4 if x.detach().abs().mean() < 5 else 2]

    model = as_model(Grows("detach", [1]).eval(), (16, 16))
    assert model.runs.unseen == ()


def test_models_that_detach_nothing_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnexplain.engine.trace.runs.past", lambda *_: pytest.fail("four passes too many"))
    model = as_model(settle(pooled(), (16, 16)), (16, 16))
    assert model.runs.unseen == ()
