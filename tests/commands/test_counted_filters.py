"""What is counted about filters whose answers are known, and how each kind of layer comes to lie a row a filter."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from networks import as_model
from torch import nn

from cnnexplain import commands
from cnnexplain.commands.filters import Filters
from cnnexplain.core.results.kernels import Kernels
from cnnexplain.engine.model import Model
from cnnexplain.engine.weights.kernel_statistics import by_likeness, statistics
from cnnexplain.errors import CnnexplainError, LayerError, ModelError


def found(
    module: nn.Module, size: tuple[int, int] = (32, 32), channels: int = 3, **options: Any
) -> list[Kernels]:
    model = as_model(module, size, channels)
    if isinstance(options.get("layer"), str):
        options["layer"] = (options["layer"],)
    filters, _ = commands.bound(Filters(**options), model)
    return list(filters.inspect(model))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def conv(weight: Any, **options: Any) -> nn.Conv2d:
    weight = torch.as_tensor(weight)
    groups = options.get("groups", 1)
    layer = nn.Conv2d(weight.shape[1] * groups, len(weight), weight.shape[2:], bias=False, **options)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


# Faults


def test_dead_filters_are_those_far_below_the_layer() -> None:
    weight = noise(10, 3, 3, 3)
    weight[4] = 0
    weight[7] *= 1e-4
    weight[8] *= 0.05  # weak, and alive
    assert statistics(weight).dead == (4, 7)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_dead_filters_and_norms_do_not_depend_on_the_scale(scale: float) -> None:
    weight = noise(10, 3, 3, 3)
    weight[4] *= 1e-4
    counted = statistics(weight * np.float32(scale))
    assert counted.dead == (4,)
    expected = np.linalg.norm(weight.reshape(10, -1).astype(np.float64), axis=1) * scale
    np.testing.assert_allclose(counted.norms, expected, rtol=1e-5)


def test_most_filters_dead_are_found_too() -> None:
    weight = noise(50, 3, 3, 3) * 1e-6
    weight[3] *= 1e6
    assert len(statistics(weight).dead) == 49


def test_a_layer_of_zeros_is_all_dead_and_has_no_smoothness() -> None:
    counted = statistics(np.zeros((5, 3, 3, 3), np.float32))
    assert counted.dead == (0, 1, 2, 3, 4)
    assert counted.smoothness is None
    assert counted.alike is not None
    assert counted.alike.pairs == 0


def test_equal_scaled_and_opposite_filters_are_told_apart_and_mirrored_ones_are_none() -> None:
    weight = noise(12, 3, 5, 5)
    weight[3] = weight[1]
    weight[5] = 2.5 * weight[2]
    weight[7] = -weight[0]
    weight[9] = weight[8][:, :, ::-1]
    alike = statistics(weight).alike
    assert alike is not None
    assert {pair[:2] for pair in alike.closest} == {(1, 3), (2, 5)}
    assert (alike.pairs, alike.filters, alike.equal, alike.opposite) == (2, 4, 1, 1)


def test_near_duplicates_end_at_the_limit() -> None:
    one, other = np.eye(2, 27, dtype=np.float32)
    weight = np.stack([
        (math.cos(angle) * one + math.sin(angle) * other).reshape(3, 3, 3)
        for angle in (0, math.acos(0.991), math.pi / 2, math.pi / 2 + math.acos(0.989))
    ])  # fmt: skip
    alike = statistics(weight.astype(np.float32)).alike
    assert alike is not None
    assert [(one, other) for one, other, _ in alike.closest] == [(0, 1)]
    assert alike.closest[0][2] == pytest.approx(0.991, abs=1e-5)


def test_long_filters_are_compared_by_sketches_and_found_the_same() -> None:
    """512x512x3x3 with planted pairs: against all cosines, computed at once."""
    weight = noise(512, 512, 3, 3)
    generator = np.random.default_rng(1)
    for place in range(40):  # cosines from 0.98 to 1
        away = generator.standard_normal(weight.shape[1:]).astype(np.float32)
        weight[511 - place] = weight[place] + away * np.float32(place / 200)
    flat = weight.reshape(512, -1)
    units = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    cosines = np.triu(units @ units.T, 1)
    alike = statistics(weight).alike
    assert alike is not None
    assert alike.pairs == int((cosines >= 0.99).sum()) > 20
    for one, other, cosine in alike.closest:
        assert cosine == pytest.approx(float(cosines[one, other]), abs=1e-5)


def test_what_is_not_finite_is_counted_and_takes_no_part() -> None:
    weight = noise(8, 3, 3, 3)
    weight[2, 0, 1, 1] = np.nan
    weight[5] = np.inf
    weight[6, 0, 0, 0] = -np.inf
    (kernels,) = found(nn.Sequential(conv(weight)))
    counted = kernels.statistics
    assert counted.broken == (2, 5, 6)
    assert (counted.nan, counted.infinite) == (1, 28)
    assert np.isnan(counted.norms[[2, 5, 6]]).all()
    assert np.isfinite(np.delete(counted.norms, [2, 5, 6])).all()
    assert counted.histogram.sum() == weight.size - 29
    finite = weight[np.isfinite(weight)]
    assert (kernels.min, kernels.max) == (finite.min(), finite.max())
    assert kernels.detail.remarks[0] == "NaN and infinity in 3 of 8 filters (2, 5, 6)."
    assert np.array_equal(kernels.values, weight, equal_nan=True)


def test_nothing_finite_at_all() -> None:
    (kernels,) = found(nn.Sequential(conv(np.full((4, 3, 3, 3), np.nan, np.float32))), sort="likeness")
    assert (kernels.min, kernels.max) == (None, None)
    assert kernels.detail.facts["filters"]["norm"]["median"] is None
    assert kernels.statistics.dead == ()


# Smoothness


def gabors(size: int = 11, wavelengths: tuple[float, ...] = (5, 7, 9), angles: int = 8) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] - size // 2
    bank = [
        np.exp(-(rows**2 + columns**2) / (2 * (size / 4) ** 2))
        * np.cos(2 * np.pi * (columns * math.cos(angle) + rows * math.sin(angle)) / wavelength)
        for wavelength in wavelengths
        for angle in np.arange(angles) * np.pi / angles
    ]
    return np.repeat(np.stack(bank)[:, None], 3, axis=1).astype(np.float32)


def test_smoothness_by_hand() -> None:
    """Sobel: pairs one above the other add 4 (1·2 + 2·1, twice), side by side 0; 12 pairs, 9 weights, squares 12."""
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    smooth = statistics(sobel[None, None]).smoothness
    assert smooth is not None
    assert smooth.value == pytest.approx((8 / 12) / (12 / 9), abs=1e-6)
    flat = statistics(np.ones((2, 3, 5, 5), np.float32)).smoothness
    board = statistics(np.indices((6, 6)).sum(0)[None, None].astype(np.float32) % 2 * 2 - 1).smoothness
    assert flat is not None
    assert board is not None
    assert flat.value == pytest.approx(1, abs=1e-6)
    assert board.value == pytest.approx(-1, abs=1e-6)


def test_a_gabor_bank_is_smooth_and_the_same_weights_shuffled_are_not() -> None:
    bank = gabors()
    smooth = statistics(bank).smoothness
    assert smooth is not None
    assert smooth.value > 20 * smooth.spread
    mixed = bank.reshape(-1)[np.random.default_rng(0).permutation(bank.size)].reshape(bank.shape)
    rough = statistics(mixed).smoothness
    assert rough is not None
    assert abs(rough.value) < 4 * rough.spread


@pytest.mark.parametrize("shape", [(32, 3, 3, 3), (16, 1, 5, 5), (8, 4, 9), (6, 2, 3, 3, 3), (4, 5, 1, 7)])
def test_the_spread_is_that_of_many_random_layers(shape: tuple[int, ...]) -> None:
    layers = [statistics(noise(*shape, seed=seed)).smoothness for seed in range(400)]
    values = np.array([one.value for one in layers if one is not None])
    spread = layers[0].spread if layers[0] else 0.0
    assert values.std() == pytest.approx(spread, rel=0.12)
    assert abs(values.mean()) < 4 * spread / math.sqrt(400)


def test_every_filter_counts_alike_and_dead_ones_not_at_all() -> None:
    weight = gabors()
    loud = weight * np.linspace(1, 50, len(weight), dtype=np.float32)[:, None, None, None]
    dead = np.concatenate((weight, 1e-9 * noise(20, *weight.shape[1:])))
    plain, one, other = (statistics(some).smoothness for some in (weight, loud, dead))
    assert plain is not None
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(plain.value, abs=1e-5)
    assert other.value == pytest.approx(plain.value, abs=1e-5)


@pytest.mark.parametrize("shape", [(8, 3, 2, 2), (8, 3, 1, 1), (8, 12)])
def test_small_kernels_have_no_smoothness(shape: tuple[int, ...]) -> None:
    assert statistics(noise(*shape)).smoothness is None


# Layouts


def test_rows_of_every_kind_of_convolution_are_what_the_layer_computes() -> None:
    """A single 1 put into input channel c of the layer brings out, in channel k, the kernel of k and c."""
    torch.manual_seed(0)
    for layer in (
        nn.Conv2d(6, 8, 3, bias=False),
        nn.Conv2d(6, 9, 3, groups=3, bias=False),
        nn.Conv2d(4, 8, 3, groups=4, bias=False),
        nn.ConvTranspose2d(6, 4, 3, bias=False),
        nn.ConvTranspose2d(6, 8, 3, groups=2, bias=False),
    ):
        (kernels,) = found(nn.Sequential(layer), layer="0")
        inputs = 6 if layer.in_channels == 6 else 4
        for channel in range(inputs):
            pixel = torch.zeros(1, inputs, 5, 5)
            pixel[0, channel, 2, 2] = 1
            out = layer(pixel)[0].detach()
            # A kernel slides over the pixel, which turns it round; transposed it is laid down there.
            seen = out[:, 2:5, 2:5] if isinstance(layer, nn.ConvTranspose2d) else out.flip(1, 2)
            for filter_ in range(len(kernels.values)):
                own = [
                    local
                    for local in range(kernels.shape[1])
                    if kernels.input_channel(filter_, local) == channel
                ]
                expected = kernels.values[filter_, own[0]] if own else np.zeros((3, 3), np.float32)
                np.testing.assert_allclose(seen[filter_].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape", "view"),
    [
        (nn.Conv2d(3, 8, 5), (8, 3, 5, 5), "colour"),
        (nn.Conv2d(3, 8, 1), (8, 3, 1, 1), "colour"),
        (nn.Conv2d(3, 9, 5, groups=3), (9, 1, 5, 5), "slices"),
        (nn.Conv2d(16, 8, 3), (8, 16, 3, 3), "slices"),
        (nn.Conv2d(16, 8, 1), (8, 16, 1, 1), "matrix"),
        (nn.Conv2d(16, 16, 3, groups=16), (16, 1, 3, 3), "slices"),
        (nn.Conv2d(16, 8, 1, groups=2), (8, 8, 1, 1), "matrix"),
        (nn.Conv3d(3, 4, (2, 3, 5)), (4, 3, 2, 3, 5), "colour"),
        (nn.Conv3d(5, 4, 3), (4, 5, 3, 3, 3), "slices"),
        (nn.Conv1d(5, 4, 7), (4, 5, 7), "slices"),
        (nn.ConvTranspose2d(6, 4, 2, groups=2), (4, 3, 2, 2), "slices"),
        (nn.Linear(7, 4), (4, 7), "matrix"),
        (nn.Bilinear(3, 4, 5), (5, 3, 4), "slices"),
        (nn.Embedding(9, 4), (9, 4), "matrix"),
        (nn.MultiheadAttention(8, 2), (24, 8), "matrix"),
    ],
)
def test_each_kind_of_layer(layer: nn.Module, shape: tuple[int, ...], view: str) -> None:
    kernels = found(nn.Sequential(layer), layer="all")[0]
    assert kernels.shape == shape
    assert kernels.view == view


def test_one_channel_is_never_in_colour() -> None:
    (kernels,) = found(nn.Sequential(nn.Conv2d(1, 4, 3)), channels=1)
    assert kernels.view == "slices"


def test_a_linear_layer_on_a_flattened_map_is_drawn_as_maps_and_one_on_pixels_as_pictures() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(256, 5))
    kernels = found(net, (16, 16), layer="4")[0]
    assert kernels.shape == (5, 4, 8, 8)
    assert np.array_equal(kernels.values.reshape(5, -1), net[4].weight.detach().numpy())
    pictures = found(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5)), (16, 16))[0]
    assert (pictures.shape, pictures.view) == ((5, 3, 16, 16), "colour")
    after_pooling = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    assert found(after_pooling, layer="3")[0].view == "matrix"


def test_linear_layers_of_a_model_that_does_not_run_are_matrices() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(7, 5))
    assert [one.shape for one in found(net, layer="all")] == [(4, 3, 3, 3), (5, 7)]


# Unusual weights


def test_parametrised_weights_are_those_that_the_layer_uses() -> None:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layers = {
            "weight_norm": nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3, bias=False)),
            "spectral_norm": nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3, bias=False)),
            "old weight_norm": nn.utils.weight_norm(nn.Conv2d(3, 4, 3, bias=False)),
            "old spectral_norm": nn.utils.spectral_norm(nn.Conv2d(3, 4, 3, bias=False)),
        }
    with torch.no_grad():
        layers["old weight_norm"].weight_g *= 3  # what `weight` holds is now of yesterday
    for name, layer in layers.items():
        layer.train()
        before = {key: value.clone() for key, value in layer.state_dict().items()}
        (kernels,) = found(nn.Sequential(layer))
        assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items()), name
        pixel = torch.zeros(1, 3, 3, 3)
        pixel[0, 1, 2, 2] = 1
        np.testing.assert_allclose(
            layer.eval()(pixel)[0, :, 0, 0].detach().numpy(), kernels.values[:, 1, 2, 2], atol=1e-6
        )
        assert kernels.type.endswith("Conv2d")
        assert kernels.detail.facts["filters"]["kind"] == kernels.type


def test_sparse_half_double_and_quantised_weights() -> None:
    layer = nn.Linear(6, 4)
    dense = layer.weight.detach().clone()
    for weight in (dense.to_sparse(), dense.half(), dense.double(), dense.bfloat16()):
        layer.weight = nn.Parameter(weight, requires_grad=False)
        (kernels,) = found(nn.Sequential(layer))
        np.testing.assert_allclose(kernels.values, dense.numpy(), atol=3e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = nn.Sequential(nn.Linear(6, 4))
        with torch.no_grad():
            net[0].weight.copy_(dense)
        quantised = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    (kernels,) = found(quantised)
    np.testing.assert_allclose(kernels.values, dense.numpy(), atol=3e-3)


def test_weights_that_cannot_be_shown_are_refused_in_words_and_left_out_of_all() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LazyConv2d(4, 3), nn.Linear(4, 2, dtype=torch.complex64))
    model = as_model(net, (16, 16))
    bound, choices = Filters(layer=("all",)).bind(model)
    assert bound.layer == ("0",)
    assert [(one.setting, one.value) for one in choices] == [("left out", "1"), ("left out", "2")]
    assert "complex" in choices[1].reason
    for name, why in (("1", "before the first input"), ("2", "complex")):
        with pytest.raises(LayerError, match=why):
            found(net, layer=name)
    assert isinstance(net[1], nn.LazyConv2d)  # still
    with pytest.raises(ModelError, match="device meta"):
        found(nn.Sequential(nn.Conv2d(3, 4, 3, device="meta")), layer="all")
    with pytest.raises(ModelError, match="no layer with filters"):
        found(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)))


def test_bilinear_layers_have_no_neighbours_and_recurrent_ones_are_left_out_by_name() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 4)
            self.cell = nn.GRUCell(3, 4)
            self.both = nn.Bilinear(8, 8, 5)

    model = as_model(Net(), (32, 32), 3)
    bound, choices = Filters(layer=("all",)).bind(model)
    assert bound.layer == ("both",)
    assert [choice.value for choice in choices if choice.setting == "left out"] == ["lstm and cell"]
    (both,) = bound.inspect(model)
    assert both.statistics.smoothness is None
    assert Filters().bind(model)[0].layer == ("both",)
    with pytest.raises(LayerError, match="recurrent"):
        found(Net(), layer="lstm")


def test_tied_weights_are_shown_twice_and_said_to_be_the_same() -> None:
    net = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5))
    net[1].weight = net[0].weight
    first, second = found(net, layer="all")
    assert "same_as" not in first.detail.facts["filters"]
    assert second.detail.facts["filters"]["same_as"] == "0"
    assert "These are the very weights of 0." in second.detail.remarks


# Layers


class Stem(nn.Module):
    """Whose first convolution in the code is not the one that reads the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(8, 4, 3)
        self.mix = nn.Conv2d(3, 3, 1)
        self.conv = nn.Conv2d(3, 8, 3)


