"""Pixel maps against numbers worked out by hand, and against what must hold for them whatever the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import Column, Columns, OneConv, Readout, as_model, explained, pooled, settle
from numpy.typing import NDArray
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands import _integral
from cnnexplain.commands._baselines import BASELINES
from cnnexplain.commands._pixel_maps import MAPS
from cnnexplain.commands.saliency import Saliency
from cnnexplain.core.results.map import PIXELS
from cnnexplain.errors import OptionError, TargetError

PICTURE = torch.arange(16.0).reshape(1, 1, 4, 4)
RNG = np.random.default_rng(0)
QUADRATURES = ["adaptive", "gauss-legendre"]


def saliency(module: Any, inputs: Tensor, *methods: str, **options: Any) -> Columns:
    return explained(Saliency(method=methods, **options), module, inputs)


def values(module: Any, inputs: Tensor, method: str, **options: Any) -> Tensor:
    """The only map (N, H, W) that is found."""
    (found,) = saliency(module, inputs, method, **options).maps
    return found.values


def facts(found: Column, row: int = 0) -> dict[str, Any]:
    """What is recorded of an integral."""
    return dict(found.details[row].facts["completeness"])


def integral(module: Any, inputs: Tensor, **options: Any) -> tuple[Tensor, dict[str, Any]]:
    (found,) = saliency(module, inputs, "integrated-gradients", **options).maps
    return found.values, facts(found)


def spread(values: Tensor) -> float:
    return float(values.max() - values.min())


class Scored(nn.Module):
    """Scores (N, K) by any formula of the input."""

    def __init__(self, formula: Callable[[Tensor], Tensor], *weights: NDArray[np.float64]) -> None:
        super().__init__()
        self.formula = formula
        self.weights = nn.ParameterList(torch.tensor(one, dtype=torch.float32) for one in weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.formula(x, *self.weights)  # type: ignore[call-arg]


def linear(weight: NDArray[np.float64]) -> Scored:
    """Class k scores sum(weight[k] * x)."""
    return Scored(lambda x, w: torch.einsum("nchw,kchw->nk", x, w), weight)


def jump(x: Tensor) -> Tensor:
    """The mean, and one more where it is above 0.3."""
    mean = x.mean((1, 2, 3))
    return (mean + (mean > 0.3).float())[:, None] * torch.ones(2)


def smooth(seed: int = 0, classes: int = 4) -> nn.Sequential:
    """A network without a corner anywhere, whose score bends a lot."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Softplus(), nn.AvgPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    ).eval()  # fmt: skip


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return settle(pooled(classes=7), (16, 16))


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(5, 3, 16, 16)


# The network that fits on a page: its convolution gives [[-5, 4], [31, 40]] and [[-30, -21], [6, 15]], and the score's
# gradients there, before the rectifier, are [[1, 1], [1, 1]] and [[1, -1], [-1, -1]]. What reaches the picture is each
# unit's signal spread over its 3x3 window.
WORKED = {
    # Open units: 1 at the upper right; 1 - 1 at the lower two.
    "gradient": [[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]],
    "input-x-gradient": [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11], [0, 0, 0, 0]],
    # Open units with positive signals: three of the first map.
    "guided-backprop": [[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]],
    # All positive signals, open or not: four of the first map and one of the second.
    "deconvnet": [[2, 3, 3, 1], [3, 5, 5, 2], [3, 5, 5, 2], [1, 2, 2, 1]],
}
# Grad-CAM, where positive.
CAMS = {"conv1": [[11.25, 13.5], [20.25, 22.5]], "relu1": [[0, 4], [28, 32.5]]}
# Bilinear from 2 to 4 cells: their centres lie at 0.25, 0.75, ... of a cell's width from the old ones.
BILINEAR = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])


