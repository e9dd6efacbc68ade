"""Models that fail, change, or say nothing while they are checked: no verdict is lost, and none is good for it."""

from __future__ import annotations

import math
from typing import Any

import digits
import numpy as np
import pytest
import torch
from networks import as_model, bare
from torch import Tensor, nn

import cnnexplain
from cnnexplain import checks
from cnnexplain.checks.dead_units import DeadUnits
from cnnexplain.core.verdict import Verdict
from cnnexplain.engine.activity import watched
from cnnexplain.engine.borrow import buffers_kept
from cnnexplain.engine.flow import _norms
from cnnexplain.engine.weights.reinitialised import reinitialised
from cnnexplain.errors import ModelError
from cnnexplain.runner.checking.inputs import require_answers
from cnnexplain.runner.checking.thresholds import Chosen
from cnnexplain.runner.checking.verdicts import verdict_of


class Small(nn.Module):
    """Two convolutions, a batch norm and a head of ten classes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.head = nn.Conv2d(4, 6, 3, padding=1), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.norm(self.first(x)).relu())
        return self.head(x.relu().mean((2, 3)))


def verdict(name: str, module: nn.Module, count: int = 8, told: bool = True, rows: int = 8) -> Verdict:
    subject = digits.subject(module, count=count)
    subject = type(subject)(subject.model, subject.examples, rows=rows, with_finite=told)
    kind = checks.check(name)
    with subject.model.borrowed():
        return verdict_of(Chosen(name, kind(), kind.level, True), subject)


class NotANumber(Small):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * math.nan


@pytest.mark.parametrize("name", ["dead-units", "vanishing-gradients", "randomisation", "normalisation"])
def test_scores_that_are_nan_are_not_gone_by(name: str) -> None:
    found = verdict(name, NotANumber())
    assert found.status == ("fail" if found.level == "error" else "warn")
    assert found.says == "could not be measured: its scores are not finite"
    assert (
        "not all values on the way are (a result that is no number): first at mul"
        in verdict("finite", NotANumber()).says
    )


@pytest.mark.parametrize("name", ["dead-units", "dead-filters"])
def test_weights_that_are_nan_are_left_to_finite_where_it_takes_part(name: str) -> None:
    module = Small()
    module.second.weight.data[0] = math.nan
    assert verdict(name, module).status == "skipped"
    found = verdict(name, module, told=False)
    assert found.status != "skipped"
    assert "holds NaN or infinite weights" in found.says


class Choosy(Small):
    """Takes batches of some sizes only, and counts its calls in a buffer."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if len(x) not in self.sizes or not self.head.weight.isfinite().all():
            raise ValueError("not so many")
        return super().forward(x)


@pytest.mark.parametrize(
    ("sizes", "count", "runs"),
    [((1,), 8, True), ((8,), 8, True), ((2,), 1, True), ((3,), 8, False), ((), 1, False), ((), 0, True)],
)
def test_only_a_model_that_fails_alone_and_in_company_is_refused(
    sizes: tuple[int, ...], count: int, runs: bool
) -> None:
    module = Choosy(*sizes)
    subject = digits.subject(module, count=max(count, 1))
    subject = type(subject)(subject.model, subject.examples[:count])
    with subject.model.borrowed():
        if runs:
            require_answers(subject)
        else:
            with pytest.raises(ModelError, match="not so many"):
                require_answers(subject)
        assert not module.calls, "buffers are as they were"
    module.head.weight.data[0] = math.nan
    with subject.model.borrowed():
        require_answers(type(subject)(subject.model, subject.examples))  # what is NaN is the check's to say


def test_python_says_so_once_as_well() -> None:
    picture = np.full((40, 40, 3), 90, np.uint8)
    with pytest.raises(ModelError, match="not so many"):
        cnnexplain.load(Choosy(), input_size="1x28x28").check(picture)
    assert cnnexplain.load(Choosy(), input_size="1x28x28").check(only="finite")[0].status == "pass", (
        "weights alone"
    )


