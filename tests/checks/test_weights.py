"""The checks of weights: models damaged in one way each, and models that nothing is wrong with."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from architectures import architecture
from networks import as_model
from torch import nn

import cnnexplain
from cnnexplain.checks import check
from cnnexplain.checks.suite.subject import Subject
from cnnexplain.core.verdict import Verdict
from cnnexplain.engine.model import Model
from cnnexplain.engine.weights.independence import independence
from cnnexplain.runner.checking.thresholds import Chosen
from cnnexplain.runner.checking.verdicts import verdict_of

IDS = ("untrained-layers", "batchnorm", "dead-filters", "duplicate-filters", "first-layer-noise")
INITIALISERS: dict[str, Callable[[torch.Tensor], object]] = {
    "uniform": lambda weight: nn.init.kaiming_uniform_(weight, a=5**0.5),
    "normal": lambda weight: nn.init.normal_(weight, std=0.01),
    "truncated": lambda weight: nn.init.trunc_normal_(weight, std=1.0),
    "truncated far out": lambda weight: nn.init.trunc_normal_(weight, std=0.02),
    "xavier": nn.init.xavier_uniform_,
    "kaiming": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
    "zeros": nn.init.zeros_,
}


@cache
def bundled() -> Model:
    return cnnexplain.load("bundled:efficientnet_lite0").model


def damaged(damage: Callable[[nn.Module], object]) -> Model:
    """A copy of the bundled model, with something done to it."""
    module = copy.deepcopy(bundled().module)
    with torch.no_grad():
        damage(module)
    return replace(bundled(), module=module)


def verdicts(model: Model | nn.Module, *ids: str, **limits: float) -> dict[str, Verdict]:
    asked = model if isinstance(model, Model) else as_model(model, (8, 8))
    subject = Subject(asked)
    with asked.borrowed():
        return {
            one: verdict_of(Chosen(one, check(one)(**limits), check(one).level, asked=True), subject)
            for one in ids or IDS
        }


def verdict(model: Model | nn.Module, one: str, **limits: float) -> Verdict:
    return verdicts(model, one, **limits)[one]


def blamed(found: Verdict) -> set[str]:
    return {row[0] for row in found.table.rows} if found.table else set()


def test_nothing_is_wrong_with_the_bundled_model() -> None:
    found = verdicts(bundled())
    assert {one.status for one in found.values()} == {"pass"}
    assert "none of 50 layers" in found["untrained-layers"].says
    assert "12 with fewer than 4096 weights, by exact bounds only" in found["untrained-layers"].says


@pytest.mark.parametrize("name", INITIALISERS)
def test_a_head_that_was_made_anew_is_named(name: str) -> None:
    torch.manual_seed(1)
    found = verdict(damaged(lambda module: INITIALISERS[name](module.classifier.weight)), "untrained-layers")
    assert found.status == "fail"
    assert blamed(found) == {"classifier"}
    assert "classifier" in found.says


def test_a_block_that_was_never_loaded_is_named_and_its_statistics_too() -> None:
    def forget(module: nn.Module) -> None:
        torch.manual_seed(2)
        for child in module.blocks[4].modules():
            if hasattr(child, "reset_parameters"):
                child.reset_parameters()

    found = verdicts(damaged(forget), "untrained-layers", "batchnorm")
    for one, parts in (("untrained-layers", ("pw", "dw", "pwl")), ("batchnorm", ("1", "2", "3"))):
        assert found[one].status == "fail"
        stem = "conv_" if one == "untrained-layers" else "bn"
        assert blamed(found[one]) == {f"blocks.4.{row}.{stem}{part}" for row in range(3) for part in parts}


@pytest.mark.parametrize(
    "name",
    [
        "timm:resnet18",
        "timm:tf_efficientnet_lite0",
        "timm:mobilenetv3_small_100",
        "timm:regnety_002",
        "timm:convnext_atto",
        "timm:vit_tiny_patch16_224",
        "torchvision:squeezenet1_1",
        "torchvision:densenet121",
        "torchvision:mobilenet_v2",
        "torchvision:shufflenet_v2_x1_0",
    ],
)
def test_untrained_architectures_are_called_untrained(name: str) -> None:
    found = verdict(architecture(name), "untrained-layers")
    assert found.status == "fail"
    count, _, known = found.says.split(" layers")[0].partition(" of ")
    assert int(count) >= 0.98 * int(known) > 10


@pytest.mark.parametrize(
    "shape", [(64, 64), (10, 512), (1000, 20), (480, 1, 3, 3), (64, 3, 7, 7), (32, 64, 3, 3)]
)
def test_fresh_weights_are_near_independent_and_anything_learnt_is_far(shape: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    for name in ("uniform", "normal", "truncated", "orthogonal"):
        weight = torch.empty(shape)
        INITIALISERS[name](weight)
        if name != "orthogonal":
            assert independence(weight.numpy()).deviations < 4.5, name
            assert independence(1e-30 * weight.numpy()).deviations < 4.5, name
        assert independence(weight.numpy()).deviations < 5, name
        louder = weight.clone()
        louder[: len(louder) // 2] *= 3
        assert independence(louder.numpy()).deviations > 6, name
        common = weight + weight.std() * torch.randn(shape[1:])  # what every filter has in common
        if shape[1] > 1:
            assert independence(common.numpy()).deviations > 6, name


def test_layers_that_are_too_small_are_left_out_and_zeros_are_not() -> None:
    small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    found = verdict(small, "untrained-layers")
    assert found.status == "skipped"
    assert "128" in found.says
    nn.init.zeros_(small[3].weight)
    found = verdict(small, "untrained-layers")
    assert (found.status, blamed(found)) == ("fail", {"3"})
    assert "1 with fewer than 128 left out: 0" in found.says
    assert verdict(nn.Sequential(nn.ReLU()), "untrained-layers").status == "skipped"


def test_a_small_head_that_is_not_judged_is_named_first() -> None:
    trained = bundled().module.conv_head.weight
    layers = {"stem": nn.Conv2d(3, 4, 3), "wide": nn.Conv2d(320, 1280, 1), "head": nn.Linear(2, 2)}
    with torch.no_grad():
        layers["wide"].weight.copy_(trained)
    found = verdict(nn.ModuleDict(layers), "untrained-layers")
    assert found.status == "pass"
    assert found.says == (
        "none of 1 layer follows its initialisation; 2 with fewer than 128 left out: head, stem"
    )


@pytest.mark.parametrize(("features", "classes"), [(1280, 3), (84, 10), (512, 2), (16, 10)])
def test_a_small_head_that_was_never_trained_is_named(features: int, classes: int) -> None:
    torch.manual_seed(6)
    layers = {"wide": nn.Conv2d(320, 1280, 1), "head": nn.Linear(features, classes)}
    with torch.no_grad():
        layers["wide"].weight.copy_(bundled().module.conv_head.weight)
    found = verdict(nn.ModuleDict(layers), "untrained-layers")
    assert (found.status, blamed(found)) == ("fail", {"head"})
    assert "head (uniform within 1/√fan_in, torch's default)" in found.says
    assert found.table is not None
    assert found.table.rows[0][2] == f"none exceeds {features**-0.5:.4g}"
    with torch.no_grad():
        layers["head"].weight.add_(0.05 * torch.randn(classes, features))
    assert verdict(nn.ModuleDict(layers), "untrained-layers").status == "pass"


def test_the_initialisation_of_a_large_layer_is_named() -> None:
    torch.manual_seed(7)
    for draw, name in (
        (nn.init.xavier_uniform_, "Xavier's uniform"),
        (lambda weight: nn.init.normal_(weight, std=0.01), "normal of 0.01, torchvision's"),
    ):
        found = verdict(damaged(lambda module, draw=draw: draw(module.classifier.weight)), "untrained-layers")
        assert found.table is not None
        assert found.table.rows[0][:2] == ("classifier", name)


@pytest.mark.parametrize("layers", [1, 2])
def test_one_is_not_called_many(layers: int) -> None:
    norms = [nn.BatchNorm2d(3) for _ in range(layers)]
    for one in norms:
        one.running_mean.fill_(0.1)
    found = verdicts(nn.Sequential(*norms, *(nn.Conv2d(3, 64, 3) for _ in range(layers))), *IDS)
    plural = "s" if layers > 1 else ""
    for one in ("batchnorm", "dead-filters", "duplicate-filters"):
        says = found[one].says
        assert re.search(rf"\b{layers} (layer|batch normalisation){plural}\b", says), says


def test_one_embedding_of_zeros_for_padding_is_no_fault() -> None:
    assert verdict(nn.Embedding(300, 64, padding_idx=0), "dead-filters").status == "skipped"


def test_a_network_trained_for_a_second_is_not_called_untrained() -> None:
    from sklearn.datasets import load_digits

    found = load_digits()
    pictures = torch.tensor(found.images[:, None] / 8 - 1, dtype=torch.float32)
    classes = torch.tensor(found.target)
    torch.manual_seed(4)
    module = nn.Sequential(
        nn.Conv2d(1, 24, 3),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Conv2d(24, 32, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    (before,) = (verdict(as_model(module, (8, 8), 1), "untrained-layers"),)
    assert (before.status, blamed(before)) == ("fail", {"0", "3", "6"})
    module.train()
    optimiser = torch.optim.Adam(module.parameters(), 0.003)
    for _ in range(2):
        for part in torch.randperm(len(classes)).split(32):
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(pictures[part]), classes[part]).backward()
            optimiser.step()
    module.eval()
    assert float((module(pictures).argmax(1) == classes).float().mean()) > 0.9
    trained = verdicts(as_model(module, (8, 8), 1))
    assert {
        one: found.status for one, found in trained.items() if found.status not in ("pass", "skipped")
    } == {}
    assert trained["batchnorm"].status == trained["untrained-layers"].status == "pass"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda norm: norm.reset_running_stats(), "as before training"),
        (lambda norm: norm.running_var[3].fill_(-1e-3), "1 of 480 variances are negative"),
        (lambda norm: norm.running_var[3].fill_(float("inf")), "not finite"),
        (lambda norm: norm.running_var[:300].zero_(), "variances are zero, more than 50%"),
    ],
)
def test_impossible_statistics_are_named(damage: Callable[[nn.Module], object], says: str) -> None:
    found = verdicts(damaged(lambda module: damage(module.blocks[3][1].bn2)), "untrained-layers", "batchnorm")
    assert found["untrained-layers"].status == "pass"
    assert found["batchnorm"].status == "fail"
    assert blamed(found["batchnorm"]) == {"blocks.3.1.bn2"}
    assert says in found["batchnorm"].says


def test_counters_of_batches_that_a_conversion_left_at_zero_are_no_fault() -> None:
    norms = [one for one in bundled().module.modules() if isinstance(one, nn.BatchNorm2d)]
    assert all(int(one.num_batches_tracked) == 0 for one in norms)
    assert verdict(bundled(), "batchnorm").status == "pass"


def test_batch_norms_without_statistics_are_skipped() -> None:
    assert verdict(nn.BatchNorm2d(4, track_running_stats=False), "batchnorm").status == "skipped"


def test_a_filter_of_zeros_is_named_and_faint_ones_are_not() -> None:
    found = verdicts(damaged(lambda module: module.conv_stem.weight[5].zero_()))
    assert {one for one, said in found.items() if said.status != "pass"} == {"dead-filters"}
    told = found["dead-filters"]
    assert (told.status, blamed(told)) == ("warn", {"conv_stem"})
    assert "5 of 32 are dead, 1 of them zeros" in told.says
    assert (
        verdict(damaged(lambda module: module.conv_stem.weight[5].mul_(1e-9)), "dead-filters").status
        == "pass"
    )
    assert verdict(bundled(), "dead-filters", share=0.1).status == "warn"


@pytest.mark.parametrize(
    ("layer", "zeros", "status"),
    [
        ("conv_stem", 16, "fail"),  # half of it
        ("conv_stem", 4, "fail"),
        ("conv_stem", 3, "warn"),  # 9.4 %
        ("conv_head", 1280 // 10 + 1, "fail"),
        ("classifier", 101, "fail"),
        ("blocks.0.0.conv_dw", 4, "pass"),  # as in EfficientNet-Lite1, where nothing comes in
        ("blocks.0.0.conv_dw", 10, "fail"),
    ],
)
def test_many_filters_of_zeros_fail(layer: str, zeros: int, status: str) -> None:
    found = verdict(
        damaged(lambda module: module.get_submodule(layer).weight[:zeros].zero_()), "dead-filters"
    )
    assert found.status == status, found.says
    assert found.level == ("error" if status == "fail" else "warn")


def test_a_few_filters_of_zeros_in_a_small_layer_only_warn() -> None:
    small = nn.Conv2d(3, 8, 3)
    nn.init.zeros_(small.weight[:1])
    assert verdict(small, "dead-filters").status == "warn"
    nn.init.zeros_(small.weight[:2])
    assert verdict(small, "dead-filters").status == "fail"


def test_filters_that_were_pruned_on_purpose_may_be_allowed() -> None:
    from torch.nn.utils import prune

    pruned = nn.Conv2d(3, 32, 3)
    prune.ln_structured(pruned, "weight", 0.5, n=2, dim=0)
    found = verdict(pruned, "dead-filters")
    assert (found.status, "16 of 32 are dead, 16 of them zeros" in found.says) == ("fail", True)
    assert "raise zeros and share" in found.do
    assert verdict(pruned, "dead-filters", zeros=16, share=0.5).status == "pass"


def test_a_level_that_a_user_set_goes_before() -> None:
    from cnnexplain.runner.checking.options import CheckOptions
    from cnnexplain.runner.checking.thresholds import chosen

    subject = Subject(damaged(lambda module: module.conv_stem.weight[:16].zero_()))
    tables = {"dead-filters": {"level": "warn"}}
    for set_to, status in (({}, "fail"), (tables, "warn")):
        (one,) = chosen(CheckOptions(only=("dead-filters",)), set_to)
        with subject.model.borrowed():
            assert verdict_of(one, subject).status == status


def test_a_filter_that_is_there_twice_is_named() -> None:
    found = verdicts(damaged(lambda module: module.conv_stem.weight[5].copy_(module.conv_stem.weight[6])))
    assert {one for one, said in found.items() if said.status != "pass"} == {"duplicate-filters"}
    assert blamed(found["duplicate-filters"]) == {"conv_stem"}
    assert "2 of 32 filters, as 5 and 6" in found["duplicate-filters"].says


def test_noise_in_the_first_layer_is_named() -> None:
    torch.manual_seed(5)
    found = verdict(damaged(lambda module: module.conv_stem.reset_parameters()), "first-layer-noise")
    assert found.status == "warn"
    assert "conv_stem: smoothness" in found.says
    few = verdict(nn.Conv2d(3, 4, 3), "first-layer-noise")
    assert (few.status, "too few weights" in few.says) == ("skipped", True)
    assert verdict(nn.Conv2d(3, 64, 1), "first-layer-noise").status == "skipped"
    smooth = nn.Conv2d(3, 64, 5)
    with torch.no_grad():
        smooth.weight += 0.3
    assert verdict(smooth, "first-layer-noise").status == "pass"


@pytest.mark.parametrize(
    ("module", "size", "status"),
    [
        (nn.Conv2d(1, 64, 3), 224, "skipped"),  # nine weights
        (nn.Conv2d(3, 64, 3), 32, "skipped"),  # as of CIFAR
        (nn.Conv2d(1, 64, 5), 28, "skipped"),  # as of digits
        (nn.Conv2d(3, 64, 3), 224, "warn"),
        (nn.Conv2d(1, 64, 5), 224, "warn"),
    ],
)
def test_rough_filters_of_small_pictures_or_kernels_are_no_fault(
    module: nn.Module, size: int, status: str
) -> None:
    torch.manual_seed(8)
    module.reset_parameters()
    found = verdict(as_model(module, (size, size), module.in_channels), "first-layer-noise")
    assert found.status == status
    assert "smoothness" in found.says
    with torch.no_grad():
        module.weight += module.weight.std() * 3
    assert verdict(as_model(module, (size, size), module.in_channels), "first-layer-noise").status == "pass"


def test_weights_that_are_not_finite_are_somebody_elses_matter() -> None:
    broken = nn.Conv2d(3, 64, 5)
    with torch.no_grad():
        broken.weight[0, 0, 0, 0] = np.nan
    for one, found in verdicts(broken).items():
        assert found.status == "skipped", one
        assert one == "batchnorm" or "see finite" in found.says


def test_odd_layers_are_gone_by() -> None:
    odd = nn.Sequential(
        nn.LazyConv2d(4, 3), nn.Bilinear(4, 5, 6), nn.Linear(3, 1), nn.Conv2d(1, 1, 1, device="meta")
    )
    assert all(found.status in ("pass", "skipped") for found in verdicts(odd).values())


def test_from_the_shell_the_random_head_fails_the_build() -> None:
    call = ("check", "bundled:efficientnet_lite0", *(word for one in IDS for word in ("--only", one)))
    shell = (sys.executable, "-m", "cnnexplain", *call)
    assert subprocess.run(shell, capture_output=True).returncode == 0
    done = subprocess.run((*shell, "--no-pretrained"), capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