@pytest.mark.parametrize("method", WORKED)
def test_network_that_fits_on_a_page(method: str) -> None:
    answer = saliency(OneConv(), PICTURE, method, target="0")
    (found,) = answer.maps
    assert answer.logits.tolist() == [[54] * 4]
    assert (found.method, found.layer, found.index.tolist(), found.scale) == (
        method, PIXELS, [0], MAPS[method].scale,
    )  # fmt: skip
    np.testing.assert_array_equal(found.values[0], WORKED[method])


@pytest.mark.parametrize("layer", CAMS)
def test_guided_gradcam_is_guided_backpropagation_times_the_enlarged_gradcam(layer: str) -> None:
    (found,) = saliency(OneConv(), PICTURE, "guided-gradcam", layer=layer, target="0").maps
    expected = np.array(WORKED["guided-backprop"]) * (BILINEAR @ np.array(CAMS[layer]) @ BILINEAR.T)
    assert found.layer == layer
    np.testing.assert_allclose(found.values[0], expected, rtol=1e-6)


def test_guided_gradcam_leaves_out_where_the_layer_speaks_against_the_class() -> None:
    """Grad-CAM -1 in one half and 2 in the other; only the half of 2 may show."""
    maps = torch.tensor([[[[-1.0, -1, 2, 2]] * 4]])
    network = Readout([[[[1.0] * 4] * 4], [[[0.0] * 4] * 4]])
    head = nn.Sequential(network, nn.ReLU())  # something to rule; the score is 8
    found = values(head, maps, "guided-gradcam", layer="0.maps", target="0")[0]
    np.testing.assert_allclose(found, [[0, 0, 2, 2]] * 4)


def test_refused_where_a_layer_has_no_use() -> None:
    with pytest.raises(OptionError, match="--layer conv1 has no use") as caught:
        saliency(OneConv(), PICTURE, "gradient", layer="conv1")
    assert "guided-gradcam" in caught.value.hint


def test_gradient_is_the_largest_over_the_channels_and_the_others_their_sum() -> None:
    weight = np.array([[[[3.0]], [[-4.0]], [[1.0]]]])  # one pixel of three channels
    x = torch.tensor([[[[2.0]], [[1.0]], [[-5.0]]]])
    network = linear(np.concatenate((weight, -weight)))
    assert values(network, x, "gradient", target="0").item() == 4
    assert values(network, x, "input-x-gradient", target="0").item() == 6 - 4 - 5
    assert values(network, x, "integrated-gradients", target="0", baseline="mean").item() == pytest.approx(-3)


# Integrals of scores whose antiderivatives are known.


