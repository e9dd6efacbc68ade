"""Checks of what happens inside a model: units, gradients, explanations. Each has a model that fails it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import digits
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import bare
from torch import Tensor, nn

from cnnexplain.checks.dead_units import DeadUnits
from cnnexplain.checks.exploding_gradients import ExplodingGradients
from cnnexplain.checks.faithful import Faithful
from cnnexplain.checks.looks_at_border import LooksAtBorder
from cnnexplain.checks.randomisation import Randomisation
from cnnexplain.checks.saturated import Saturated
from cnnexplain.checks.suite.subject import Example, Subject
from cnnexplain.checks.vanishing_gradients import VanishingGradients
from cnnexplain.core.verdict import Measurement, Skipped
from cnnexplain.engine.activity import joined, watched
from cnnexplain.engine.flow import influences
from cnnexplain.engine.weights.layers import fingerprint
from cnnexplain.engine.weights.reinitialised import backwards, reinitialised
from cnnexplain.formulas.ranks import rank_correlation

MINE = (
    DeadUnits,
    Saturated,
    VanishingGradients,
    ExplodingGradients,
    Randomisation,
    Faithful,
    LooksAtBorder,
)


def found(check: Any, subject: Subject) -> Measurement:
    """What a check measures, as the runner has it done; the module must be as it was."""
    before = fingerprint(subject.model.module)
    with subject.model.borrowed():
        measured: Measurement = check.measure(subject)
    assert fingerprint(subject.model.module) == before
    assert not any(child._forward_hooks for child in subject.model.module.modules())
    return measured


def skipped(check: Any, subject: Subject) -> str:
    with subject.model.borrowed(), pytest.raises(Skipped) as raised:
        check.measure(subject)
    return str(raised.value)


@pytest.mark.parametrize("check", MINE, ids=lambda one: one.__name__)
def test_a_network_that_learnt_its_digits_passes(check: Any) -> None:
    assert digits.right("well") > 0.9
    if check is Saturated:
        assert "no bounded units" in skipped(check(), digits.subject("well"))
        return
    if check is LooksAtBorder:
        assert "maps of 4x4 are too coarse to tell" in skipped(check(), digits.subject("well"))
        check = LooksAtBorder(excess=1.3)
    else:
        check = check()
    assert found(check, digits.subject("well")).good


@pytest.mark.parametrize("check", MINE, ids=lambda one: one.__name__)
def test_nan_is_left_to_the_check_of_it(check: Any) -> None:
    module = digits.fresh("well")
    module.head.weight.data[3, 4] = torch.nan
    assert "finite" in skipped(check(), digits.subject(module))


# --- units ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "share"), [("dead", 1.0), ("half dead", 0.5), ("too high a rate", 1.0)])
def test_dead_rectifiers_are_found(kind: str, share: float) -> None:
    verdict = found(DeadUnits(), digits.subject(kind))
    assert not verdict.good
    assert verdict.value == pytest.approx(share, abs=0.1)
    if kind != "too high a rate":
        assert verdict.table is not None
        assert verdict.table.rows[0][:2] == ("stages.2.act", "ReLU")


def test_with_few_pictures_only_a_layer_that_is_silent_as_a_whole_counts() -> None:
    assert "4 pictures are needed" in skipped(DeadUnits(), digits.subject("half dead", count=1))
    assert not found(DeadUnits(), digits.subject("dead", count=1)).good


class Written(nn.Module):
    """Three rectifiers as code has them: a function, one in place, and a clamp; the second one's channel 1 is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        nn.init.ones_(self.conv.weight)
        self.conv.bias.data = torch.tensor([0.0, -10.0])
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.relu(x))
        torch.relu_(x)
        return self.head(x.clamp(min=0).mean((2, 3)))