def bound_layers(module: nn.Module, *words: str) -> tuple[str, ...]:
    return Filters(layer=words).bind(as_model(module, (16, 16)))[0].layer  # type: ignore[return-value]


def test_which_layers_words_stand_for() -> None:
    assert bound_layers(Stem()) == ("conv",)
    assert bound_layers(Stem(), "first", "mix", "first") == ("conv", "mix")
    assert bound_layers(Stem(), "all") == ("head", "mix", "conv")
    nested = nn.Sequential(Stem(), nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)))
    assert bound_layers(nested, "1") == ("1.0", "1.2")
    assert bound_layers(nested, "1[-3]") == ("1.0",)


def test_a_layer_of_that_name_comes_before_the_word() -> None:
    net = nn.Module()
    net.conv = nn.Conv2d(3, 8, 3)
    net.all = nn.Conv2d(8, 8, 3)
    assert bound_layers(net, "all") == ("all",)


def test_wrong_names_are_told_with_what_is_near() -> None:
    with pytest.raises(LayerError, match="no layer called 'covn'") as caught:
        found(Stem(), layer="covn")
    assert "conv" in caught.value.hint
    with pytest.raises(LayerError, match="no filters: it is a BatchNorm2d") as caught:
        found(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), layer="1")
    assert "0" in caught.value.hint