@pytest.mark.parametrize("quadrature", QUADRATURES)
@pytest.mark.parametrize("baseline", ["mean", "black"])
def test_integral_of_a_quadratic_score(quadrature: str, baseline: str) -> None:
    """f = x A x has the gradient (A + A') x, whose mean from b to x is (A + A') (x + b) / 2."""
    a = RNG.standard_normal((2, 9, 9))
    x = RNG.standard_normal((3, 9))
    b = np.zeros(9) if baseline == "mean" else np.full(9, black(1))
    network = Scored(lambda x, a: torch.einsum("ni,kij,nj->nk", x.flatten(1), a, x.flatten(1)), a)
    expected = (x - b) * ((a[1] + a[1].T) @ ((x + b) / 2).T).T
    inputs = torch.tensor(x, dtype=torch.float32).reshape(3, 1, 3, 3)
    options = {"quadrature": quadrature, "baseline": baseline, "target": "1"}
    found = values(network, inputs, "integrated-gradients", **options)
    np.testing.assert_allclose(found.flatten(1), expected, atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize(
    ("quadrature", "steps", "error"), [("adaptive", 200, 1e-3), ("gauss-legendre", 3, 1e-5)]
)
def test_integral_of_powers_has_the_difference_of_each_pixel(
    quadrature: str, steps: int, error: float
) -> None:
    """f = sum(w x^5): each pixel has w (x^5 - 0). Three Gauss-Legendre points are exact for the slope, of degree 4."""
    weight, x = RNG.standard_normal((2, 1, 3, 3)), RNG.standard_normal((1, 1, 3, 3))
    network = Scored(lambda x, w: torch.einsum("nchw,kchw->nk", x**5, w), weight)
    inputs = torch.tensor(x, dtype=torch.float32)
    expected = (weight[0] * x[0] ** 5).sum(0)
    options = {"steps": steps, "quadrature": quadrature, "baseline": "mean", "target": "0"}
    found = values(network, inputs, "integrated-gradients", **options)
    np.testing.assert_allclose(found[0], expected, atol=error * np.ptp(expected))


def black(channels: int) -> Any:
    """What a black pixel is after normalisation."""
    chosen = as_model(nn.Identity(), (2, 2), channels).preprocess
    return (-np.array(chosen.mean) / np.array(chosen.std)).squeeze()


@pytest.mark.parametrize("quadrature", QUADRATURES)
@pytest.mark.parametrize("baseline", BASELINES)
def test_pixels_of_a_smooth_network_add_up_to_the_scores_difference(
    inputs: Tensor, quadrature: str, baseline: str
) -> None:
    network = smooth()
    model = as_model(network, (16, 16))
    (found,) = saliency(
        model, inputs, "integrated-gradients",
        target="2", baseline=baseline, quadrature=quadrature, steps=60,
    ).maps  # fmt: skip
    with torch.no_grad():
        start = BASELINES[baseline](model, inputs)
        difference = (network(inputs) - network(start))[:, 2]
    gaps = (found.values.sum((1, 2)) - difference).abs() / difference.abs()
    assert gaps.max() < 0.003
    for row in range(len(inputs)):
        told = facts(found, row)
        assert told["difference"] == pytest.approx(difference[row].item(), rel=1e-4)
        assert told["sum"] == pytest.approx(found.values[row].sum().item(), rel=1e-4)
        assert told["gap"] == pytest.approx(told["difference"] - told["sum"])
        assert (told["baseline"], told["quadrature"]) == (baseline, quadrature)


@pytest.mark.parametrize("baseline", BASELINES)
def test_so_many_steps_cost_so_many_gradients_and_their_error_is_expected(
    network: nn.Sequential, inputs: Tensor, baseline: str
) -> None:
    """`--steps` alone takes plain gradients where Captum does; what is expected of the map is not less than is true."""
    model, seen = as_model(network, (16, 16)), 0

    def count(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal seen
        seen += len(arguments[0]) if arguments[0].requires_grad else 0

    options = {"target": "2", "baseline": baseline}
    exact = saliency(model, inputs, "integrated-gradients", steps=500, **options).maps[0].values
    with network.register_forward_pre_hook(count):
        (found,) = saliency(model, inputs, "integrated-gradients", steps=20, **options).maps
    assert seen == 20 * len(inputs)
    true = (found.values - exact).abs().amax((1, 2)) / (exact.amax((1, 2)) - exact.amin((1, 2)))
    for row, error in enumerate(true.tolist()):
        told = facts(found, row)
        assert told["steps"] == 20
        assert "tolerance" not in told
        assert error <= 1.5 * told["error"] + 1e-5
        assert told["error"] <= 10 * error + 0.05


def test_both_quadratures_come_to_the_same_map(inputs: Tensor) -> None:
    """Closer and closer: with sixteen times the steps a tenth of the difference is allowed, or rounding."""
    network = smooth()
    exact = values(
        network, inputs, "integrated-gradients", target="0", quadrature="gauss-legendre", steps=200
    )
    differences = []
    for steps in (10, 160):
        options = {"target": "0", "quadrature": "adaptive", "steps": steps}
        found = values(network, inputs, "integrated-gradients", **options)
        differences.append(((found - exact).abs().max() / spread(exact)).item())
    assert differences[0] > 1e-4, "ten steps must leave something to gain"
    assert differences[1] < max(differences[0] / 10, 1e-5)


def test_smaller_tolerance_takes_more_gradients_up_to_five_hundred(inputs: Tensor) -> None:
    """A score that rises and falls on its way; w (4x - sin(4x)) / 4 + x²/2 is what it gives each pixel."""
    weight = RNG.uniform(0, 1, (2, 3, 16, 16))
    network = Scored(lambda x, w: torch.einsum("nchw,kchw->nk", (4 * x).sin() + x, w), weight)
    image = inputs[:1].abs()
    exact = torch.tensor(weight[0]).mul((4 * image[0]).sin() + image[0]).sum(0)
    taken = []
    for allowed in ("30%", "3%", "0.3%", "0.0001%"):
        found, facts_ = integral(network, image, target="0", tolerance=allowed, baseline="mean")
        taken.append(facts_["steps"])
        assert facts_["error"] <= facts_["tolerance"] or taken[-1] >= 499
        assert (found[0] - exact).abs().max() <= facts_["error"] * spread(exact) + 1e-5
    assert taken == sorted(set(taken))
    assert taken[-1] <= 500


def test_tolerance_that_is_not_reached_is_said(inputs: Tensor) -> None:
    network = Scored(lambda x: (20 * x).sin().sum((1, 2, 3))[:, None] * torch.ones(2))
    (found,) = saliency(network, inputs[:1], "integrated-gradients", target="0", tolerance="0.0001%").maps
    assert facts(found)["steps"] >= 499
    assert "The tolerance of <0.1% is not reached." in found.details[0].remarks[1]


def test_jump_that_no_gradient_sees_is_a_gap() -> None:
    options = {"target": "0", "baseline": "mean"}
    (found,) = saliency(Scored(jump), torch.ones(1, 1, 4, 4), "integrated-gradients", **options).maps
    assert facts(found)["sum"] == pytest.approx(1, rel=1e-4)
    assert facts(found)["gap"] == pytest.approx(1, rel=1e-3)
    assert found.details[0].remarks[0].startswith("Do not add these up")


def test_straight_score_needs_no_further_look(inputs: Tensor) -> None:
    weight = RNG.standard_normal((2, 3, 16, 16))
    found, told = integral(linear(weight), inputs, target="1", baseline="mean")
    assert told["steps"] == 8
    assert told["error"] < 1e-5
    np.testing.assert_allclose(found, (weight[1] * inputs.numpy()).sum(1), atol=1e-4)


@pytest.mark.parametrize("steps", [2, 5, 8, 9, 10, 17, 18, 19, 50])
def test_steps_are_exactly_those_asked_for(inputs: Tensor, steps: int) -> None:
    for network in (smooth(), linear(RNG.standard_normal((4, 3, 16, 16)))):
        _, told = integral(network, inputs, target="1", steps=steps)
        assert told["steps"] == steps
        assert "tolerance" not in told


@pytest.mark.parametrize("quadrature", QUADRATURES)
def test_picture_like_its_baseline_has_nothing_to_explain(network: nn.Sequential, quadrature: str) -> None:
    """Beside one that has: what is zero for one must not be for the other."""
    both = torch.cat((torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)))
    options = {"baseline": "mean", "quadrature": quadrature, "target": "1"}
    (found,) = saliency(network, both, "integrated-gradients", **options).maps
    assert not found.values[0].any()
    assert found.values[1].any()
    assert facts(found, 0)["difference"] == pytest.approx(0, abs=1e-6)
    assert found.details[0].remarks


@pytest.mark.parametrize("quadrature", QUADRATURES)
def test_ways_that_end_no_higher_than_they_began(quadrature: str) -> None:
    """f = (a - b)^2 along a = b rises nowhere: each pixel's slope is zero. f = a - b: what one gains, one loses."""
    inputs = torch.full((1, 1, 1, 2), 2.0)
    options = {"baseline": "mean", "quadrature": quadrature, "target": "0"}
    flat = Scored(lambda x: (x[:, :, 0, 0] - x[:, :, 0, 1]) ** 2 * torch.ones(2))
    assert integral(flat, inputs, **options)[0].tolist() == [[[0, 0]]]
    found, told = integral(
        Scored(lambda x: (x[:, :, 0, 0] - x[:, :, 0, 1]) * torch.ones(2)), inputs, **options
    )
    np.testing.assert_allclose(found[0], [[2, -2]], rtol=1e-5)
    assert told["difference"] == 0


def test_too_many_steps_to_keep_are_refused_before_any_is_taken() -> None:
    model = as_model(pooled(), (1024, 1024))
    with pytest.raises(OptionError, match="GiB of gradients") as caught:
        Saliency(method=("integrated-gradients",), steps=5000, quadrature="adaptive").bind(model)
    assert "gauss-legendre" in caught.value.hint
    bound, (choice,) = Saliency(method=("integrated-gradients",), steps=5000).bind(model)
    assert bound.quadrature == choice.value == "gauss-legendre"


# Baselines.


def test_black_and_mean_are_what_they_are_called(network: nn.Sequential, inputs: Tensor) -> None:
    model = as_model(network, (16, 16))
    expected = black(3)[:, None, None] * np.ones((5, 3, 16, 16))
    np.testing.assert_allclose(BASELINES["black"](model, inputs), expected, rtol=1e-5)
    assert BASELINES["mean"](model, inputs).shape == inputs.shape
    assert not BASELINES["mean"](model, inputs).any()


def test_random_is_a_picture_of_its_own_for_every_seed(network: nn.Sequential, inputs: Tensor) -> None:
    pictures = []
    for seed in (0, 0, 1):
        model = as_model(network, (16, 16), seed=seed)
        found = BASELINES["random"](model, inputs)
        assert all(torch.equal(one, found[0]) for one in found), "the same for all pictures"
        mean, std = (np.array(one)[:, None, None] for one in (model.preprocess.mean, model.preprocess.std))
        pictures.append((found[0].numpy() * std + mean) * 255)
    np.testing.assert_allclose(pictures[0], pictures[0].round(), atol=1e-3)
    assert pictures[0].min() >= -1e-3
    assert pictures[0].max() < 255.001
    assert np.ptp(pictures[0]) > 200
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] != pictures[2]).any()


