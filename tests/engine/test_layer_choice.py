"""Which layer is explained: the default of real and of awkward networks, and the layers that users name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from architectures import architecture, size_of
from networks import ChannelsLast, Permute, as_model, default_layer, heat, pooled
from torch import Tensor, nn

from cnnexplain.engine.capture import map_layout
from cnnexplain.errors import LayerError

SIZE = (32, 32)

DEFAULTS = {
    "timm:resnet18": "layer4",
    "timm:resnetv2_50@64": "norm",
    "timm:densenet121@64": "features",
    "timm:inception_v3@139": "Mixed_7c",
    "timm:legacy_xception@64": "act4",
    "timm:mobilenetv3_small_050": "blocks",
    "timm:tf_efficientnet_lite0": "bn2",
    "timm:regnety_002": "s4",
    "timm:convnext_atto": "stages",
    "timm:hrnet_w18_small@64": "final_layer",
    "timm:dla34@64": "level5",
    "timm:ghostnet_050": "blocks",
    "timm:nfnet_l0@64": "final_act",
    "timm:repvgg_a0@64": "stages",
    "timm:resnest14d@64": "layer4",
    "timm:mobilevit_xxs": "final_conv",
    "tv:alexnet": "features.11",
    "tv:vgg11": "features.19",  # the last ReLU before the last max-pooling
    "tv:squeezenet1_1": "features",
    "tv:resnet18": "layer4",
    "tv:densenet121@64": "features",
    "tv:inception_v3@139": "Mixed_7c",
    "tv:googlenet": "inception5b",
    "tv:shufflenet_v2_x0_5": "conv5",
    "tv:mobilenet_v2": "features",
    "tv:regnet_y_400mf": "trunk_output",
    "tv:convnext_tiny@64": "features",
    "tv:swin_t@64": "permute",  # the last map as (N, C, h, w)
}
TOKEN_MODELS = (
    "timm:vit_tiny_patch16_224@224",
    "timm:deit_tiny_patch16_224@224",
    "timm:mixer_s32_224@224",
    "timm:resmlp_12_224@224",
    "timm:crossvit_tiny_240@240",
    "timm:tnt_s_patch16_224@224",
    "tv:vit_b_16@224",
)


@pytest.mark.parametrize("name", DEFAULTS)
def test_default_layer_of_well_known_architectures(name: str) -> None:
    assert default_layer(architecture(name), size_of(name)) == DEFAULTS[name]


@pytest.mark.parametrize("name", TOKEN_MODELS)
def test_models_of_tokens_are_refused_in_two_lines(name: str) -> None:
    with pytest.raises(LayerError, match="works on tokens, not on maps") as caught:
        default_layer(architecture(name), size_of(name))
    assert "convolutional network" in caught.value.hint
    assert "\n" not in caught.value.problem + caught.value.hint


def test_choice_says_why() -> None:
    choice = as_model(pooled(), (24, 40)).choose_layer()
    assert (choice.setting, choice.value) == ("layer", "features")
    assert choice.reason == "the last map on the way to the classes before pooling: 8 channels of 12x20"


class Auxiliary(nn.Module):
    """The last layer that is run looks like a map, and the scores do not depend on it."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc, self.side = nn.Conv2d(3, 8, 3), nn.Linear(8, 5), nn.Conv2d(8, 4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(x)
        return self.fc(x.mean((2, 3))), self.side(x)


class ClassMaps(nn.Module):
    """A map per class and nothing with weights after it: the scores themselves, before they are averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.classifier = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 5, 1)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.classifier(self.body(x).relu())).mean((2, 3))


class OnlyClassMaps(nn.Module):
    """Nothing but class maps: better than nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x).mean((2, 3))


class LeNet(nn.Module):
    """No padding, functions between the layers, and more linear layers than convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc = nn.ModuleList([nn.LazyLinear(64), *(nn.Linear(64, 64) for _ in range(12))])

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        for layer in self.fc:
            x = F.relu(layer(x))
        return x


class Reused(nn.Module):
    """One rectifier for maps, for pooled values of 1x1 and for vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.squeeze, self.fc1, self.fc2 = nn.Conv2d(8, 6, 1), nn.Linear(6, 6), nn.Linear(6, 5)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        x = self.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1))).flatten(1)
        return self.fc2(self.relu(self.fc1(x)))


