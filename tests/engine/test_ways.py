"""Which tensors go from which layer to which: networks whose edges are worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from networks import as_model
from torch import Tensor, nn

from cnnexplain.core.graph.model import ModelGraph, graph_of
from cnnexplain.engine.cost.table import layer_table


class Net(nn.Module):
    """Layers to choose from, and a forward to call them with."""

    def __init__(self, forward: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout()
        self.block = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
        self.fc = nn.Linear(4, 2)
        self.wide = nn.Linear(8, 2)
        self.weight = nn.Parameter(torch.ones(4, 3, 1, 1))
        self.unused = nn.Sequential(nn.Linear(9, 9), nn.ReLU())
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def graph_by_hand(forward: Callable[[Net, Tensor], Tensor]) -> ModelGraph:
    graph = layer_table(as_model(Net(forward).eval(), (8, 8))).graph
    assert graph is not None
    assert graph_of(graph.record()) == graph
    return graph


def named(graph: ModelGraph) -> list[tuple[str, ...]]:
    """Every node with those that lead to it, by the names of layers or of functions; later runs with their number."""
    names = [f"{node.name} #{node.run}" if node.run > 1 else node.name or node.kind for node in graph.nodes]
    return [
        (name, *(names[source] for source, target in graph.edges if target == place))
        for place, name in enumerate(names)
    ]


def residual(net: Net, x: Tensor) -> Tensor:
    x = net.conv(x)
    return net.fc((x + net.block(x)).mean((2, 3)))


def concat(net: Net, x: Tensor) -> Tensor:
    x = net.conv(x)
    return net.wide(torch.cat([net.other(x), x], 1).mean((2, 3)))


def reused(net: Net, x: Tensor) -> Tensor:
    return net.fc(net.relu(net.other(net.relu(net.conv(x)))).mean((2, 3)))


def in_place(net: Net, x: Tensor) -> Tensor:
    x = net.conv(x)
    F.relu_(x)
    x += 1
    return net.fc(x.mean((2, 3)))


def view(net: Net, x: Tensor) -> Tensor:
    x = net.conv(x)
    flat = x.view(1, 4, -1)
    x.mul_(2)  # is seen through the view
    return net.fc(flat.mean(2))


def functional(net: Net, x: Tensor) -> Tensor:
    x = F.max_pool2d(F.relu(F.conv2d(x, net.weight * 2)), 2)
    return net.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def written(net: Net, x: Tensor) -> Tensor:
    x = net.conv(x)
    buffer = torch.zeros(1, 8, 8, 8)
    buffer[:, :4] = x
    buffer[:, 4:] = net.other(x)
    return net.wide(buffer.mean((2, 3)))


def handed_on(net: Net, x: Tensor) -> Tensor:
    return net.fc(net.drop(net.conv(x).contiguous().detach().float()).mean((2, 3)))


def caught(net: Net, x: Tensor) -> Tensor:
    x = net.conv(x)
    try:
        x = net.unused(x)
    except RuntimeError:
        x = net.other(x)
    return net.fc(x.mean((2, 3)))


def two_ways_out(net: Net, x: Tensor) -> Tensor:
    left, right = net.conv(x).chunk(2, 1)
    return net.fc(torch.cat([right, left], 1).mean((2, 3)))


class Doubling(torch.autograd.Function):
    """What torch's functions do not show: it is seen by its operations."""

    @staticmethod
    def forward(_context: object, x: Tensor) -> Tensor:
        return x * 2


def of_ones_own(net: Net, x: Tensor) -> Tensor:
    return net.fc(Doubling.apply(net.conv(x)).mean((2, 3)))


END = ("output", "fc")


@pytest.mark.parametrize(
    ("forward", "edges"),
    [
        (
            residual,
            [("conv", "input"), ("block.0", "conv"), ("block.1", "block.0"), ("add", "conv", "block.1"),
             ("mean", "add"), ("fc", "mean"), END],
        ),
        (
            concat,
            [("conv", "input"), ("other", "conv"), ("cat", "conv", "other"), ("mean", "cat"), ("wide", "mean"),
             ("output", "wide")],
        ),
        (
            reused,
            [("conv", "input"), ("relu", "conv"), ("other", "relu"), ("relu #2", "other"), ("mean", "relu #2"),
             ("fc", "mean"), END],
        ),
        (
            in_place,
            [("conv", "input"), ("relu", "conv"), ("add", "relu"), ("mean", "add"), ("fc", "mean"), END],
        ),
        (
            view,
            [("conv", "input"), ("view", "conv"), ("mul", "conv"), ("mean", "mul"), ("fc", "mean"), END],
        ),
        (
            functional,
            [("conv2d", "input"), ("relu", "conv2d"), ("max_pool2d", "relu"), ("adaptive_avg_pool2d", "max_pool2d"),
             ("flatten", "adaptive_avg_pool2d"), ("fc", "flatten"), END],
        ),
        (
            written,
            [("conv", "input"), ("write", "conv"), ("other", "conv"), ("write", "write", "other"), ("mean", "write"),
             ("wide", "mean"), ("output", "wide")],
        ),
        (handed_on, [("conv", "input"), ("drop", "conv"), ("mean", "drop"), ("fc", "mean"), END]),
        (caught, [("conv", "input"), ("other", "conv"), ("mean", "other"), ("fc", "mean"), END]),
        (two_ways_out, [("conv", "input"), ("chunk", "conv"), ("cat", "chunk"), ("mean", "cat"), ("fc", "mean"), END]),
        (of_ones_own, [("conv", "input"), ("mul", "conv"), ("mean", "mul"), ("fc", "mean"), END]),
    ],
)  # fmt: skip
def test_edges_are_those_that_were_worked_out_by_hand(
    forward: Callable[[Net, Tensor], Tensor], edges: list[tuple[str, ...]]
) -> None:
    assert named(graph_by_hand(forward)) == [("input",), *edges]


def test_nodes_have_shapes_costs_fields_and_the_blocks_that_were_running() -> None:
    graph = graph_by_hand(residual)
    assert [node.shape for node in graph.nodes] == [(1, 3, 8, 8), *[(1, 4, 8, 8)] * 4, (1, 4), (1, 2), (1, 2)]
    assert [node.multiply_adds for node in graph.nodes] == [0, 3 * 4 * 64, 4 * 4 * 64, 0, 0, 0, 8, 0]
    assert [node.field for node in graph.nodes][1:4] == [(1, 1)] * 3
    assert [graph.groups[node.group].name for node in graph.nodes] == [
        "",
        "",
        "block",
        "block",
        "",
        "",
        "",
        "",
    ]


def test_under_inference_mode_the_edges_are_the_same() -> None:
    graph = graph_by_hand(torch.inference_mode()(in_place))
    assert named(graph)[1:4] == [("conv", "input"), ("relu", "conv"), ("add", "relu")]


def test_a_model_that_fails_has_no_graph() -> None:
    table = layer_table(as_model(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Linear(99, 2)), (8, 8)))
    assert table.problem
    assert table.graph is None
    assert table.record()["graph"] is None