def test_a_model_of_one_layer() -> None:
    (kernels,) = found(nn.Conv2d(3, 4, 3))
    assert kernels.layer == "Conv2d"


# Order


def test_orders() -> None:
    weight = noise(6, 3, 3, 3)
    weight *= np.array([3, 1, 5, 2, 6, 4], np.float32)[:, None, None, None] / np.linalg.norm(
        weight.reshape(6, -1), axis=1
    ).reshape(-1, 1, 1, 1)
    weight[3] = weight[4] / 3 + 1e-3
    weight[1] = np.nan
    net = nn.Sequential(conv(weight))
    assert found(net)[0].ranked(6).tolist() == [0, 1, 2, 3, 4, 5]
    assert found(net, sort="norm")[0].ranked(3).tolist() == [1, 4, 2]  # what is broken is looked for
    likeness = found(net, sort="likeness")[0].ranked(6).tolist()
    assert likeness[:2] == [4, 3]
    assert likeness[-1] == 1
    assert sorted(likeness) == [0, 1, 2, 3, 4, 5]


def test_likeness_puts_families_together() -> None:
    families = noise(4, 1, 5, 5)
    weight = np.concatenate([families + 0.05 * noise(4, 1, 5, 5, seed=seed) for seed in range(1, 9)])
    order = by_likeness(weight, statistics(weight).norms)
    changes = (np.diff(order % 4) != 0).sum()
    assert changes == 3