class Looped(nn.Module):
    """The same convolution over and over, the last time on a side road."""

    def __init__(self, side: bool) -> None:
        super().__init__()
        self.first, self.again, self.fc = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 5)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        x = self.again(self.again(self.first(x)).relu())
        logits = self.fc(x.mean((2, 3)))
        if self.side:
            self.again(x)
        return logits


class OnTheSide(nn.Module):
    """What it returns beside the scores comes from another run of the layers that these come from."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.fc(self.trunk(x).mean((2, 3)))
        return {"logits": logits, "features": self.trunk(x)}


class Shrinking(nn.Sequential):
    """Halves its map `times` times."""

    def __init__(self, times: int) -> None:
        stages = [nn.Conv2d(3 if not time else 8, 8, 3, 2, 1) for time in range(times)]
        super().__init__(*stages, nn.Flatten(), nn.LazyLinear(5))


def shaped(network: nn.Module, size: tuple[int, int], channels: int = 3) -> nn.Module:
    """With lazy layers settled."""
    with torch.no_grad():
        network(torch.zeros(1, channels, *size))
    return network.eval()


@pytest.mark.parametrize(
    ("network", "layer", "shape"),
    [
        (Auxiliary, "body", (30, 30)),
        (ClassMaps, "body", (30, 30)),
        (OnlyClassMaps, "classifier", (30, 30)),
        (Reused, "relu", (16, 16)),
        (lambda: ChannelsLast(pooled()), "last", (16, 16)),
        (lambda: Looped(side=False), "again", (26, 26)),
        (lambda: Looped(side=True), "again #2", (26, 26)),
        (OnTheSide, "trunk", (30, 30)),
        (lambda: Shrinking(5), "3", (2, 2)),
        (lambda: Shrinking(3), "2", (4, 4)),
    ],
)
def test_default_layer_of_awkward_networks(
    network: Callable[[], nn.Module], layer: str, shape: tuple[int, int]
) -> None:
    """And it is that map which is explained, larger than 1x1."""
    module, inputs = shaped(network(), SIZE), torch.randn(2, 3, *SIZE)
    assert default_layer(module, SIZE) == layer
    found = heat(module, inputs, method="hirescam")
    assert found.shape == (2, *shape)
    assert found.any()


def test_layer_that_is_run_twice_keeps_every_map() -> None:
    network, inputs = Looped(side=False).eval(), torch.randn(1, 3, *SIZE)
    model = as_model(network, SIZE)
    first = network.again(network.first(inputs))
    runs = {"again": first, "again #2": network.again(first.relu())}
    for named, wanted in (("again", list(runs)), ("again #1", ["again"]), ("again #2", ["again #2"])):
        with model.borrowed(), model.capture(named) as maps:
            model.forward(inputs)
        assert list(maps) == wanted
        for run in wanted:
            torch.testing.assert_close(maps[run], runs[run])


@pytest.mark.parametrize("size", [(28, 28), (32, 32), (32, 64), (64, 32), (40, 56), (32, 128), (29, 120)])
def test_lenet_on_square_and_oblong_inputs(size: tuple[int, int]) -> None:
    """Each convolution cuts four rows and four columns off, which changes the aspect ratio of oblong maps."""
    network = shaped(LeNet(), size, 1)
    assert default_layer(network, size, 1) == "conv2"
    rows, columns = ((length - 4) // 2 - 4 for length in size)
    assert heat(network, torch.randn(1, 1, *size)).shape == (1, rows, columns)
    assert heat(network, torch.randn(1, 1, *size), layer="conv1").shape == (1, size[0] - 4, size[1] - 4)


class Spectrum(nn.Module):
    """A map whose columns become a sequence: of as many channels as the map has rows, or as it has columns."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.after = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv1d(32, channels, 3, padding=1)
        self.norm, self.act = nn.BatchNorm1d(channels), nn.ReLU()
        self.fc = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        columns = self.conv(x).relu().flatten(1, 2)
        return self.fc(self.act(self.norm(self.after(columns))).mean(2))


@pytest.mark.parametrize("channels", [8, 12, 5])
def test_channels_of_a_sequence_are_no_tokens(channels: int) -> None:
    assert default_layer(Spectrum(channels), (16, 24), channels=1) == "conv"


