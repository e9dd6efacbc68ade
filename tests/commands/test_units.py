"""What every unit looks for: the strongest pictures by brute force, exact patches, planted units."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from networks import as_model, pooled
from torch import Tensor, nn

from cnnexplain.commands import bound
from cnnexplain.commands._scanning import LayerFold, Sample, folded
from cnnexplain.commands._unit_facts import unit_facts
from cnnexplain.commands.units import UnitAtlas
from cnnexplain.core.explanation import Batch
from cnnexplain.core.results import entry
from cnnexplain.core.scan import Scan
from cnnexplain.core.shown import Shown, UnitFacts
from cnnexplain.core.strongest import Strongest
from cnnexplain.engine.stopping import run_head
from cnnexplain.engine.streams import Streams
from cnnexplain.errors import CnnexplainError, LayerError, OptionError
from cnnexplain.images.decoded import DecodeOptions
from cnnexplain.images.find import ImagePath
from cnnexplain.runner.output.write import Job
from cnnexplain.runner.unit_pictures import made_of

PICTURES = 40
SIZE = (16, 16)


class Planted(nn.Module):
    """Channel 0 answers to red, 1 is a copy of it, 2 is dead, 3 is an upright edge, 4 ends at 6 nearly always."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)
        self.relu = nn.ReLU6()
        self.tail = nn.Conv2d(5, 4, 3, stride=2)
        self.fc = nn.Linear(4, 2)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias.zero_()
            self.conv.weight[:2, 0] = 1 / 9
            self.conv.weight[:2, 1:] = -1 / 18
            self.conv.bias[2] = -5
            self.conv.weight[3, :, :, 0], self.conv.weight[3, :, :, 2] = -1 / 9, 1 / 9
            self.conv.bias[4] = 2
            self.conv.weight[4, :, 1, 1] = 4
        self.runs: list[str] = []
        self.tail.register_forward_hook(lambda *_: self.runs.append("tail"))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.tail(self.relu(self.conv(x))).mean((2, 3)))


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(PICTURES, 3, *SIZE)


def records(model: Any, command: UnitAtlas, inputs: Tensor, places: list[int], batch: int = 8) -> list[Any]:
    """The records of pictures that one process scanned in the order of `places`."""
    made = []
    with model.borrowed():
        for start in range(0, len(places), batch):
            some = places[start : start + batch]
            answer = command.explain(model, Batch(inputs[some], places=tuple(some)))
            assert not answer.problems
            for place, scans in zip(some, answer.results, strict=True):
                made.append((place, {"explanations": [entry(scan, None, None) for scan in scans]}))
    return made


def fold(made: list[Any], size: int = 2048) -> dict[str, LayerFold]:
    return folded([record for _, record in sorted(made, key=lambda pair: pair[0])], 50, 0, size)


def test_the_head_alone_gives_what_the_whole_model_gives(inputs: Tensor) -> None:
    module = Planted().eval()
    model = as_model(module, SIZE)
    with model.borrowed():
        _ = model.trace
        module.runs.clear()
        with model.outputs("relu") as head:
            run_head(model, inputs, ("relu",))
        assert module.runs == []
        with model.outputs("relu") as whole:
            model.forward(inputs)
        assert module.runs == ["tail"]
        torch.testing.assert_close(head["relu"].values, whole["relu"].values, rtol=0, atol=0)
        with model.outputs("relu", "tail") as both:
            run_head(model, inputs, ("relu", "tail"))
        assert {*both} == {"relu", "tail"}


def test_a_layer_that_runs_twice_is_waited_for() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.relu(self.conv(self.relu(self.conv(x)))).mean((2, 3)))

    model = as_model(Twice().eval(), SIZE)
    command, _ = bound(UnitAtlas(layer=("relu",)), model)
    assert command.layer == ("relu #2",)
    x = torch.rand(2, 3, *SIZE)
    with model.borrowed():
        (first, _) = command.explain(model, Batch(x)).results
        with model.outputs("relu") as whole:
            model.forward(x)
    np.testing.assert_array_equal(first[0].maxima, whole["relu"].values[0].amax((1, 2)).numpy())


