"""What channels matter for the score: against scores without each of them, by hand; the same in any division."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
import torch
from networks import as_model
from torch import Tensor, nn

from cnnexplain.commands import bound
from cnnexplain.commands._importance import ablations, importance
from cnnexplain.commands._scanning import LayerFold, folded
from cnnexplain.commands._unit_facts import unit_facts
from cnnexplain.commands.units import UnitAtlas
from cnnexplain.core.ablation import Ablation
from cnnexplain.core.explanation import Batch
from cnnexplain.core.results import entry
from cnnexplain.errors import OptionError

PICTURES, SIZE, USED = 30, (8, 8), 7


class Three(nn.Module):
    """Channel 0 decides between the classes, 1 is worth half as much to both, nothing reads 2."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.fc = nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Linear(3, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:, :, None, None])
            self.conv.bias.zero_()
            self.fc.weight.copy_(torch.tensor([[2.0, 0.5, 0], [-2.0, 0.5, 0]]))
            self.fc.bias.copy_(torch.tensor([0.0, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(3)
    return torch.rand(PICTURES, 3, *SIZE) * torch.rand(PICTURES, 3, 1, 1)


def scan(model: Any, inputs: Tensor, places: list[int]) -> list[tuple[int, Any]]:
    """The records of pictures that a process of its own scanned, two at a time."""
    command, _ = bound(UnitAtlas(layer=("relu",), importance=True, importance_images=USED), model)
    made = []
    with model.borrowed():
        for start in range(0, len(places), 2):
            some = places[start : start + 2]
            answer = command.explain(model, Batch(inputs[some], places=tuple(some)))
            for place, scans in zip(some, answer.results, strict=True):
                record = {"explanations": [entry(each, None, None) for each in scans]}
                made.append((place, json.loads(json.dumps(record))))
    return made


def fold(made: list[tuple[int, Any]], used: int = USED) -> LayerFold:
    records = [record for _, record in sorted(made, key=lambda pair: pair[0])]
    return folded(records, 50, 0, 2048, used)["relu"]


def test_the_drop_is_worked_by_hand(inputs: Tensor) -> None:
    module = Three().eval()
    model = as_model(module, SIZE)
    with model.borrowed():
        made = [ablations(model, image[None], {"relu": (3, *SIZE)})["relu"] for image in inputs]
    for each, image in zip(made, inputs, strict=True):
        means = image.mean((1, 2))
        scores = 2 * means[0] + 0.5 * means[1], -2 * means[0] + 0.5 * means[1] + 1
        answered = int(scores[1] > scores[0])
        assert each.answered == answered
        drops = [float((2, -2)[answered] * means[0]), float(0.5 * means[1]), 0.0]
        np.testing.assert_allclose(each.drops, drops, atol=1e-5)
        # Without channel 0 the second class always wins, by its bias.
        assert each.changes.tolist() == [answered == 0, False, False]
    assert {each.answered for each in made} == {0, 1}
    recorded = importance(made, ("first", "second"))
    drops = np.stack([each.drops for each in made])
    rows = np.array([each.answered for each in made])
    assert recorded[0]["mean"] == pytest.approx(float(drops[:, 0].mean()), rel=1e-4)
    assert recorded[0]["changes"] == pytest.approx(float((rows == 0).mean()), rel=1e-4)
    for index, label in enumerate(("first", "second")):
        (of_class,) = (each for each in recorded[0]["classes"] if each["label"] == label)
        assert of_class["images"] == (rows == index).sum()
        assert of_class["mean"] == pytest.approx(float(drops[rows == index, 0].mean()), rel=1e-4)
    assert recorded[2]["mean"] == recorded[2]["changes"] == 0


def test_a_small_network_drawn_at_random_loses_what_a_hook_takes(inputs: Tensor) -> None:
    torch.manual_seed(0)
    ending = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU6(), nn.Conv2d(6, 4, 3), nn.ReLU(), *ending).eval()
    model = as_model(module, SIZE)
    with model.borrowed():
        each = ablations(model, inputs[:1], {"1": (6, 6, 6)})["1"]
    own = module(inputs[:1])[0].detach()
    for channel in range(6):
        kept = torch.ones(1, 6, 1, 1)
        kept[0, channel] = 0
        with torch.no_grad():
            handle = module[1].register_forward_hook(lambda _m, _i, output, kept=kept: output * kept)
            without = module(inputs[:1])[0]
            handle.remove()
        assert each.drops[channel] == pytest.approx(float((own - without)[own.argmax()]), abs=1e-5)
        assert each.changes[channel] == (without.argmax() != own.argmax())


def test_any_division_uses_the_same_pictures_and_says_the_same(inputs: Tensor) -> None:
    model = as_model(Three().eval(), SIZE)
    whole = fold(scan(model, inputs, list(range(PICTURES))))
    assert len(whole.used()) == USED
    for seed in range(4):
        draw = random.Random(seed)
        places = draw.sample(range(PICTURES), PICTURES)
        cut = draw.randrange(1, PICTURES - 1)
        first, second = scan(model, inputs, places[:cut]), scan(model, inputs, places[cut:])
        assert fold(first + second).state() == whole.state()
        halves = [
            LayerFold.from_state(json.loads(json.dumps(_fold_at(part).state()))) for part in (second, first)
        ]
        halves[0].merge(halves[1])
        assert halves[0].state() == whole.state()


def _fold_at(made: list[tuple[int, Any]]) -> LayerFold:
    """A fold of some pictures at the positions that they have among all."""
    empty = {"status": "error", "explanations": []}
    there = dict(made)
    records = [there.get(place, empty) for place in range(PICTURES)]
    return folded(records, 50, 0, 2048, USED)["relu"]


def test_what_is_kept_does_not_grow_with_the_pictures(inputs: Tensor) -> None:
    model = as_model(Three().eval(), SIZE)
    made = scan(model, inputs, list(range(PICTURES)))
    computed = sum("ablation" in record["explanations"][0] for _, record in made)
    assert USED <= computed < PICTURES / 2 + USED
    many = [(10 * place + row, record) for place, record in made for row in range(10)]
    layer = folded([record for _, record in many], 50, 0, 2048, USED)["relu"]
    assert len(layer.ablations) <= 2 * USED + 1
    assert len(layer.used()) == USED


def test_what_is_said_of_a_unit_and_of_a_picture_that_breaks() -> None:
    broken = Ablation(1, np.array([np.nan, 1.0], np.float32), np.array([False, True]))
    sound = Ablation(1, np.array([3.0, 2.0], np.float32), np.array([False, False]))
    first, second = importance([broken, sound], ("a", "b"))
    assert first["mean"] == 3
    assert first["images"] == 1
    assert second == {
        "mean": 1.5,
        "changes": 0.5,
        "images": 2,
        "classes": [{"index": 1, "label": "b", "mean": 1.5, "images": 2}],
    }
    alone = importance([broken], ("a", "b"))[0]
    assert (alone["mean"], alone["images"]) == (None, 0)


def test_units_say_how_many_pictures_were_used(inputs: Tensor) -> None:
    model = as_model(Three().eval(), SIZE)
    layer = fold(scan(model, inputs, list(range(PICTURES))))
    units = list(unit_facts(layer, 3, 50, range(3), lambda _: None, PICTURES, ("a", "b")))
    assert [unit.facts["importance"]["images"] for unit in units] == [USED] * 3
    assert units[2].facts["importance"]["mean"] == 0
    plain = fold(scan(model, inputs, list(range(PICTURES))), used=0)
    assert next(unit_facts(plain, 3, 50, [0], lambda _: None, PICTURES)).facts["importance"] is None


def test_how_many_pictures_is_asked_for_nothing() -> None:
    with pytest.raises(OptionError, match="--importance-images 5 has no use"):
        bound(UnitAtlas(importance_images=5), as_model(Three().eval(), SIZE))