def test_rectifiers_are_found_wherever_they_stand() -> None:
    module = Written().eval()
    batches = [torch.tensor([1.0, -1.0])[:, None, None, None].expand(2, 1, 4, 4), torch.ones(1, 1, 4, 4)]
    activity = joined([watched(bare(module, (4, 4)), batch, 3) for batch in batches], 3)
    assert [(one.name, one.kind, one.fired.tolist()) for one in activity] == [
        ("ReLU at the start", "ReLU", [2]),
        ("ReLU after conv", "ReLU", [2, 0]),
        ("clamp(min=0) after conv", "clamp(min=0)", [2, 0]),
    ]
    assert not module.conv._forward_hooks


class Block(nn.Module):
    """A block whose code calls functions, and a layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(2, 2, 1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.relu(self.act(self.act(x) + F.relu6(self.conv(x)))))


def test_functions_are_named_after_the_layer_before_them() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), Block(), nn.Flatten(), nn.Linear(32, 3))
    found = watched(bare(module, (4, 4)), torch.ones(2, 1, 4, 4), 3)
    assert [(one.name, one.kind) for one in found] == [
        ("1.act", "ReLU"),
        ("ReLU6 after 1.conv", "ReLU6"),
        ("1.act #2", "ReLU"),
        ("ReLU after 1.act", "ReLU"),
        ("ReLU after 1.act #2", "ReLU"),
    ]


def test_a_hook_is_left_behind_by_no_error() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Linear(99, 3))
    with pytest.raises(RuntimeError):
        watched(bare(module), torch.zeros(1, 1, 8, 8), 3)
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in module.modules())


class Squashed(nn.Module):
    """One bounded function of the picture times `gain`, on eight channels; the answer is a softmax."""

    def __init__(self, squash: Any, gain: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 1)
        nn.init.constant_(self.conv.weight, gain)
        nn.init.constant_(self.conv.bias, 3 * gain)
        self.head, self.squash = nn.Linear(8, 3), squash

    def forward(self, x: Tensor) -> Tensor:
        return (50 * self.head(self.squash(self.conv(x)).mean((2, 3)))).softmax(1)


@pytest.mark.parametrize(
    "squash",
    [torch.sigmoid, nn.Tanh(), nn.ReLU6(), F.hardtanh, F.hardsigmoid, Tensor.sigmoid_],
    ids=["sigmoid", "Tanh", "ReLU6", "hardtanh", "hardsigmoid", "sigmoid in place"],
)
def test_units_at_an_end_are_found_and_others_are_not(squash: Any) -> None:
    stuck = found(Saturated(), digits.subject(Squashed(squash, 100)))
    assert (stuck.good, stuck.value) == (False, 1)
    free = found(Saturated(), digits.subject(Squashed(squash, 0.1)))
    assert (free.good, free.value) == (True, 0), "the answer's own softmax does not count"
    assert "4 pictures" in skipped(Saturated(), digits.subject(Squashed(squash, 100), count=3))


# --- gradients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("kind", ["deep sigmoid", "dead"])
def test_gradients_that_vanish_are_found(kind: str, labelled: bool) -> None:
    verdict = found(VanishingGradients(), digits.subject(kind, labelled=labelled))
    assert not verdict.good
    assert verdict.value is not None
    assert verdict.value < 1e-9
    assert ("no gradient at all" in verdict.says) == (kind == "dead")


def test_a_certain_model_is_not_one_whose_gradients_vanish() -> None:
    module = digits.fresh("well")
    module.head.weight.data *= 1000
    module.head.bias.data *= 1000
    for labelled in (True, False):
        subject = digits.subject(module, labelled=labelled)
        assert float(subject.chances.amax(1).median()) == 1
        assert found(VanishingGradients(), subject).good
        assert found(ExplodingGradients(), subject).good


def _chaos(layers: int, gain: float) -> nn.Sequential:
    torch.manual_seed(0)
    parts: list[nn.Module] = [nn.Conv2d(1, 16, 3, padding=1), nn.Tanh()]
    for _ in range(layers):
        parts += [nn.Conv2d(16, 16, 3, padding=1), nn.Tanh()]
    made = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    for one in made.modules():
        if isinstance(one, nn.Conv2d):
            nn.init.normal_(one.weight, std=gain / (9 * one.in_channels) ** 0.5)
    return made


def test_gradients_that_explode_are_found() -> None:
    verdict = found(ExplodingGradients(), digits.subject(_chaos(40, 5), count=8))
    assert not verdict.good
    assert verdict.value is not None
    assert verdict.value > 1e8
    assert found(ExplodingGradients(), digits.subject(_chaos(4, 1), count=8)).good


def half_square(logits: Tensor) -> Tensor:
    return (logits**2).sum(1) / 2


def test_influence_is_worked_out_by_hand_and_no_layers_unit_matters() -> None:
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(inplace=True), nn.Linear(1, 1, bias=False))
    for first, second in ((2.0, 3.0), (2000.0, 0.003)):
        module[0].weight.data.fill_(first)
        module[2].weight.data.fill_(second)
        got = influences(bare(module), torch.tensor([[5.0], [1.0]]), half_square)
        # a = w1 x, y = w2 a, L = y² / 2: |y| |dL/dy| = |a| |dL/da| = y².
        assert [one.layer for one in got] == ["0", "2"]
        for one in got:
            assert one.values.tolist() == pytest.approx([900, 36])


def test_one_logit_has_gradients_too() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 1),
    )
    assert found(VanishingGradients(), digits.subject(module, labelled=False)).good


# --- explanations ---------------------------------------------------------------------------------------------


class Light(nn.Module):
    """How bright each place is."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 1).clamp(min=0).sqrt()


