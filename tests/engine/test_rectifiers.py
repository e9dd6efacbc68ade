"""Backward rules hold at every rectifier, however it is written, and nowhere else."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum.attr import Deconvolution, GuidedBackprop
from networks import as_model, explained
from torch import Tensor, nn

from cnnexplain.commands.deconv import Deconv
from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.commands.saliency import Saliency
from cnnexplain.engine.backward.rectifiers import Rectifiers, Rule
from cnnexplain.errors import ModelError

Function = Callable[[Tensor], Tensor]
RULES: tuple[Rule, ...] = ("gradient", "guided", "deconv")


def zeros(x: Tensor) -> Tensor:
    return torch.zeros_like(x)


# By kind: the module, and other ways to write the same.
WRITTEN: dict[str, dict[str, Function]] = {
    "ReLU": {
        "nn.ReLU": nn.ReLU(),
        "nn.ReLU in place": nn.ReLU(inplace=True),
        "F.relu": F.relu,
        "F.relu in place": lambda x: F.relu(x, inplace=True),
        "F.relu in place, by position": lambda x: F.relu(x, True),
        "F.relu by name": lambda x: F.relu(input=x),
        "torch.relu": torch.relu,
        "torch.relu_": torch.relu_,
        "x.relu": lambda x: x.relu(),
        "x.relu_": lambda x: x.relu_(),
        "torch.threshold": lambda x: torch.threshold(x, 0, 0),
        "F.threshold_": lambda x: F.threshold_(x, 0, 0),
    },
    "clamp(min=0)": {
        "x.clamp(min=0)": lambda x: x.clamp(min=0),
        "x.clamp(0)": lambda x: x.clamp(0),
        "torch.clamp": lambda x: torch.clamp(x, min=0.0),
        "clamp by a tensor": lambda x: x.clamp(min=torch.zeros(())),
        "torch.clamp_min": lambda x: torch.clamp_min(x, 0),
        "x.clamp_min": lambda x: x.clamp_min(0),
        "x.clamp_min_": lambda x: x.clamp_min_(0),
        "x.clamp_": lambda x: x.clamp_(min=0),
        "x.clip": lambda x: x.clip(0),
    },
    "maximum(0)": {
        "torch.maximum": lambda x: torch.maximum(x, zeros(x)),
        "x.maximum": lambda x: x.maximum(torch.zeros(())),
        "torch.max": lambda x: torch.max(x, zeros(x)),
        "x.max": lambda x: x.max(other=zeros(x)),
    },
    "ReLU6": {
        "nn.ReLU6": nn.ReLU6(),
        "nn.ReLU6 in place": nn.ReLU6(inplace=True),
        "F.relu6": F.relu6,
        "F.hardtanh": lambda x: F.hardtanh(x, 0, 6),
    },
    "Hardtanh": {"nn.Hardtanh": nn.Hardtanh(), "F.hardtanh_": F.hardtanh_},
    "LeakyReLU": {
        "nn.LeakyReLU": nn.LeakyReLU(0.1),
        "in place": nn.LeakyReLU(0.1, inplace=True),
        "F.leaky_relu_": lambda x: F.leaky_relu_(x, 0.1),
    },
    "PReLU": {"nn.PReLU": nn.PReLU(), "F.prelu": lambda x: F.prelu(x, torch.tensor([0.25]))},
    "RReLU": {"nn.RReLU": nn.RReLU().eval(), "F.rrelu": F.rrelu},
    "ELU": {"nn.ELU": nn.ELU(), "nn.ELU in place": nn.ELU(inplace=True), "F.elu_": F.elu_},
    "SELU": {"nn.SELU": nn.SELU(), "in place": lambda x: F.selu(x, inplace=True)},
    "CELU": {"nn.CELU": nn.CELU(), "in place": lambda x: F.celu(x, inplace=True)},
    "SiLU": {"nn.SiLU": nn.SiLU(), "F.silu in place": lambda x: F.silu(x, inplace=True)},
    "GELU": {"nn.GELU": nn.GELU(), "F.gelu": F.gelu},
    "GELU tanh": {
        "nn.GELU": nn.GELU(approximate="tanh"),
        "F.gelu": lambda x: F.gelu(x, approximate="tanh"),
    },
    "Hardswish": {"nn.Hardswish": nn.Hardswish(), "in place": nn.Hardswish(inplace=True)},
    "Mish": {"nn.Mish": nn.Mish(), "in place": lambda x: F.mish(x, inplace=True)},
    "Softplus": {"nn.Softplus": nn.Softplus(), "F.softplus": F.softplus},
}
WAYS = [(kind, way) for kind, ways in WRITTEN.items() for way in ways]
OTHERS: dict[str, Function] = {
    "clamp at another floor": lambda x: x.clamp(min=1e-6),
    "ceiling": lambda x: x.clamp(max=0),
    "largest of all": lambda x: x.max(),
    "largest of a row": lambda x: x.max(0).values,
    "larger of two that depend on the input": lambda x: torch.max(x, 2 * x - 1),
    "maximum of two": lambda x: torch.maximum(x, x.flip(0)),
    "maximum with more than zeros": lambda x: torch.maximum(x, torch.eye(12)[:4]),
    "sigmoid": torch.sigmoid,
    "tanh": nn.Tanh(),
    "hardsigmoid": F.hardsigmoid,
    "softmax": lambda x: x.softmax(1),
    "threshold elsewhere": lambda x: torch.threshold(x, 1, 0),
    "absolute value": torch.abs,
}


def name_of(kind: str) -> str:
    return kind.removesuffix(" tanh")


@pytest.fixture
def x() -> Tensor:
    """Values from -12 to 12, beyond every ceiling, none of them a corner."""
    return torch.linspace(-12, 12, 48).roll(7).reshape(4, 12)


@pytest.fixture
def above(x: Tensor) -> Tensor:
    """The gradient that arrives from above, of either sign beside inputs of either sign."""
    return torch.linspace(0, 40, 48).sin().reshape(4, 12)


def backwards(function: Callable[..., Tensor], x: Tensor, above: Tensor) -> Tensor:
    """By autograd alone."""
    leaf = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(function(leaf.clone()), leaf, above)
    return found


class Pass:
    """One forward pass under the mode, for several backward passes."""

    def __init__(self, function: Callable[..., Tensor], x: Tensor) -> None:
        self.mode, self.leaf = Rectifiers(), x.clone().requires_grad_()
        with self.mode:
            self.y = function(self.leaf.clone())

    def back(self, rule: Rule, above: Tensor | None = None) -> Tensor:
        self.mode.use(rule)
        above = torch.ones_like(self.y) if above is None else above
        (found,) = torch.autograd.grad(self.y, self.leaf, above, retain_graph=True)
        return found


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_rules_are_the_formulas(kind: str, way: str, x: Tensor, above: Tensor) -> None:
    function = WRITTEN[kind][way]
    one = Pass(function, x)
    assert torch.equal(one.y, function(x.clone()))
    close(one.back("gradient", above), backwards(function, x, above))
    assert torch.equal(one.back("guided", above), above.clamp(min=0) * (x > 0))
    assert torch.equal(one.back("deconv", above), above.clamp(min=0))
    close(one.back("gradient", above), backwards(function, x, above))  # again, over the same graph
    assert one.mode.seen == [name_of(kind)]
    assert one.mode.passed() == Counter([name_of(kind)])


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_corner_itself_is_closed(kind: str, way: str) -> None:
    one = Pass(WRITTEN[kind][way], torch.zeros(1, 3))
    assert not one.back("guided").any()
    assert one.back("deconv").all()


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("ReLU", lambda x: F.threshold(x, 0, 0)),
        ("ReLU", nn.Threshold(0, 0)),
        ("ReLU", lambda x: F.threshold(x, threshold=0, value=0)),
        ("maximum(0)", lambda x: torch.maximum(zeros(x), x)),
        ("maximum(0)", lambda x: torch.max(torch.zeros(()), x)),
    ],
)
def test_rectifiers_written_in_rare_ways(kind: str, function: Function, x: Tensor, above: Tensor) -> None:
    one = Pass(function, x)
    assert one.mode.seen == [kind]
    assert torch.equal(one.back("guided", above), above.clamp(min=0) * (x > 0))
    assert torch.equal(one.back("deconv", above), above.clamp(min=0))


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_rectifier_has_its_gradient_under_every_rule(name: str, x: Tensor) -> None:
    function = OTHERS[name]
    one = Pass(function, x)
    assert one.mode.seen == []
    above = torch.linspace(-1, 1, one.y.numel()).reshape(one.y.shape)
    for rule in RULES:
        assert torch.equal(one.back(rule, above), backwards(function, x, above))
    assert not one.mode.passed()


def test_constants_are_not_counted(x: Tensor) -> None:
    one = Pass(lambda leaf: leaf * torch.relu(x) + F.relu6(torch.ones(12)) + x.clamp(min=0), x)
    assert one.mode.seen == []


# Rectifiers inside networks.


def once(rectify: Function, a: nn.Conv2d, b: nn.Conv2d, x: Tensor) -> Tensor:
    return b(rectify(a(x)))


def reused(rectify: Function, a: nn.Conv2d, b: nn.Conv2d, x: Tensor) -> Tensor:
    return rectify(b(rectify(a(rectify(a(x))))))


def residual(rectify: Function, a: nn.Conv2d, b: nn.Conv2d, x: Tensor) -> Tensor:
    x = rectify(a(x))
    y = b(x)
    y += x
    return rectify(y)


def sequential(rectify: Function, a: nn.Conv2d, b: nn.Conv2d, x: Tensor) -> Tensor:
    class Step(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return rectify(x)

    return nn.Sequential(a, nn.Sequential(Step(), b), Step())(x)


def half(rectify: Function, a: nn.Conv2d, b: nn.Conv2d, x: Tensor) -> Tensor:
    """Only the first channels are rectified, which are put before the others."""
    y = a(x)
    return b(torch.cat((rectify(y[:, :2].clone()), y[:, 2:]), 1))


def added_before(rectify: Function, a: nn.Conv2d, b: nn.Conv2d, x: Tensor) -> Tensor:
    y = a(x)
    y += 1
    y = rectify(y)
    return b(y)


def added_behind(rectify: Function, a: nn.Conv2d, b: nn.Conv2d, x: Tensor) -> Tensor:
    y = rectify(a(x)).clone()
    y += 1
    return b(y)


NETWORKS = [once, reused, residual, sequential, half, added_before, added_behind]


COUNTS = {reused: 3, residual: 2, sequential: 2}  # of rectifiers; one elsewhere


def convolutions() -> tuple[nn.Conv2d, nn.Conv2d]:
    torch.manual_seed(3)
    return nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)


def networks_pass(shape: Any, rectify: Function) -> Pass:
    a, b = convolutions()
    return Pass(lambda x: shape(rectify, a, b, x), 8 * torch.randn(2, 4, 6, 6))


@pytest.mark.parametrize("shape", NETWORKS)
@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_network_is_its_twin_with_modules(shape: Any, kind: str, way: str) -> None:
    twin = copy.deepcopy(next(iter(WRITTEN[kind].values())))
    ours, theirs = networks_pass(shape, WRITTEN[kind][way]), networks_pass(shape, twin)
    close(ours.y, theirs.y)
    for rule in RULES:
        close(ours.back(rule), theirs.back(rule))
        assert ours.mode.passed() == theirs.mode.passed()
    assert ours.mode.seen == [name_of(kind)] * COUNTS.get(shape, 1) == theirs.mode.seen
    assert ours.mode.passed().total() == len(ours.mode.seen)
    leaf = ours.leaf.detach().clone().requires_grad_()
    y = shape(WRITTEN[kind][way], *convolutions(), leaf.clone())  # by autograd alone
    assert torch.equal(ours.y, y)
    close(ours.back("gradient"), torch.autograd.grad(y.sum(), leaf)[0])


IN_PLACE = {
    "relu_": lambda x: x.relu_(),
    "F.relu": lambda x: F.relu(x, inplace=True),
    "clamp_": lambda x: x.clamp_(min=0),
    "ReLU6": nn.ReLU6(inplace=True),
}


@pytest.mark.parametrize("way", IN_PLACE)
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[1:3, ::2],
        lambda x: x[:, 3],
        lambda x: x.T[2:],
        lambda x: x.view(-1)[5:20],
        lambda x: x.narrow(1, 3, 5),
    ],
    ids=["slice", "column", "transposed", "flat", "narrowed"],
)
def test_view_that_is_rectified_in_place_changes_its_whole(
    x: Tensor, above: Tensor, view: Function, way: str
) -> None:
    """What is not in the view keeps value and gradient under every rule."""

    def work(leaf: Tensor) -> Tensor:
        whole = 1 * leaf
        IN_PLACE[way](view(whole))
        return whole

    one = Pass(work, x)
    inside = torch.zeros_like(x)
    view(inside).fill_(1)
    rectified = x.clamp(0, 6) if way == "ReLU6" else x.clamp(min=0)
    open_ = (x > 0) & (x < 6) if way == "ReLU6" else x > 0
    assert torch.equal(one.y, torch.where(inside > 0, rectified, x))
    close(one.back("gradient", above), torch.where(inside > 0, above * open_, above))
    close(one.back("guided", above), torch.where(inside > 0, above.clamp(min=0) * (x > 0), above))
    close(one.back("deconv", above), torch.where(inside > 0, above.clamp(min=0), above))


@pytest.mark.parametrize("way", IN_PLACE)
def test_tensor_that_is_rectified_in_place_is_returned_itself(way: str, x: Tensor) -> None:
    seen = []

    def work(leaf: Tensor) -> Tensor:
        whole = 1 * leaf
        seen.append((whole, IN_PLACE[way](whole)))
        return whole

    Pass(work, x)
    assert seen[0][0] is seen[0][1]


def test_rectified_tensor_may_be_changed_in_place(x: Tensor, above: Tensor) -> None:
    """Autograd alone refuses this, as it needs what the rectifier returned."""

    def work(leaf: Tensor) -> Tensor:
        y = leaf.relu()
        y += 1
        y *= 2
        return y

    one = Pass(work, x)
    assert torch.equal(one.y, 2 * (x.relu() + 1))
    close(one.back("gradient", above), 2 * above * (x > 0))
    close(one.back("guided", above), 2 * above.clamp(min=0) * (x > 0))


def test_tensor_before_a_rectifier_may_be_changed_in_place_later(x: Tensor, above: Tensor) -> None:
    def work(leaf: Tensor) -> Tensor:
        before = 1 * leaf
        y = F.silu(before)
        before.zero_()
        return y

    one = Pass(work, x)
    expected = backwards(F.silu, x, above)
    close(one.back("gradient", above), expected)
    close(one.back("guided", above), above.clamp(min=0) * (x > 0))


# What is noted.


def test_kinds_are_noted_in_order_and_counted_where_the_signal_passes(x: Tensor) -> None:
    def work(leaf: Tensor) -> Tensor:
        y = F.silu(F.relu(leaf))
        y.detach().relu()  # carries no gradient
        F.gelu(y)  # leads nowhere
        return F.relu(y) + nn.ReLU6()(y)

    one = Pass(work, x)
    assert one.mode.seen == ["ReLU", "SiLU", "GELU", "ReLU", "ReLU6"]
    assert one.mode.passed() == Counter(), "nothing went back yet"
    one.back("guided")
    assert one.mode.passed() == Counter({"ReLU": 2, "SiLU": 1, "ReLU6": 1})
    one.mode.use("deconv")
    assert one.mode.rule == "deconv"
    assert one.mode.passed() == Counter(), "forgotten"
    one.back("guided")
    one.back("guided")
    assert one.mode.passed().total() == 4, "each is counted once"


def test_signal_from_within_counts_what_lies_before_it(x: Tensor) -> None:
    inner = []

    def work(leaf: Tensor) -> Tensor:
        inner.append(F.relu(leaf))
        return F.relu(F.silu(inner[0]))

    one = Pass(work, x)
    one.mode.use("guided")
    torch.autograd.grad(inner[0].sum(), one.leaf, retain_graph=True)
    assert one.mode.passed() == Counter({"ReLU": 1})


def test_max_poolings_that_leave_switches_are_counted() -> None:
    """Not those of all places, as gates have them, nor those that leave the map as large as it was."""

    def work(leaf: Tensor) -> Tensor:
        y = nn.MaxPool2d(2)(F.max_pool2d(leaf, 2))
        y, _ = F.max_pool2d(y, 2, return_indices=True)
        return nn.AdaptiveMaxPool2d(1)(torch.max_pool2d(F.avg_pool2d(y, 2), 1))

    assert Pass(work, torch.randn(1, 1, 32, 32)).mode.switches == 3


# The mode comes and goes.


def test_nothing_stays_active_behind_the_block(x: Tensor) -> None:
    mode = Rectifiers()
    mode.use("guided")

    def work() -> None:
        with mode:
            F.relu(x.clone().requires_grad_())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert mode.seen == ["ReLU"]
    above = -torch.ones_like(x)
    assert torch.equal(backwards(F.relu, x, above), above * (x > 0))
    assert mode.seen == ["ReLU"]


def test_error_inside_a_rectifier_is_the_callers_own(x: Tensor) -> None:
    mode = Rectifiers()
    with mode, pytest.raises(RuntimeError, match="parameter numbers"):
        F.prelu(x.clone().requires_grad_(), torch.ones(5))
    assert torch.equal(backwards(F.relu, x, x), x * (x > 0))


def test_graphs_of_two_modes_obey_their_own(x: Tensor, above: Tensor) -> None:
    one, other = Pass(F.relu, x), Pass(F.relu, x)
    one.mode.use("guided")
    other.mode.use("deconv")
    (found,) = torch.autograd.grad(one.y, one.leaf, above)
    assert torch.equal(found, above.clamp(min=0) * (x > 0))
    assert not other.mode.passed()


def test_other_threads_are_left_alone(x: Tensor, above: Tensor) -> None:
    found = []

    def work() -> None:
        found.append(backwards(F.relu, x, above))

    mode = Rectifiers()
    mode.use("deconv")
    with mode:
        F.relu(x.clone().requires_grad_())
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert torch.equal(found[0], above * (x > 0))
    assert mode.seen == ["ReLU"]


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types_keep_their_type(kind: str, dtype: torch.dtype, x: Tensor, above: Tensor) -> None:
    function = copy.deepcopy(next(iter(WRITTEN[kind].values())))
    if isinstance(function, nn.Module):
        function = function.to(dtype)
    one = Pass(function, x.to(dtype))
    found = one.back("gradient", above.to(dtype))
    assert one.y.dtype == found.dtype == dtype
    torch.testing.assert_close(found, backwards(function, x.to(dtype), above.to(dtype)), rtol=2e-2, atol=2e-2)
    assert torch.equal(one.back("guided", above.to(dtype)), above.to(dtype).clamp(min=0) * (x > 0))


@pytest.mark.parametrize("shape", NETWORKS)
@pytest.mark.parametrize("way", WRITTEN["ReLU"])
def test_autocast_obeys_the_rules(shape: Any, way: str) -> None:
    exact = networks_pass(shape, WRITTEN["ReLU"][way])
    with torch.autocast("cpu", torch.bfloat16):
        rough = networks_pass(shape, WRITTEN["ReLU"][way])
    assert rough.y.dtype == torch.bfloat16
    assert rough.mode.seen == exact.mode.seen
    for rule in ("guided", "deconv"):
        expected = exact.back(rule)
        # A unit near zero may open in one and stay closed in the other.
        assert (rough.back(rule) - expected).abs().mean() < 0.04 * expected.abs().mean()


# Through the methods.


class Functional(nn.Module):
    """Every rectifier is a function."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.conv2(F.relu(self.conv1(x)))).mean((2, 3)))


