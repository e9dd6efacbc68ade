"""SmoothGrad and VarGrad with their standard errors: worked by hand, and against thousands of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from networks import Columns, as_model, explained, settle
from networks import pooled as pooling_network
from torch import Tensor, nn

from cnnexplain import formulas
from cnnexplain.commands import _pixel_maps
from cnnexplain.commands.saliency import Saliency
from cnnexplain.core.explanation import Batch
from cnnexplain.core.results.map import Heatmap
from cnnexplain.engine.model import Model
from cnnexplain.errors import OptionError
from cnnexplain.formulas import Moments, SampledMean, evaluator, noisy_gradients, resolutions
from cnnexplain.formulas.sampling import pooled
from cnnexplain.report.map import figures

RNG = np.random.default_rng(3)


class Powers(nn.Module):
    """Scores sum(w x^p) and 0, of which every gradient is known: p w x^(p - 1)."""

    def __init__(self, weight: Tensor, power: int) -> None:
        super().__init__()
        self.weight, self.power = nn.Parameter(weight), power

    def forward(self, x: Tensor) -> Tensor:
        score = (self.weight * x**self.power).sum((1, 2, 3))
        return torch.stack((score, torch.zeros_like(score)), 1)


class Waves(nn.Module):
    """Scores s and -s, s of gradient `slope` + 10 cos(20 x): the mean over noise is the slope, which is smooth."""

    def __init__(self, side: int) -> None:
        super().__init__()
        coarse = torch.randn(1, 1, side // 4, side // 4, generator=torch.Generator().manual_seed(0)) / 2
        slope = nn.functional.interpolate(coarse, size=side, mode="bicubic").exp()[0]
        self.slope = nn.Parameter(slope)

    def forward(self, x: Tensor) -> Tensor:
        score = (self.slope * x + torch.sin(20 * x) / 2).sum((1, 2, 3))
        return torch.stack((score, -score), 1)


def waves(images: int = 1, seed: int = 0) -> tuple[Model, Tensor]:
    inputs = torch.randn(images, 1, 64, 64, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)
    return as_model(Waves(64).eval(), (64, 64), 1, seed=seed), inputs


def powers(power: int, channels: int = 3, side: int = 32) -> tuple[Powers, Tensor]:
    generator = torch.Generator().manual_seed(power)
    shape = (channels, side, side)
    weight = 1 + torch.rand(shape, generator=generator)
    return Powers(weight, power), torch.rand((2, *shape), generator=generator) * 2 - 1


def smooth(module: nn.Module | Model, inputs: Tensor, *methods: str, **options: Any) -> Columns:
    return explained(Saliency(method=methods or ("smoothgrad",), **options), module, inputs)


def facts(heatmap: Heatmap) -> dict[str, Any]:
    return dict(heatmap.detail.facts["sampled"])


def convolutions(side: int) -> Model:
    torch.manual_seed(0)
    return as_model(settle(pooling_network(classes=5), (side, side)), (side, side))


# Worked by hand.


def test_of_a_straight_score_nothing_is_chance() -> None:
    network, inputs = powers(1)
    smoothed, varied = smooth(network, inputs, "smoothgrad", "vargrad", target="0").maps
    for heatmap in smoothed.results:
        assert facts(heatmap)["samples"] == 32
        assert facts(heatmap)["share"] < 1e-6
        assert heatmap.errors.max() < 1e-6
        assert heatmap.values.shape == (32, 32)
        assert not heatmap.pooled
    expected = network.weight.detach().amax(0).expand(2, -1, -1)
    torch.testing.assert_close(smoothed.values, expected)
    assert varied.values.abs().max() < 1e-10


def test_opposite_noise_cancels_in_the_gradient_of_a_square() -> None:
    network, inputs = powers(2)
    (smoothed,) = smooth(network, inputs, target="0", noise=0.3).maps
    expected = (2 * network.weight.detach() * inputs).abs().amax(1)
    torch.testing.assert_close(smoothed.values, expected, rtol=1e-5, atol=1e-5)
    assert all(facts(heatmap)["share"] < 1e-6 for heatmap in smoothed.results)


def test_standard_errors_of_a_cube_and_of_the_variance_of_a_square() -> None:
    """A pair has the gradient 3 w (x^2 + e^2) of w x^3, and the squared difference (2 w e)^2 of w x^2."""
    samples, noise = 400, 0.2
    cube, inputs = powers(3, channels=1)
    square, _ = powers(2, channels=1)
    (smoothed,) = smooth(cube, inputs, target="0", samples=samples, noise=noise).maps
    _, varied = smooth(square, inputs, "smoothgrad", "vargrad", target="0", samples=samples, noise=noise).maps
    deviation = noise * (inputs.flatten(1).amax(1) - inputs.flatten(1).amin(1))[:, None, None]
    w3, w2 = cube.weight.detach()[0], square.weight.detach()[0]
    spread = (2 / (samples / 2)) ** 0.5
    for found, mean, error in (
        (smoothed, 3 * w3 * (inputs[:, 0] ** 2 + deviation**2), 3 * w3 * deviation**2 * spread),
        (varied, (2 * w2 * deviation) ** 2, (2 * w2 * deviation) ** 2 * spread),
    ):
        errors = torch.from_numpy(np.stack([heatmap.errors for heatmap in found.results]))
        ratio = errors / error
        assert float(ratio.mean()) == pytest.approx(1, abs=0.03)
        away = (found.values - mean) / errors
        assert float((away.abs() < 2).float().mean()) == pytest.approx(0.95, abs=0.03)
        assert float(away.abs().max()) < 6


# Pooling.


def test_resolutions_halve_down_to_seven_cells() -> None:
    assert resolutions(299, 224)[1:3] == ((150, 112), (75, 56))
    assert resolutions(28, 28) == ((28, 28), (14, 14), (7, 7))
    assert resolutions(13, 100) == ((13, 100),)
    assert all(min(size) >= 7 for size in resolutions(1000, 31))


@pytest.mark.parametrize("size", [(16, 28), (15, 37)])
def test_each_resolution_has_the_moments_of_the_pooled_maps(size: tuple[int, int]) -> None:
    """Neighbouring noise is correlated, so that errors of cells are no means of errors of pixels."""
    torch.manual_seed(0)
    maps = torch.randn(30, 2, *size).cumsum(-1)
    mean = SampledMean(resolutions(*size))
    for part in maps.split([4, 1, 20, 5]):
        mean.add(part)
    assert len(mean.sizes) > 1
    for level, cells in enumerate(mean.sizes):
        of_cells = pooled(maps.double(), cells)
        torch.testing.assert_close(mean.mean(level), of_cells.mean(0))
        torch.testing.assert_close(mean.error(level), of_cells.std(0) / 30**0.5)
        torch.testing.assert_close(mean.mean(level), pooled(mean.mean(), cells))


def test_a_map_of_weight_two_has_half_the_variance() -> None:
    """The error of N samples is the same whether they come one by one or as means of two."""
    torch.manual_seed(0)
    singles = torch.randn(4000, 1, 8, 8)
    one_by_one, by_two = SampledMean(((8, 8),)), SampledMean(((8, 8),))
    one_by_one.add(singles)
    by_two.add(singles.unflatten(0, (-1, 2)).mean(1), 2)
    torch.testing.assert_close(one_by_one.mean(), by_two.mean())
    assert float((one_by_one.error() / by_two.error()).mean()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("samples", [2, 3, 8, 27])
def test_moments_are_those_of_all_gradients(samples: int) -> None:
    torch.manual_seed(0)
    gradients = torch.randn(samples, 3, 14, 20)
    moments = Moments.of_size(14, 20)
    for part in (gradients[: samples // 2 * 2], gradients[samples // 2 * 2 :]):
        if len(part):
            moments.add(part)
    assert moments.samples == samples
    torch.testing.assert_close(moments.gradient.mean().float(), gradients.mean(0))
    assert moments.variance is not None
    torch.testing.assert_close(moments.variance.mean().float(), gradients.var(0, unbiased=False))


def test_last_digits_do_not_decide() -> None:
    mean = SampledMean(((1, 1),))
    mean.add(torch.tensor([0.9, 1.1]).reshape(2, 1, 1, 1))
    assert mean.share() == pytest.approx(0.1)
    assert mean.within(0.1 * (1 - 1e-4), 0)
    assert mean.within(0.1 * (1 + 1e-4), 0)
    assert not mean.within(0.099, 0)


# How many, and in which cells.


def test_a_number_of_samples_is_kept_and_every_pixel_drawn() -> None:
    (found,) = smooth(convolutions(64), torch.randn(1, 3, 64, 64), samples=9).maps
    (heatmap,) = found.results
    assert heatmap.values.shape == (64, 64)
    assert facts(heatmap)["samples"] == 9
    assert facts(heatmap)["tolerance"] is None
    assert "9 copies" in heatmap.detail.remarks[1]
    share = facts(heatmap)["standard_error"] / float(heatmap.values.max())
    assert facts(heatmap)["share"] == pytest.approx(share, rel=1e-5)


def test_of_two_samples_no_error_is_known() -> None:
    (found,) = smooth(convolutions(32), torch.randn(1, 3, 32, 32), samples=2).maps
    (heatmap,) = found.results
    assert facts(heatmap)["standard_error"] is facts(heatmap)["share"] is None
    assert "it is not known how much is chance" in heatmap.detail.remarks[1]


def test_sampling_ends_where_the_tolerance_is_kept() -> None:
    model, inputs = waves(3)
    counts = []
    for tolerance in ("40%", "20%", "5%"):
        (found,) = smooth(model, inputs, tolerance=tolerance, target="0").maps
        for heatmap in found.results:
            share, of = facts(heatmap)["share"], facts(heatmap)["tolerance"]
            assert share <= of * (1 + 1 / 256)
            assert facts(heatmap)["resolutions"][0]["shape"] == [64, 64]
            finer = [one for one in facts(heatmap)["resolutions"] if one["shape"][0] > len(heatmap.values)]
            assert all(one["share"] > of for one in finer), "drawn as finely as it may be"
        counts.append(sum(facts(heatmap)["samples"] for heatmap in found.results))
    assert counts[0] <= counts[1] < counts[2]


def test_with_a_tolerance_the_samples_are_the_most_and_the_surest_cells_are_drawn() -> None:
    (found,) = smooth(convolutions(64), torch.randn(1, 3, 64, 64), tolerance="0.1%", samples=40).maps
    (heatmap,) = found.results
    assert facts(heatmap)["samples"] == 40
    assert facts(heatmap)["share"] == min(one["share"] for one in facts(heatmap)["resolutions"])
    assert "give more --samples" in heatmap.detail.remarks[1]


def test_raw_maps_have_both_resolutions_with_their_errors() -> None:
    model, inputs = waves()
    (found,) = smooth(model, inputs, target="0").maps
    (heatmap,) = found.results
    raw = heatmap.arrays()
    cells = raw["map"].shape
    assert raw["values"].shape == raw["errors"].shape == (1, 64, 64)
    assert raw["map_errors"].shape == cells == (32, 32)
    assert heatmap.pooled
    away = np.abs(raw["map"] - pooled(model.module.slope.detach(), cells).numpy()[0]) / raw["map_errors"]
    assert (away < 2).mean() == pytest.approx(0.95, abs=0.04)
    np.testing.assert_allclose(
        raw["map"], np.abs(pooled(torch.from_numpy(raw["values"]), cells).numpy()).max(0), rtol=1e-4, atol=1e-9
    )  # fmt: skip


def test_two_seeds_share_their_strongest_cells() -> None:
    """Of the map as it is drawn; of single pixels of 25 samples, which was the usual default, they share few."""

    def strongest(seed: int, **options: Any) -> set[int]:
        (found,) = smooth(*waves(seed=seed), target="0", **options).maps
        values = found.values.flatten()
        return set(values.topk(round(len(values) / 50)).indices.tolist())

    def alike(**options: Any) -> float:
        one, other = strongest(0, **options), strongest(1, **options)
        return len(one & other) / len(one)

    assert alike(samples=25) < 0.2
    assert alike(tolerance="8%") > 0.5
    assert alike(tolerance="3%") >= 0.75


# Whatever else goes through the model.


def test_pictures_of_a_batch_are_the_same_to_the_last_bit() -> None:
    model, inputs = convolutions(32), torch.randn(5, 3, 32, 32)
    options = {"target": "1", "tolerance": "20%"}
    together = smooth(model, inputs, "smoothgrad", "vargrad", **options).maps
    for row in range(len(inputs)):
        alone = smooth(model, inputs[row : row + 1], "smoothgrad", "vargrad", **options).maps
        for one, every in zip(alone, together, strict=True):
            assert torch.equal(torch.from_numpy(every.results[row].values), one.values[0])
            assert every.results[row].detail == one.results[0].detail


def test_what_fills_a_batch_up_has_no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    original = _pixel_maps.evaluator

    def counting(model: Model, index: Tensor) -> formulas.gradients.Evaluate:
        evaluate = original(model, index)

        def counted(rows: int, inputs: Any) -> Any:
            asked.append(rows)
            return evaluate(rows, inputs)

        return counted

    monkeypatch.setattr(_pixel_maps, "evaluator", counting)
    model = convolutions(32)
    bound, _ = Saliency(method=("smoothgrad",), samples=9).bind(model)
    with model.borrowed():
        bound.explain(model, Batch(torch.randn(3, 3, 32, 32), copies=2))
    assert asked == [9, 2, 2]


@pytest.mark.parametrize(
    ("channels", "side", "precision"), [(1, 28, "fp32"), (4, 40, "fp32"), (3, 37, "fp32"), (3, 32, "bf16")]
)
def test_other_pictures(channels: int, side: int, precision: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    ).eval()  # fmt: skip
    model = as_model(network, (side, side), channels, precision=precision)
    found = smooth(model, torch.randn(2, channels, side, side), "smoothgrad", "vargrad", target="top2").maps
    assert len(found) == 4
    for one in found:
        for heatmap in one.results:
            assert facts(heatmap)["share"] <= 0.0502
            assert min(heatmap.values.shape) >= 7
            assert heatmap.channels.shape == (channels, side, side)


# Words.


@pytest.mark.parametrize(
    ("tolerance", "hint"), [("5", "--tolerance 5%"), ("0%", "5%"), ("x", "5%"), ("120%", "5%"), ("-1%", "5%")]
)
def test_a_tolerance_is_a_share(tolerance: str, hint: str) -> None:
    with pytest.raises(OptionError, match="is not a share") as refused:
        Saliency(tolerance=tolerance)
    assert hint in refused.value.hint


def test_the_default_is_said_with_its_reason() -> None:
    model = convolutions(32)
    (choice,) = Saliency(method=("smoothgrad",), target="1").bind(model)[1]
    assert (choice.setting, choice.value[:2]) == ("tolerance", "5%")
    for given in ({"samples": 9}, {"tolerance": "5%"}, {"method": ("gradient",)}):
        assert not Saliency(**{"method": ("smoothgrad",), "target": "1", **given}).bind(model)[1]


@pytest.mark.parametrize("share", [0.05, None, "text"])
def test_figure_says_how_sure_it_is(share: Any) -> None:
    target = {"index": 1, "label": "cat", "probability": 0.5, "logit": 1.0}
    entry = {"kind": "map", "method": "smoothgrad", "layer": "input", "target": target, "shape": [28, 28],
             "min": 0, "max": 1, "peak": [1, 2], "scale": "magnitude",
             "sampled": {"samples": 64, "share": share}}  # fmt: skip
    (figure,) = figures([entry], {"size": [100, 80]})
    assert ("noisy copies", "64") in figure.facts
    assert dict(figure.facts)["largest standard error"] == (
        "5.0% of the largest value" if share == 0.05 else "not known"
    )


# The bundled model.


@pytest.mark.slow
def test_standard_errors_cover_the_error_of_a_real_model(bundled: Model) -> None:
    """64 samples against 3,000 others, at every resolution: two standard errors, as often as of a normal deviation."""
    torch.manual_seed(2)
    inputs = nn.functional.interpolate(torch.randn(1, 3, 8, 8), size=64, mode="bilinear").clamp(-1, 1)

    def score(x: Tensor, image: Tensor) -> Tensor:
        scores: Tensor = bundled.module(x)[:, 285]
        return scores

    def moments(samples: int, seed: int) -> Moments:
        (found,) = noisy_gradients(evaluator(score), inputs, samples=samples, seed=seed)
        return found

    with bundled.borrowed():
        exact, tested = moments(3000, 1), moments(64, 2)
    for mean, reference in ((tested.gradient, exact.gradient), (tested.variance, exact.variance)):
        assert mean is not None
        assert reference is not None
        assert len(mean.sizes) == 4
        for level in range(len(mean.sizes)):
            error = (mean.error(level).square() + reference.error(level).square()).sqrt()
            away = (mean.mean(level) - reference.mean(level)).abs() / error
            # The variance of few samples is skewed, and of 32 pairs an error is off by an eighth itself.
            assert 0.86 < float((away < 2).double().mean()) < 0.99, (level, mean is tested.gradient)


def test_noise_is_that_of_seed_and_number_alone() -> None:
    """The gradient of sum(x^2) / 2 is the noisy copy itself."""
    seen: list[Tensor] = []

    def score(x: Tensor, image: Tensor) -> Tensor:
        seen.extend(x.detach())
        return x.square().sum((1, 2, 3))

    for at_once in (1, 3, 32):
        seen.clear()
        images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        noisy_gradients(evaluator(score, at_once), images, samples=33)
        deviation = 0.15 * (images.flatten(1).amax(1) - images.flatten(1).amin(1))
        for number, copy in enumerate(seen):
            image, sample = divmod(number, 33)
            noise = formulas.standard_normal(0, sample, images)
            torch.testing.assert_close(copy, images[image] + deviation[image] * noise)
