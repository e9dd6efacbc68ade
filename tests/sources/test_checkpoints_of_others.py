"""Checkpoints as other people's scripts and libraries write them: they load, and what was left over is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from cnnexplain.core.loading import Loaded, ModelOptions
from cnnexplain.errors import ModelError, OptionError
from cnnexplain.sources import load
from cnnexplain.sources._renames import _multiplied_out

ARCH = "timm:test_resnet"
State = dict[str, Tensor]
# Names and prefixes that are not in the contract.
NESTS = (
    "network",
    "params",
    "student",
    "params_ema",
    "classifier",
    "best_model",
    "generator",
    "a.b",
    "weights",
)
PREFIXES = (
    "encoder.",
    "cnn.",
    "features.",
    "_forward_module.",
    "backbone.model.",
    "online_model.",
    "module.model.net.x.",
    "densenet121.",
    "ema.",
)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch, about weight_norm


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A network of three classes; its counters of batches are not zero, as after training."""
    torch.manual_seed(3)
    model = timm.create_model("test_resnet", num_classes=3).train()
    with torch.no_grad():
        model(torch.rand(4, 3, 32, 32))
    return model.eval()


@pytest.fixture
def state(trained: nn.Module, net: Path) -> State:
    return dict(trained.state_dict())


def loaded(data: object, arch: str = ARCH, **options: object) -> Loaded:
    """A file of `data`, loaded."""
    torch.save(data, "net.pth")
    return load("net.pth", ModelOptions(arch=arch, **options))  # type: ignore[arg-type]


def refused(data: object, arch: str = ARCH) -> str:
    with pytest.raises(ModelError) as caught:
        loaded(data, arch)
    return caught.value.problem


def told(model: Loaded, what: str) -> str:
    """What was said of that choice, or nothing."""
    return "; ".join(f"{one.value}: {one.reason}" for one in model.choices if one.setting == what)


def same(model: Loaded, other: nn.Module) -> bool:
    """Whether both give the same answer."""
    inputs = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        return torch.allclose(model.module(inputs), other.eval()(inputs), atol=1e-6)


@pytest.mark.parametrize("nest", NESTS)
def test_a_state_dict_under_any_name(trained: nn.Module, state: State, nest: str) -> None:
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"params": [0]}]}
    data: dict[str, object] = {
        "epoch": torch.tensor(3),
        "optimizer": optimizer,
        "scores": {"best": torch.ones(2)},
    }
    model = loaded({**data, nest: state})
    assert same(model, trained)
    assert told(model, "checkpoint part").startswith(f"{nest}: ")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_prefix_that_the_keys_share(trained: nn.Module, state: State, prefix: str) -> None:
    model = loaded({"state_dict": {prefix + name: tensor for name, tensor in state.items()}})
    assert same(model, trained)
    assert f"{prefix}conv1" in told(model, "checkpoint keys")


def test_a_backbone_and_a_head_apart(trained: nn.Module, state: State) -> None:
    parts = {("head." if name.startswith("fc") else "backbone.") + name: one for name, one in state.items()}
    assert same(loaded({"meta": {}, "state_dict": parts}), trained)


def test_an_average_of_weights(trained: nn.Module, net: Path) -> None:
    model = loaded(AveragedModel(trained).state_dict())
    assert same(model, trained)
    assert "n_averaged" in told(model, "checkpoint")