class Modules(Functional):
    """The same with modules."""

    def __init__(self) -> None:
        super().__init__()
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu2(self.conv2(self.relu1(self.conv1(x)))).mean((2, 3)))


@pytest.mark.filterwarnings("ignore:Input Tensor 0", "ignore:Setting backward hooks")
@pytest.mark.parametrize(
    ("method", "peer"), [("guided-backprop", GuidedBackprop), ("deconvnet", Deconvolution)]
)
def test_right_where_captum_silently_gives_the_gradient(method: str, peer: Any) -> None:
    inputs = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    ours = [
        explained(Saliency(method=(method,), target="1"), network().eval(), inputs).maps[0].values
        for network in (Functional, Modules)
    ]
    right, wrong = (peer(network().eval()).attribute(inputs, 1).sum(1) for network in (Modules, Functional))
    close(ours[0], ours[1])
    close(ours[0], right)
    plain = torch.autograd.functional.vjp(Functional().eval(), inputs, torch.eye(4)[[1, 1]])[1]
    close(wrong, plain.sum(1))
    assert (wrong - right).abs().max() > 0.1 * right.abs().max()


class Straight(nn.Module):
    """No rectifier anywhere: max-pooling and a sigmoid bend it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.max_pool2d(self.conv(x), 2).sigmoid().mean((2, 3)))


@pytest.mark.parametrize(
    ("asked", "instead"),
    [
        (Saliency(method=("guided-backprop",)), "-m gradient"),
        (Saliency(method=("gradient", "deconvnet")), "-m gradient"),
        (Saliency(method=("guided-gradcam",)), "-m gradient"),
        (Deconv(), "--rule gradient"),
        (Deconv(rule=("guided",)), "--rule gradient"),
        (Deconv(rule=("gradient", "deconv")), "--rule gradient"),
    ],
)
def test_rules_are_refused_where_there_is_nothing_to_rule(asked: Any, instead: str) -> None:
    with pytest.raises(ModelError, match=r"no rectifier .* was found in Straight") as caught:
        asked.bind(as_model(Straight(), (12, 12)))
    assert instead in caught.value.hint


@pytest.mark.parametrize("asked", [Saliency(method=("gradient", "smoothgrad")), Deconv(rule=("gradient",))])
def test_gradients_need_no_rectifier(asked: Any) -> None:
    bound, _ = asked.bind(as_model(Straight(), (12, 12)))
    assert bound


def test_rectifier_outside_the_signals_way_is_told_of() -> None:
    """Of a unit before the only rectifier, the rule has nothing to change; the detail says so."""
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = explained(Deconv(layer=("0",), rule=("guided",), top=1), network, torch.randn(1, 3, 8, 8))
    (detail,) = found.units[0].details
    assert detail.facts["rectifiers"] == {"rule": "guided", "count": 0, "kinds": {}}
    assert "No rectifier lies on the way" in detail.remarks[0]
    behind = explained(Deconv(layer=("1",), rule=("guided",), top=1), network, torch.randn(1, 3, 8, 8))
    assert behind.units[0].details[0].facts["rectifiers"]["kinds"] == {"ReLU": 1}


# Rectifiers that are written otherwise: at their corners torch gives them other gradients, which differ by version.
CORNERS = {
    "clamp": (lambda x: x.clamp(min=0), F.relu),
    "clamp_min_": (lambda x: (x * 1).clamp_min_(0), F.relu),
    "clamp by a tensor": (lambda x: torch.clamp(x, min=torch.zeros(())), F.relu),
    "maximum": (lambda x: torch.maximum(x, torch.zeros(())), F.relu),
    "max of zero and x": (lambda x: torch.max(torch.zeros_like(x), x), F.relu),
    "clamp(0, 6)": (lambda x: x.clamp(0, 6), F.relu6),
    "clip in place": (lambda x: (x * 1).clip_(0, 6), F.relu6),
    "another ceiling": (lambda x: x.clamp(0, max=3), lambda x: F.hardtanh(x, 0.0, 3.0)),
}


class Written(nn.Module):
    """A layer of ones, then a rectifier before the explained layer and one behind it."""

    def __init__(self, rectify: Any) -> None:
        super().__init__()
        self.rectify = rectify
        self.conv, self.again = (nn.Conv2d(1, 1, 1, bias=False) for _ in range(2))
        nn.init.ones_(self.conv.weight)
        nn.init.ones_(self.again.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.rectify(self.again(self.rectify(self.conv(x))))
        return torch.cat([x.sum((2, 3)), x.amax((2, 3))], 1)


@pytest.mark.parametrize("way", CORNERS)
def test_a_rectifier_has_its_gradient_however_it_is_written(way: str) -> None:
    """Also exactly at its corners, in pixel maps, class activation maps and under rules."""
    written, meant = CORNERS[way]
    inputs = torch.tensor([[[[-1.0, 0.0, 1.0], [3.0, 5.0, 6.0], [7.0, -0.0, 2.0]]]])
    for method in (
        Saliency(method=("gradient", "guided-backprop"), target="0"),
        GradCAM(method=("hirescam",), layer=("conv", "again"), target="0"),
    ):
        found, expected = (explained(method, Written(one).eval(), inputs) for one in (written, meant))
        torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=0)
        for one, other in zip(found.maps, expected.maps, strict=True):
            torch.testing.assert_close(one.values, other.values, rtol=0, atol=0)


def test_clamps_that_are_no_rectifiers_keep_their_gradient() -> None:
    inputs = torch.tensor([[[[-1.0, 0.5, 1.5]]]])
    for work in (lambda x: x.clamp(-2, 1), lambda x: x.clamp(max=1), lambda x: torch.maximum(x, x * 0.1)):
        (found,) = explained(Saliency(target="0"), Written(work).eval(), inputs).maps
        leaf = inputs.clone().requires_grad_()
        (expected,) = torch.autograd.grad(Written(work)(leaf)[0, 0], leaf)
        torch.testing.assert_close(found.values, expected.abs()[:, 0])
