"""The table of layers against hand-worked networks, torchinfo, torch's own counter and known receptive fields."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchinfo
from architectures import architecture, size_of
from networks import as_model
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cnnexplain.core.layer_words import COLUMNS
from cnnexplain.core.results.summary import LayerRow, LayerTable
from cnnexplain.engine.cost.table import layer_table
from cnnexplain.errors import ModelError


def table_of(module: nn.Module, size: tuple[int, int] = (16, 16), channels: int = 3) -> LayerTable:
    return layer_table(as_model(module, size, channels))


def rows(table: LayerTable) -> dict[str, LayerRow]:
    return {row.name: row for row in table.rows}


class EveryKind(nn.Module):
    """16x16 in; each layer's multiply-adds are worked out beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)  # 256 places x 8 x 3 x 9 = 55,296
        self.grouped = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=4)  # 64 x 16 x 2 x 9 = 18,432
        self.depthwise = nn.Conv2d(16, 16, 5, padding=2, groups=16)  # 64 x 16 x 25 = 25,600
        self.dilated = nn.Conv2d(16, 16, 3, padding=2, dilation=2)  # 64 x 16 x 16 x 9 = 147,456
        self.transposed = nn.ConvTranspose2d(
            16, 8, 2, stride=2
        )  # 64 places of the input x 16 x 8 x 4 = 32,768
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.kernel = nn.Parameter(torch.randn(4, 8, 4, 4))  # of F.conv2d, stride 4: 16 x 4 x 8 x 16 = 8,192
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)  # see below
        self.fc = nn.Linear(4, 5)  # 20

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.grouped(self.conv(x)))
        x = self.relu(self.norm(self.transposed(self.dilated(x))))
        x = F.conv2d(x, self.kernel, stride=4)
        tokens = x.flatten(2).transpose(1, 2)  # 16 tokens of 4
        tokens, _ = self.attention(tokens, tokens, tokens)
        return self.fc(tokens.mean(1))


def test_each_kind_of_layer_by_hand() -> None:
    table = table_of(EveryKind())
    found = rows(table)
    by_hand = {"conv": 55_296, "grouped": 18_432, "depthwise": 25_600, "dilated": 147_456, "transposed": 32_768,
               "norm": 0, "relu": 0, "fc": 20}  # fmt: skip
    assert {name: found[name].multiply_adds for name in by_hand} == by_hand
    # 16 tokens: three projections in and one out of 4x4, queries by keys and weights by values of 16x16x4 in all.
    assert found["attention"].multiply_adds == 16 * 4 * 4 * 4 + 2 * 16 * 16 * 4
    assert found[""].own_multiply_adds == 8_192
    assert table.whole.multiply_adds == sum(by_hand.values()) + 3_072 + 8_192
    assert found[""].own_parameters == 4 * 8 * 16
    assert {name: found[name].outputs for name in ("grouped", "transposed", "fc")} == {
        "grouped": ((1, 16, 8, 8),),
        "transposed": ((1, 8, 16, 16),),
        "fc": ((1, 5),),
    }
    assert found["attention"].outputs == ((1, 16, 4), (1, 16, 16))
    window = found["dilated"].window
    assert window
    assert (window.kernel, window.padding, window.dilation) == ((3, 3), (2, 2), (2, 2))
    assert found["depthwise"].window.groups == 16
    assert found["fc"].window is found["attention"].window is None


def test_memory_is_what_is_newly_made_of_the_picture() -> None:
    found = rows(table_of(EveryKind()))
    assert found["conv"].activation_bytes == 8 * 256 * 4
    assert found["norm"].activation_bytes == 8 * 256 * 4
    assert found["relu"].activation_bytes == 0  # in place
    assert found["fc"].activation_bytes == 5 * 4

    class Standardised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, bias=False)
            self.flat = nn.Flatten()

        def forward(self, x: Tensor) -> Tensor:
            weight = self.conv.weight - self.conv.weight.mean()  # no activation: made of weights alone
            return self.flat(F.conv2d(x, weight).mean((2, 3)))

    table = table_of(Standardised())
    assert table.whole.activation_bytes == 8 * 14 * 14 * 4 + 8 * 4
    assert rows(table)["flat"].activation_bytes == 0  # a view