EXTRA = {
    "criterion.weight": torch.ones(3),
    "loss_fn.pos_weight": torch.ones(3),
    "center_loss.centers": torch.ones(3, 32),
    "criterion.vgg.0.weight": torch.ones(4, 3, 3, 3),
    "val_acc.total": torch.tensor(7),
    "train_metrics.confmat": torch.ones(3, 3),
    "n_averaged": torch.tensor(2),
    "total_ops": torch.ones(1, dtype=torch.float64),
    "layer1.0.conv1.total_params": torch.ones(1, dtype=torch.float64),
    "mean": torch.ones(1, 3, 1, 1),
    "class_weights": torch.ones(3),
    "aux_head.weight": torch.ones(3, 32),
    "queue_ptr": torch.zeros(1, dtype=torch.long),
}


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("name", EXTRA)
def test_what_only_training_needs_is_left_out_and_told(
    trained: nn.Module, state: State, name: str, prefix: str
) -> None:
    model = loaded({prefix + key: tensor for key, tensor in state.items()} | {name: EXTRA[name]})
    assert same(model, trained)
    assert told(model, "checkpoint").startswith("without 1 of its keys: ")
    assert name in told(model, "checkpoint")


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("layer1.7.conv1.weight", torch.ones(8, 8, 3, 3)),  # a deeper network of the same family
        ("layer1.0.conv1.bias", torch.ones(8)),  # a bias where the model's convolution has none
        ("layer1.0.act.weight", torch.ones(1)),  # a PReLU where the model has a ReLU
        ("discriminator.0.weight", torch.ones(3, 3, 3, 3)),  # a network beside it
        ("norm.weight", torch.ones(32)),  # a normalisation before the head
        ("attention.gamma", torch.ones(32)),  # a scale of a layer
        ("pos_embed", torch.ones(1, 4, 32)),
        ("bn9.running_mean", torch.ones(32)),
        ("metric.weight", torch.ones(8, 32)),  # an embedding; what a metric keeps is called otherwise
    ],
)
def test_layers_of_another_network_are_still_refused(state: State, name: str, tensor: Tensor) -> None:
    assert f"1 unexpected ({name})" in refused(state | {name: tensor})
    assert f"model.{name}" in refused({f"model.{key}": one for key, one in (state | {name: tensor}).items()})


def test_a_model_that_lacks_a_weight_is_refused_however_much_is_left_over(state: State) -> None:
    del state["layer1.0.conv1.weight"]
    assert "1 missing (layer1.0.conv1.weight)" in refused(state | EXTRA)


def test_of_weights_and_their_average_the_weights_are_taken_and_told(
    trained: nn.Module, state: State
) -> None:
    average = timm.create_model("test_resnet", num_classes=3)
    both = {"epoch": 9, "state_dict_ema": average.state_dict(), "state_dict": state}
    model = loaded(both)
    assert same(model, trained)
    assert "state_dict: the file also holds state_dict_ema" in told(model, "checkpoint part")
    assert "--weights-key" in told(model, "checkpoint part")
    asked = loaded(both, weights_key="state_dict_ema")
    assert same(asked, average)
    assert told(asked, "checkpoint part") == ""
    assert asked.source == "timm test_resnet, weights from net.pth, state_dict_ema"


@pytest.mark.parametrize(
    "names", [("student", "teacher"), ("encoder_q", "encoder_k"), ("model", "ema_model")]
)
@pytest.mark.parametrize("first", [0, 1])
def test_two_networks_in_one_state_dict(
    trained: nn.Module, state: State, names: tuple[str, str], first: int
) -> None:
    other = timm.create_model("test_resnet", num_classes=3)
    whole = {f"{names[0]}.{key}": one for key, one in state.items()}
    average = {f"{names[1]}.{key}": one for key, one in other.state_dict().items()}
    both = {"state_dict": average | whole if first else whole | average}
    model = loaded(both)
    assert same(model, trained)
    assert f"the file has the same under {names[1]}" in told(model, "checkpoint part")
    assert same(loaded(both, weights_key=names[1]), other)
    assert same(loaded(both, weights_key=f"state_dict.{names[1]}"), other)


def test_a_part_that_is_not_there(state: State) -> None:
    with pytest.raises(ModelError, match="no part called 'ema'") as caught:
        loaded({"state_dict": state, "student": state}, weights_key="ema")
    assert caught.value.hint.endswith("state_dict, student")
    with pytest.raises(OptionError, match="--weights-key"):
        load(ARCH, ModelOptions(weights_key="ema", pretrained=False))


FACTORIES = """
import timm
import torch
from torch import nn


def plain(num_classes=3):
    return timm.create_model("test_resnet", num_classes=num_classes)


def parallel(num_classes=3):
    return nn.DataParallel(plain(num_classes))


def compiled():
    return torch.compile(plain())


def partly():
    model = plain()
    model.layer1 = torch.compile(model.layer1)
    return model


class Lightning(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(num_classes))
        self.model = plain(num_classes)

    def forward(self, x):
        return self.model(x)
"""


