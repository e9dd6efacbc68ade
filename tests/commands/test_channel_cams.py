"""Formulas that ask for scores or compare classes: laws, arithmetic by hand, pytorch-grad-cam, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import pytorch_grad_cam as peers
import torch
from networks import ChannelsLast, Columns, Rectified, answer, as_model, heat, pooled, settle
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from skimage.data import chelsea
from torch import Tensor, nn

import cnnexplain
from cnnexplain.core.explanation import Answer, Batch
from cnnexplain.engine.model import Model
from cnnexplain.errors import CnnexplainError, LayerError, OptionError
from cnnexplain.formulas import (
    ablationcam,
    channel_masks,
    finer_score,
    scorecam,
    scorecam_bound,
    scorecam_turns,
)

SIZE = (32, 32)
TOLERANCE = 1e-4  # of the peer's range


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return settle(pooled(classes=7), SIZE)


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(3, 3, *SIZE)


def close(ours: Tensor | np.ndarray, theirs: Tensor | np.ndarray, tolerance: float = TOLERANCE) -> None:
    ours, theirs = (np.asarray(one.detach() if isinstance(one, Tensor) else one) for one in (ours, theirs))
    assert ours.shape == theirs.shape
    spread = np.ptp(theirs)
    assert spread > 0, "a constant map shows nothing"
    assert np.abs(ours - theirs).max() <= tolerance * spread


def scaled(values: Tensor | np.ndarray) -> np.ndarray:
    """Rectified and from 0 to 1, as the peers give their maps."""
    values = np.maximum(np.asarray(values), 0)
    return (values - values.min()) / (np.ptp(values) or 1)


# Ablation-CAM


def test_before_global_average_pooling_the_drop_of_a_channel_is_its_part_of_the_score() -> None:
    """The drop is w_k mean(A_k): each channel is weighted by its mean once more than in CAM."""
    torch.manual_seed(2)
    network = settle(pooled(classes=4), SIZE).double()
    a = network.features(torch.randn(2, 3, *SIZE, dtype=torch.float64)).detach()
    weight = network.fc.weight[3].detach()
    head = nn.Sequential(network.pool, network.flat, network.fc)
    with torch.no_grad():
        score = head(a)[:, 3]
        kept = 1 - torch.eye(a.shape[1], dtype=torch.float64)
        without = torch.stack([head(a * one[:, None, None])[:, 3] for one in kept], 1)
    drops = weight * a.mean((2, 3))
    torch.testing.assert_close(score[:, None] - without, drops, rtol=0, atol=1e-15)
    expected = ((drops / score.abs()[:, None])[:, :, None, None] * a).sum(1)
    torch.testing.assert_close(ablationcam(a, score, without), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("target", ["0", "3", "6"])
def test_the_command_gives_that_map(network: nn.Sequential, inputs: Tensor, target: str) -> None:
    a, weight = network.features(inputs).detach(), network.fc.weight[int(target)].detach()
    score = network(inputs)[:, int(target)].detach()
    expected = ((weight * a.mean((2, 3)) / score.abs()[:, None])[:, :, None, None] * a).sum(1)
    for ours, theirs in zip(
        heat(network, inputs, method="ablationcam", target=target), expected, strict=True
    ):
        close(ours, theirs)


def ablated(
    module: nn.Module, layer: nn.Module, inputs: Tensor, run: int = 1, axis: int = 1
) -> tuple[Tensor, Tensor]:
    """Map (N, C, h, w) and scores (N, C, K) with each channel zero, one forward after another."""
    maps: list[Tensor] = []
    runs = 0

    def without(channel: int | None) -> Callable[[nn.Module, object, Tensor], Tensor | None]:
        def hook(_module: nn.Module, _arguments: object, output: Tensor) -> Tensor | None:
            nonlocal runs
            runs += 1
            if runs != run:
                return None
            maps.append(output.clone().movedim(axis, 1))
            return None if channel is None else output.index_fill(axis, torch.tensor(channel), 0)

        return hook

    scores = []
    channel: int | None = None
    while channel is None or channel < maps[0].shape[1]:
        runs = 0
        handle = layer.register_forward_hook(without(channel))
        with torch.no_grad():
            scores.append(module(inputs))
        handle.remove()
        channel = 0 if channel is None else channel + 1
    return maps[0], torch.stack(scores[1:], 1)


def assert_ablated(module: nn.Module, inputs: Tensor, name: str, *, run: int = 1, axis: int = 1) -> Columns:
    """The command's maps of two classes are those of one forward after another."""
    found = answer(module, inputs, method="ablationcam", layer=name, target="top2")
    a, scores = ablated(module, module.get_submodule(name.partition(" #")[0]), inputs, run, axis)
    for one in found.maps:
        score = found.logits.gather(1, one.index[:, None])[:, 0]
        without = scores.gather(2, one.index[:, None, None].expand(-1, scores.shape[1], 1))[:, :, 0]
        for ours, theirs in zip(one.values, ablationcam(a, score, without), strict=True):
            close(ours, theirs)
    return found


