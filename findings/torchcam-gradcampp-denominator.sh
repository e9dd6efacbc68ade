#!/usr/bin/env bash
# Grad-CAM++ weighs a pixel's gradient by alpha = g^2 / (2 g^2 + sum(A) g^3). torchcam 0.5.0 computes numerator and
# denominator, and divides by `alpha[mask].div_(...)`: indexing by a mask makes a copy, which is divided and thrown away.
# What is left weighs by g^2, so that a channel's weight is the sum of relu(g)^3.
# One would guess at the paper's weights, as the documentation of the class gives them.
# Seen: two channels with one pixel of 1 each and gradients 1/2 and 2 weigh 2 and 128, in place of 3.2 and 8.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 torchvision==0.29.1 torchcam==0.5.0
venv/bin/python - <<'PYTHON'
import torch
from torch import nn
from torchcam.methods import GradCAMpp


class Net(nn.Module):
    """Its score is the sum of its first channel's pixels times 1/2, and of the second's times 2."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 2, 1, bias=False), nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(2)[:, :, None, None])
            self.head.weight.copy_(torch.tensor([[0.5, 2.0]]))

    def forward(self, picture):
        return self.head(self.conv(picture).sum((2, 3)))


picture = torch.zeros(1, 2, 4, 4)
picture[0, 0, 0, 0] = picture[0, 1, 3, 3] = 1
net = Net().eval()
with GradCAMpp(net, "conv") as cam:
    weights = cam._get_weights(0, net(picture))[0][0]
gradient, pixels = torch.tensor([0.5, 2.0]), 16
paper = pixels * gradient**3 / (2 * gradient**2 + gradient**3)
print(f"torchcam's weights {weights.tolist()}, the paper's {paper.tolist()}")
assert torch.allclose(weights, pixels * gradient**3)
assert torch.allclose(paper, torch.tensor([3.2, 8.0]))
PYTHON
echo "as described"