@pytest.mark.parametrize("factory", ["parallel", "compiled", "Lightning", "partly"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "net.encoder."])
def test_a_prefix_that_the_model_has(
    trained: nn.Module, state: State, net: Path, factory: str, prefix: str
) -> None:
    (net / "factories.py").write_text(FACTORIES)
    model = loaded({prefix + name: one for name, one in state.items()}, f"factories.py:{factory}")
    inner = next(one for one in model.module.modules() if type(one) is type(trained))
    values = inner.state_dict().values()
    assert all(torch.equal(one, other) for one, other in zip(values, state.values(), strict=True))


@pytest.mark.parametrize("wrapper", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
@pytest.mark.parametrize("factory", ["plain", "compiled", "partly"])
def test_wrappers_of_single_layers(
    trained: nn.Module, state: State, net: Path, factory: str, wrapper: str
) -> None:
    (net / "factories.py").write_text(FACTORIES)
    wrapped = {name.replace("layer1.0.", f"layer1.{wrapper}.0."): one for name, one in state.items()}
    wrapped = {f"{wrapper}.{name}": one for name, one in wrapped.items()}
    model = loaded(wrapped, f"factories.py:{factory}")
    values = model.module.state_dict().values()
    assert all(torch.equal(one, other) for one, other in zip(values, state.values(), strict=True))


def test_a_wrapped_factory_takes_the_number_of_classes(net: Path) -> None:
    (net / "factories.py").write_text(FACTORIES)
    other = timm.create_model("test_resnet", num_classes=7)
    for factory in ("parallel", "Lightning"):
        assert same(loaded(other.state_dict(), f"factories.py:{factory}"), other)


def test_what_the_model_has_for_training_alone_keeps_its_values_and_is_told(state: State, net: Path) -> None:
    (net / "factories.py").write_text(FACTORIES)
    model = loaded(state, "factories.py:Lightning")
    assert told(model, "checkpoint").endswith("only training needs them: criterion.weight")
    (net / "factories.py").write_text(
        FACTORIES.replace(
            "self.criterion = nn.CrossEntropyLoss(weight=torch.ones(num_classes))",
            "self.metric = nn.Linear(2, 2)",
        )
    )
    assert "2 missing (metric.weight, metric.bias)" in refused(state, "factories.py:Lightning")


def test_half_precision_with_counters(trained: nn.Module, state: State) -> None:
    halves = {name: tensor.half() for name, tensor in state.items()}
    counters = loaded(halves).module.state_dict()["bn1.num_batches_tracked"]
    assert (counters.dtype, int(counters)) == (torch.int64, 1)
    single = {name: one.reshape(1) if "num_batches" in name else one for name, one in state.items()}
    assert same(loaded(single), trained)


OLD = """
import torchvision


def net(num_classes=5):
    return torchvision.models.DenseNet(4, (2, 2), 8, num_classes=num_classes)
"""


@pytest.mark.parametrize("arch", ["timm:densenet121", "dense.py:net"])
def test_densenets_of_before(net: Path, arch: str) -> None:
    (net / "dense.py").write_text(OLD)
    if arch == "dense.py:net":
        made: nn.Module = torchvision.models.DenseNet(4, (2, 2), 8, num_classes=5)
    else:
        made = torchvision.models.densenet121(num_classes=5)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): tensor
        for name, tensor in made.state_dict().items()
        if "num_batches" not in name
    }
    assert same(loaded(old, arch), made)
    # CheXNet: within a module, and with a Sequential around the head.
    nested = {
        f"module.densenet121.{name.replace('classifier.', 'classifier.0.')}": one for name, one in old.items()
    }
    model = loaded({"state_dict": nested, "best_loss": 0.1}, arch)
    assert same(model, made)
    assert "classifier.0 as classifier" in told(model, "checkpoint keys")


def test_a_head_of_several_layers_is_none_of_one(state: State) -> None:
    weight, bias = state.pop("fc.weight"), state.pop("fc.bias")
    assert loaded(state | {"fc.1.weight": weight, "fc.1.bias": bias}).module.fc.out_features == 3
    two = {"fc.0.weight": torch.ones(9, 64), "fc.2.weight": torch.ones(3, 9), "fc.2.bias": bias}
    assert "2 missing (fc.weight, fc.bias)" in refused(state | two)