def test_a_network_of_sequences_is_told_as_such() -> None:
    network = nn.Sequential(
        nn.Flatten(2), nn.Conv1d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    with pytest.raises(LayerError, match="sequences, not on maps: its layer '1' is a Conv1d") as caught:
        default_layer(network, (16, 16))
    assert caught.value.hint.endswith("cnnexplain saliency")


def test_nothing_larger_than_one_by_one_is_refused() -> None:
    network = shaped(Shrinking(3), (2, 2))
    with pytest.raises(LayerError, match="no layer with a map larger than 1x1") as caught:
        default_layer(network, (2, 2))
    assert "--input-size" in caught.value.hint


@pytest.mark.parametrize(
    ("shape", "size", "layout"),
    [
        ((1, 512, 7, 7), (224, 224), "NCHW"),
        ((1, 7, 7, 512), (224, 224), "NHWC"),
        ((1, 7, 7, 7), (224, 224), "NCHW"),
        ((1, 1280, 1, 1), (224, 224), "NCHW"),
        ((1, 7, 10, 768), (224, 320), "NHWC"),
        ((1, 768, 10, 7), (320, 224), "NCHW"),
        ((1, 14, 28, 192), (224, 448), "NHWC"),
        ((1, 56, 112, 96), (224, 448), "NHWC"),
        ((1, 6, 28, 124), (32, 128), "NCHW"),  # a convolution of 5x5 without padding
        ((1, 16, 5, 13), (32, 64), "NCHW"),
        ((1, 192, 3, 5), (139, 203), "NCHW"),
        ((1, 3, 197, 64), (224, 224), None),  # heads, tokens, width
        ((1, 12, 4, 49), (224, 224), None),
        ((1, 8, 40, 4), (224, 224), None),
        ((1, 197, 64), (224, 224), None),
        ((1, 64), (224, 224), None),
        ((1, 0, 7, 7), (224, 224), None),
    ],
)
def test_rows_columns_and_channels_are_told_apart(
    shape: tuple[int, ...], size: tuple[int, int], layout: str | None
) -> None:
    assert map_layout(shape, size) == layout


class Pieces(nn.Module):
    """Cuts pictures into quarters and works on each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.cut, self.inside = nn.Conv2d(3, 8, 3, 2, 1), Cut(), nn.Conv2d(8, 8, 3, padding=1)
        self.split, self.fc, self.unused = Split(), nn.Linear(8, 5), nn.Conv2d(8, 8, 3)
        self.tokens = nn.Flatten(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inside(self.cut(self.stem(x)))
        x = x.unflatten(0, (-1, 4)).mean(1)
        return self.fc(self.split(self.tokens(x).mean(2))[0])


class Cut(nn.Module):
    """(N, C, h, w) to (4 N, C, h/2, w/2)."""

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[2] // 2, x.shape[3] // 2
        x = x.unflatten(2, (2, rows)).unflatten(4, (2, columns))
        return x.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


class Split(nn.Module):
    """A tuple."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        ("fc", r"returns a vector of shape \(5,\) per picture"),
        ("tokens", r"returns a sequence of tokens of shape \(8, 64\) per picture"),
        ("split", "returns a tuple, not one map per picture"),
        ("cut", "works on pieces of pictures: 4 come out for 1 in all"),
        ("inside", "works on pieces of pictures: 4 come out for 1 in all"),
        ("unused", "takes no part when Pieces looks at a picture"),
    ],
)
@pytest.mark.parametrize("method", ["gradcam", "eigencam"])
def test_layer_without_a_map_is_refused_with_a_way_out(layer: str, problem: str, method: str) -> None:
    with pytest.raises(LayerError, match=problem) as caught:
        heat(Pieces().eval(), torch.randn(2, 3, *SIZE), layer=layer, method=method)
    assert "leave --layer out" in caught.value.hint


def test_map_of_pieces_is_not_chosen() -> None:
    assert default_layer(Pieces().eval(), SIZE) == "stem"


def test_map_that_is_no_map_of_the_picture_is_refused() -> None:
    """Where the kind of no layer says how an output is laid out, and its shape is not that of the picture."""
    strips = nn.Unflatten(1, (8, 32, 8))
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(3072, 2048), strips, nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).eval()
    with pytest.raises(
        LayerError, match=r"returns \(8, 32, 8\) per picture, which is no map of an input of 32x32"
    ):
        heat(network, torch.randn(1, 3, *SIZE), layer="2")


def test_layer_that_the_scores_do_not_depend_on_is_refused() -> None:
    with pytest.raises(LayerError, match="do not depend on the layer"):
        heat(Auxiliary().eval(), torch.randn(1, 3, *SIZE), layer="side")


