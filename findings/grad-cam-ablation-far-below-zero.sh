#!/usr/bin/env bash
# Ablation-CAM sets a channel to zero and asks how far the score falls. pytorch-grad-cam 1.5.7 does so only where the
# smallest value of the maps is exactly 0. Of any other map (before a rectifier, or behind SiLU, GELU and hard swish) a
# channel becomes the smallest value of the whole batch less 10,000,000; and since the batch then holds that value, the
# next channel becomes 20,000,000 less, and so on: a channel's weight grows with its place in the batch.
# One would guess that equal channels weigh alike, and that the batch size changes nothing.
# Seen: four equal channels are set to -10, -20, -30 and -40 million in one batch, to -10 million each in batches of
# one; of a map that begins at 0 all four to zero.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 torchvision==0.29.1 grad-cam==1.5.7
venv/bin/python - <<'PYTHON'
import torch
from pytorch_grad_cam import AblationCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn


class Net(nn.Module):
    """Four channels that copy the picture; the score is the sum of their means."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Conv2d(1, 4, 1, bias=False), nn.Linear(4, 1, bias=False)
        for parameter in self.parameters():
            nn.init.ones_(parameter)

    def forward(self, picture):
        return self.head(self.layer(picture).mean((2, 3)))


def channels(lowest, batch):
    """What each channel's mean is when its turn comes to be taken away, for a ramp that begins at `lowest`."""
    net, means = Net().eval(), []
    cam = AblationCAM(model=net, target_layers=[net.layer])
    cam.batch_size = batch
    net.head.register_forward_pre_hook(lambda _, inputs: means.append(inputs[0].detach()))
    cam(torch.arange(16.0).reshape(1, 1, 4, 4) / 16 + lowest, targets=[ClassifierOutputTarget(0)])
    asked = torch.cat(means[-(4 // batch) :])
    return [round(row[channel].item()) for channel, row in enumerate(asked)]


print("map from 0 up, one batch:      ", zero := channels(0.0, 4))
print("map from -1/4 up, one batch:   ", together := channels(-0.25, 4))
print("map from -1/4 up, batches of 1:", alone := channels(-0.25, 1))
assert zero == [0, 0, 0, 0]
assert together == [-10_000_000, -20_000_000, -30_000_000, -40_000_000]
assert alone == [-10_000_000] * 4
PYTHON
echo "as described"
