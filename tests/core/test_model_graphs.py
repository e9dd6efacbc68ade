"""A graph folded and laid out: what repeats, what opens, and that edges go down and boxes lie apart."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from cnnexplain.core.graph import across
from cnnexplain.core.graph.arrange import ITEM, Arrangement, arranged
from cnnexplain.core.graph.fold import MOST_SHOWN, FoldedGraph, folded
from cnnexplain.core.graph.model import GraphGroup, GraphNode, ModelGraph, graph_of
from cnnexplain.core.graph.place import Drawing, Placed, placed


def node(
    kind: str, name: str = "", group: int = 0, shape: tuple[int, ...] = (1, 8), cost: int = 1
) -> GraphNode:
    return GraphNode(kind, name, 1 if name else 0, shape, cost, group)


def chain(kinds: list[str], cost: int = 1) -> ModelGraph:
    nodes = tuple(node(kind, f"layer{place}", cost=cost) for place, kind in enumerate(kinds))
    return ModelGraph(
        nodes, (GraphGroup("", "", 1, -1),), tuple((at, at + 1) for at in range(len(nodes) - 1))
    )


def residual_blocks(shapes: list[tuple[int, ...]]) -> ModelGraph:
    """Blocks of a convolution and a sum each, one after the other, between an input and an output."""
    groups = [GraphGroup("", "", 1, -1), GraphGroup("Sequential", "body", 1, 0)]
    nodes, edges, before = [node("input")], [], 0
    for place, shape in enumerate(shapes):
        groups.append(GraphGroup("Block", f"body.{place}", 1, 1))
        nodes += [
            node("Conv2d", f"body.{place}.conv", len(groups) - 1, shape),
            node("add", "", len(groups) - 1, shape),
        ]
        here = len(nodes) - 2
        edges += [(before, here), (before, here + 1), (here, here + 1)]
        before = here + 1
    nodes.append(node("output"))
    edges.append((before, before + 1))
    return ModelGraph(tuple(nodes), tuple(groups), tuple(sorted(edges)))


def random_graph(seed: int) -> ModelGraph:
    """Nodes in blocks in blocks, as running them makes them, with edges from anywhere before to anywhere after."""
    chance = random.Random(seed)
    groups, nodes, stack = [GraphGroup("", "", 1, -1)], [node("input")], [0]
    while len(nodes) < 60:
        step = chance.random()
        if step < 0.2 and len(stack) < 5:
            groups.append(GraphGroup("Block", f"block{len(groups)}", 1, stack[-1]))
            stack.append(len(groups) - 1)
        elif step < 0.35 and len(stack) > 1:
            stack.pop()
        kind = chance.choice(("Conv2d", "ReLU", "cat"))
        nodes.append(
            node(kind, f"n{len(nodes)}" if kind != "cat" else "", stack[-1], (1, chance.randrange(9)))
        )
    edges = {(at - 1, at) for at in range(1, len(nodes))}
    edges |= {(min(pair), max(pair)) for pair in (chance.sample(range(len(nodes)), 2) for _ in range(40))}
    return ModelGraph(tuple(nodes), tuple(groups), tuple(sorted(edges)))


def opened_all(graph: FoldedGraph) -> set[int]:
    return {place for place, item in enumerate(graph.items) if item.children}


def described(graph: FoldedGraph) -> list[str]:
    return [f"{item.name or item.kind} x{item.times}" for item in graph.items[1:]]


def test_equal_blocks_one_after_the_other_are_one_and_others_are_not() -> None:
    graph = folded(residual_blocks([(1, 8)] * 3 + [(1, 4)] * 2 + [(1, 8)]), [])
    assert [line for line in described(graph) if "conv" not in line and "add" not in line] == [
        "input x1", "body x1", "body.0 x3", "body.3 x2", "body.5 x1", "output x1",
    ]  # fmt: skip
    assert [item.last for item in graph.items if item.times > 1] == ["body.2", "body.4"]
    places = {item.name: place for place, item in enumerate(graph.items)}
    three = graph.items[places["body.0"]]
    assert three.multiply_adds == 3 * 2  # of all three
    # Within a block its own edges, and none from one of those that repeat to the next.
    assert [edge for edge in graph.edges if edge[0] < 3] == [(0, 1), (0, 2), (1, 2), (2, 7), (2, 8)]


def test_blocks_that_are_fed_otherwise_are_not_folded() -> None:
    graph = residual_blocks([(1, 8)] * 4)
    fed = ModelGraph(
        graph.nodes, graph.groups, (*graph.edges, (0, 7))
    )  # the input reaches the last of the four too
    assert [item.times for item in folded(fed, []).items if item.kind == "Block"] == [3, 1]


def test_layers_that_repeat_in_turns_are_folded_from_four_times_on() -> None:
    assert described(folded(chain(["Conv2d", "ReLU"] * 3), []))[:2] == ["layer0 x1", "layer1 x1"]
    graph = folded(chain(["input", *["Conv2d", "ReLU"] * 50]), [])
    assert described(graph) == ["layer0 x1", "repeated x50", "layer1 x1", "layer2 x1"]
    assert graph.edges == [(0, 1), (1, 2)]


def test_at_first_as_much_is_open_as_fits_a_page() -> None:
    few = folded(residual_blocks([(1, 8), (1, 4), (1, 2)]), [])
    assert few.opened() == opened_all(few)
    many = folded(residual_blocks([(1, place) for place in range(1, 80)]), [])
    assert many.opened() == {0}
    several = folded(residual_blocks([(1, place) for place in range(1, 40)]), [])
    shown = sum(len(several.items[place].children) for place in several.opened()) - len(several.opened()) + 1
    assert shown <= MOST_SHOWN
    assert (
        len(several.opened()) == 3
    )  # the model, its body, and the first of the blocks, which are all of one kind


def laid_out(graph: FoldedGraph, opened: set[int]) -> tuple[dict[int, Arrangement], Drawing]:
    arrangements = arranged(graph)
    return arrangements, placed(graph, arrangements, opened)


def overlapping(a: Placed, b: Placed) -> bool:
    across_ = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    return across_ > 0.01 and min(a.y + a.height, b.y + b.height) - max(a.y, b.y) > 0.01


@pytest.mark.parametrize("seed", range(12))
def test_edges_go_down_and_boxes_lie_apart(seed: int) -> None:
    graph = folded(random_graph(seed), [])
    for opened in (graph.opened(), opened_all(graph), {0}):
        arrangements, drawing = laid_out(graph, opened)
        for arrangement in arrangements.values():
            row_of = {place: at for at, row in enumerate(arrangement.rows) for place in row}
            assert sorted(row_of) == list(range(len(arrangement.elements)))
            assert all(row_of[end] == row_of[start] + 1 for start, end, _ in arrangement.lines)
        boxes = {box.item: box for box in drawing.boxes}
        shown = {place for place in boxes if not boxes[place].open}
        for a, b in combinations(boxes.values(), 2):
            around = {a.item, b.item} & {*_around(graph, a.item), *_around(graph, b.item)}
            assert not overlapping(a, b) or around, (a, b)
        for box in drawing.boxes:
            parent = graph.items[box.item].parent
            frame = boxes.get(parent, Placed(0, 0, 0, drawing.width, drawing.height, True))
            assert frame.x <= box.x + 0.01
            assert box.x + box.width <= frame.x + frame.width + 0.01
            assert frame.y <= box.y + 0.01
            assert box.y + box.height <= frame.y + frame.height + 0.01
        # Every edge between boxes that are shown is drawn: from where it leaves one to where it enters the other.
        ends = {graph.place[source] for source, _ in graph.edges} & shown
        bottoms = {
            (round(boxes[at].x + boxes[at].width / 2), round(boxes[at].y + boxes[at].height)) for at in ends
        }
        assert bottoms <= {(round(line.points[0][0]), round(line.points[0][1])) for line in drawing.lines}


def _around(graph: FoldedGraph, item: int) -> list[int]:
    around = []
    while (item := graph.items[item].parent) >= 0:
        around.append(item)
    return around


def test_a_chain_stands_straight_in_columns_about_as_high_as_wide() -> None:
    graph = folded(chain([f"Kind{place}" for place in range(48)]), [])
    _, drawing = laid_out(graph, {0})
    columns = {round(box.x) for box in drawing.boxes}
    assert 4 <= len(columns) <= 8
    assert 0.8 < drawing.width / drawing.height < 2.5


def test_a_residual_block_has_its_sum_below_both_ways() -> None:
    graph = folded(residual_blocks([(1, 8)]), [])
    _, drawing = laid_out(graph, opened_all(graph))
    y = {graph.items[box.item].kind: box.y for box in drawing.boxes}
    assert y["input"] < y["Block"] < y["Conv2d"] < y["add"] < y["output"]
    # Two lines within the block arrive at the sum: from the convolution, and past it.
    top = next(box for box in drawing.boxes if graph.items[box.item].kind == "add")
    arriving = [line for line in drawing.lines if line.arrow and abs(line.points[-1][1] - top.y) < 0.01]
    assert len(arriving) == 2


@pytest.mark.parametrize("dense", [False, True])
def test_work_grows_with_the_size_of_a_graph_and_not_with_its_square(
    dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps are counted and not seconds: how many elements are spread, in all rows and sweeps."""
    steps = []
    spread = across._spread
    monkeypatch.setattr(across, "_spread", lambda row, *rest: (steps.append(len(row)), spread(row, *rest))[1])
    graph = chain([f"Kind{place}" for place in range(1000)])
    if dense:  # of every layer lines to the five behind it
        edges = {(at, at + far) for at in range(1000) for far in range(1, 6) if at + far < 1000}
        graph = ModelGraph(graph.nodes, graph.groups, tuple(sorted(edges)))
    whole = folded(graph, [])
    arrangements, drawing = laid_out(whole, {0})
    assert sum(not box.open for box in drawing.boxes) == 1000
    elements = len(arrangements[0].elements)
    assert elements <= 1000 * (5 if dense else 1)
    assert sum(steps) == elements * (across.SWEEPS + 1)
    assert sum(element.kind == ITEM for element in arrangements[0].elements) == 1000


def test_a_record_that_somebody_edited_is_refused() -> None:
    record = residual_blocks([(1, 8)]).record()
    graph_of(record)
    for key, value in (("edges", [[3, 1]]), ("edges", [[0, 99]]), ("groups", []), ("nodes", [{}])):
        with pytest.raises((ValueError, LookupError, TypeError)):
            graph_of({**record, key: value})