class Brightness(nn.Module):
    """A network whose maps no weight can change: each class counts how bright the picture is."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = Light()
        self.head = nn.Linear(1, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head.weight.abs()[:, 0] * self.maps(x).mean((2, 3))


def test_maps_that_no_weight_can_change_are_found() -> None:
    verdict = found(Randomisation(), digits.subject(Brightness()))
    assert not verdict.good
    assert verdict.value == pytest.approx(1)
    few = found(Randomisation(), digits.subject("well", count=1))
    assert few.good
    assert few.drawing is not None


class Stopped(BaseException):
    """As Ctrl-C is: no `Exception`."""


def test_weights_that_were_drawn_anew_are_given_back_bit_for_bit() -> None:
    module = digits.fresh("well")
    module.head.bias.data[0] = torch.nan
    before = {name: (one.data_ptr(), one.clone()) for name, one in module.state_dict().items()}
    names = [name for name, _ in module.named_modules() if name]
    layers = backwards(bare(module), names)
    assert [name for name, _ in layers][:2] == ["head", "stages.3.norm"]
    with pytest.raises(Stopped), reinitialised(0) as reinitialise:  # noqa: PT012
        for _, parameters in layers:
            for one in parameters:
                reinitialise(one)
                reinitialise(one)  # twice, which must not lose the first
        assert not torch.equal(module.stages[0].conv.weight, before["stages.0.conv.weight"][1])
        assert not torch.equal(module.stages[0].norm.weight, before["stages.0.norm.weight"][1])
        raise Stopped
    for name, one in module.state_dict().items():
        pointer, values = before[name]
        assert one.data_ptr() == pointer, name
        assert one.numpy().tobytes() == values.numpy().tobytes(), name


def test_ranks_of_signed_values_agree_with_scipy() -> None:
    from scipy.stats import spearmanr

    generator = np.random.default_rng(0)
    a, b = generator.integers(-3, 4, (2, 6, 5)).astype(np.float32)  # with many ties
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert np.isnan(rank_correlation(a, np.ones_like(a)))


class Roll(nn.Module):
    """Moves a map by half: what is explained is not where it was seen."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, (2, 2), (2, 3))


def test_maps_that_mark_the_wrong_places_are_found() -> None:
    module = digits.fresh("well")
    module.stages.add_module("roll", Roll())
    verdict = found(Faithful(), digits.subject(module))
    assert not verdict.good
    assert verdict.value is not None
    assert verdict.value < -0.05
    assert "4 are needed" in skipped(Faithful(), digits.subject("well", count=1))
    assert "4 are needed" in skipped(Faithful(), digits.subject("untrained"))


