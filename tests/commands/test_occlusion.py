"""Occlusion against arithmetic by hand, Captum, and the laws of RISE."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from captum.attr import Occlusion as CaptumOcclusion
from networks import Rectified, as_model, pooled, settle
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands import _sliding
from cnnexplain.commands.occlusion import Occlusion
from cnnexplain.core.explanation import Answer, Batch
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.results.winners import Winners
from cnnexplain.core.target import FunctionTarget
from cnnexplain.engine.model import Model
from cnnexplain.errors import OptionError
from cnnexplain.formulas.hiding import Rise, occlusion, rise_masks, window_starts


class Linear(nn.Module):
    """Class k scores sum(weight[k] * x) + bias[k]."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", x, self.weight) + self.bias


def explain(module: nn.Module | Model, inputs: Tensor, **options: object) -> Answer:
    model = (
        module if isinstance(module, Model) else as_model(module, tuple(inputs.shape[2:]), inputs.shape[1])
    )
    bound, _ = Occlusion(**options).bind(model)  # type: ignore[arg-type]
    with model.borrowed():
        return bound.explain(model, Batch(inputs))


def maps(answer: Answer) -> list[Heatmap]:
    return [result for result in answer.results[0] if isinstance(result, Heatmap)]


def test_windows_of_a_linear_scorer_by_hand() -> None:
    weight = torch.arange(16.0).reshape(1, 1, 4, 4)
    inputs = torch.ones(1, 1, 4, 4)
    answer = explain(Linear(weight, torch.tensor([3.0])), inputs, window=2, stride=2, fill="mean", target="1")
    (heatmap,) = maps(answer)
    drops = weight.reshape(2, 2, 2, 2).sum((1, 3))  # a window takes away what its pixels add; mean is 0
    assert np.allclose(heatmap.values, drops.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert heatmap.layer == "input"


def test_every_pixel_counts_alike_at_edges_that_no_stride_fits() -> None:
    # The same weight everywhere: every window takes the same, so every pixel has the same value.
    module = Linear(torch.ones(1, 3, 23, 31), torch.zeros(1))
    answer = explain(module, torch.ones(1, 3, 23, 31), window=7, stride=4, fill="mean", target="1")
    assert np.allclose(maps(answer)[0].values, 3 * 7 * 7)


@pytest.mark.parametrize(
    ("length", "window", "stride"), [(224, 15, 8), (10, 10, 3), (9, 4, 4), (299, 20, 20), (5, 1, 1)]
)
def test_windows_cover_from_edge_to_edge(length: int, window: int, stride: int) -> None:
    starts = window_starts(length, window, stride)
    assert starts[0] == 0
    assert starts[-1] == length - window
    assert all(0 < after - before <= window for before, after in itertools.pairwise(starts))
    assert len(window_starts(224, 15, 8)) ** 2 == 729


@pytest.mark.parametrize(
    "module", [Rectified("in-place function"), settle(pooled(), (28, 20))], ids=["relu_", "pooled"]
)
def test_map_is_captums_where_strides_fit(module: nn.Module) -> None:
    torch.manual_seed(0)
    module = module.eval()
    inputs = torch.randn(1, 3, 28, 20)
    (ours,) = maps(explain(module, inputs, window=8, stride=4, fill="mean", target="2"))
    with torch.no_grad():
        theirs = CaptumOcclusion(module).attribute(
            inputs, (3, 8, 8), strides=(3, 4, 4), baselines=0, target=2
        )
    spread = float(theirs.max() - theirs.min())
    assert np.abs(ours.values - theirs[0, 0].numpy()).max() <= 1e-4 * spread


def test_bundled_model_is_captums() -> None:
    explainer = cnnexplain.load("bundled:efficientnet_lite0")
    model = explainer.model
    torch.manual_seed(0)
    inputs = torch.randn(1, 3, 224, 224)
    (ours,) = maps(explain(model, inputs, window=56, stride=28, fill="mean", target="7"))
    assert ours.detail.facts["occlusion"]["incremental"]
    with model.borrowed(), torch.no_grad():
        captum = CaptumOcclusion(model.forward)
        theirs = captum.attribute(inputs, (3, 56, 56), strides=(3, 28, 28), baselines=0, target=7)
    spread = float(theirs.max() - theirs.min())
    assert np.abs(ours.values - theirs[0, 0].numpy()).max() <= 1e-4 * spread


def test_the_score_may_be_the_probability() -> None:
    torch.manual_seed(0)
    module, inputs = settle(pooled(), (16, 16)), torch.randn(1, 3, 16, 16)
    (ours,) = maps(
        explain(module, inputs, window=16, stride=1, fill="black", target="0", score="probability")
    )
    black = as_model(module, (16, 16)).inputs([np.zeros((16, 16, 3), np.uint8)])
    with torch.no_grad():
        drop = module(inputs).softmax(1)[0, 0] - module(black).softmax(1)[0, 0]
    assert np.allclose(ours.values, float(drop), atol=1e-6)


def test_a_single_logit_explains_against_as_well() -> None:
    torch.manual_seed(0)
    module, inputs = settle(pooled(classes=1), (16, 16)), torch.randn(1, 3, 16, 16)
    options = {"window": 4, "stride": 4, "fill": "mean"}
    against, speaks_for = (maps(explain(module, inputs, target=str(index), **options))[0] for index in (0, 1))
    assert np.allclose(against.values, -speaks_for.values)


def test_copies_that_only_fill_a_batch_up_are_not_explained() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(3, 3, 16, 16)
    batch = Batch(inputs, copies=2)
    assert [batch.part(range(*rows)).copies for rows in ((0, 1), (0, 2), (2, 3), (0, 3))] == [0, 1, 1, 2]
    model = as_model(settle(pooled(), (16, 16)), (16, 16))
    bound, _ = Occlusion(window=8, stride=8).bind(model)
    with model.borrowed():
        answer = bound.explain(model, batch)
    assert [len(results) for results in answer.results] == [2, 0, 0]
    assert len(answer.logits) == 3


def test_more_windows_than_are_kept_at_once_make_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    module, inputs = settle(pooled(), (16, 16)), torch.randn(1, 3, 16, 16)
    options = {"window": 3, "stride": 2, "target": "1"}
    whole = explain(module, inputs, **options)
    monkeypatch.setattr(_sliding, "AT_ONCE", 10)
    parts = explain(module, inputs, **options)
    assert np.allclose(maps(parts)[0].values, maps(whole)[0].values, atol=1e-6)
    assert (parts.results[0][1].classes == whole.results[0][1].classes).all()  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [ValueError("one at a time"), torch.OutOfMemoryError("out of memory")])
