"""Feature maps of networks that can be worked by hand: order, statistics, what is silent, broken, or no map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import ChannelsLast, Readout, Rectified, as_model, explained, pooled
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands.activations import BARS, IN_STRIP, MOST, MOST_BARS, ON_PHOTOGRAPH, Activations
from cnnexplain.core.explanation import Batch
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.results.channels import FeatureMaps
from cnnexplain.engine.channels import BINS, histogram, principal, statistics
from cnnexplain.errors import CnnexplainError, ImageError, LayerError, OptionError

# Four channels of 2x3: the mean of what is positive is 1, 0.5, 0 and 2.
MAPS = torch.tensor(
    [
        [[6.0, 0, 0], [0, 0, 0]],
        [[3.0, -9, 0], [0, 0, -1]],
        [[-1.0, -2, 0], [0, -1, -1]],
        [[2.0, 2, 2], [2, 2, 2]],
    ]
)


def found_in(module: nn.Module, inputs: Tensor, *layers: str, **options: Any) -> Any:
    """The layer's maps of every picture, in `found`."""
    return explained(Activations(layer=layers, **options), module, inputs).layers[0]


def of_maps(**options: Any) -> FeatureMaps:
    """What is found in a layer whose maps are `MAPS`."""
    net = Readout(torch.ones(2, 4, 2, 3))
    return found_in(net, MAPS[None], "maps", **options).found[0]


def test_channels_are_ordered_by_the_mean_of_what_is_positive() -> None:
    one = of_maps()
    assert one.channels == (3, 0, 1, 2)
    assert torch.equal(one.values, MAPS[[3, 0, 1, 2]])
    assert of_maps(sort="index").channels == (0, 1, 2, 3)
    assert of_maps(sort="index", top=2).channels[:2] == (0, 3)  # the two strongest, by their numbers
    assert of_maps(channel=(2, 0)).channels[:2] == (2, 0)


def test_statistics_are_of_all_places_of_each_channel() -> None:
    measured = of_maps().statistics
    assert measured.mean == pytest.approx([1, -7 / 6, -5 / 6, 2])
    assert measured.strength == pytest.approx([1, 0.5, 0, 2])
    assert measured.max.tolist() == [6, 3, 0, 2]
    assert measured.min.tolist() == [0, -9, -2, 2]
    assert measured.sparsity == pytest.approx([5 / 6, 5 / 6, 1, 0])
    assert list(zip(measured.row.tolist(), measured.column.tolist(), strict=True))[:2] == [(0, 0), (0, 0)]


def test_of_equally_strong_channels_the_one_with_the_largest_value_comes_first_then_the_first() -> None:
    maps = torch.tensor([[[1.0, 1]], [[2, 0]], [[1, 1]]])
    net = Readout(torch.ones(2, 3, 1, 2))
    assert found_in(net, maps[None], "maps").found[0].channels == (1, 0, 2)


def test_histogram_leaves_out_what_is_exactly_zero() -> None:
    one = histogram(MAPS)
    assert (one.low, one.high) == (-9, 6)
    assert sum(one.counts) == 24 - 10
    assert (one.zeros, one.sum) == (10, float(MAPS.sum()))
    assert one.squares == float(MAPS.square().sum())
    assert len(one.counts) == BINS
    assert one.counts[0] == one.counts[-1] == 1  # -9 and 6
    assert sum(histogram(torch.zeros(2, 2, 2)).counts) == 0


@pytest.mark.filterwarnings("error")
def test_values_as_large_as_there_are_do_not_overflow() -> None:
    maps = torch.tensor(
        [[[3.2e38, 3.2e38, 0], [3.2e38, -3.3e38, 0]], [[3.2e38] * 3] * 2, [[-3.3e38] * 3] * 2]
    )
    one = found_in(Readout(torch.zeros(2, 3, 2, 3)), maps[None], "maps").found[0]
    assert one.statistics.mean == pytest.approx([6.3e38 / 6, 3.2e38, -3.3e38])
    assert one.statistics.strength == pytest.approx([1.6e38, 3.2e38, 0])
    assert one.histogram.sum == pytest.approx(5.7e38, rel=1e-5)
    assert one.components is not None
    assert bool(one.components.isfinite().all())


def test_a_planted_silent_channel_is_found() -> None:
    net = Rectified()
    with torch.no_grad():
        net.conv1.bias[4] = -10
    torch.manual_seed(0)
    both = found_in(net, torch.randn(2, 3, 32, 32), "conv1")
    assert all((found.statistics.max <= 0).nonzero()[0].tolist() == [4] for found in both.found)
    assert all(found.channels[-1] == 4 for found in both.found)


def test_a_module_that_is_run_several_times_says_so() -> None:
    one = found_in(Rectified(), torch.rand(1, 3, 32, 32), "relu").found[0]
    assert one.detail.remarks == ("relu is run 3 times for a picture; what it gave back last is shown.",)
    assert one.values.shape == (8, 8, 8)