def test_both_reasons_for_which_pictures_say_nothing_are_told_apart() -> None:
    subject = digits.subject("well", count=8)
    flat = torch.ones(8, 4, 4)
    flat[0, 0] = 2
    says = skipped(Faithful(), Subject(subject.model, subject.examples, lambda *asked: flat))
    assert says.startswith("1 of 8 pictures can be judged, and 4 are needed")
    assert "with a map that is the same everywhere: 7, " in says
    assert says.endswith("when all is blurred: 1")


def _bright(frame: bool) -> Subject:
    """Eight pictures, bright in the margin or in the middle, and a network that says how bright they are."""
    module = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 1, 1, bias=False), act=nn.ReLU(), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(),
            head=nn.Linear(1, 2, bias=False),
        )
    )  # fmt: skip
    module.conv.weight.data.fill_(1)
    module.head.weight.data = torch.tensor([[0.0], [1.0]])
    pixels = np.full((8, 8, 1), 255 if frame else 0, np.uint8)
    pixels[1:-1, 1:-1] = 0 if frame else 255
    examples = tuple(Example(f"{number}.png", f"{number}.png", "0", pixels) for number in range(8))
    subject = digits.subject(module)
    return Subject(subject.model, examples)


def test_evidence_in_the_margin_is_found() -> None:
    verdict = found(LooksAtBorder(), _bright(frame=True))
    assert not verdict.good
    area = 1 - 0.8**2
    # A frame one cell of eight wide: of its 28 cells 0.8 lies in the outer tenth, and of the corners 0.96.
    assert verdict.value == pytest.approx((24 * 0.8 + 4 * 0.96) / 28 / area)
    assert found(LooksAtBorder(), _bright(frame=False)).value == 0
    assert "4 are needed" in skipped(LooksAtBorder(), digits.subject("well", count=3))


@pytest.mark.parametrize("cells", [3, 4, 5, 7])
def test_maps_that_are_too_coarse_for_a_margin_are_not_passed(cells: int) -> None:
    frame = torch.ones(8, cells, cells)
    frame[:, 1:-1, 1:-1] = 0
    subject = digits.subject("well", count=8)
    subject = Subject(subject.model, subject.examples, lambda *asked: frame)
    if cells < 5:
        says = skipped(LooksAtBorder(), subject)
        assert f"maps of {cells}x{cells} are too coarse to tell" in says
        limit = float(says.split("have ")[1].split(" ")[0])
        assert not found(LooksAtBorder(excess=limit - 0.01), subject).good, "what it says is what it would be"
    else:
        assert not found(LooksAtBorder(), subject).good


def test_channels_with_one_value_a_picture_need_many_pictures() -> None:
    torch.manual_seed(0)
    module = digits.fresh("well")
    hidden = nn.Linear(32, 40)
    hidden.bias.data[:20] = -1000  # half are dead, which eight values each cannot tell
    module.head = nn.Sequential(hidden, nn.ReLU(), nn.Linear(40, 10))
    assert found(DeadUnits(), digits.subject(module, count=8)).good
    assert not found(DeadUnits(), digits.subject(module, count=120)).good


class Parts(nn.Module):
    """The same features of a picture and of its mirrored copy, or of two networks, joined before the classes."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
        self.right = self.left if shared else nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.left(x).mean((2, 3)), self.right(x.flip(3)).mean((2, 3))]
        return self.head(torch.cat(parts, 1))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("check", [Randomisation, LooksAtBorder])
def test_a_verdict_on_maps_says_which_branch_or_run_it_leaves_out(check: Any, shared: bool) -> None:
    said = found(check(), digits.subject(Parts(shared))).says
    names = ("left #1", "left #2") if shared else ("left", "right")
    assert said.endswith(
        f"; only maps of {names[0]} were looked at, not those of {names[1]}, which lead to the classes too"
    )
    assert "only maps" not in found(Randomisation(), digits.subject("well")).says
