"""Which units read which: kernels by hand, through all that keeps channels apart; what is not followed is said."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from networks import as_model
from torch import Tensor, nn

from cnnexplain.engine.cost.table import layer_table
from cnnexplain.engine.weights.wiring import KernelLink, Wiring

Listed = list[tuple[str, int, float]]


def wired(module: nn.Module, layers: Sequence[str]) -> Wiring:
    model = as_model(module.eval(), (8, 8))
    graph = layer_table(model).graph
    assert graph is not None
    with model.borrowed():
        return Wiring(model, graph, layers)


def listed(links: Sequence[KernelLink]) -> Listed:
    return [(link.layer, link.channel, round(link.weight, 6)) for link in links]


def filled(convolution: nn.Conv2d, rows: Sequence[Sequence[float]]) -> nn.Conv2d:
    """A convolution of 1 x 1 kernels, or with the weight in the middle and its negative beside it."""
    with torch.no_grad():
        convolution.weight.zero_()
        side = convolution.kernel_size[0] // 2
        convolution.weight[:, :, side, side] = torch.tensor(rows)
        if side:
            convolution.weight[:, :, side, 0] = -torch.tensor(rows)
    return convolution


class Chain(nn.Module):
    """Two convolutions, between which stands much that keeps channels apart."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.norm, self.pool, self.drop = nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.Dropout()
        self.second = filled(nn.Conv2d(3, 2, 3, padding=1), [[1.0, -3.0, 0.5], [0.0, 0.25, -2.0]])
        self.act, self.fc = nn.SiLU(), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(F.relu(self.pool(self.norm(self.first(x)))) * 2 + 1)
        return self.fc(self.act(self.second(x)).mean((2, 3)))


def test_a_chain_is_read_through_what_keeps_channels_apart() -> None:
    wiring = wired(Chain(), ("norm", "act"))
    inputs = wiring.inputs("act")
    # Twice the weight in the middle: the slice has its negative beside it.
    assert listed(inputs.units[0]) == [("norm", 1, 6.0), ("norm", 0, 2.0), ("norm", 2, 1.0)]
    assert listed(inputs.units[1]) == [("norm", 2, 4.0), ("norm", 1, 0.5), ("norm", 0, 0.0)]
    assert inputs.says == "by the kernels of second"
    outputs = wiring.outputs("norm")
    assert listed(outputs.units[1]) == [("act", 0, 6.0), ("act", 1, 0.5)]
    assert listed(outputs.units[2]) == [("act", 1, 4.0), ("act", 0, 1.0)]
    first = wiring.inputs("norm")
    assert (dict(first.units), first.says) == ({}, "it reads the picture itself")
    last = wiring.outputs("act")
    assert (dict(last.units), last.says) == ({}, "what mean makes of it was not followed")


def test_layers_that_are_not_in_the_atlas_are_named_as_they_are() -> None:
    wiring = wired(Chain(), ("second",))
    assert listed(wiring.inputs("second").units[0])[0] == ("drop", 1, 6.0)
    assert listed(wired(Chain(), ("first",)).outputs("first").units[1])[0] == ("second", 0, 6.0)


class Grouped(nn.Module):
    def __init__(self, groups: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        rows = [[1.0], [2.0], [3.0], [4.0]] if groups == 4 else [[1.0, 2], [3, 4], [5, 6], [8, 7]]
        self.conv = filled(nn.Conv2d(4, 4, 1, groups=groups), rows)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.stem(x).relu()).mean((2, 3))


def test_grouped_convolutions_read_their_group() -> None:
    wiring = wired(Grouped(2), ("stem", "conv"))
    inputs = wiring.inputs("conv").units
    assert [listed(inputs[unit]) for unit in range(4)] == [
        [("stem", 1, 2.0), ("stem", 0, 1.0)],
        [("stem", 1, 4.0), ("stem", 0, 3.0)],
        [("stem", 3, 6.0), ("stem", 2, 5.0)],
        [("stem", 2, 8.0), ("stem", 3, 7.0)],
    ]
    assert listed(wiring.outputs("stem").units[2]) == [("conv", 3, 8.0), ("conv", 2, 5.0)]