@pytest.mark.parametrize("kind", ["module", "in-place function", "in-place arithmetic"])
@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3"])
def test_ablation_of_any_layer_is_a_forward_for_every_channel(inputs: Tensor, layer: str, kind: str) -> None:
    found = assert_ablated(Rectified(kind).eval(), inputs, layer)
    assert all("why_whole" not in detail.facts["ablationcam"] for detail in found.maps[0].details)


def test_ablation_of_channels_that_come_last(network: nn.Sequential, inputs: Tensor) -> None:
    assert_ablated(ChannelsLast(network).eval(), inputs, "last", axis=3)


class Twice(nn.Module):
    """The same features of a picture and of its mirror image."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.features, self.fc = nn.Conv2d(3, 5, 3, 2, 1), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        means = [self.features(one).relu().mean((2, 3)) for one in (x, x.flip(3))]
        return self.fc(means[0] + 2 * means[1])


@pytest.mark.parametrize("run", [1, 2])
def test_ablation_of_each_run_of_a_layer(inputs: Tensor, run: int) -> None:
    module = Twice().eval()
    a, scores = ablated(module, module.features, inputs, run)
    found = answer(module, inputs, method="ablationcam", layer="features", target="1").maps
    assert [one.layer for one in found] == ["features", "features #2"]
    expected = ablationcam(a, module(inputs)[:, 1].detach(), scores[:, :, 1])
    expected = expected.flip(2) if run == 2 else expected  # laid back on the picture
    for ours, theirs in zip(found[run - 1].values, expected, strict=True):
        close(ours, theirs)


class Rooted(nn.Module):
    """Its code looks into the batch, which stands in the way of computing what comes before a layer once."""

    def __init__(self, inner: nn.Sequential) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        seen = np.asarray(x.detach().numpy())
        return self.inner(x + float(np.isnan(seen).any()))


def test_a_model_that_takes_no_variants_is_run_whole_and_says_so(
    network: nn.Sequential, inputs: Tensor
) -> None:
    found = assert_ablated(Rooted(network).eval(), inputs, "inner.features")
    for detail in found.maps[0].details:
        assert "does not take variants" in detail.facts["ablationcam"]["why_whole"]


class NoGradient(nn.Module):
    def __init__(self, inner: nn.Sequential) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.inner(x)


@pytest.mark.parametrize("method", ["ablationcam", "scorecam"])
def test_no_gradient_is_needed(network: nn.Sequential, inputs: Tensor, method: str) -> None:
    expected = heat(network, inputs, method=method, layer="features")
    found = heat(NoGradient(network).eval(), inputs, method=method, layer="inner.features")
    torch.testing.assert_close(found, expected)


class Mixing(nn.Module):
    """Whose answer depends on the batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.fc((x - x.mean((0, 2, 3), keepdim=True)).relu().mean((2, 3)))


def test_models_that_mix_their_batch_get_one_variant_at_a_time(inputs: Tensor) -> None:
    model = as_model(Mixing().eval(), SIZE)
    model.chunks.alone = "its answer depends on the batch"
    one = inputs[:1]
    a, scores = ablated(model.module, model.module.get_submodule("conv"), one)
    expected = ablationcam(a, model.module(one)[:, 1].detach(), scores[:, :, 1])
    close(heat(model, one, method="ablationcam", layer="conv", target="1"), expected)


