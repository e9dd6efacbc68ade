"""What a model ends in, and which of its outputs has the scores: all is explained as the plain model is."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import answer, as_model, pooled, settle
from torch import Tensor, nn

from cnnexplain.core.target import TargetSpec
from cnnexplain.engine.model import Model
from cnnexplain.errors import ModelError, OptionError

SIZE = (32, 32)


@pytest.fixture(scope="module")
def inner() -> nn.Sequential:
    torch.manual_seed(0)
    network = settle(pooled(), SIZE)
    with torch.no_grad():
        network.fc.weight.mul_(40)  # certain enough for a softmax to be flat
    return network


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(3, 3, *SIZE)


class Ends(nn.Module):
    """A network whose answer is what `end` makes of its logits (N, K)."""

    def __init__(self, inner: nn.Module, end: Callable[[Tensor], Any] | nn.Module) -> None:
        super().__init__()
        self.inner, self.end = inner, end

    def forward(self, x: Tensor) -> Any:
        return self.end(self.inner(x))


def squashed_in_place(x: Tensor) -> Tensor:
    return x.sigmoid_()


def percent_in_place(x: Tensor) -> Tensor:
    x = x.softmax(1)
    x *= 100
    return x


SOFTMAX: dict[str, Any] = {
    "method": lambda x: x.softmax(1),
    "function": lambda x: F.softmax(x, dim=-1),
    "torch.softmax, by keyword": lambda x: torch.softmax(input=x, dim=1),
    "module": nn.Softmax(dim=1),
    "module without a dimension": nn.Softmax(),
    "special": lambda x: torch.special.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "module of log_softmax": nn.LogSoftmax(1),
    "logarithm of softmax": lambda x: torch.log(x.softmax(1)),
    "logarithm of softmax and a little": lambda x: (x.softmax(1) + 1e-12).log(),
    "exponential of log_softmax": lambda x: x.log_softmax(1).exp(),
    "softmax of log_softmax": lambda x: x.log_softmax(1).softmax(1),
    "clamped": lambda x: x.softmax(1).clamp(1e-30, 1.0),
    "of a map of one cell": lambda x: x[:, :, None, None].softmax(1),
    "squeezed": lambda x: x[:, :, None, None].softmax(1).squeeze(3).squeeze(2),
    "viewed and cast": lambda x: x.softmax(1).double().view(len(x), -1).contiguous(),
    "one of a sequence": lambda x: torch.stack((x, -x), 1).softmax(2)[:, 0],
    "in a dictionary": lambda x: {"probabilities": x.softmax(1)},
    "beside the logits": lambda x: (x.softmax(1), x),  # as Ultralytics' classifiers
    "percent": lambda x: 100 * x.softmax(1),
    "percent, rounded": lambda x: x.softmax(1).mul(100.0).round(),
    "percent in place": percent_in_place,
    "rounded": lambda x: torch.round(x.softmax(1), decimals=3),
    "divided by a hundredth": lambda x: x.softmax(1) / 0.01,
    "divided in place": lambda x: x.softmax(1).div_(0.01),
    "per mille": lambda x: torch.mul(input=x.softmax(1), other=1000),
    "by a tensor": lambda x: torch.tensor(100.0) * x.softmax(1),
    "by a tensor behind it": lambda x: x.softmax(1) * torch.tensor(100),
    "in two steps": lambda x: (x.softmax(1) * 10).mul_(10.0).clamp(0, 100),
    "percent and back": lambda x: (x.softmax(1) * 100 / 100 + 1e-12).log(),
    "of 255": lambda x: torch.true_divide(x.softmax(1), 1 / 255).view(len(x), -1),
}
SIGMOID: dict[str, Any] = {
    "method": lambda x: x.sigmoid(),
    "function": F.sigmoid,
    "module": nn.Sigmoid(),
    "expit": torch.special.expit,
    "in place": squashed_in_place,
    "logsigmoid": F.logsigmoid,
    "module of logsigmoid": nn.LogSigmoid(),
    "a head for each class": lambda x: torch.cat([x[:, k : k + 1].sigmoid() for k in range(x.shape[1])], 1),
    "one less another": lambda x: 1 - torch.sigmoid(-x),
    "stacked": lambda x: torch.stack([torch.sigmoid(one) for one in x.unbind(1)], 1),
    "beside the logits": lambda x: {"probs": x.sigmoid(), "raw": x},
    "percent": lambda x: torch.mul(torch.sigmoid(x), 100),
    "divided": lambda x: x.sigmoid() / 0.01,
    "divided in place": lambda x: x.sigmoid_().divide_(0.1),
}


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("kind", SOFTMAX)
def test_what_goes_into_softmax_is_explained(inner: nn.Module, inputs: Tensor, kind: str) -> None:
    model = as_model(Ends(inner, SOFTMAX[kind]).eval(), SIZE)
    _is_explained_like(inner, model, inputs, lambda logits: logits.softmax(1))
    assert not model.trace.head.doubts


@pytest.mark.parametrize("kind", SIGMOID)
def test_what_goes_into_sigmoid_is_explained(inner: nn.Module, inputs: Tensor, kind: str) -> None:
    model = as_model(Ends(inner, SIGMOID[kind]).eval(), SIZE)
    _is_explained_like(inner, model, inputs, torch.sigmoid)
    assert model.scoring.activation == "sigmoid"


def _is_explained_like(
    inner: nn.Module, model: Model, inputs: Tensor, likely: Callable[[Tensor], Tensor]
) -> None:
    """Scores, map and probabilities are those of the network without its end."""
    plain, found = answer(inner, inputs), answer(model, inputs)
    torch.testing.assert_close(found.logits, plain.logits, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.maps[0].values, plain.maps[0].values, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        wanted = likely(inner(inputs))
    got = model.probabilities(found.logits)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-7)
    (first, *_), *_ = model.predictions(found.logits)
    assert first.probability == pytest.approx(float(wanted[0].max()))


def test_a_certain_softmax_has_a_map(inner: nn.Module, inputs: Tensor) -> None:
    """The fault itself: the map of a probability of 1 is nothing but rounding."""
    certain = nn.Sequential(inner, Scaled(100))
    with torch.no_grad():
        assert certain(inputs).softmax(1).amax(1).min() > 0.999999
    ended = Ends(certain, nn.Softmax(1)).eval()
    raw = answer(as_model(ended, SIZE, activation="none"), inputs, layer="inner.0.features")
    found, plain = (
        answer(one, inputs, layer=name)
        for one, name in ((ended, "inner.0.features"), (certain, "0.features"))
    )
    assert raw.maps[0].values.abs().max() < 1e-3 * found.maps[0].values.abs().max()
    torch.testing.assert_close(found.maps[0].values, plain.maps[0].values)


@pytest.mark.parametrize("end", [torch.sigmoid, lambda x: torch.sigmoid(x)[:, 0], F.logsigmoid])
def test_a_single_sigmoid_is_for_and_against(inputs: Tensor, end: Any) -> None:
    network = settle(pooled(classes=1), SIZE)
    with torch.no_grad():
        network.fc.bias.fill_(-3)
        chance = torch.sigmoid(network(inputs))[:, 0]
    model = as_model(Ends(network, end).eval(), SIZE)
    found = answer(model, inputs)
    assert model.labels == ("negative", "positive")
    assert found.maps[0].index.tolist() == [0, 0, 0]  # against, though the sigmoid is above nought
    plain = answer(network, inputs)
    torch.testing.assert_close(found.maps[0].values, plain.maps[0].values)
    for row, one in enumerate(model.predictions(found.logits)):
        assert one[0].probability == pytest.approx(1 - float(chance[row]), rel=1e-5)
        assert one[0].logit == pytest.approx(float(-plain.logits[row, 0]), rel=1e-5)
        assert one[1].probability == pytest.approx(float(chance[row]), rel=1e-5)


def test_one_class_of_a_softmax_is_explained_by_its_odds(inputs: Tensor) -> None:
    """p of class 1 of two is a sigmoid of x1 - x0."""
    network = settle(pooled(classes=2), SIZE)
    model = as_model(Ends(network, lambda x: x.softmax(1)[:, 1]).eval(), SIZE)
    found = answer(model, inputs)
    with torch.no_grad():
        x = network(inputs)
    torch.testing.assert_close(found.logits[:, 0], x[:, 1] - x[:, 0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.probabilities(found.logits), x.softmax(1), rtol=1e-5, atol=1e-6)
    assert model.scoring.explained == "the log-odds behind the model's own softmax"


def test_some_classes_of_a_softmax_keep_their_probabilities(inner: nn.Module, inputs: Tensor) -> None:
    model = as_model(Ends(inner, lambda x: F.softmax(x, 1)[:, :3]).eval(), SIZE)
    found = answer(model, inputs)
    with torch.no_grad():
        torch.testing.assert_close(
            model.probabilities(found.logits), inner(inputs).softmax(1)[:, :3], rtol=1e-4, atol=1e-6
        )


def percent_by_slice(x: Tensor) -> Tensor:
    p = x.softmax(1).clone()
    p[:] *= 100
    return p


@pytest.mark.parametrize(
    "end",
    [
        lambda x: x.softmax(1) * 2 - 1,
        lambda x: x.softmax(1).clone().sub_(0.5),
        lambda x: (x.softmax(1) * 100).log(),
        lambda x: (x.softmax(1) + (x / 2).softmax(1)) * 50,
        lambda x: 100 - x.sigmoid() * 100,
        lambda x: x.softmax(1) * torch.tensor(-1.0),
        lambda x: x.softmax(1).div(0.003, rounding_mode="floor"),
        percent_by_slice,
    ],
)
def test_what_unknown_arithmetic_makes_of_probabilities_is_said(
    inner: nn.Module, inputs: Tensor, end: Any
) -> None:
    network = Ends(nn.Sequential(inner, Scaled(0.05)), end).eval()
    model = as_model(network, SIZE)
    found = answer(model, inputs)
    with torch.no_grad():
        torch.testing.assert_close(found.logits, network(inputs), rtol=1e-4, atol=1e-5)
    (doubt,) = model.trace.head.doubts
    assert "by arithmetic that is not followed" in doubt
    assert [one.reason for one in model.choices] == [doubt]


@pytest.mark.parametrize(
    "end",
    [
        lambda x: x * x.sigmoid(),
        lambda x: x.sigmoid() * x,
        lambda x: x.softmax(1) @ torch.ones(x.shape[1], 3) * 7,
        lambda x: F.log_softmax(x, 1) * 3,
        lambda x: torch.tensor(3.0) * x,
    ],
)
def test_what_a_gate_or_a_temperature_makes_is_no_doubt(inner: nn.Module, inputs: Tensor, end: Any) -> None:
    assert not as_model(Ends(inner, end).eval(), SIZE).trace.head.doubts


@pytest.mark.parametrize("factor", [100, 7.5])
def test_scaled_probabilities_through_a_second_softmax_are_said(inner: nn.Module, factor: float) -> None:
    model = as_model(Ends(inner, lambda x: (x.softmax(1) * factor).softmax(1)).eval(), SIZE)
    assert model.trace.head.doubts == ("what its own softmax made goes, scaled, through softmax again",)


def columns(x: Tensor) -> list[Tensor]:
    return [x[:, k : k + 1] for k in range(x.shape[1])]


@pytest.mark.parametrize(
    ("end", "likely"),
    [
        (lambda x: [one.sigmoid() for one in columns(x)], torch.sigmoid),
        (lambda x: tuple(one.sigmoid()[:, 0] for one in columns(x)), torch.sigmoid),
        (lambda x: {"heads": [one.sigmoid() * 100 for one in columns(x)]}, torch.sigmoid),
        (columns, lambda x: x.softmax(1)),
        (lambda x: tuple(one[:, :, None, None] for one in columns(x)), lambda x: x.softmax(1)),
    ],
    ids=["sigmoids", "flat", "percent in a dictionary", "logits", "maps of one cell"],
)
def test_single_scores_in_a_list_are_the_classes(
    inner: nn.Module, inputs: Tensor, end: Any, likely: Any
) -> None:
    network = Ends(inner, end).eval()
    model = as_model(network, SIZE)
    _is_explained_like(inner, model, inputs, likely)
    told = model.choices[0]
    assert (told.setting, told.value) == ("output", "all 5 side by side")
    assert "--activation sigmoid" in told.reason
    one = answer(
        as_model(network, SIZE, output="heads.2" if isinstance(end(torch.ones(1, 5)), dict) else "2"), inputs
    )
    torch.testing.assert_close(one.logits, inner(inputs)[:, 2:3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", [nn.Identity(), nn.Sigmoid()])
def test_a_head_for_each_class_is_one_head_of_all_classes(
    inner: nn.Sequential, inputs: Tensor, activation: nn.Module
) -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.pool = inner.features, nn.AdaptiveAvgPool2d(1)
            self.heads = nn.ModuleList(nn.Sequential(nn.Linear(8, 1), activation) for _ in range(5))
            for k, head in enumerate(self.heads):
                head[0].load_state_dict(
                    {"weight": inner.fc.weight[k : k + 1], "bias": inner.fc.bias[k : k + 1]}
                )

        def forward(self, x: Tensor) -> list[Tensor]:
            x = self.pool(self.features(x)).flatten(1)
            return [head(x) for head in self.heads]

    model = as_model(Heads().eval(), SIZE, activation="sigmoid")
    _is_explained_like(inner, model, inputs, torch.sigmoid)


@pytest.mark.parametrize(
    "end",
    [
        lambda x: [x[:, :1], x[:, 1:2].sigmoid()],  # of two kinds
        lambda x: {"a": x[:, :1], "b": x[:, 1:2]},  # by name
        lambda x: namedtuple("Two", "a b")(x[:, :1], x[:, 1:2]),
        lambda x: [x[:, :1], x[:, 1:3]],
    ],
)
def test_single_scores_of_several_kinds_are_not_joined(inner: nn.Module, end: Any) -> None:
    with pytest.raises(ModelError, match="may be the class scores") as caught:
        _ = as_model(Ends(inner, end).eval(), SIZE).trace
    assert "--output" in caught.value.hint


MIXED = "softmax was seen, and what follows it mixes what it made"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda x: x.exp() / x.exp().sum(1, keepdim=True), "no softmax was seen"),
        (lambda x: (x.softmax(1) + (x / 2).softmax(1)) / 2, MIXED),  # an ensemble's mean
        (lambda x: torch.stack((x.softmax(1), (x / 2).softmax(1))).mean(0), MIXED),
        (
            lambda x: torch.cat((torch.sub(1, x[:, :1].sigmoid()), x[:, :1].sigmoid()), 1),
            "no softmax was seen",
        ),
    ],
)
def test_unknown_probabilities_are_not_squeezed_twice(
    inner: nn.Module, inputs: Tensor, end: Any, said: str
) -> None:
    network = Ends(nn.Sequential(inner, Scaled(0.05)), end).eval()
    model = as_model(network, SIZE)
    found = answer(model, inputs)
    with torch.no_grad():
        torch.testing.assert_close(model.probabilities(found.logits), network(inputs), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found.logits, network(inputs).log(), rtol=1e-4, atol=1e-5)
    assert any(said in one.reason for one in model.choices)


OWN_SIGMOIDS: dict[str, Callable[[Tensor], Tensor]] = {
    "by exp": lambda x: 1 / (1 + torch.exp(-x)),
    "by tanh": lambda x: (torch.tanh(x / 2) + 1) / 2,
    "hard": F.hardsigmoid,
    "a mean of two": lambda x: (x.sigmoid() + (x / 2).sigmoid()) / 2,
}


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("name", OWN_SIGMOIDS)
def test_a_sigmoid_of_the_models_own_is_not_put_through_another(
    inner: nn.Module, inputs: Tensor, name: str, classes: int
) -> None:
    network = Ends(
        nn.Sequential(inner, Scaled(0.01)), lambda x: OWN_SIGMOIDS[name](x[:, :classes] - 2)
    ).eval()
    model = as_model(network, SIZE)
    found = answer(model, inputs)
    with torch.no_grad():
        p = network(inputs)
        assert p.min() > 0
        assert p.max() < 0.5  # so that of one output class 0 wins
        wanted = torch.cat((1 - p, p), 1) if classes == 1 else p
        torch.testing.assert_close(model.probabilities(found.logits), wanted, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found.logits, p.logit(), rtol=1e-4, atol=1e-4)
    assert model.scoring.activation == "sigmoid"
    (choice,) = model.choices
    assert choice.value == "the log-odds of the probabilities that the model returns"
    assert "--activation none" in choice.reason


@pytest.mark.parametrize("classes", [1, 4])
def test_scores_that_happen_to_lie_between_0_and_1_stay_scores(
    inner: nn.Module, inputs: Tensor, classes: int
) -> None:
    network = Ends(nn.Sequential(inner, Scaled(1e-5)), lambda x: x[:, :classes] + 0.5).eval()
    model = as_model(network, SIZE)
    with torch.no_grad():
        answers = torch.cat([network(size * inputs) for size in (0, 1, 30, -30)])
        assert answers.min() > 0
        assert answers.max() < 1
        torch.testing.assert_close(answer(model, inputs).logits, network(inputs))
    assert not model.head.explained


def test_bounded_scores_that_come_near_no_end_are_only_warned_of(inner: nn.Module, inputs: Tensor) -> None:
    dead = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0])  # a class that is always 0 comes up to no end
    network = Ends(inner, lambda x: dead * (0.5 + 0.1 * torch.tanh(x))).eval()
    model = as_model(network, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(answer(model, inputs).logits, network(inputs))
    assert any("no softmax or sigmoid was seen" in one for one in model.head.doubts)


class Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def test_plain_scores_are_nobodys_probabilities(inner: nn.Module, inputs: Tensor) -> None:
    model = as_model(inner, SIZE)
    _ = answer(model, inputs)
    assert model.choices == ()
    assert not model.head.through
    assert (model.scoring.activation, model.scoring.words) == ("softmax", "")


@pytest.mark.parametrize(
    ("end", "doubt"),
    [
        (lambda x: x.softmax(1).softmax(1), "softmax and softmax, one after the other"),
        (lambda x: F.log_softmax(x.sigmoid(), 1), "sigmoid and log_softmax, one after the other"),
        (lambda x: x.softmax(0), "runs over the pictures of a batch"),
        (lambda x: x[:, :, None, None].softmax(-1), "runs over a single value"),
    ],
)
def test_what_is_wrong_with_an_end_is_said(inner: nn.Module, inputs: Tensor, end: Any, doubt: str) -> None:
    model = as_model(Ends(inner, end).eval(), SIZE)
    torch.testing.assert_close(answer(model, inputs).logits, answer(inner, inputs).logits)
    assert any(doubt in one for one in model.head.doubts)
    assert any(doubt in one.reason for one in model.choices)


def test_probabilities_of_two_softmaxes_are_the_models_own(inner: nn.Module, inputs: Tensor) -> None:
    network = Ends(inner, lambda x: x.softmax(1).softmax(1)).eval()
    model = as_model(network, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(model.probabilities(answer(model, inputs).logits), network(inputs))


def test_what_a_user_says_goes_before_what_is_found(inner: nn.Module, inputs: Tensor) -> None:
    logits = answer(inner, inputs).logits
    by = {name: as_model(inner, SIZE, activation=name) for name in ("softmax", "sigmoid", "none")}
    torch.testing.assert_close(by["softmax"].probabilities(logits), logits.softmax(1))
    torch.testing.assert_close(by["sigmoid"].probabilities(logits), logits.sigmoid())
    assert by["none"].probabilities(logits) is None
    assert by["none"].predictions(logits)[0][0].probability is None
    ended = Ends(inner, nn.Softmax(1)).eval()
    squeezed = answer(as_model(ended, SIZE, activation="none"), inputs).logits
    torch.testing.assert_close(squeezed, logits.softmax(1))


# Outputs.


class Heads(nn.Module):
    """A backbone and whatever `answers` makes of its features (N, 8) and logits (N, 5)."""

    def __init__(self, inner: nn.Sequential, answers: Callable[..., Any]) -> None:
        super().__init__()
        self.features, self.fc, self.answers = inner.features, inner.fc, answers
        torch.manual_seed(2)
        self.other, self.same, self.project = nn.Linear(8, 3), nn.Linear(8, 5), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Any:
        features = self.features(x).mean((2, 3))
        return self.answers(self, features, self.fc(features))


@dataclass
class Result:
    embedding: Tensor
    scores: Tensor


Pair = namedtuple("Pair", ["embedding", "scores"])
RIGHT: dict[str, Callable[..., Any]] = {
    "embedding first": lambda m, f, x: (f, x),
    "embedding last": lambda m, f, x: [x, f],
    "normalised embedding": lambda m, f, x: (F.normalize(f), x),
    "normalised projection": lambda m, f, x: (F.normalize(m.project(f)), x),
    "dataclass": lambda m, f, x: Result(f, x),
    "named tuple": lambda m, f, x: Pair(f, x),
    "by name, beside another head": lambda m, f, x: {"age": m.other(f), "logits": x},
    "nested": lambda m, f, x: {"features": [f], "heads": {"main": x}},
    "with a map and a loss": lambda m, f, x: (x.sum(), x, f[:, :, None, None].expand(-1, -1, 4, 4)),
    "the same twice": lambda m, f, x: (x, x),
    "with the class": lambda m, f, x: (x.argmax(1), x),
    "scaled": lambda m, f, x: (f.clone(), 1.0 * x),
    "auxiliary by name": lambda m, f, x: {"aux_1": m.same(f), "main": x},
    "probabilities and features": lambda m, f, x: (f, x.softmax(1)),
    "beside how certain it is": lambda m, f, x: (x, x.softmax(1).amax(1)),
    "probabilities, class and certainty": lambda m, f, x: (x.softmax(1), x.argmax(1), x.softmax(1).amax(1)),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_scores_are_told_from_embeddings(inner: nn.Sequential, inputs: Tensor, kind: str) -> None:
    model = as_model(Heads(inner, RIGHT[kind]).eval(), SIZE)
    torch.testing.assert_close(answer(model, inputs).logits, answer(inner, inputs).logits)
    assert any(one.setting == "output" for one in model.choices)


class Deep(nn.Module):
    """Deep supervision: a head after each of two stages."""

    def __init__(self, order: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.early, self.late, self.order = nn.Linear(8, 5), nn.Linear(8, 5), order

    def forward(self, x: Tensor) -> Any:
        first = self.first(x).relu()
        second = self.second(first).relu()
        return self.order(self.late(second.mean((2, 3))), self.early(first.mean((2, 3))))


@pytest.mark.parametrize("order", [lambda late, early: [late, early], lambda late, early: (early, late)])
def test_of_deep_supervision_the_deepest_is_taken(inputs: Tensor, order: Any) -> None:
    network = Deep(order).eval()
    wanted = network.late(network.second(network.first(inputs).relu()).relu().mean((2, 3)))
    model = as_model(network, SIZE)
    torch.testing.assert_close(answer(model, inputs).logits, wanted.detach())
    assert any("layers before" in one.reason for one in model.choices)


SEVERAL: dict[str, Callable[..., Any]] = {
    "other classes": lambda m, f, x: {"gender": m.other(f), "age": x},
    "as many classes": lambda m, f, x: {"gender": m.same(f), "age": x},
    "digits": lambda m, f, x: (m.same(f.relu()), m.same(-f), x),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_that_may_be_are_refused_with_their_names(inner: nn.Sequential, kind: str) -> None:
    with pytest.raises(ModelError, match=r"may be the class scores") as caught:
        _ = as_model(Heads(inner, SEVERAL[kind]).eval(), SIZE).labels
    assert "(N, 5)" in caught.value.problem
    assert "--output" in caught.value.hint
    assert "gender (N, " in caught.value.problem or "number 0 (N, 5)" in caught.value.problem


@pytest.mark.parametrize(("wanted", "classes"), [("gender", 3), ("age", 5), ("0", 3), ("1", 5)])
def test_a_user_decides(inner: nn.Sequential, inputs: Tensor, wanted: str, classes: int) -> None:
    model = as_model(Heads(inner, SEVERAL["other classes"]).eval(), SIZE, output=wanted)
    assert answer(model, inputs).logits.shape == (3, classes)


@pytest.mark.parametrize(
    ("wanted", "problem", "hint"),
    [
        ("gendre", "no output 'gendre'", "gender"),
        ("2", "no output '2'", "number"),
        ("-1", "no output", "number"),
    ],
)
def test_an_output_that_is_not_there(inner: nn.Sequential, wanted: str, problem: str, hint: str) -> None:
    with pytest.raises(OptionError, match=problem) as caught:
        _ = as_model(Heads(inner, SEVERAL["other classes"]).eval(), SIZE, output=wanted).labels
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda x: torch.nested.nested_tensor(list(x)), "a nested tensor"),
        (lambda x: torch.nested.nested_tensor(list(x), layout=torch.jagged), "a nested tensor"),
        (lambda x: x.to_sparse(), "a sparse tensor"),
        (lambda x: x.to_sparse_csr(), "a sparse tensor"),
        (lambda x: x.argmax(1), "a tensor of int64"),
        (lambda x: x > 0, "a tensor of bool"),
        (lambda x: {"boxes": x[:, :, None].expand(-1, -1, 4)}, r"a dict of boxes"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_row_of_scores_is_named(inner: nn.Module, end: Any, words: str) -> None:
    with pytest.raises(
        ModelError, match=f"returns {words}.*not one row of class scores per picture"
    ) as caught:
        _ = as_model(Ends(inner, end).eval(), SIZE).labels
    assert "classifiers" in caught.value.hint


class Sparse(nn.Module):
    """A layer within a network that gives back what has no plain shape."""

    def __init__(self, inner: nn.Module, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.odd = inner, Ends(nn.Identity(), end)

    def forward(self, x: Tensor) -> Tensor:
        _ = self.odd(x[0, 0])
        return self.inner(x)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "end", [lambda x: torch.nested.nested_tensor([x[0], x[1, :2]]), lambda x: x.detach().to_sparse()]
)
def test_odd_tensors_within_a_network_are_passed_over(inner: nn.Module, inputs: Tensor, end: Any) -> None:
    found = answer(Sparse(inner, end).eval(), inputs)
    torch.testing.assert_close(found.logits, answer(inner, inputs).logits)


class Growing(nn.Module):
    """As many scores as there are bright pictures, or rows, or calls."""

    def __init__(self, inner: nn.Module, fewer: bool) -> None:
        super().__init__()
        self.inner, self.fewer = inner, fewer

    def forward(self, x: Tensor) -> Tensor:
        scores = self.inner(x)
        if not bool(x.any()):
            return scores
        return scores[:, :2] if self.fewer else torch.cat((scores, scores), 1)


@pytest.mark.parametrize("fewer", [True, False])
def test_a_number_of_scores_that_changes_is_said(inner: nn.Module, inputs: Tensor, fewer: bool) -> None:
    model = as_model(Growing(inner, fewer).eval(), SIZE)
    with pytest.raises(ModelError, match=rf"gives 5 scores at one time and {2 if fewer else 10} at another"):
        answer(model, inputs)
    with model.borrowed():
        logits = model.forward(inputs)
    for use in (lambda: model.predictions(logits), lambda: model.targets(TargetSpec(index=4), logits)):
        with pytest.raises(ModelError, match="at one time"):
            use()


def test_an_end_that_comes_and_goes_is_said(inner: nn.Module, inputs: Tensor) -> None:
    end = Ends(inner, lambda x: x.softmax(1) if len(x) < 2 else 2 * x).eval()
    with pytest.raises(ModelError, match="ends in softmax at one time and not at another"):
        answer(end, inputs)


def test_above_has_a_class_for_some_pictures_and_none_for_others() -> None:
    logits = torch.tensor([[2.0, -1, 3], [-4, -4, -4], [1, -9, -9]])
    model = as_model(settle(pooled(classes=3), SIZE), SIZE, activation="sigmoid")
    found = model.targets(TargetSpec(above=0.5), logits)
    assert [one.index.tolist() for one in found] == [[2, -1, 0], [0, -1, -1]]
    assert found[0].score.tolist()[0] == 3
    assert found[1].score.tolist()[0] == 2
    (only,) = model.targets(TargetSpec(above=0.999), logits)
    assert only.index.tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    "end",
    [
        lambda x: x.squeeze(),
        lambda x: x[:, :1].squeeze(),
        lambda x: x[:, :1].sigmoid().squeeze(),
        lambda x: x.softmax(1).squeeze(),
    ],
)
def test_a_batch_of_one_that_was_squeezed_away_is_still_a_batch(
    inner: nn.Module, inputs: Tensor, end: Any
) -> None:
    model = as_model(Ends(inner, end).eval(), SIZE)
    with torch.no_grad():
        wanted = inner(inputs)
    together = answer(model, inputs).logits
    torch.testing.assert_close(together, wanted[:, : together.shape[1]], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(answer(model, inputs[:1]).logits, together[:1], rtol=1e-4, atol=1e-4)
