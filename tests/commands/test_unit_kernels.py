"""The kernels of units that read the picture: which layers have them, and whether they are of colour."""

from __future__ import annotations

import pytest
import torch
from networks import as_model
from torch import Tensor, nn

from cnnexplain.commands._unit_kernels import unit_kernels

SIZE = (16, 16)


class Small(nn.Module):
    """Unit 0 reads red against green, 1 a grey edge, 2 nothing; `second` does not read the picture itself."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.fc = nn.Linear(3, 2)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0, 0], self.conv.weight[0, min(1, channels - 1)] = 1, -1
            self.conv.weight[1, :, :, 0], self.conv.weight[1, :, :, 2] = -0.25, 0.25

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.second(self.pool(self.relu(self.norm(self.conv(x))))).mean((2, 3)))


@pytest.mark.parametrize("layer", ["conv", "norm", "relu"])
def test_what_reads_the_picture_is_of_colour_or_grey(layer: str) -> None:
    model = as_model(Small().eval(), SIZE)
    with model.borrowed():
        kernels = unit_kernels(model, layer)
    assert [kernels[channel]["colour"] for channel in range(3)] == ["colour", "grey", None]
    assert kernels[1]["kernel"]["layer"] == "conv"
    assert kernels[1]["kernel"]["weights"][2] == [[-0.25, 0.0, 0.25]] * 3


@pytest.mark.parametrize("layer", ["pool", "second"])
def test_what_does_not_read_it_has_none(layer: str) -> None:
    model = as_model(Small().eval(), SIZE)
    with model.borrowed():
        assert unit_kernels(model, layer) == {}


def test_weights_that_are_no_numbers_are_not_shown() -> None:
    module = Small().eval()
    model = as_model(module, SIZE)
    with torch.no_grad():
        module.conv.weight[0, 0, 0, 0] = torch.nan
    with model.borrowed():
        assert unit_kernels(model, "conv") == {}