def test_where_the_score_is_near_zero_it_is_not_divided_by() -> None:
    a = torch.rand(1, 3, 2, 2)
    without = torch.tensor([[0.5, -1.0, 0.25]])
    found = ablationcam(a, torch.zeros(1), without)
    torch.testing.assert_close(found, -(without[:, :, None, None] * a).sum(1) / 1e-3)
    assert not ablationcam(a, torch.zeros(1), torch.zeros(1, 3)).any()


def test_a_channel_that_speaks_for_the_class_is_positive_whatever_the_sign_of_the_score() -> None:
    a = torch.ones(1, 1, 1, 1)
    for score in (2.0, -2.0):
        assert float(ablationcam(a, torch.tensor([score]), torch.tensor([[score - 1]]))) == 0.5


def test_a_negative_score_is_said(inputs: Tensor) -> None:
    network = settle(pooled(classes=2), SIZE)
    with torch.no_grad():
        network.fc.bias.fill_(-50)
    (found,) = answer(network, inputs, method="ablationcam").maps
    assert found.detail.remarks == ("The score is negative: the drops are divided by its size.",)
    assert found.detail.facts["ablationcam"]["divided_by"] == pytest.approx(
        -found.detail.facts["ablationcam"]["score"]
    )


# Score-CAM


def masked(module: nn.Module, layer: nn.Module, picture: Tensor, target: int) -> Tensor:
    """Score-CAM of one picture (1, C, H, W), one forward after another."""
    maps: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _module, _arguments, output: maps.append(output))
    with torch.no_grad():
        module(picture)
        handle.remove()
        a = maps[0]
        uneven = [channel for channel in a[0] if channel.max() > channel.min()]
        scores = torch.stack([module(picture * channel_masks(one[None], SIZE))[0, target] for one in uneven])
        return scorecam(torch.stack(uneven)[None], scores[None])


@pytest.mark.parametrize("layer", ["conv1", "conv3"])
def test_scorecam_is_a_forward_for_every_mask(inputs: Tensor, layer: str) -> None:
    network = Rectified().eval()
    found = answer(network, inputs, method="scorecam", layer=layer, target="2", channels="all").maps[0]
    for row, values in enumerate(found.values):
        close(values, masked(network, network.get_submodule(layer), inputs[row : row + 1], 2)[0])
    assert found.detail.facts["scorecam"] == {
        "channels": 6 if layer == "conv1" else 8,
        "of": 6 if layer == "conv1" else 8,
        "constant": 0,
    }


def test_channels_that_are_the_same_everywhere_make_no_mask(network: nn.Sequential, inputs: Tensor) -> None:
    with torch.no_grad():
        network.features[4].weight[:2] = 0
        network.features[4].bias[:2] = torch.tensor([-1.0, 1.0])
    found = answer(network, inputs, method="scorecam", layer="features.4", target="2", channels="all").maps[0]
    close(found.values[0], masked(network, network.features[4], inputs[:1], 2)[0])
    assert found.detail.facts["scorecam"] == {"channels": 6, "of": 8, "constant": 2}
    assert "2 of 8 channels are the same everywhere" in found.detail.remarks[0]


def test_where_every_channel_is_the_same_everywhere_there_is_no_map(
    network: nn.Sequential, inputs: Tensor
) -> None:
    with torch.no_grad():
        network.features[4].weight[:] = 0
    (found,) = answer(network, inputs, method="scorecam").maps
    assert not found.values.any()
    assert "masks nothing" in found.detail.remarks[0]


def test_the_bound_holds_where_its_condition_does() -> None:
    torch.manual_seed(5)
    kept = 0
    for _ in range(200):
        a = torch.randn(1, 12, 4, 4, dtype=torch.float64).relu()
        scores = torch.randn(1, 12, dtype=torch.float64)
        known = torch.arange(12)[None] < 8
        least, most = scores[known].min(), scores[known].max()
        if bool((scores > most).any() or (scores < least).any()):
            continue
        kept += 1
        estimated = scores.where(known, least + (most - least) * torch.rand(1, 12))
        part, whole = scorecam(a, estimated), scorecam(a, scores)
        whole = whole * scores.exp().sum() / estimated.exp().sum()  # but for its scale
        spread = part.max() - part.min()
        assert (
            float((whole - part).abs().max()) <= float(scorecam_bound(a, estimated, known) * spread) + 1e-12
        )
    assert kept > 20
    assert not scorecam_bound(a, scores, known | True).any()