NORMED = """
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm


class Net(nn.Module):
    def __init__(self, norm, num_classes=5):
        super().__init__()
        self.conv, self.fc = norm(nn.Conv2d(3, 4, 3)), norm(nn.Linear(4, num_classes))

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))


def old():
    return Net(weight_norm)


def new():
    return Net(parametrizations.weight_norm)


def without():
    return Net(lambda layer: layer)


def spectral_old():
    return Net(spectral_norm)


def spectral_new():
    return Net(parametrizations.spectral_norm)
"""


@pytest.mark.parametrize(
    ("saved", "wanted"),
    [
        ("old", "new"),
        ("new", "old"),
        ("old", "without"),
        ("new", "without"),
        ("spectral_old", "spectral_new"),
        ("spectral_new", "spectral_old"),
    ],
)
def test_norms_of_weights_in_both_spellings(net: Path, saved: str, wanted: str) -> None:
    (net / "normed.py").write_text(NORMED)
    made = load(f"normed.py:{saved}", ModelOptions()).module.train()
    made(torch.rand(2, 3, 9, 9))  # the power iteration of spectral norm
    assert same(
        loaded(
            {f"module.{key}": one for key, one in made.eval().state_dict().items()}, f"normed.py:{wanted}"
        ),
        made,
    )


def of_its_authors(name: str) -> str:
    """A key of timm's ConvNeXt as its authors write it."""
    name = name.replace("stem.0", "downsample_layers.0.0").replace("stem.1", "downsample_layers.0.1")
    name = re.sub(r"stages\.(\d)\.downsample\.(\d)", r"downsample_layers.\1.\2", name)
    name = re.sub(r"stages\.(\d)\.blocks\.(\d+)", r"stages.\1.\2", name)
    name = name.replace("conv_dw", "dwconv").replace("mlp.fc1", "pwconv1").replace("mlp.fc2", "pwconv2")
    return name.replace("head.fc.", "head.").replace("head.norm.", "norm.")


@pytest.mark.parametrize("prefix", ["", "module.", "ema.model."])
def test_timms_own_filters(net: Path, prefix: str) -> None:
    made = timm.create_model("test_convnext", num_classes=3)
    state = {prefix + of_its_authors(name): one for name, one in made.state_dict().items()}
    model = loaded({"model": state | {"criterion.weight": torch.ones(3)}}, "timm:test_convnext")
    assert same(model, made)
    assert "as timm changes those of its ConvNeXt" in told(model, "checkpoint keys")


def test_a_filter_that_fails_is_part_of_the_error(net: Path) -> None:
    made = timm.create_model("test_convnext", num_classes=3)
    state = {of_its_authors(name): one for name, one in made.state_dict().items()}
    problem = refused(state | {"strange.weight": torch.ones(3, 3)}, "timm:test_convnext")
    assert "KeyError" in problem
    assert "ConvNeXt" in problem


def test_a_name_alone_means_torchvisions_where_the_file_fits_that(net: Path) -> None:
    made = torchvision.models.efficientnet_b0(num_classes=3)
    torch.save(made.state_dict(), "net.pth")
    for reference, options in (
        ("net.pth", ModelOptions(arch="efficientnet_b0")),
        ("efficientnet_b0", ModelOptions(weights=Path("net.pth"))),
    ):
        model = load(reference, options)
        assert same(model, made)
        assert told(model, "model source").startswith(
            "torchvision:efficientnet_b0: the checkpoint fits it, and not"
        )
    with pytest.raises(ModelError, match="does not fit"):
        load("net.pth", ModelOptions(arch="timm:efficientnet_b0"))
    for arch in ("resnet18", "resnet18.a1_in1k"):
        with pytest.raises(ModelError, match="does not fit resnet18"):
            load("net.pth", ModelOptions(arch=arch))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("entry", [None, "model"])