def test_depthwise_convolutions_read_a_single_channel() -> None:
    wiring = wired(Grouped(4), ("stem", "conv"))
    assert [listed(wiring.inputs("conv").units[unit]) for unit in (0, 3)] == [
        [("stem", 0, 1.0)],
        [("stem", 3, 4.0)],
    ]
    assert listed(wiring.outputs("stem").units[1]) == [("conv", 1, 2.0)]


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 1)
        self.up = nn.ConvTranspose2d(2, 3, 1)
        with torch.no_grad():
            self.up.weight.copy_(torch.tensor([[1.0, 2, 3], [6, 5, 4]])[:, :, None, None])  # from, to

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.stem(x)).mean((2, 3))


def test_transposed_convolutions_are_read_the_other_way_round() -> None:
    inputs = wired(Transposed(), ("stem", "up")).inputs("up").units
    assert listed(inputs[2]) == [("stem", 1, 4.0), ("stem", 0, 3.0)]


class Residual(nn.Module):
    """Two blocks with a shortcut each, the first of which is a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 1)
        self.a = filled(nn.Conv2d(2, 2, 1), [[1.0, 2.0], [3.0, 4.0]])
        self.down = filled(nn.Conv2d(2, 2, 1), [[5.0, 6.0], [8.0, 7.0]])
        self.relu = nn.ReLU()
        self.b = filled(nn.Conv2d(2, 2, 1), [[0.5, 0.0], [0.0, 0.5]])
        self.end = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.relu(self.a(x) + self.down(x))
        return self.end(self.b(x) + x).mean((2, 3))


def test_additions_are_read_term_by_term_and_shortcuts_named() -> None:
    wiring = wired(Residual(), ("stem", "relu", "end"))
    first = wiring.inputs("relu")
    assert listed(first.units[0]) == [("stem", 1, 6.0), ("stem", 0, 5.0), ("stem", 1, 2.0), ("stem", 0, 1.0)]
    assert first.says == "by the kernels of a and down"
    second = wiring.inputs("end")
    assert listed(second.units[1]) == [("relu", 1, 0.5), ("relu", 0, 0.0)]
    assert second.says == "by the kernels of b; the unit of the same number of relu is added"
    outputs = wiring.outputs("relu")
    assert listed(outputs.units[0])[0] == ("b", 0, 0.5)
    assert outputs.says == "by the kernels of b; it is added to the unit of the same number of end"


class Others(nn.Module):
    """A gate, a concatenation, channels that are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.reduce = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.next = filled(nn.Conv2d(4, 1, 1), [[4.0, 1.0, 2.0, 3.0]])
        self.join, self.mixed = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.next(x * torch.sigmoid(self.reduce(F.adaptive_avg_pool2d(x, 1))))
        mixed = self.mixed(x.reshape(-1, 2, 2, 8, 8).transpose(1, 2).reshape(-1, 4, 8, 8))
        return self.join(torch.cat([mixed, y], 1)).mean((2, 3))


@pytest.mark.parametrize(
    ("layer", "says"),
    [("join", "what comes before a concatenation was not followed"), ("mixed", "was not followed")],
)
def test_what_mixes_channels_is_not_followed_and_said(layer: str, says: str) -> None:
    inputs = wired(Others(), (layer,)).inputs(layer)
    assert dict(inputs.units) == {}
    assert says in inputs.says


def test_a_gate_lets_its_map_through() -> None:
    wiring = wired(Others(), ("stem", "next"))
    assert listed(wiring.inputs("next").units[0]) == [
        ("stem", 0, 4.0),
        ("stem", 3, 3.0),
        ("stem", 2, 2.0),
        ("stem", 1, 1.0),
    ]
    assert {link.layer for link in wiring.outputs("stem").units[0]} == {"next", "reduce"}