def test_how_far_a_score_turns_a_map_is_a_derivative() -> None:
    torch.manual_seed(7)
    a, scores = torch.rand(1, 6, 3, 3, dtype=torch.float64), torch.randn(1, 6, dtype=torch.float64)
    turns, step = scorecam_turns(a, scores)[0], 1e-4 * torch.randn(6, dtype=torch.float64)
    maps = torch.cat((scorecam(a, scores), scorecam(a, scores + step))).flatten(1)
    centred = maps - maps.mean(1, keepdim=True)
    sine = (1 - torch.corrcoef(centred)[0, 1] ** 2).sqrt()
    assert float((step @ turns).norm()) == pytest.approx(float(sine), rel=1e-3)
    assert bool(scorecam_turns(torch.ones(1, 2, 2, 2), torch.zeros(1, 2)).isinf().all())


def test_channels_that_are_not_asked_for_are_estimated_and_this_is_said() -> None:
    torch.manual_seed(6)
    network = settle(pooled(classes=3, width=200), SIZE)
    with torch.no_grad():
        network.features[4].weight[70:] *= 1e-6
        network.features[4].bias[70:] = 0
    picture = torch.randn(1, 3, *SIZE)
    some = answer(network, picture, method="scorecam", layer="features", target="0").maps[0]
    every = heat(network, picture, method="scorecam", layer="features", target="0", channels="all")
    facts = some.detail.facts["scorecam"]
    assert facts["channels"] < 200 - facts["constant"]
    assert facts["bound"] > 0
    assert 0.995 < facts["correlation"] <= 1
    assert np.corrcoef(some.values.flatten(), every.flatten())[0, 1] > 0.995
    assert "others are estimated" in some.detail.remarks[-1]


class Cut(Twice):
    """Sees the right half of the picture, mirrored."""

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x[:, :, :, 16:].flip(3)).relu().mean((2, 3)))


def test_masks_lie_where_the_map_lies_on_the_picture() -> None:
    module, picture = Cut().eval(), torch.randn(1, 3, *SIZE)
    half = picture[:, :, :, 16:].flip(3)
    with torch.no_grad():
        a = module.features(half)
        masks = channel_masks(a[0].flip(2), (32, 16))
        laid = torch.cat((torch.zeros(5, 32, 16), masks), 2)
        scores = torch.cat([module(picture * one) for one in laid])[:, 1]
    found = heat(module, picture, method="scorecam", layer="features", target="1")
    close(found, scorecam(a, scores[None]).flip(2))


def test_a_layer_whose_place_is_not_known_is_refused() -> None:
    class Sampled(Twice):
        def forward(self, x: Tensor) -> Tensor:
            grid = nn.functional.affine_grid(
                torch.eye(2, 3)[None].expand(len(x), 2, 3), list(x.shape), align_corners=False
            )
            return self.fc(
                self.features(nn.functional.grid_sample(x, grid, align_corners=False)).mean((2, 3))
            )

    with pytest.raises(LayerError, match="scorecam lays the channels of features on the picture"):
        answer(Sampled().eval(), torch.randn(1, 3, *SIZE), method="scorecam", layer="features")
    assert answer(Sampled().eval(), torch.randn(1, 3, *SIZE), method="ablationcam", layer="features").maps


# Finer-CAM


def test_finercam_before_pooling_is_the_map_of_the_class_less_those_of_the_next(
    network: nn.Sequential, inputs: Tensor
) -> None:
    asked = answer(network, inputs, method="finercam")
    found, ranked = asked.maps[0], asked.logits.argsort(1, descending=True)
    for row in range(len(inputs)):
        best, *others = (
            heat(network, inputs[row : row + 1], target=str(int(index)))[0] for index in ranked[row, :4]
        )
        close(found.values[row], best - torch.stack(others).mean(0), 1e-5)
    assert [one["index"] for one in found.details[0].facts["finercam"]["classes"]] == ranked[0, 1:4].tolist()
    assert found.details[0].facts["finercam"]["alpha"] == 1
    assert f"'class {int(ranked[0, 1])}'" in found.details[0].remarks[0]


