"""Untrained architectures of every family: explained right with no layer named, or refused in words."""

from __future__ import annotations

import pytest
import torch
from architectures import architecture, size_of
from networks import answer, as_model, settle
from torch import nn

from cnnexplain.errors import CnnexplainError

CONVOLUTIONAL = """
timm:resnet10t timm:resnetv2_50@64 timm:resnext50_32x4d@64 timm:seresnet50@64 timm:skresnet18 timm:ecaresnet26t@64
timm:resnest14d@64 timm:res2net50_26w_4s@64 timm:gcresnet33ts@64 timm:resnet50_clip@64 timm:test_resnet
timm:densenet121@64 timm:inception_v4@139 timm:inception_resnet_v2@139 timm:xception41@64 timm:legacy_xception@64
timm:mobilenetv1_100 timm:mobilenetv2_050 timm:mobilenetv3_small_050 timm:mobilenetv4_conv_small
timm:efficientnet_b0 timm:tf_efficientnetv2_b0 timm:efficientnet_lite0 timm:mnasnet_small timm:fbnetc_100
timm:mixnet_s timm:regnetx_002 timm:regnety_002 timm:regnetz_b16 timm:convnext_atto timm:convnextv2_atto
timm:ghostnet_050 timm:hardcorenas_a timm:hrnet_w18_small@64 timm:dla34@64 timm:dpn48b timm:cspresnet50@64
timm:darknet53@64 timm:repvgg_a0@64 timm:repghostnet_050 timm:rexnet_100 timm:selecsls42@128 timm:nfnet_l0@64
timm:vovnet39a@64 timm:lcnet_035 timm:tinynet_e timm:mobileone_s0@64 timm:fastvit_t8 timm:edgenext_xx_small
timm:starnet_s1@64 timm:hgnetv2_b0 timm:inception_next_atto timm:poolformer_s12@64 timm:repvit_m0_9@64
timm:mambaout_femto timm:rdnet_tiny@64 timm:gernet_s@64 timm:convmixer_768_32@64 tv:alexnet tv:squeezenet1_1
tv:resnet18@64 tv:googlenet tv:shufflenet_v2_x0_5 tv:mobilenet_v2 tv:mobilenet_v3_small tv:efficientnet_b0
tv:regnet_y_400mf tv:convnext_tiny@64 tv:mnasnet0_5 tv:inception_v3@139
""".split()
HYBRID = """
timm:mobilevit_xxs timm:mobilevitv2_050 timm:efficientvit_b0 timm:tiny_vit_5m_224@224 timm:visformer_tiny@224
timm:coatnet_nano_rw_224@224 timm:pvt_v2_b0@224 timm:swin_tiny_patch4_window7_224@224 timm:caformer_s18@64
tv:swin_v2_t@64
""".split()
TOKENS = """
timm:levit_128s@224 timm:cait_xxs24_224@224 timm:xcit_nano_12_p16_224@224 timm:convit_tiny@224 timm:pit_ti_224@224
timm:gmixer_24_224@224 timm:twins_pcpvt_small@224 timm:efficientformer_l1@224
""".split()


def hooks(module: nn.Module) -> int:
    return sum(
        len(value)
        for child in module.modules()
        for name, value in vars(child).items()
        if name.endswith("_hooks")
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVOLUTIONAL + HYBRID)
def test_architecture_is_explained_with_no_layer_named(name: str) -> None:
    size = size_of(name)
    module = settle(architecture(name), size).train()
    hooked = hooks(module)
    torch.manual_seed(1)
    found = answer(module, torch.randn(2, 3, *size), method=("gradcam", "layercam"))
    for one in found.maps:
        assert one.values.shape[0] == 2
        assert one.values[0].numel() > 1
        assert one.values.isfinite().all()
        assert (one.values.amax((1, 2)) > one.values.amin((1, 2))).all()
    assert hooks(module) == hooked
    assert all(child.training for child in module.modules())


@pytest.mark.parametrize("name", TOKENS)
def test_architecture_of_tokens_is_refused_in_words(name: str) -> None:
    size = size_of(name)
    module = architecture(name).train()
    hooked = hooks(module)
    with pytest.raises(CnnexplainError, match="works on tokens") as caught:
        answer(module, torch.randn(1, 3, *size))
    assert caught.value.hint
    assert hooks(module) == hooked
    assert all(child.training for child in module.modules())


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("timm:resnet18@192x320", None),
        ("timm:efficientnet_lite0@384x256", None),
        ("timm:densenet121@256", None),
        ("timm:mobilenetv3_small_050@192x320", None),
        ("timm:regnetx_002@320x192", None),
        ("timm:convnext_atto@192x320", None),
        ("timm:repvgg_a0@256", None),
        ("timm:inception_v3@235x331", None),
        ("timm:caformer_s18@192x320", None),
        ("tv:squeezenet1_1@320x192", None),
        ("tv:alexnet@191x319", None),
        ("tv:shufflenet_v2_x0_5@192x320", None),
        ("tv:swin_t@192x320", None),
        ("tv:swin_t@320x192", "norm"),  # (N, h, w, C)
        ("tv:convnext_tiny@192x320", "features.5.0.block.2"),  # (N, h, w, C)
    ],
)
def test_map_lies_on_the_picture_the_right_way_round(name: str, layer: str | None) -> None:
    """A bright patch in a corner of the input changes the map in that corner."""
    height, width = size = size_of(name)
    model = as_model(settle(architecture(name), size), size)
    layer = layer or model.choose_layer().value
    torch.manual_seed(1)
    inputs = torch.randn(1, 3, *size).repeat(5, 1, 1, 1)
    corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for row, (bottom, right) in enumerate(corners, start=1):
        top, left = bottom * (height - height // 4), right * (width - width // 4)
        inputs[row, :, top : top + height // 4, left : left + width // 4] += 6
    with model.borrowed(), model.capture(layer) as maps:
        model.forward(inputs)
    # Deep layers see all of the picture; squares tell the middle of what they see from its edges.
    change = (maps[layer][1:] - maps[layer][:1]).detach().square().sum(1)
    rows, columns = change.shape[1:]
    assert (rows > columns) == (height > width)
    for (bottom, right), map_ in zip(corners, change / change.sum((1, 2), keepdim=True), strict=True):
        down = float((map_.sum(1) * torch.linspace(0, 1, rows)).sum())
        across = float((map_.sum(0) * torch.linspace(0, 1, columns)).sum())
        assert (down > 0.5, across > 0.5) == (bool(bottom), bool(right)), (down, across)
        assert min(abs(down - 0.5), abs(across - 0.5)) > 0.05, (down, across)