@pytest.mark.parametrize("method", ["sliding", "rise"])
def test_a_model_that_takes_one_image_at_once_has_the_same_map(error: Exception, method: str) -> None:
    class Single(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 1:
                raise error
            scores: Tensor = self.inner(x)
            return scores

    torch.manual_seed(0)
    module, inputs = settle(pooled(), (16, 16)), torch.randn(1, 3, 16, 16)
    options = {"method": (method,), "window": 4, "stride": 4, "masks": 20, "target": "1"}
    (several,) = maps(explain(module, inputs, **options))
    (single,) = maps(explain(Single(module), inputs, **options))
    assert np.allclose(single.values, several.values, atol=1e-6)


def test_a_function_of_the_output_is_explained_without_winners() -> None:
    torch.manual_seed(0)
    module, inputs = settle(pooled(), (16, 16)), torch.randn(1, 3, 16, 16)
    model = as_model(module, (16, 16), function=FunctionTarget(lambda output: output[:, 0] - output[:, 1]))
    options = {"window": 4, "stride": 4, "fill": "mean"}
    answer = explain(model, inputs, **options)
    first, second = (maps(explain(module, inputs, target=str(index), **options))[0] for index in (0, 1))
    assert np.allclose(maps(answer)[0].values, first.values - second.values, atol=1e-5)
    assert not [result for result in answer.results[0] if isinstance(result, Winners)]


def test_winners_are_the_best_classes_window_by_window() -> None:
    weight = torch.zeros(2, 1, 4, 4)
    weight[0, 0, :, :2], weight[1, 0, :, 2:] = 2.0, 1.0  # class 0 sees the left half, class 1 the right one
    answer = explain(Linear(weight, torch.zeros(2)), torch.ones(1, 1, 4, 4), window=2, stride=2, fill="mean")
    (winners,) = (result for result in answer.results[0] if isinstance(result, Winners))
    assert winners.classes.tolist() == [
        [0, 0],
        [0, 0],
    ]  # 8 against 8 where half of the left is hidden: the first
    assert winners.shares == ((0, "class 0", 1.0),)
    weight[1] *= 1.5
    answer = explain(Linear(weight, torch.zeros(2)), torch.ones(1, 1, 4, 4), window=2, stride=2, fill="mean")
    (winners,) = (result for result in answer.results[0] if isinstance(result, Winners))
    assert winners.classes.tolist() == [[1, 0], [1, 0]]
    assert winners.record()["classes"][0]["share"] == 0.5


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"window": 17}, "larger than what the model sees, 16x16"),
        ({"window": 3, "stride": 4}, "would never be hidden"),
        ({"fill": "pink"}, "neither a fill nor a colour"),
        ({"fill": "#ff80"}, "neither a fill nor a colour"),
    ],
)
def test_bad_options(options: dict[str, object], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        explain(settle(pooled(), (16, 16)), torch.randn(1, 3, 16, 16), **options)


def test_a_colour_needs_three_channels() -> None:
    with pytest.raises(OptionError, match="sees 1 channel"):
        explain(settle(pooled(1), (16, 16), 1), torch.randn(1, 1, 16, 16), fill="#00ff00")


def test_scores_that_are_not_finite_fail_their_image_alone() -> None:
    class Roots(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum((1, 2, 3)).sqrt()[:, None] * torch.ones(1, 3)

    inputs = torch.stack((torch.ones(1, 8, 8), torch.full((1, 8, 8), 1e-3)))
    answer = explain(Roots(), inputs, window=4, stride=4, fill="black")
    assert len(answer.results[0]) == 2
    assert answer.results[1] == ()
    assert "a window at x 0, y 0" in answer.problems[1].problem


def test_a_model_that_fails_on_one_window_fails_that_image_alone() -> None:
    class Picky(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if bool(((x[:, 0, 5, 5] == 0) & (x[:, 0, 0, 0] > 5)).any()):
                raise ValueError("a hole")
            return x.mean((2, 3))

    inputs = torch.stack((torch.full((3, 8, 8), 9.0), torch.ones(3, 8, 8)))
    answer = explain(Picky(), inputs, window=4, stride=4, fill="mean")
    assert [len(results) for results in answer.results] == [0, 2]
    assert "with a part of the image hidden, Picky failed" in answer.problems[0].problem
    assert "--fill" in answer.problems[0].hint


def test_a_model_without_gradients_is_explained() -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = settle(pooled(), (16, 16))

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return self.inner(x).detach()

    torch.manual_seed(0)
    inputs = torch.randn(1, 3, 16, 16)
    module = Detached()
    (found,) = maps(explain(module, inputs, window=4, stride=2, target="1"))
    (expected,) = maps(explain(module.inner, inputs, window=4, stride=2, target="1"))
    assert np.allclose(found.values, expected.values, atol=1e-6)


def test_rise_of_a_linear_scorer_over_all_masks() -> None:
    """S_i = (1-p) w_i x_i + p sum_j w_j x_j + b, with every mask as often as chance has it."""
    torch.manual_seed(0)
    weight, image, bias, p = torch.randn(2, 3).double(), torch.randn(2, 3).double(), 0.7, 0.5
    masks = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6))).double().reshape(-1, 2, 3)
    rise = Rise(p)
    scores = (masks * weight * image).sum((1, 2)) + bias
    for part in range(0, 64, 10):
        rise.add(masks[part : part + 10], scores[part : part + 10])
    expected = (1 - p) * weight * image + p * (weight * image).sum() + bias
    torch.testing.assert_close(rise.map + rise.mean, expected, atol=1e-12, rtol=0)