def test_finercam_beside_others_is_finercam_alone(network: nn.Sequential, inputs: Tensor) -> None:
    options = {"layer": ("features.2", "features"), "target": "top2"}
    methods = ("gradcam", "finercam", "eigencam", "ablationcam", "scorecam")
    together = answer(network, inputs, method=methods, **options).maps
    assert [one.method for one in together[:10]] == [*methods, *methods]
    for name in methods:
        alone = answer(network, inputs, method=name, **options).maps
        for one, other in zip(alone, [each for each in together if each.method == name], strict=True):
            torch.testing.assert_close(one.values, other.values)


def test_of_two_classes_the_other_is_compared_with(inputs: Tensor) -> None:
    network = settle(pooled(classes=1), SIZE)
    found, plain = (heat(network, inputs, method=name, target="1") for name in ("finercam", "gradcam"))
    torch.testing.assert_close(found, 2 * plain)


def test_a_function_has_nothing_to_be_compared_with(network: nn.Sequential) -> None:
    explainer = cnnexplain.load(network, input_size="32")
    picture = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(OptionError, match="finercam compares a class"):
        explainer.explain(picture, method="finercam", target=lambda output: output[:, 0])
    assert explainer.explain(
        picture, method="ablationcam,scorecam", target=lambda output: output[:, 0]
    ).heatmaps


# pytorch-grad-cam


@contextmanager
def unscaled(peer: peers.base_cam.BaseCAM) -> Iterator[peers.base_cam.BaseCAM]:
    """The peer's map as small as it is."""
    peer.get_target_width_height = lambda _: None
    with peer:
        yield peer


def test_ablation_is_pytorch_grad_cams_where_values_are_rectified(
    network: nn.Sequential, inputs: Tensor
) -> None:
    """Of maps with negative values the peer sets a channel to 10,000,000 less than the smallest: another question."""
    targets = network(inputs).argmax(1)
    assert (network(inputs).max(1).values > 0).all()
    for layer in ("features.2", "features"):
        with unscaled(peers.AblationCAM(network, [network.get_submodule(layer)])) as peer:
            theirs = peer(inputs, [ClassifierOutputTarget(int(index)) for index in targets])
        ours = heat(network, inputs, method="ablationcam", layer=layer)
        for one, other in zip(ours, theirs, strict=True):
            close(scaled(one), other)


class HalfPixels(nn.Upsample):
    """Bilinear, of cells whose middles lie where they do on the picture; the peer lays the outer ones on the edge."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size=tuple(size), mode="bilinear", align_corners=False)


def test_scorecam_is_pytorch_grad_cams_but_for_where_cells_lie(
    inputs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Rectified().eval()
    layer = network.conv2
    targets = [ClassifierOutputTarget(2)] * len(inputs)
    ours = heat(network, inputs, method="scorecam", layer="conv2", target="2", channels="all")
    with unscaled(peers.ScoreCAM(network, [layer])) as peer:
        plain = peer(inputs, targets)
        monkeypatch.setattr(torch.nn, "UpsamplingBilinear2d", HalfPixels)
        theirs = peer(inputs, targets)
    assert not np.allclose(plain, theirs, atol=TOLERANCE)
    for one, other in zip(ours, theirs, strict=True):
        close(scaled(one), other)


def test_finercam_with_one_other_class_is_pytorch_grad_cams(
    network: nn.Sequential, inputs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several the peer's mean is weighted by probabilities, whose own gradients are part of its map."""
    monkeypatch.setattr("cnnexplain.commands._finer.OTHERS", 1)
    ours = heat(network, inputs, method="finercam", layer="features.2")
    peer = peers.FinerCAM(network, [network.features[2]])
    peer.base_cam.get_target_width_height = lambda _: None
    theirs = peer(inputs, comparison_categories=[1])
    for one, other in zip(ours, theirs, strict=True):
        close(scaled(one), other)