class Reusing(nn.Module):
    """One module under two names and run three times, one parameter in two layers, one layer that never runs."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.Conv2d(4, 4, 1, bias=False)  # 16 parameters, 16 x 256 = 4,096 multiply-adds a run
        self.stem = nn.Conv2d(3, 4, 1)
        self.a = nn.Sequential(shared, nn.ReLU())
        self.b = nn.Sequential(nn.ReLU(), shared)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = nn.Parameter(torch.eye(4))
        self.also = nn.Linear(4, 4, bias=False)
        self.also.weight = self.tied.weight
        self.unused = nn.Linear(100, 100)

    def forward(self, x: Tensor) -> Tensor:
        x = self.b(self.a(self.a(self.stem(x))))
        return self.also(self.tied(x.mean((2, 3))))


def test_what_is_reused_is_held_once_and_run_each_time() -> None:
    table = table_of(Reusing())
    found = rows(table)
    assert (found["a"].runs, found["b"].runs, found["unused"].runs) == (2, 1, 0)
    assert (found["a.0"].runs, found["b.1"].runs) == (2, 1)
    assert (found["a"].multiply_adds, found["b"].multiply_adds) == (2 * 4_096, 4_096)
    assert (found["a"].parameters, found["b"].parameters) == (16, 16)
    assert (found["b.1"].same_as, found["also"].same_as) == ("a.0", "tied")
    assert found["a.0"].same_as == found["tied"].same_as == ""
    assert found["unused"].outputs == ()
    assert (
        table.whole.parameters == sum(one.numel() for one in Reusing().parameters()) == 16 + 16 + 16 + 10_100
    )
    assert table.whole.multiply_adds == 3 * 256 * 4 + 3 * 4_096 + 16 + 16


def test_frozen_parameters_are_told_from_trainable_ones() -> None:
    module = EveryKind()
    module.conv.requires_grad_(False)
    found = rows(table_of(module))
    assert (found["conv"].trainable, found["fc"].trainable) == (0, found["fc"].parameters)
    assert found[""].parameters - found[""].trainable == found["conv"].parameters
    assert not module.conv.weight.requires_grad


@pytest.mark.parametrize(
    "name",
    [
        "timm:resnet18", "timm:efficientnet_lite0", "timm:convnext_atto", "timm:swin_tiny_patch4_window7_224@224",
        "timm:vit_tiny_patch16_224@224", "timm:mixer_s32_224@224", "tv:shufflenet_v2_x0_5", "tv:swin_v2_t@64",
    ],
)  # fmt: skip
def test_multiply_adds_are_half_of_what_torchs_own_counter_finds(name: str) -> None:
    size = size_of(name)
    module = architecture(name)
    # Attention step by step: of the fused form torch's counter knows some processors' kernels and not others'.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        module(torch.zeros(1, 3, *size))
    assert 2 * table_of(module, size).whole.multiply_adds == counter.get_total_flops()


FIFTEEN = """
tv:resnet50@224 tv:vgg11 tv:mobilenet_v2 tv:densenet121@64 tv:squeezenet1_1 tv:shufflenet_v2_x0_5 tv:googlenet
tv:efficientnet_b0 tv:regnet_y_400mf tv:convnext_tiny@64 tv:vit_b_32@224 tv:swin_t@64 timm:efficientnet_lite0
timm:vit_tiny_patch16_224@224 timm:hrnet_w18_small@64 timm:repvgg_a0@64 timm:seresnet50@64
""".split()


def torchinfos_reasons(module: nn.Module, size: tuple[int, int], table: LayerTable) -> dict[str, int]:
    """By how much torchinfo's count departs from what is calculated, for each of the ways in which it does.

    It multiplies the parameters called weight and bias of every layer without children by the places of its
    output, or by one where the layer's class is not called Conv; and sees nothing else.
    """
    reasons = {"biases": 0, "norms": 0, "tokens beyond the first": 0, "outside layers": 0}

    def note(layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        own = dict(layer.named_parameters())
        weight, bias = own.get("weight"), own.get("bias")
        if "Conv" in type(layer).__name__:
            reasons["biases"] += 0 if bias is None else bias.numel() * output[0, 0].numel()
        elif isinstance(layer, nn.Linear):
            reasons["biases"] += 0 if bias is None else bias.numel()
            reasons["tokens beyond the first"] -= (output.numel() // output.shape[-1] - 1) * weight.numel()
        else:
            reasons["norms"] += sum(one.numel() for one in (weight, bias) if one is not None)

    leaves = [layer for layer in module.modules() if next(layer.children(), None) is None]
    handles = [layer.register_forward_hook(note) for layer in leaves]
    with torch.no_grad():
        module(torch.zeros(1, 3, *size))
    for handle in handles:
        handle.remove()
    reasons["outside layers"] = -sum(row.own_multiply_adds for row in table.rows if not row.leaf)
    return reasons


@pytest.mark.parametrize("name", FIFTEEN)
def test_parameters_equal_torchinfos_and_multiply_adds_differ_for_known_reasons(name: str) -> None:
    size = size_of(name)
    module = architecture(name)
    table = table_of(module, size)
    theirs = torchinfo.summary(module, input_size=(1, 3, *size), verbose=0)
    assert table.whole.parameters == theirs.total_params
    assert table.whole.trainable == theirs.trainable_params
    reasons = torchinfos_reasons(module, size, table)
    assert theirs.total_mult_adds == table.whole.multiply_adds + sum(reasons.values()), reasons


def test_resnet50_has_the_published_numbers() -> None:
    table = table_of(architecture("tv:resnet50"), (224, 224))
    found = rows(table)
    assert table.whole.parameters == 25_557_032
    assert table.whole.multiply_adds == 4_089_184_256
    assert found["layer4"].field
    assert [(one.size, one.stride) for one in found["layer4"].field] == [(427, 32), (427, 32)]
    assert [one.size for one in found["avgpool"].field] == [None, None]
    assert found["fc"].field is None
    assert table.defaults() == {
        "activations": ("relu", "layer1", "layer2", "layer3", "layer4"),
        "deconv": ("relu", "layer1", "layer2", "layer3", "layer4"),
        "filters": ("conv1",),
        "gradcam": ("layer4",),
    }
    assert [row.name for row in table.shown()][:6] == [
        "conv1",
        "bn1",
        "relu",
        "maxpool",
        "layer1",
        "layer1.0",
    ]
    assert table.share(found["layer3"]) == pytest.approx(1_464_336_384 / 4_089_184_256)


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [
        ("tv:vgg16@256", "features.30", 212),
        ("tv:alexnet@224", "features.12", 195),
        ("tv:resnet18@224", "layer4", 435),
    ],
)
def test_receptive_fields_are_the_known_ones(name: str, layer: str, size: int) -> None:
    field = rows(table_of(architecture(name), size_of(name)))[layer].field
    assert field
    assert [one.size for one in field] == [size, size]


class Demanding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.broken = nn.Linear(7, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.broken(self.stem(x)))


class Asking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor, question: Tensor) -> Tensor:
        return self.conv(x) * question


def test_a_model_that_fails_is_listed_with_its_reason() -> None:
    table = table_of(Demanding())
    found = rows(table)
    assert "Demanding failed on an input of (1, 3, 16, 16): RuntimeError" in table.problem
    assert table.remarks == ("the picture came as far as broken",)
    assert found["stem.0"].outputs == ((1, 4, 14, 14),)
    assert found["head"].outputs == ()
    assert (found["head"].parameters, table.whole.parameters) == (8, 112 + 24 + 8)
    assert table.whole.multiply_adds is table.share(found["stem"]) is table.classes is None
    asking = table_of(Asking())
    assert "missing 1 required positional argument: 'question'" in asking.problem
    assert asking.remarks == ()
    assert rows(asking)["conv"].parameters == 112
    scripted = table_of(torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())))
    assert "TorchScript" in scripted.problem
    assert [row.kind for row in scripted.rows] == ["Sequential", "Conv2d", "ReLU"]


def test_what_answers_with_no_class_scores_is_told_apart_from_what_fails() -> None:
    table = table_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 1)))
    assert table.problem == ""
    assert table.whole.multiply_adds == 196 * (108 + 24)
    assert rows(table)["1"].field[0].size == 3
    assert table.classes is None
    assert len(table.remarks) == 1
    assert "not one row of class scores" in table.remarks[0]


class Catching(nn.Module):
    """A layer that fails, and a block that goes on without it."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong = nn.Sequential(nn.Linear(999, 1))
        self.right = nn.Conv2d(3, 4, 1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        try:
            self.wrong(x)
        except RuntimeError:
            x = self.right(x)
        return self.fc(x.mean((2, 3)))


def test_costs_after_a_failure_that_was_caught_go_to_their_own_layers() -> None:
    found = rows(table_of(Catching()))
    assert (found["wrong"].multiply_adds, found["right"].multiply_adds, found["fc"].multiply_adds) == (
        0,
        3_072,
        8,
    )


def test_attention_is_counted_without_its_fused_kernel_which_is_given_back() -> None:
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 4, stride=4)
            self.encoder = encoder
            self.fc = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))

    before = torch.backends.mha.get_fastpath_enabled()
    found = rows(table_of(Tokens()))
    assert torch.backends.mha.get_fastpath_enabled() == before
    tokens = 16
    assert found["encoder.self_attn"].multiply_adds == tokens * 4 * 8 * 8 + 2 * tokens * tokens * 8
    assert found["encoder.linear1"].multiply_adds == tokens * 8 * 16
    assert found["encoder"].runs == 1