class Shared(nn.Module):
    """One rectifier for a map, and for the vector behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.fc = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.relu(self.conv(x)).mean((2, 3))))


def test_of_a_map_and_a_vector_the_map_is_shown() -> None:
    assert found_in(Shared(), torch.rand(1, 3, 16, 16), "relu").found[0].values.shape == (4, 14, 14)


def test_maps_are_those_of_the_layer_though_what_follows_writes_into_them() -> None:
    net = Rectified("in-place function")
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        truth = net.conv1(x)
    found = found_in(net, x, "conv1")
    for row, one in enumerate(found.found):
        assert torch.equal(one.values, truth[row][list(one.channels)])
        assert float(one.statistics.min.min()) < 0


def test_a_picture_is_measured_alike_in_any_company() -> None:
    torch.manual_seed(3)
    net, x = pooled(), torch.randn(3, 3, 20, 28)
    together = explained(Activations(), net, x).layers
    alone = explained(Activations(), net, x[1:2]).layers
    for many, one in zip(together, alone, strict=True):
        assert many.layer == one.layer
        assert many.found[1].channels == one.found[0].channels
        torch.testing.assert_close(many.found[1].values, one.found[0].values)
        assert many.found[1].components is not None
        torch.testing.assert_close(many.found[1].components, one.found[0].components, atol=1e-4, rtol=1e-4)


def test_channels_last_maps_are_turned_round() -> None:
    net, x = ChannelsLast(pooled()), torch.randn(1, 3, 16, 24)
    first, last = (found_in(net, x, name).found[0] for name in ("features", "last"))
    assert first.channels == last.channels
    assert torch.equal(first.values, last.values)
    assert last.values.shape == (8, 8, 12)


@pytest.mark.parametrize(("channels", "classes"), [(1, 5), (3, 1), (4, 2)])
def test_any_number_of_input_channels_and_scores(channels: int, classes: int) -> None:
    answer = explained(Activations(), pooled(channels, classes), torch.randn(2, channels, 16, 16))
    assert answer.logits.shape == (2, classes)
    assert [one.layer for one in answer.layers][-1] == "features"


def test_the_strip_shows_a_few_channels_and_named_layers_show_all() -> None:
    net, x = pooled(width=40), torch.randn(1, 3, 16, 16)
    strip = explained(Activations(), net, x).layers
    assert {one.shown for one in strip} == {IN_STRIP}
    assert all(one.look.together for one in strip)
    whole = found_in(net, x, "features")
    assert (whole.shown, whole.look.together) == (40, False)
    assert found_in(net, x, "features", overlay=True).shown == ON_PHOTOGRAPH
    assert found_in(net, x, "features", top=MOST).shown == 40


def test_only_what_is_drawn_is_kept_where_no_more_is_wanted() -> None:
    model = as_model(pooled(width=40), (16, 16))
    bound, _ = Activations(layer=("features",), top=5).bind(model)
    inputs = torch.randn(1, 3, 16, 16)
    with model.borrowed():
        ((little,),) = bound.explain(model, Batch(inputs, whole=False)).results
        ((much,),) = bound.explain(model, Batch(inputs)).results
    assert little.values.shape[0] == 5
    assert (
        little.values.base.untyped_storage().nbytes() == little.values.nbytes
    )  # not a window on all of them
    assert len(little.statistics.max) == len(much.channels) == 40
    assert little.channels == much.channels[:5]


# Layers without a map.


def test_a_linear_layer_gives_one_value_a_unit_and_class_scores_their_names() -> None:
    net, x = pooled(classes=5), torch.randn(2, 3, 16, 16)
    model = as_model(net, (16, 16), own_labels=tuple("abcde"))
    found = explained(Activations(layer=("fc", "flat", "pool")), model, x).layers
    logits = net.eval()(x).detach()
    for row, one in enumerate(found[0].found):
        torch.testing.assert_close(one.values, logits[row].sort(descending=True).values)
        assert one.labels == tuple("abcde")
        assert one.components is None
    for other in found[1:]:  # (N, 8) and (N, 8, 1, 1)
        assert other.found[0].values.shape == (8,)
        assert other.found[0].labels == ()
    assert found_in(pooled(classes=99), x, "fc").shown == BARS
    many = found_in(pooled(classes=999), x, "fc", top=999)
    assert many.shown == MOST_BARS
    assert many.found[0].detail.remarks == (
        "999 units were asked for; there is room for 256 bars. --save-raw has all values.",
    )


def test_a_single_score_stands_for_the_positive_class() -> None:
    model = as_model(pooled(classes=1), (16, 16), own_labels=("cat",))
    (one,) = explained(Activations(layer=("fc",)), model, torch.randn(1, 3, 16, 16)).layers[0].found
    assert one.labels == ("cat",)


class Tokens(nn.Module):
    """A tiny transformer's ways: patches, a class token in front, and a sequence that is no grid."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, stride=4)
        self.first, self.odd, self.whole, self.fc = (
            nn.Identity(),
            nn.Identity(),
            nn.Identity(),
            nn.Linear(6, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        grid = self.patches(x)
        tokens = grid.flatten(2).transpose(1, 2)  # (N, 24, 6)
        with_class = self.first(torch.cat((tokens.mean(1, keepdim=True), tokens), dim=1) + 0)
        self.odd(torch.cat((with_class, with_class), dim=1))
        return self.fc(self.whole(grid).mean((2, 3)))


def test_tokens_lie_where_the_patches_lie_and_others_are_refused() -> None:
    net, x = Tokens(), torch.randn(1, 3, 16, 24)
    grid, tokens = (found_in(net, x, name).found[0] for name in ("patches", "first"))
    assert torch.equal(grid.values, tokens.values)
    assert tokens.detail.remarks == (
        "Left out: the first token, taken to stand for no place of the picture. Where a model has such at the "
        "end, this map is shifted.",
    )
    with pytest.raises(LayerError, match="sequence of 50 tokens") as caught:
        found_in(net, x, "odd")
    assert caught.value.hint


class Odd(nn.Module):
    """Layers that give back what cannot be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        self.pair, self.whole, self.pieces, self.unused = Pair(), Best(), Pieces(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        self.pair(x), self.whole(x), self.pieces(x)
        return self.fc(x.mean((2, 3)))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Best(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.argmax(1)


class Pieces(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1)[:, None]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("pair", "returns a tuple"),
        ("whole", "returns int64"),
        ("pieces", "pieces of pictures"),
        ("unused", "takes no part"),
        ("convv", "no layer called"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_the_module_is_as_it_was(layer: str, words: str) -> None:
    net = Odd().train()
    with pytest.raises(CnnexplainError, match=words) as caught:
        found_in(net, torch.randn(2, 3, 16, 16), layer)
    assert caught.value.hint
    assert net.training
    assert all(p.requires_grad for p in net.parameters())
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in net.modules())
    assert torch.is_grad_enabled()


def test_channels_that_a_layer_lacks_are_refused() -> None:
    with pytest.raises(OptionError, match="--channel 8 is not in features, which has 8"):
        found_in(pooled(), torch.randn(1, 3, 16, 16), "features", channel=(8,))
    with pytest.raises(OptionError, match="--channel 5 is not in fc, which has 5"):
        found_in(pooled(), torch.randn(1, 3, 16, 16), "fc", channel=(5,))


@pytest.mark.parametrize("beside", [{"top": 3}, {"sort": "strength"}, {"sort": "index"}])
def test_options_that_named_channels_leave_without_meaning_are_refused(beside: dict[str, Any]) -> None:
    (option,) = beside
    with pytest.raises(OptionError, match=f"--{option} has no meaning beside --channel") as caught:
        found_in(pooled(), torch.randn(1, 3, 16, 16), "features", channel=(1,), **beside)
    assert caught.value.hint == f"leave out --{option}, or --channel"


# What is not a number.


class Breaking(nn.Module):
    """Divides by the brightness of one channel: nothing is a number where a picture is black."""

    def __init__(self, channel: int | None) -> None:
        super().__init__()
        self.one, self.two, self.fc = nn.Conv2d(3, 4, 1, bias=False), Divide(channel), nn.Linear(4, 2)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.act(self.two(F.relu(self.one(x)))).mean((2, 3)))


class Divide(nn.Module):
    def __init__(self, channel: int | None) -> None:
        super().__init__()
        self.channel = channel

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone()
        if self.channel is None:
            return x
        x[:, self.channel] = x[:, self.channel] / x[:, self.channel]
        return x


def test_a_picture_whose_maps_are_not_numbers_names_the_layer_where_that_begins() -> None:
    net = Breaking(2)
    with torch.no_grad():
        net.one.weight.fill_(1)
    x = torch.ones(3, 3, 8, 8)
    x[1] = 0
    for layer in ("act", "one"):  # where it shows, and where it does not yet
        answer = explained(Activations(layer=(layer,)), net, x)
        assert list(answer.problems) == [1]
        problem = answer.problems[1]
        assert isinstance(problem, ImageError)
        assert problem.problem == "two is the first layer with NaN values: channel 2, 64 of 256 values"


def test_from_python_such_a_picture_is_an_error_and_the_module_unharmed() -> None:
    net = Breaking(0)
    explainer = cnnexplain.load(net, preprocess=Preprocess((8, 8), resize=(8, 8), mean=(0,), std=(1,)))
    with pytest.raises(ImageError, match="two is the first layer with NaN"):
        explainer.explain(Image.new("RGB", (9, 9)), "activations")
    assert not any(child._forward_hooks for child in net.modules())


# Principal components.


def test_components_are_those_of_a_map_that_was_made_of_them() -> None:
    """Three orthogonal patterns over places, of falling strength, mixed into five channels."""
    rng = np.random.default_rng(0)
    patterns, _ = np.linalg.qr(rng.normal(size=(24, 4)) - rng.normal(size=(24, 4)).mean(0))
    patterns -= patterns.mean(0)
    patterns, _ = np.linalg.qr(patterns)
    weights, _ = np.linalg.qr(rng.normal(size=(5, 3)))
    strengths = np.array([6.0, 3.0, 1.0])
    places = (patterns[:, :3] * strengths) @ weights.T + 7
    scores, shares = principal(torch.tensor(places.T.reshape(5, 4, 6)).float())
    assert shares.tolist() == pytest.approx(strengths**2 / (strengths**2).sum(), rel=1e-4)
    for rank in range(3):
        mine = scores[rank].flatten().numpy()
        truth = patterns[:, rank] * strengths[rank]
        assert min(np.abs(mine - truth).max(), np.abs(mine + truth).max()) < 1e-4
        assert (mine * places.mean(1)).sum() > 0  # more of it where the channels are stronger on the whole


def test_components_agree_with_a_singular_value_decomposition_also_with_more_channels_than_places() -> None:
    torch.manual_seed(0)
    for shape in ((5, 6, 7), (70, 3, 4)):
        maps = torch.randn(shape)
        places = maps.flatten(1).T.double()
        u, s, _ = torch.linalg.svd(places - places.mean(0), full_matrices=False)
        scores, shares = principal(maps)
        assert shares.tolist() == pytest.approx((s**2 / (s**2).sum())[:3].tolist(), rel=1e-4)
        for rank in range(3):
            truth, mine = u[:, rank] * s[rank], scores[rank].flatten().double()
            assert min((mine - truth).abs().max(), (mine + truth).abs().max()) < 1e-4
        flipped, _ = principal(maps.flip(0))  # the order of the channels does not matter
        torch.testing.assert_close(flipped, scores, atol=1e-4, rtol=1e-4)


def test_a_map_without_variance_or_with_one_channel_has_fewer_components() -> None:
    scores, shares = principal(torch.full((4, 3, 3), 2.5))
    assert not scores.any()
    assert not shares.any()
    scores, shares = principal(torch.arange(9.0).reshape(1, 3, 3) * 1e30)
    assert shares.tolist() == [1, 0, 0]
    assert scores.isfinite().all()
    assert scores[0, 2, 2] > 0 > scores[0, 0, 0]


def test_statistics_of_a_vector() -> None:
    measured = statistics(torch.tensor([1.0, -2, 0]))
    assert measured.sparsity.tolist() == [0, 1, 1]
    assert measured.strength.tolist() == [1, 0, 0]


# From Python.


def test_from_python_the_maps_are_on_the_picture() -> None:
    """A bright square at the right of an oblong picture is where the brightest channel peaks, geometry undone."""
    net = nn.Sequential(
        nn.Conv2d(3, 2, 8, stride=8, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    with torch.no_grad():
        net[0].weight[0], net[0].weight[1] = 1 / 192, -1 / 192
    picture = Image.new("RGB", (160, 64), "black")
    picture.paste("white", (96, 8, 104, 16))
    preprocess = Preprocess((64, 64), resize=(64, 64), mean=(0,), std=(1,))
    explainer = cnnexplain.load(net, preprocess=preprocess)
    explanation = explainer.explain(picture, "activations", layer="1")
    (maps,) = explanation.feature_maps
    assert (maps.count, maps.size, maps.shown, maps.channels) == (2, (8, 8), 2, (0, 1))
    assert maps.silent == (1,)
    assert maps.cell(0) == (1, 6)
    assert maps.peak == maps.place(0)
    x, y = maps.peak
    assert 96 <= x < 104
    assert 8 <= y < 16
    assert maps.map(0)[1, 6] == pytest.approx(1, abs=1e-5)
    assert maps.place(1) is None
    assert explainer.picture(explanation, maps).size == explainer.pictures(explanation)[0].image.size
    with pytest.raises(LookupError):
        maps.map(2)


def test_a_strip_is_one_picture_of_all_layers() -> None:
    explainer = cnnexplain.load(pooled(), preprocess=Preprocess((32, 32), resize=(32, 32)))
    explanation = explainer.explain(Image.new("RGB", (50, 40), "teal"), "activations")
    assert [one.layer for one in explanation.feature_maps] == ["features.2", "features"]
    (strip,) = explainer.pictures(explanation)
    assert strip.shows == explanation.feature_maps
    assert [len(one.channels) for one in explanation.feature_maps] == [8, 8]