def test_layer_inside_windows_of_a_real_network_is_refused() -> None:
    module = architecture("tv:swin_t@64")
    with pytest.raises(LayerError):
        heat(module, torch.randn(1, 3, 64, 64), layer="features.1.0.norm1.weight")
    with pytest.raises(LayerError, match="vector"):
        heat(module, torch.randn(1, 3, 64, 64), layer="head")


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    return architecture("tv:resnet18", num_classes=10)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("layer4", "layer4"),
        ("layer4.1.conv2", "layer4.1.conv2"),
        ("layer4[-1]", "layer4.1"),
        ("layer4[0].conv1", "layer4.0.conv1"),
        ("layer4[-2].relu", "layer4.0.relu"),
        ("layer4.-1", "layer4.1"),
    ],
)
def test_layer_may_be_written_as_in_python(resnet: nn.Module, written: str, name: str) -> None:
    assert as_model(resnet, SIZE).find_layer(written) == name


def test_last_of_the_features() -> None:
    network = pooled().eval()
    assert as_model(network, SIZE).find_layer("features[-1]") == "features.5"
    expected = heat(network, torch.ones(1, 3, *SIZE), layer="features")
    torch.testing.assert_close(heat(network, torch.ones(1, 3, *SIZE), layer="features[-1]"), expected)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("layer5", "layer4"),
        ("Layer4", "layer4"),
        ("layer4.2", "layer4.1"),
        ("layer4[7]", "layer4.1"),
        ("layer4[-7]", "layer4"),
        ("layer4[9]", "; a shell wants brackets in quotes: -l 'NAME[-1]'"),
        ("downsample", "layer2.0.downsample"),
        ("layer1, layer4[-1]", "name each by itself: -l layer1 -l layer4.1"),
        ("layer1,layer9", "layer1"),
        ("zzz", "the outermost layers are conv1, bn1, layer1, layer2, layer3, layer4, fc"),
        ("", "the outermost layers are"),
        ("[", "the outermost layers are"),
    ],
)
def test_wrong_layer_gets_near_misses(resnet: nn.Module, written: str, hint: str) -> None:
    with pytest.raises(LayerError, match="there is no layer called") as caught:
        as_model(resnet, SIZE).find_layer(written)
    assert hint in caught.value.hint


def test_permuted_map_is_named_by_the_layer_that_returns_it() -> None:
    """The same numbers under two names: the later one, which is nearer to the classes."""
    network = ChannelsLast(pooled()).eval()
    assert isinstance(network.get_submodule(default_layer(network, SIZE)), Permute)


def test_stages_are_never_runs_that_a_name_does_not_stand_for() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2, self.conv3 = (
                nn.Conv2d(*channels, 3, padding=1) for channels in ((3, 8), (8, 16), (16, 32))
            )
            self.relu, self.pool, self.fc = nn.ReLU(), nn.MaxPool2d(2), nn.Linear(32, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.pool(self.relu(self.conv1(x)))
            x = self.pool(self.relu(self.conv2(x)))
            return self.fc(self.relu(self.conv3(x)).mean((2, 3)))

    names, choice = as_model(Shared(), (32, 32)).choose_stages()
    assert names == ("conv1", "conv2", "relu")
    assert choice.reason.endswith("32x32, 16x16, 8x8")


class Attending(nn.Module):
    """Attention of 12 channels to one another, before the softmax and after it, beside a map of 8x8."""

    def __init__(self) -> None:
        super().__init__()
        self.raw, self.soft, self.proj = nn.Identity(), nn.Softmax(-1), nn.Conv2d(12, 12, 1)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)[:, None]
        matrix = self.soft(self.raw(flat @ flat.transpose(-2, -1)) + 0)
        return x + self.proj((matrix @ flat)[:, 0].view_as(x))


def test_matrices_of_attention_are_no_stages() -> None:
    network = nn.Sequential(
        nn.Dropout(), nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 12, 3, 2, 1), Attending(), nn.Conv2d(12, 8, 3, 2, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    names, choice = as_model(network, SIZE).choose_stages()
    assert names == ("1", "3", "4")  # nor is the picture itself, which dropout hands on
    assert choice.reason.endswith("16x16, 8x8, 4x4")
    patches = as_model(architecture("timm:mobilevitv2_050"), (96, 96)).choose_stages()[0]
    assert not any("norm" in name for name in patches)  # of (channels, pixels of a patch, patches)
    edgenext = as_model(architecture("timm:edgenext_xx_small@64"), (64, 64))
    assert edgenext.choose_stages()[0] == ("stem", "stages.1", "stages.2", "stages")