@pytest.mark.parametrize("size", [(16, 16), (10, 24), (3, 3), (1, 5)])
def test_blur_is_a_gaussian_of_a_tenth_of_the_shorter_side(
    network: nn.Sequential, size: tuple[int, int]
) -> None:
    pictures = torch.tensor(RNG.standard_normal((2, 3, *size)), dtype=torch.float32)
    deviation = max(0.1 * min(size), 0.5)
    reach = min(round(3 * deviation), min(size) - 1)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    kernel /= kernel.sum()
    expected = pictures.double().numpy()
    for axis in (2, 3):
        edges = [(reach, reach) if one == axis else (0, 0) for one in range(4)]
        padded = np.pad(expected, edges, mode="reflect")
        expected = sum(
            weight * padded.take(range(at, at + size[axis - 2]), axis) for at, weight in enumerate(kernel)
        )
    found = BASELINES["blur"](as_model(network, size), pictures)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_baseline_is_where_the_integral_begins(inputs: Tensor) -> None:
    """A linear score has w (x - b), which tells each baseline from the others."""
    weight = RNG.standard_normal((2, 3, 16, 16))
    model = as_model(linear(weight), (16, 16), seed=3)
    for baseline in BASELINES:
        start = BASELINES[baseline](model, inputs).numpy()
        found = values(model, inputs, "integrated-gradients", target="0", baseline=baseline)
        np.testing.assert_allclose(found, (weight[0] * (inputs.numpy() - start)).sum(1), atol=1e-4)