class Failing(Small):
    """Fails when a gradient is asked for of anything but a blank picture."""

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.any()) and torch.is_grad_enabled():
            raise ValueError("not today\nnor tomorrow")
        return super().forward(x)


class Detached(Small):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


@pytest.mark.parametrize("name", ["randomisation", "faithful", "looks-at-border"])
def test_a_crash_is_no_model_without_maps(name: str) -> None:
    found = verdict(name, Failing())
    assert found.status == ("fail" if found.level == "error" else "warn")
    assert "ValueError: not today" in found.says
    assert "nor tomorrow" not in found.says
    assert verdict(name, Detached()).says == "it cannot be explained: its scores carry no gradient"


class Growing(Small):
    """More scores from the seventh call on."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        answer = super().forward(x)
        return answer if self.calls < 7 else torch.cat((answer, answer), 1)


class Wide(Small):
    """More scores for many pictures."""

    def forward(self, x: Tensor) -> Tensor:
        answer = super().forward(x)
        return answer if len(x) < 3 else torch.cat((answer, answer), 1)


def test_a_number_of_scores_that_changes_is_told() -> None:
    says = verdict("deterministic", Growing(), rows=1).says
    assert says == "could not be measured: it gives 10 scores at one time and 20 at another"
    assert "it gives 20 scores at one time and 10 at another" in verdict("batch-invariant", Wide()).says
    assert verdict("flip-and-shift", Wide(), count=7, rows=5).status != "pass"


class Backwards(torch.autograd.Function):
    """Passes all on; has a gradient for one picture only."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        if len(gradient) > 1:
            raise ValueError("no gradient\nfor many")
        return gradient


class Unwilling(Small):
    def forward(self, x: Tensor) -> Tensor:
        return Backwards.apply(super().forward(x))


@pytest.mark.parametrize("name", ["vanishing-gradients", "exploding-gradients", "randomisation"])
def test_a_gradient_that_fails_on_its_way_is_told(name: str) -> None:
    found = verdict(name, Unwilling())
    assert found.status != "pass"
    assert found.says.startswith("could not be measured: the gradients of digits cannot be computed")
    assert found.says.endswith("ValueError: no gradient")


class Full(Small):
    """Has memory for two pictures."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return super().forward(x)


@pytest.mark.parametrize("name", checks.ids())
def test_memory_for_fewer_pictures_makes_no_difference(name: str) -> None:
    full, ample = verdict(name, Full()), verdict(name, Small())
    assert (full.status, full.says) == (ample.status, ample.says)


def test_what_nobody_thought_of_costs_one_verdict_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_check: object, _subject: object) -> None:
        raise KeyError("never seen\nbefore")

    monkeypatch.setattr(DeadUnits, "measure", broken)
    found = verdict("dead-units", Small())
    assert found.status == ("fail" if found.level == "error" else "warn")
    assert found.says == "could not be measured: KeyError: 'never seen\\nbefore'"
    assert found.do

    def stopped(_check: object, _subject: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DeadUnits, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        verdict("dead-units", Small())


class Auxiliary(nn.Module):
    """A loss of its own, of no picture."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return (self.weight.square().sum() + 0 * x.sum()).relu()


class Added(Small):
    def __init__(self) -> None:
        super().__init__()
        self.loss, self.empty = Auxiliary(), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        self.empty(x.flatten(1)[:0, :6])
        return super().forward(x) + 0 * self.loss(x)


@pytest.mark.parametrize("name", ["vanishing-gradients", "dead-units"])
def test_a_loss_among_the_layers_is_left_out(name: str) -> None:
    found, usual = verdict(name, Added()), verdict(name, Small())
    assert (found.status, found.says) == (usual.status, usual.says)