def test_what_is_left_of_dead_filters_is_like_nothing() -> None:
    weight = noise(6, 1, 5, 5)
    weight[2] = 1e-7 * weight[4]
    assert by_likeness(weight, statistics(weight).norms).tolist()[-1] == 2


# Real models


def test_the_bundled_model_is_smooth_where_the_same_without_training_is_not(
    bundled: Model, untrained: Model
) -> None:
    for model, trained in ((bundled, True), (untrained, False)):
        bound, _ = Filters(layer=("all",)).bind(model)
        for kernels in bound.inspect(model):
            smooth = kernels.statistics.smoothness
            if smooth is None:
                continue
            if trained and kernels.layer not in ("blocks.0.0.conv_dw", "blocks.1.1.conv_dw"):  # these sharpen
                assert smooth.value > 8 * smooth.spread, kernels.layer
            if not trained:
                assert abs(smooth.value) < 4 * smooth.spread, kernels.layer


def test_the_bundled_models_first_layer(bundled: Model) -> None:
    bound, choices = Filters().bind(bundled)
    (kernels,) = bound.inspect(bundled)
    assert choices[0].value == kernels.layer == "conv_stem"
    assert kernels.view == "colour"
    assert kernels.statistics.dead == (11, 16, 28, 31)
    assert kernels.statistics.smoothness is not None
    assert kernels.statistics.smoothness.value == pytest.approx(0.366, abs=0.002)