def test_whole_modules_are_named_and_can_be_converted(
    trained: nn.Module, net: Path, entry: str | None, zipped: bool
) -> None:
    torch.save(
        trained if entry is None else {"epoch": 3, entry: trained},
        "it's whole.pth",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(ModelError, match="holds a whole pickled module, not a state dict") as caught:
        load("it's whole.pth", ModelOptions(arch=ARCH))
    assert "would load timm.models.resnet.ResNet" in caught.value.problem
    assert "If you trust whoever made it" in caught.value.hint
    command = re.search(r"imported: (python -c '.*)$", caught.value.hint)
    assert command is not None
    if zipped and entry:  # what the hint says is done once
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        subprocess.run(["bash", "-c", command[1]], check=True, env={**os.environ, "PATH": path})
        assert same(load("weights.pth", ModelOptions(arch=ARCH)), trained)


@pytest.mark.parametrize("argument", ["n_classes", "num_labels", "nb_classes"])
def test_a_factory_that_calls_its_classes_otherwise(net: Path, argument: str) -> None:
    code = FACTORIES.replace("plain(num_classes=3)", f"plain({argument}=3)").replace(
        "=num_classes)", f"={argument})", 1
    )
    (net / "factories.py").write_text(code)
    other = timm.create_model("test_resnet", num_classes=7)
    assert same(loaded(other.state_dict(), "factories.py:plain"), other)


GATED = '''
from torch import nn


class Net(nn.Module):
    """Its gate and its auxiliary head are declared behind the head, and say nothing of the classes."""

    num_classes = 1000

    def __init__(self, num_classes=3):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, num_classes)
        self.gate, self.wide = nn.Linear(4, 1), nn.Linear(4, 50)

    def forward(self, x):
        x = self.conv(x).relu().mean((2, 3))
        return self.fc(x * self.gate(x).sigmoid())
'''


@pytest.mark.parametrize("classes", [1, 2, 50, 9])
def test_the_head_is_what_follows_the_number_of_classes(net: Path, classes: int) -> None:
    (net / "gated.py").write_text(GATED)
    made = load("gated.py:Net", ModelOptions()).module
    made.fc = nn.Linear(4, classes)
    model = loaded(made.state_dict(), "gated.py:Net")
    assert same(model, made)
    assert told(model, "classes") == f"{classes}: read off the head in the checkpoint"


@pytest.mark.parametrize("name", ["regnet_y_400mf", "regnet_x_400mf"])
def test_the_head_is_found_of_networks_that_compute_with_values_while_they_are_built(
    net: Path, name: str
) -> None:
    made = torchvision.models.get_model(name, num_classes=3)
    model = loaded(made.state_dict(), f"torchvision:{name}")
    assert same(model, made)
    assert told(model, "classes") == "3: read off the head in the checkpoint"


def test_layers_that_share_what_their_weights_are_made_of_share_the_weights(net: Path) -> None:
    """g v / |v|, worked out once for both; another length makes another weight."""
    direction, lengths = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[10.0], [1.0], [5.0]])
    state = {
        "a.weight_g": lengths[:2],
        "a.weight_v": direction,
        "b.weight_g": lengths[:2],
        "b.weight_v": direction,
        "c.weight_g": lengths[1:],
        "c.weight_v": direction.clone(),
    }
    made = _multiplied_out(state)
    assert made["a.weight"] is made["b.weight"]
    assert made["a.weight"].tolist() == [[6.0, 8.0], [0.0, 1.0]]
    assert torch.allclose(made["c.weight"], torch.tensor([[0.6, 0.8], [0.0, 5.0]]))
    overlapping = torch.arange(8.0)
    many = {
        f"{place}.weight_{kind}": overlapping.as_strided((2, size), (2, 1), place)
        for place in range(4)
        for kind, size in (("v", 2), ("g", 1))
    }
    with pytest.raises(ValueError, match="its tensors overlap"):
        _multiplied_out(many)


def test_no_small_file_asks_for_a_large_head(net: Path) -> None:
    """A convolution of a million filters is small as bytes; only a head's length is a number of classes."""
    state = timm.create_model("test_resnet").state_dict()
    stem = "conv1.0.weight"
    state[stem] = torch.zeros(10**6, *state[stem].shape[1:], dtype=torch.int8)
    assert f"{stem} 1000000x" in refused(state)