@pytest.mark.slow
def test_the_bundled_model_by_pytorch_grad_cam(bundled: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a layer of few channels, of a small input."""
    monkeypatch.setattr(torch.nn, "UpsamplingBilinear2d", HalfPixels)
    explainer = cnnexplain.load("bundled:efficientnet_lite0", input_size="64")
    model = explainer.model
    inputs = model.inputs([model.preprocess.apply(_photograph())[0]])
    name = "bn1"
    layer = model.module.get_submodule(name)
    with torch.no_grad():
        target = int(model.module(inputs).argmax())
    for method, kind in (("ablationcam", peers.AblationCAM), ("scorecam", peers.ScoreCAM)):
        options = {"channels": "all"} if method == "scorecam" else {}
        ours = heat(model, inputs, method=method, layer=name, **options)
        with unscaled(kind(model.module, [layer])) as peer:
            theirs = peer(inputs, [ClassifierOutputTarget(target)])
        close(scaled(ours[0]), theirs[0])


def _photograph() -> object:
    from PIL import Image

    return Image.fromarray(chelsea())


# What goes wrong


class Breaking(nn.Module):
    """Gives no number where the layer's first channel is zero, for pictures that begin with a positive value."""

    def __init__(self, inner: nn.Sequential) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        a = self.inner.features(x)
        head = self.inner.fc(a.mean((2, 3)))
        broken = (a[:, 0] == 0).flatten(1).all(1) & (x[:, 0, 0, 0] > 0)
        return head.masked_fill(broken[:, None], torch.nan)


def test_scores_that_are_not_finite_fail_their_picture_alone(network: nn.Sequential, inputs: Tensor) -> None:
    inputs[:, 0, 0, 0] = torch.tensor([-1.0, 1.0, -1.0])
    model = as_model(Breaking(network).eval(), SIZE)
    found = _answer(model, inputs, ("gradcam", "ablationcam"))
    assert set(found.problems) == {1}
    assert "not finite for 1 of its channels" in found.problems[1].problem
    assert [len(of_picture) for of_picture in found.results] == [2, 0, 2]


def _answer(model: Model, inputs: Tensor, methods: tuple[str, ...]) -> Answer:
    from cnnexplain.commands.gradcam import GradCAM

    bound, _ = GradCAM(method=methods, layer=("inner.features",)).bind(model)
    with model.borrowed():
        return bound.explain(model, Batch(inputs))


def test_a_target_that_is_a_function_is_asked_for(network: nn.Sequential, inputs: Tensor) -> None:
    explainer = cnnexplain.load(network, input_size="32")
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    (found,) = explainer.explain(picture, method="ablationcam", target=lambda output: output[:, 2]).heatmaps
    (plain,) = explainer.explain(picture, method="ablationcam", target="2").heatmaps
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-4, atol=1e-6)


def test_the_channels_are_refused_that_are_no_choice(network: nn.Sequential) -> None:
    with pytest.raises(CnnexplainError, match="channels"):
        cnnexplain.load(network, input_size="32").explain(np.zeros((32, 32, 3), np.uint8), channels="some")


def test_channels_are_of_no_use_to_other_formulas(network: nn.Sequential) -> None:
    explainer = cnnexplain.load(network, input_size="32")
    with pytest.raises(OptionError, match="--channels all has no use here: only scorecam uses it"):
        explainer.explain(np.zeros((32, 32, 3), np.uint8), method="ablationcam", channels="all")


def test_a_layer_that_leads_nowhere_is_worth_nothing(inputs: Tensor) -> None:
    class Aside(Rectified):
        def __init__(self) -> None:
            super().__init__()
            self.aside = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.aside(x)
            return super().forward(x)

    assert not heat(Aside().eval(), inputs, method="ablationcam", layer="aside").any()


def test_a_layer_without_a_map_is_refused(network: nn.Sequential, inputs: Tensor) -> None:
    for method in ("ablationcam", "scorecam", "finercam"):
        with pytest.raises(LayerError, match="returns a vector"):
            answer(network, inputs, method=method, layer="fc")


def test_filling_copies_are_passed_over(network: nn.Sequential, inputs: Tensor) -> None:
    from cnnexplain.commands.gradcam import GradCAM

    model = as_model(network, SIZE)
    bound, _ = GradCAM(method=("ablationcam",)).bind(model)
    with model.borrowed():
        some = bound.explain(model, Batch(torch.cat((inputs, inputs[:1])), copies=1))
        every = bound.explain(model, Batch(inputs))
    for one, other in zip(some.results, every.results, strict=False):
        np.testing.assert_allclose(one[0].values, other[0].values, rtol=1e-5, atol=1e-6)  # type: ignore[attr-defined]


def test_finer_score_by_hand() -> None:
    scores = torch.tensor([[5.0, 4.0, 2.0]], requires_grad=True)
    finer_score(scores, torch.tensor([0]), torch.tensor([[1, 2]]), alpha=0.5).backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [[1.0, -0.25, -0.25]]