def test_digits_make_a_small_network_smooth() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    inputs = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(digits.target)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10)
    )  # fmt: skip
    before = found(net, (8, 8), channels=1)[0].statistics.smoothness
    optimiser = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=0.3)
    for _ in range(40):
        for batch in torch.randperm(len(inputs)).split(128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(inputs[batch]), labels[batch]).backward()
            optimiser.step()
    assert (net(inputs).argmax(1) == labels).float().mean() > 0.98
    after = found(net, (8, 8), channels=1)[0].statistics.smoothness
    assert before is not None
    assert after is not None
    assert abs(before.value) < 3 * before.spread
    assert after.value > 5 * after.spread


def test_the_module_is_left_as_it_was(bundled: Model) -> None:
    module = bundled.module.train()
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    try:
        bound, _ = Filters(layer=("first", "blocks.5", "classifier")).bind(bundled)
        for kernels in bound.inspect(bundled):
            kernels.values[:] = 0  # a copy
        with pytest.raises(CnnexplainError):
            Filters(layer=("nothing",)).bind(bundled)
        assert all(child.training for child in module.modules())
        assert all(parameter.requires_grad for parameter in module.parameters())
        assert not any(child._forward_hooks or child._forward_pre_hooks for child in module.modules())
        assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())
    finally:
        module.eval()


def test_what_normalises_has_no_filters() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.LayerNorm([4, 8, 8]))
    assert bound_layers(net, "all") == ("0",)


def test_a_large_layer_of_equal_filters_is_counted_at_once() -> None:
    alike = statistics(np.full((512, 512, 3, 3), 0.01, np.float32), spatial=True).alike
    assert alike is not None
    assert (alike.pairs, alike.equal, alike.filters) == (512 * 511 // 2, 512 * 511 // 2, 512)