@pytest.mark.parametrize("layers", [("relu",), ("relu", "tail")])
def test_the_strongest_are_those_of_sorting_everything(inputs: Tensor, layers: tuple[str, ...]) -> None:
    model = as_model(Planted().eval(), SIZE)
    command, _ = bound(UnitAtlas(layer=layers), model)
    folds = fold(records(model, command, inputs, list(range(PICTURES))))
    with model.borrowed(), model.outputs(*layers) as maps:
        model.forward(inputs)
    for layer in layers:
        values = maps[layer].values.flatten(2)  # (N, U, cells)
        for unit in range(values.shape[1]):
            peaks = values[:, unit].amax(1).tolist()
            order = sorted(range(PICTURES), key=lambda row: (-peaks[row], row))
            kept = folds[layer].strongest
            assert kept.pictures[unit, :PICTURES].tolist() == order
            for rank, row in enumerate(order):
                cell = int(kept.cells[unit, rank])
                own = values[row, unit].tolist()
                assert cell == own.index(max(own)), "the first of equally strong cells"
                assert float(kept.values[unit, rank]) == pytest.approx(peaks[row], rel=1e-6)


def test_any_division_into_processes_and_any_order_says_the_same(inputs: Tensor) -> None:
    model = as_model(Planted().eval(), SIZE)

    def scan(places: list[int]) -> list[Any]:
        command, _ = bound(UnitAtlas(layer=("relu",)), model)  # each process has thresholds of its own
        return records(model, command, inputs, places, batch=1)  # rounding depends on it

    whole = fold(scan(list(range(PICTURES))), size=10)["relu"]
    for seed in range(4):
        draw = random.Random(seed)
        places = draw.sample(range(PICTURES), PICTURES)
        cut = draw.randrange(1, PICTURES - 1)
        made = scan(places[:cut]) + scan(places[cut:])
        assert fold(made, size=10)["relu"].state() == whole.state()
    halves = []
    for rows in (range(0, PICTURES, 2), range(1, PICTURES, 2)):
        half = LayerFold.from_state({**whole.state(), "sampled": [], "strongest": _nothing(5)})
        for place, record in scan(list(rows)):
            half.take(place, Scan.of(record["explanations"][0]))
        halves.append(half)
    halves[1].merge(halves[0])
    assert halves[1].state() == whole.state()


def _nothing(units: int) -> Any:
    return Strongest.of(units, 50).state()


def test_what_a_process_keeps_does_not_grow_with_the_pictures() -> None:
    for pictures in (100, 20_000):
        sample = Sample(64, 0)
        taken = sum(sample.takes(place) for place in range(pictures))
        assert len(sample._hashes) == 64
        assert taken <= 64 * (1 + np.log(pictures / 64)) * 1.5


def test_planted_units_are_named(inputs: Tensor) -> None:
    inputs = inputs * torch.linspace(0.2, 1, PICTURES)[:, None, None, None]
    model = as_model(Planted().eval(), SIZE)
    command, _ = bound(UnitAtlas(layer=("relu",), top=3), model)
    layer = fold(records(model, command, inputs, list(range(PICTURES))))["relu"]
    units = list(
        unit_facts(layer, 3, 10, range(5), lambda place: "late" if place >= 30 else "early", PICTURES)
    )
    facts = [unit.facts for unit in units]
    assert [one["dead"] for one in facts] == [False, False, True, False, False]
    assert [one["duplicate_of"] for one in facts] == [None, 0, None, None, None]
    assert [one["saturated"] for one in facts] == [False, False, False, False, True]
    assert facts[0]["neighbours"][0] == {"channel": 1, "correlation": 1.0}
    assert facts[2]["fires"] == 0
    assert facts[2]["sparseness"] is None
    assert units[2].shown == ()
    assert facts[3]["purity"]["label"] == "late"
    assert facts[0]["sampled"] is None
    groups = [shown.group for shown in units[0].shown]
    assert groups == ["top"] * 3 + ["median"] * 3 + ["random"] * 3
    peaks = layer.strongest.values[0]
    assert [shown.activation for shown in units[0].shown[:3]] == peaks[:3].tolist()
    assert facts[0]["quantiles"][-1] == pytest.approx(float(peaks[0]), rel=1e-5)


def test_a_patch_alone_gives_the_units_activation(inputs: Tensor) -> None:
    """Where the field lies inside: what it sees, and nothing beside it, decides."""
    model = as_model(Planted().eval(), SIZE)
    command, _ = bound(UnitAtlas(layer=("tail",)), model)
    with model.borrowed():
        ((_, unit),) = command.projected(model, Batch(inputs[:1]), "tail", [(2, 3 * 7 + 4, True)])
        left, top, right, bottom = unit.sees
        assert (right - left, bottom - top) == (5, 5)
        alone = torch.rand(1, 3, *SIZE)
        alone[:, :, top:bottom, left:right] = inputs[:1, :, top:bottom, left:right]
        ((_, again),) = command.projected(model, Batch(alone), "tail", [(2, 3 * 7 + 4, False)])
    assert again.activation == pytest.approx(unit.activation, rel=1e-6)
    assert unit.cell == (3, 4)
    assert unit.values.any() == (unit.activation > 0)
    assert not again.values.any(), "nothing was asked back"


