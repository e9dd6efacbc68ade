#!/usr/bin/env bash
# Layer-wise relevance propagation shares a score out over the pixels. Captum 0.9.0's LRP of a plain ResNet-18 gives
# relevance that adds up to more than a million times the score, without a word: what the two sides of a residual
# addition get is not their share, and what is wrong grows from block to block.
# One would guess at a sum near the score, or at a refusal (layers without a rule are refused).
# Seen: a score below 10 in size, a sum of thousands of millions and more.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 torchvision==0.29.1 captum==0.9.0
venv/bin/python - <<'PYTHON'
import torch
import torchvision
from captum.attr import LRP

torch.manual_seed(0)
net = torchvision.models.resnet18(weights=None).eval()
picture = torch.randn(1, 3, 64, 64)
score = net(picture)[0, 0].item()
total = LRP(net).attribute(picture, target=0).sum().item()
print(f"score {score:.3g}, relevance of all pixels {total:.3g}")
assert abs(score) < 10
assert abs(total) > 1e6 * abs(score)
PYTHON
echo "as described"