# Noisy copies.


def test_noise_changes_nothing_where_the_score_is_linear(inputs: Tensor) -> None:
    weight = RNG.standard_normal((2, 3, 16, 16))
    smoothed, varied = saliency(linear(weight), inputs, "smoothgrad", "vargrad", target="1").maps
    np.testing.assert_allclose(smoothed.values, np.abs(weight[1]).max(0)[None].repeat(5, 0), rtol=1e-5)
    assert varied.values.max() < 1e-12


def test_no_noise_is_the_gradient(network: nn.Sequential, inputs: Tensor) -> None:
    plain, smoothed, varied = saliency(
        network, inputs, "gradient", "smoothgrad", "vargrad", noise=0.0, samples=3
    ).maps
    torch.testing.assert_close(smoothed.values, plain.values, rtol=1e-4, atol=1e-7)
    assert varied.values.max() < 1e-10


def test_noise_has_a_share_of_the_inputs_range_as_its_deviation() -> None:
    """f = sum(w x^2): gradients 2 w (x + e) with e of deviation s have the mean 2 w x and the variance (2 w s)^2.

    Opposite noise cancels in the mean. In one of three cases the variance is off by a share of sqrt(2 / pairs).
    """
    weight = RNG.uniform(1, 2, (2, 1, 4, 4))
    x = RNG.uniform(-3, 3, (2, 1, 4, 4))
    network = Scored(lambda x, w: torch.einsum("nchw,kchw->nk", x**2, w), weight)
    smoothed, varied = saliency(
        network, torch.tensor(x, dtype=torch.float32), "smoothgrad", "vargrad",
        target="0", samples=900, noise=0.25,
    ).maps  # fmt: skip
    deviation = 0.25 * np.ptp(x, axis=(1, 2, 3))[:, None, None]
    slopes = 2 * weight[0, 0] * deviation
    np.testing.assert_allclose(smoothed.values.numpy(), np.abs(2 * weight[0, 0] * x[:, 0]), rtol=1e-5)
    ratio = varied.values.numpy() / slopes**2
    assert np.abs(ratio - 1).max() < 4.5 * (2 / 450) ** 0.5
    assert ratio.mean() == pytest.approx(1, abs=0.03)


