#!/usr/bin/env bash
# A ReLU can be written in several ways that give the same values, and other gradients where it bends. torch 2.14.1:
#  - relu, clamp(min=0), relu6 and clamp(0, 6) have the gradient 0 at their corners (clamp's was 1 in earlier versions);
#  - maximum(x, 0) keeps one half at 0;
#  - hardswish keeps 1 at 3, while hardtanh and clamp(-1, 1) have 0 at 1.
# One would guess at one gradient for one function.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import torch
import torch.nn.functional as F


def gradient(function, at):
    x = torch.tensor([float(at)], requires_grad=True)
    function(x).sum().backward()
    return x.grad.item()


for words, function, at, expected in (
    ("relu at 0", F.relu, 0, 0),
    ("clamp(min=0) at 0", lambda x: x.clamp(min=0), 0, 0),
    ("maximum(x, 0) at 0", lambda x: torch.maximum(x, torch.zeros(1)), 0, 0.5),
    ("relu6 at 6", F.relu6, 6, 0),
    ("clamp(0, 6) at 6", lambda x: x.clamp(0, 6), 6, 0),
    ("hardswish at 3", F.hardswish, 3, 1),
    ("hardtanh at 1", F.hardtanh, 1, 0),
    ("clamp(-1, 1) at 1", lambda x: x.clamp(-1, 1), 1, 0),
):
    print(f"{words}: gradient {gradient(function, at):g}")
    assert gradient(function, at) == expected
PYTHON
echo "as described"