def test_what_is_projected_back_is_the_gradient(inputs: Tensor) -> None:
    torch.manual_seed(0)
    model = as_model(pooled().eval(), SIZE)
    layer = model.choose_stages()[0][0]
    command, _ = bound(UnitAtlas(layer=(layer,)), model)
    with model.borrowed():
        asked = [(0, None, True), (1, None, True), (2, 5, True)]
        for place, unit in command.projected(model, Batch(inputs[:1]), layer, asked):
            assert unit.channel == asked[place][0]
            x = inputs[:1].clone().requires_grad_()
            with model.capture(layer) as maps, model.rectifiers() as rectifiers:
                model.forward(x.clone())
            rectifiers.use(command.rule)
            (values,) = maps.values()
            row, column = unit.cell
            back = torch.autograd.grad(values[0, unit.channel, row, column], x)[0][0]
            left, top, right, bottom = unit.sees
            if unit.activation > 0:
                np.testing.assert_allclose(unit.values, back[:, top:bottom, left:right], atol=1e-6)


def test_units_without_a_pixel_in_common_share_a_way_back(inputs: Tensor, monkeypatch: Any) -> None:
    model = as_model(Planted().eval(), SIZE)
    command, _ = bound(UnitAtlas(layer=("relu",)), model)
    asked = [(unit, row * 16 + column, True) for unit in (0, 4) for row in range(16) for column in (0, 5, 7)]
    backs: list[Tensor] = []
    back = type(model).gradient_to_input
    monkeypatch.setattr(
        type(model),
        "gradient_to_input",
        lambda *args, **named: (backs.append(args[1]), back(*args, **named))[1],
    )
    with model.borrowed():
        together = dict(command.projected(model, Batch(inputs[:1]), "relu", asked))
        ways = len(backs)
        alone = [
            unit for each in asked for _, unit in command.projected(model, Batch(inputs[:1]), "relu", [each])
        ]
    assert ways < (len(backs) - ways) / 3
    for place, unit in enumerate(alone):
        assert together[place].sees == unit.sees
        np.testing.assert_array_equal(together[place].values, unit.values)


def test_values_that_are_no_numbers_are_a_problem_of_their_picture(inputs: Tensor) -> None:
    model = as_model(Planted().eval(), SIZE)
    command, _ = bound(UnitAtlas(layer=("relu",)), model)
    inputs[1, 0, 3, 3] = float("nan")
    with model.borrowed():
        answer = command.explain(model, Batch(inputs[:4], places=(0, 1, 2, 3), copies=1))
    assert [len(of_picture) for of_picture in answer.results] == [1, 0, 1, 0]
    assert "relu" in answer.problems[1].problem


def test_a_picture_that_is_gone_is_said_where_it_would_be_shown() -> None:
    model = as_model(Planted().eval(), SIZE)
    command, _ = bound(UnitAtlas(layer=("relu",)), model)
    job = Job(0, ImagePath("gone.png", ""), "gone.png")
    shown = UnitFacts(0, (Shown(0, "top", 0, 1.5, 3),), {})
    streams = Streams()
    with model.borrowed():
        streams.settle(model, 1)
        (made,) = made_of(model, command, "relu", [shown], [job], DecodeOptions(), streams)
    assert made.problem == "there is no such file"
    assert made.entries == ()


def test_all_layers_with_a_map_and_how_many_units_they_have() -> None:
    command, choices = bound(UnitAtlas(layer=("all",)), as_model(Planted().eval(), SIZE))
    assert command.layer == ("conv", "relu", "tail")
    assert "14 units of 3 layers" in choices[0].reason


def test_a_model_without_gradients_is_scanned_without_deconv() -> None:
    class Detached(Planted):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).detach()

    command, choices = bound(UnitAtlas(), as_model(Detached().eval(), SIZE))
    assert command.rule == "none"
    assert [choice.value for choice in choices if choice.setting == "deconv"] == ["left out"]


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"layer": ("fc",)}, LayerError, "vector"),
        ({"layer": ("rleu",)}, CnnexplainError, "rleu"),
        ({"layer": ("relu",), "channel": (5,)}, OptionError, "which has 5"),
    ],
)
def test_what_is_not_there_is_refused(options: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        bound(UnitAtlas(**options), as_model(Planted().eval(), SIZE))