def test_noise_is_the_seeds(network: nn.Sequential, inputs: Tensor) -> None:
    first, again, other = (
        values(as_model(network, (16, 16), seed=seed), inputs, "smoothgrad", samples=4) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, rtol=1e-2)


def test_flat_picture_has_no_range_and_so_no_noise(network: nn.Sequential) -> None:
    flat = torch.full((1, 3, 16, 16), 0.5)
    plain, smoothed = saliency(network, flat, "gradient", "smoothgrad", samples=3).maps
    torch.testing.assert_close(smoothed.values, plain.values, rtol=1e-4, atol=1e-7)


# Whatever shares a batch, or a chunk.


@pytest.mark.parametrize("quadrature", QUADRATURES)
@pytest.mark.parametrize("baseline", BASELINES)
def test_picture_in_a_batch_is_the_picture_alone(
    network: nn.Sequential, inputs: Tensor, baseline: str, quadrature: str
) -> None:
    options = {"baseline": baseline, "quadrature": quadrature, "steps": 20, "samples": 4}
    together = saliency(network, inputs, *MAPS, **options).maps
    assert len(set(together[0].index.tolist())) > 1, "the pictures must differ in class"
    for row in range(len(inputs)):
        alone = saliency(network, inputs[row : row + 1], *MAPS, **options).maps
        for one, all_ in zip(alone, together, strict=True):
            assert one.index[0] == all_.index[row]
            limit = 1e-4 * spread(one.values[0])
            assert (one.values[0] - all_.values[row]).abs().max() <= limit, one.method
            if one.details and "completeness" in one.details[0].facts:
                assert facts(one)["steps"] == facts(all_, row)["steps"]
            elif one.details:
                assert one.details[0] == all_.details[row]


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("corners", [False, True])
def test_rows_that_go_through_at_once_do_not_matter(
    network: nn.Sequential, inputs: Tensor, limit: int, corners: bool
) -> None:
    """To rounding, also where rectifiers have corners on the way."""
    module = network if corners else smooth()
    methods = ("smoothgrad", "vargrad", "integrated-gradients")
    for quadrature in QUADRATURES:
        options = {"quadrature": quadrature, "steps": 20, "samples": 5}
        expected = saliency(module, inputs, *methods, **options).maps
        model = as_model(module, (16, 16))
        model.chunks.limit = limit
        for one, other in zip(saliency(model, inputs, *methods, **options).maps, expected, strict=True):
            assert (one.values - other.values).abs().max() <= 1e-4 * spread(other.values), one.method


