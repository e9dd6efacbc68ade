"""The picture of a model's stages: every stage in it, in order and to scale, whatever the model is like."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import Rectified, as_model, pooled
from torch import Tensor, nn

from cnnexplain.engine.cost.table import layer_table
from cnnexplain.render import summary as drawing
from cnnexplain.render.summary import stages


@pytest.mark.parametrize(
    ("size", "module"), [((32, 32), pooled()), ((48, 96), Rectified()), ((96, 48), Rectified())]
)
def test_boxes_are_drawn_to_scale_from_the_input_on(size: tuple[int, int], module: nn.Module) -> None:
    table = layer_table(as_model(module, size))
    image = stages(table)
    assert image
    pixels = np.array(image)
    front = {
        face: np.all(pixels == tuple(bytes.fromhex(face[0][1:])), axis=2)
        for face in (drawing.INPUT, drawing.MAP)
    }
    heights = []
    for face in (drawing.INPUT, drawing.MAP):
        columns = np.flatnonzero(front[face].any(0))
        starts = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
        heights += [int(front[face][:, part[0]].sum()) for part in starts]
    maps = sorted(
        {row.map for row in table.layers if "deconv" in row.default_of and row.map}, key=lambda one: -one[1]
    )
    expected = [size[0], *(one[1] for one in maps)]
    assert len(heights) == len(expected)
    for height, rows in zip(heights, expected, strict=True):
        assert height == pytest.approx(heights[0] * (rows / size[0]) ** 0.5, abs=2.5)


def test_nothing_is_drawn_of_what_has_no_maps() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(768, 5))
    assert stages(layer_table(as_model(flat, (16, 16)))) is None


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        inner: nn.Module = nn.Conv2d(3, 4, 3)
        for _ in range(12):
            inner = nn.ModuleDict({"very_long_block_name": inner})
        self.blocks = inner
        self.add_module("x" * 500 + "\x1b\n", nn.ReLU())
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        conv = next(one for one in self.modules() if isinstance(one, nn.Conv2d))
        relu = next(one for one in self.modules() if isinstance(one, nn.ReLU))
        return self.fc(relu(torch.max_pool2d(conv(x), 2)).mean((2, 3)))


def test_long_names_leave_the_picture_a_picture() -> None:
    image = stages(layer_table(as_model(Odd(), (32, 32))))
    assert image
    assert max(image.size) < 1400