def test_norms_and_draws_ask_no_device_for_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPUs have none: `.double()` must come behind `.cpu()`."""
    on_cpu: set[int] = set()
    kept: list[Tensor] = []
    cpu, double = Tensor.cpu, Tensor.double

    def fetched(one: Tensor) -> Tensor:
        kept.append(cpu(one))
        on_cpu.add(id(kept[-1]))
        return kept[-1]

    def doubled(one: Tensor) -> Tensor:
        assert id(one) in on_cpu
        return double(one)

    monkeypatch.setattr(Tensor, "cpu", fetched)
    monkeypatch.setattr(Tensor, "double", doubled)
    assert _norms(torch.tensor([[3.0, 4.0]]), 1).tolist() == [5]
    module = nn.Linear(3, 2)
    with reinitialised(0) as reinitialise:
        reinitialise(module.weight)


@pytest.mark.parametrize(
    ("shape", "single"),
    [
        ((2, 1, 1, 5), True),
        ((2, 1, 5), True),
        ((2, 5), True),
        ((2, 4, 5), False),
        ((2, 4, 4, 5), False),
        ((2, 5, 1, 1), True),
    ],
)
def test_one_value_a_channel_is_told_wherever_the_channels_stand(
    shape: tuple[int, ...], single: bool
) -> None:
    class Reshaping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, _inputs: Tensor) -> Tensor:
            return self.act(torch.ones(shape))

    (found,) = watched(bare(Reshaping()), torch.zeros(2, 1, 8, 8), 3)
    assert found.single == single


class Constant(Small):
    """Always says the same, in one way or another."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "zeros":
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        answer = super().forward(x)
        if self.kind == "detached":
            return torch.ones_like(answer)
        return 0 * answer if self.kind == "times nought" else answer


@pytest.mark.parametrize("kind", ["times nought", "zeros", "detached"])
def test_a_model_that_always_says_the_same_does_not_pass(kind: str) -> None:
    found = verdict("vanishing-gradients", Constant(kind))
    assert (found.status, found.value) == ("fail", 0)
    assert found.says == "no gradient comes back at all: 8 pictures get the same scores"
    assert verdict("exploding-gradients", Constant(kind)).status == "skipped"


class Certain(Small):
    """Steps, which are different and flat."""

    def forward(self, x: Tensor) -> Tensor:
        answer = super().forward(x)
        return torch.sigmoid(1e6 * (answer - 0.01)) * x.detach().mean((1, 2, 3))[:, None]


def test_saturated_scores_are_told() -> None:
    says = "no gradient comes back at all: its scores, or the function behind them, are saturated"
    assert verdict("vanishing-gradients", Certain()).says == says
    assert verdict("vanishing-gradients", Certain(), count=1).says == says


def test_one_picture_cannot_show_that_a_model_always_says_the_same() -> None:
    assert "carry no gradient" in verdict("vanishing-gradients", Constant("detached"), count=1).says


class Counting(Small):
    """Changes its buffers in every way: in training mode, in place, by another tensor, by another shape."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("seen", torch.full((2,), math.nan))
        self.register_buffer("longer", torch.zeros(1))
        self.register_buffer("spread", torch.ones(1).expand(4))  # cannot be written to

    def forward(self, x: Tensor) -> Tensor:
        self.norm.train()
        self.seen += len(x)
        self.calls = self.calls + 1
        self.longer.data = torch.cat((self.longer, self.calls[None]))
        if self.calls > 100:
            raise ValueError("tired")
        return super().forward(x)


def test_buffers_are_given_back_after_each_check() -> None:
    module = Counting()
    before = {name: (one, one.clone()) for name, one in module.named_buffers()}
    for name in ("deterministic", "batch-invariant", "dead-units", "randomisation"):
        verdict(name, module)
        for key, one in module.named_buffers():
            assert one is before[key][0], (name, key)
            assert torch.equal(one.nan_to_num(7), before[key][1].nan_to_num(7)), (name, key)


def test_buffers_are_given_back_after_an_error() -> None:
    module = Counting()
    with pytest.raises(ModelError), buffers_kept(as_model(module, (8, 8))):  # noqa: PT012
        module(torch.zeros(2, 1, 8, 8))
        assert module.calls == 1
        assert float(module.norm.running_mean.abs().max()) > 0
        raise ModelError("stopped", "")
    assert module.calls == 0
    assert module.longer.tolist() == [0]
    assert float(module.norm.running_mean.abs().max()) == 0
    assert int(module.norm.num_batches_tracked) == 0