def test_steps_that_a_picture_may_take_do_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for 96 gradients, a tenth of what 224x224 pixels have."""
    monkeypatch.setattr(_integral, "KEPT", 96 * _integral.bytes_of((1, 4, 4)))
    options = {"target": "0", "tolerance": "0.0001%", "baseline": "mean"}
    inputs = torch.arange(1.0, 17).reshape(1, 1, 4, 4) * torch.arange(1.0, 5)[:, None, None, None]
    waves = Scored(lambda x: x.sin().sum((1, 2, 3))[:, None] * torch.ones(2))
    (together,) = saliency(waves, inputs, "integrated-gradients", **options).maps
    for row in range(4):
        _, alone = integral(waves, inputs[row : row + 1], **options)
        assert facts(together, row)["steps"] == alone["steps"] >= 95


def test_methods_together_are_each_alone(network: nn.Sequential, inputs: Tensor) -> None:
    """Rules must not leak from one formula into the next, in either order."""
    for order in (tuple(MAPS), tuple(MAPS)[::-1]):
        together = saliency(network, inputs, *order, samples=3, steps=10, target="top2").maps
        assert [one.method for one in together] == [*order, *order]
        for place, method in enumerate(order):
            alone = saliency(network, inputs, method, samples=3, steps=10, target="top2").maps
            for rank, one in enumerate(alone):
                torch.testing.assert_close(
                    together[rank * len(order) + place].values, one.values, rtol=1e-4, atol=1e-7
                )


# Classes.


@pytest.mark.parametrize("method", MAPS)
def test_single_score_is_two_classes_that_speak_against_each_other(inputs: Tensor, method: str) -> None:
    network = settle(pooled(classes=1), (16, 16))
    options = {"samples": 3, "steps": 10}
    against, for_it = (values(network, inputs, method, target=target, **options) for target in "01")
    if MAPS[method].rule != "gradient":  # which keeps what is positive of either
        assert not torch.allclose(against, for_it)
    elif MAPS[method].scale == "magnitude":
        torch.testing.assert_close(against, for_it)
        assert for_it.min() >= 0
    else:
        torch.testing.assert_close(against, -for_it)
    best = saliency(network, inputs, method, **options)
    assert best.maps[0].index.tolist() == (best.logits[:, 0] > 0).long().tolist()


def test_top_three_are_the_three_classes_one_by_one(network: nn.Sequential, inputs: Tensor) -> None:
    options = {"samples": 3, "steps": 10}
    answer = saliency(network, inputs[:1], *MAPS, target="top3", **options)
    best = answer.logits[0].argsort(descending=True)[:3].tolist()
    assert [int(one.index) for one in answer.maps] == [one for one in best for _ in MAPS]
    for found in answer.maps:
        alone = values(network, inputs[:1], found.method, target=str(int(found.index)), **options)
        torch.testing.assert_close(found.values, alone, rtol=1e-4, atol=1e-7)


def test_every_class_has_its_own_gradient() -> None:
    weight = RNG.standard_normal((4, 2, 3, 3))
    x = torch.tensor(RNG.standard_normal((2, 2, 3, 3)), dtype=torch.float32)
    for target in range(4):
        found = values(linear(weight), x, "input-x-gradient", target=str(target))
        np.testing.assert_allclose(found, (weight[target] * x.numpy()).sum(1), rtol=1e-4, atol=1e-5)
    with pytest.raises(TargetError):
        values(linear(weight), x, "gradient", target="4")


@pytest.mark.parametrize("method", MAPS)
def test_class_that_the_head_ignores_is_found_nowhere(
    network: nn.Sequential, inputs: Tensor, method: str
) -> None:
    with torch.no_grad():
        network.fc.weight[2] = 0
        network.fc.bias[2] = 1
    assert not values(network, inputs, method, target="2", samples=3, steps=10).any()
    assert values(network, inputs, method, target="3", samples=3, steps=10).any()


# Whatever the model does with its input, and in whatever precision.


class Normalising(nn.Module):
    """A model that scales its input itself, in place or not."""

    def __init__(self, inner: nn.Module, in_place: bool) -> None:
        super().__init__()
        self.inner, self.in_place = inner, in_place

    def forward(self, x: Tensor) -> Tensor:
        if self.in_place:
            x -= 0.7
            x *= 2
        else:
            x = (x - 0.7) * 2
        return self.inner(x)


@pytest.mark.parametrize(
    ("method", "baseline"),
    [(method, "black") for method in MAPS if method != "integrated-gradients"]
    + [("integrated-gradients", baseline) for baseline in BASELINES],
)
@pytest.mark.parametrize("quadrature", QUADRATURES)
def test_model_may_write_into_its_input(
    network: nn.Sequential, inputs: Tensor, method: str, baseline: str, quadrature: str
) -> None:
    options = {"steps": 10, "samples": 3, "baseline": baseline, "quadrature": quadrature}
    before = inputs.clone()
    expected = values(Normalising(network, False).eval(), inputs, method, **options)
    found = values(Normalising(network, True).eval(), inputs, method, **options)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(inputs, before)


@pytest.mark.parametrize(
    "method",
    MAPS,
)
def test_weights_of_double_precision_give_the_same_maps(method: str, inputs: Tensor) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    options = {"steps": 10, "samples": 3, "target": "1", "quadrature": "gauss-legendre"}
    expected = values(network, inputs, method, **options)
    found = values(network.double(), inputs.double(), method, **options)
    assert (found - expected).abs().max() <= 1e-4 * spread(expected)
    assert found.dtype == expected.dtype == torch.float32


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("method", MAPS)
def test_rough_precision_gives_nearly_the_same_map(
    network: nn.Sequential, inputs: Tensor, method: str, precision: str
) -> None:
    options = {"samples": 8, "target": "1"}
    exact = values(network, inputs, method, **options)
    rough = values(as_model(network, (16, 16), precision=precision), inputs, method, **options)
    assert rough.dtype == torch.float32
    assert torch.corrcoef(torch.stack((rough.flatten(), exact.flatten())))[0, 1] > 0.95


@pytest.mark.parametrize("size", [(64, 64), (1024, 2048)])
def test_only_integrals_need_room_for_their_steps(size: tuple[int, int]) -> None:
    model = as_model(nn.Sequential(nn.Conv2d(3, 2, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten()), size)
    Saliency(method=("gradient", "smoothgrad")).bind(model)
    if size[0] > 64:
        with pytest.raises(OptionError, match="GiB"):
            Saliency(method=("integrated-gradients",), steps=50, quadrature="adaptive").bind(model)
        Saliency(method=("integrated-gradients",), steps=50).bind(model)  # at fixed places nothing is kept


def test_half_precision_bears_what_a_real_network_makes_of_a_signal() -> None:
    """Under the deconvnet's rule it grows beyond fp16's largest number where it starts too large."""
    exact, half = (cnnexplain.load("bundled:efficientnet_lite0", precision=one) for one in ("fp32", "fp16"))
    photo = Path(__file__).parents[2] / "docs" / "photos" / "chelsea.png"
    for command, options in (
        ("saliency", {"method": "deconvnet,guided-backprop,gradient", "target": "282"}),
        ("deconv", {"layer": "blocks.4", "channel": (7, 51), "rule": "deconv,guided"}),
    ):
        found = [one.explain(photo, command, **options) for one in (exact, half)]
        pairs = zip(*((*one.heatmaps, *one.reconstructions) for one in found), strict=True)
        for one, other in pairs:
            assert np.isfinite(other.values).all()
            if getattr(one, "sees", None) == getattr(other, "sees", None) and "gradient" not in str(one):
                assert np.corrcoef(one.values.ravel(), other.values.ravel())[0, 1] > 0.8