def test_standard_errors_of_rise_are_those_of_many_runs() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 6, generator=generator).double()
    runs, errors = [], []
    for _ in range(200):
        rise = Rise(0.4)
        masks = rise_masks(150, (6, 6), grid=3, probability=0.4, generator=generator)
        rise.add(masks, (masks.double() * weight).sum((1, 2)) + 100)  # a constant does no harm
        runs.append(rise.map)
        errors.append(rise.error)
    measured = torch.stack(runs).std(0)
    ratio = torch.stack(errors).mean(0) / measured
    assert float(ratio.min()) > 0.8
    assert float(ratio.max()) < 1.25


def test_rise_masks_have_their_probability_everywhere() -> None:
    masks = rise_masks(4000, (20, 31), grid=5, probability=0.3, generator=torch.Generator().manual_seed(0))
    assert masks.shape == (4000, 20, 31)
    assert float((masks.mean(0) - 0.3).abs().max()) < 0.04
    assert float(masks.min()) >= 0
    assert float(masks.max()) <= 1


def test_rise_stops_when_its_error_is_small_and_says_where_it_is_not() -> None:
    torch.manual_seed(0)
    weight = torch.zeros(2, 1, 16, 16)
    weight[1, 0, :8, :8] = 1.0
    module, inputs = Linear(weight, torch.zeros(2)), torch.ones(1, 1, 16, 16)
    options = {"method": ("rise",), "target": "1", "fill": "mean", "grid": 4}
    (two,) = maps(explain(module, inputs, masks=2, **options))  # whose spread is no measure of anything
    assert two.detail.remarks[0].startswith(
        "Mostly chance: give more --masks. Of 2 the standard error is not known"
    )
    (few,) = maps(explain(module, inputs, masks=64, **options))
    (enough,) = maps(explain(module, inputs, masks=5000, max_error=0.05, **options))
    assert "Mostly chance" in few.detail.remarks[0]
    assert "Mostly chance" not in enough.detail.remarks[0]
    assert "Less sure" not in enough.detail.remarks[0]
    (ended,) = maps(explain(module, inputs, masks=800, max_error=0.01, **options))
    assert ended.detail.remarks[0].startswith(
        "Less sure than --max-error 0.01 asks: give more --masks. 800 masks"
    )
    assert ended.detail.facts["rise"]["max_error"] == 0.01 < ended.detail.facts["rise"]["share"] < 0.1
    assert 128 <= enough.detail.facts["rise"]["masks"] < 5000
    assert enough.errors is not None
    assert enough.errors.max() <= 0.05 * (enough.max - enough.min) * 1.001
    row, column = np.unravel_index(enough.values.argmax(), enough.values.shape)
    assert row < 8
    assert column < 8