def test_recurrent_layers_and_products_are_counted_under_inference_mode_too() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(16, 6, batch_first=True)
            self.fc = nn.Linear(6, 3)

        @torch.inference_mode()
        def forward(self, x: Tensor) -> Tensor:
            out, _ = self.lstm(x.mean(1))
            return self.fc(torch.einsum("nti,ij->ntj", out, torch.eye(6)).mean(1))

    table = table_of(Recurrent())
    assert rows(table)["lstm"].multiply_adds == 16 * 4 * 6 * (16 + 6)
    assert table.whole.own_multiply_adds == 16 * 6 * 6
    assert rows(table)["fc"].multiply_adds == 18


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers_are_counted_by_hand(kind: type[nn.Module], gates: int) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = kind(16, 6, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.recurrent(x.mean(1))[0].mean(1)

    assert rows(table_of(Recurrent()))["recurrent"].multiply_adds == 16 * gates * 6 * (16 + 6)
    with torch.no_grad():
        assert rows(table_of(Recurrent()))["recurrent"].multiply_adds == 16 * gates * 6 * (16 + 6)


class Apart(nn.Module):
    """Containers whose layers run, and one whose do not; a product of two vectors and a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.ModuleList([nn.Conv2d(3, 3, 1), nn.ReLU()])
        self.unused = nn.Sequential(nn.Conv2d(3, 3, 1))
        self.both = nn.Bilinear(16, 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.used:
            x = layer(x)
        return self.both(x.mean((1, 2)), x.mean((1, 3)))


def test_containers_whose_layers_ran_are_not_said_not_to_have_run() -> None:
    words = {row["name"]: COLUMNS[1].text(row) for row in table_of(Apart()).record()["rows"]}
    assert words["used"] == "ModuleList"
    assert words["unused"] == "Sequential (not run)"
    assert words["unused.0"] == "Conv2d (not run)"


def test_bilinear_layers_count_every_weight_once() -> None:
    assert rows(table_of(Apart()))["both"].multiply_adds == 5 * 16 * 16


@pytest.mark.filterwarnings("ignore")
def test_quantised_layers_are_counted_as_those_that_they_were_made_of() -> None:
    from torch.ao import quantization

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.grouped = nn.Conv2d(8, 8, 3, groups=4)
            self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
            self.fc = nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.up(self.grouped(self.conv(self.quant(x))))
            return self.dequant(self.fc(x.mean((2, 3))))

    module = Net().eval()
    before = {row.name: row.multiply_adds for row in table_of(module).layers}
    module.qconfig = quantization.get_default_qconfig()
    module.up.qconfig = quantization.default_qconfig
    quantization.prepare(module, inplace=True)
    module(torch.rand(2, 3, 16, 16))
    quantization.convert(module, inplace=True)
    after = rows(table_of(module))
    assert "Quant" in str(module.conv)
    assert before["conv"] == 256 * 8 * 27
    for name in ("conv", "grouped", "up", "fc"):
        assert after[name].multiply_adds == before[name] > 0


def test_parameters_are_trainable_also_while_the_module_is_borrowed() -> None:
    module = EveryKind()
    module.conv.requires_grad_(False)
    model = as_model(module, (16, 16))
    outside = layer_table(model).whole.trainable
    with model.borrowed(), model.borrowed():
        assert layer_table(model).whole.trainable == outside > 0
    module.requires_grad_(False)
    assert layer_table(model).whole.trainable == 0


def test_lazy_layers_are_refused_in_words() -> None:
    module = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU())
    table = table_of(module)
    assert "get their weights from the first picture" in table.problem
    assert [row.kind for row in table.rows] == ["Sequential", "LazyConv2d", "ReLU"]
    assert (table.whole.parameters, table.parameter_bytes) == (0, 0)
    assert isinstance(module[0], nn.LazyConv2d)  # still: nothing was settled
    with pytest.raises(ModelError, match="get their weights from the first picture"):
        _ = as_model(nn.Sequential(nn.LazyConv2d(4, 3)), (16, 16)).trace
