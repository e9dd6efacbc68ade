"""Where the kind of a layer says how its output is laid out, the shape does not get to guess."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cnnexplain


class Last(nn.Module):
    """Channels last, with as many channels as rows and columns."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2)))


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)


def test_a_channels_last_norm_with_as_many_channels_as_rows_is_read_right() -> None:
    torch.manual_seed(0)
    module = Last().eval()
    explainer = cnnexplain.load(module, input_size="32", crop_pct=1.0)
    found = explainer.explain(pictures(), layer="norm", target="0").heatmaps[0].values
    inputs = explainer.model.inputs([explainer.model.preprocess.apply(_image())[0]])
    a = module.norm(module.conv(inputs).permute(0, 2, 3, 1)).detach().requires_grad_()
    (g,) = torch.autograd.grad(module.head(a.mean((1, 2)))[0, 0], a)
    expected = (g.mean((1, 2), keepdim=True) * a).sum(3)[0].detach().numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.ptp(expected)


def test_a_convolution_with_another_stride_each_way_is_never_read_as_channels_last() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, stride=(4, 1)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    found = cnnexplain.load(module, input_size="32").explain(pictures(), layer="0").heatmaps[0].values
    assert found.shape == (8, 32)


def test_options_that_mean_nothing_for_a_module_are_refused() -> None:
    with pytest.raises(cnnexplain.CnnexplainError, match="weights means nothing"):
        cnnexplain.load(Last(), weights="nope.pth")
    with pytest.raises(cnnexplain.CnnexplainError, match="is no model"):
        cnnexplain.load(Last)  # type: ignore[arg-type]


def _image() -> object:
    from PIL import Image

    return Image.fromarray(pictures())
