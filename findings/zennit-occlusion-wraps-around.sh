#!/usr/bin/env bash
# Zennit 0.5.1 moves its occlusion window by rolling a mask: a window that leaves the picture at the right enters it again
# at the left, and from the bottom at the top, and what the score is then counts at both edges.
# One would guess that windows lie within the picture, or end at its edge.
# Seen: with a window of 16 and a stride of 8 on 224 pixels, where nothing counts but a spot in the upper left corner, the
# right and the lower edge get half of what the spot gets, the lower right corner a quarter, and the middle nothing.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 torchvision==0.29.1 zennit==0.5.1
venv/bin/python - <<'PYTHON'
import torch
from zennit.attribution import Occlusion


class Corner(torch.nn.Module):
    """Its score is how bright the four pixels in the upper left corner are."""

    def forward(self, pictures):
        return pictures[:, :, :2, :2].sum((1, 2, 3))[:, None]


with Occlusion(Corner(), window=16, stride=8) as occlusion:  # the score of what a window shows, all else hidden
    _, maps = occlusion(torch.ones(1, 1, 224, 224))
places = {"spot": (0, 0), "right edge": (4, 220), "lower edge": (220, 4), "lower right corner": (220, 220), "middle": (112, 112)}
found = {name: maps[0, 0][place].item() for name, place in places.items()}
print(found)
assert list(found.values()) == [16, 8, 8, 4, 0]
PYTHON
echo "as described"