def test_masks_depend_on_the_seed_and_on_no_neighbour() -> None:
    torch.manual_seed(0)
    module, inputs = settle(pooled(), (16, 16)), torch.randn(2, 3, 16, 16)
    model = as_model(module, (16, 16))
    together = explain(model, inputs, method=("rise",), masks=130, target="0")
    alone = explain(model, inputs[1:], method=("rise",), masks=130, target="0")
    other = explain(as_model(module, (16, 16), seed=1), inputs[1:], method=("rise",), masks=130, target="0")
    second = together.results[1][0]
    assert isinstance(second, Heatmap)
    assert np.allclose(second.values, maps(alone)[0].values, atol=1e-6)
    assert not np.allclose(second.values, maps(other)[0].values, atol=1e-4)


def test_map_of_windows_by_the_formula() -> None:
    drops = torch.tensor([[1.0, 5.0]])
    assert occlusion(drops, ([0], [0, 2]), (1, 3)).tolist() == [[1.0, 1.0, 3.0, 5.0, 5.0]]
    with pytest.raises(ValueError, match="do not cover"):
        window_starts(10, 3, 4)


@pytest.mark.parametrize(("against", "scale"), [(0.9, "signed"), (0.1, "evidence"), (3.0, "signed")])
def test_both_signs_are_drawn_where_hiding_raises_the_score_by_enough(against: float, scale: str) -> None:
    weight = torch.zeros(1, 3, 24, 24)
    weight[0, :, :8, :8], weight[0, :, -8:, -8:] = 1.0, -against
    module = Linear(weight, torch.zeros(1))
    answer = explain(module, torch.ones(1, 3, 24, 24), window=8, stride=8, fill="mean", target="1")
    (heatmap,) = maps(answer)
    assert heatmap.scale == heatmap.record()["scale"] == scale
