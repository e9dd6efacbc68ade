#!/usr/bin/env bash
# VarGrad is the variance of a pixel's gradient under noise. Captum 0.9.0's NoiseTunnel takes it as the mean of the squares
# less the square of the mean, in the numbers' own precision: where the gradient hardly changes, rounding is left.
# One would guess that a variance is at least zero, and that of a linear model, whose gradient never changes, it is zero.
# Seen: of 64 pixels of a linear model 31 are below zero, so that the standard deviation is nan there. Where a gradient
# of 1000 has variances from 0.12 to 2.26 (the same noise in double precision) the largest error is 0.25.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 captum==0.9.0
venv/bin/python - <<'PYTHON'
import torch
from captum.attr import NoiseTunnel, Saliency


class Waves(torch.nn.Module):
    """Its gradient is 1000 and a wave of 3 around it."""

    def forward(self, picture):
        return (1000 * picture + (3 * picture).sin()).sum((1, 2, 3))[:, None]


def variances(net, picture):
    torch.manual_seed(0)
    tunnel = NoiseTunnel(Saliency(net))
    return tunnel.attribute(picture, nt_type="vargrad", nt_samples=25, stdevs=0.15, target=0, abs=False)


generator = torch.Generator().manual_seed(0)
picture = torch.rand(1, 1, 8, 8, generator=generator)
linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1, bias=False)).eval()
linear[1].weight.data = torch.randn(1, 64, generator=generator)
of_linear = variances(linear, picture)
below = int((of_linear < 0).sum())
print(f"linear model: {below} of 64 variances below zero, {int((of_linear > 0).sum())} above; "
      f"{int(of_linear.sqrt().isnan().sum())} standard deviations are nan")
assert below > 5
waves, noisy = Waves(), []
waves.register_forward_pre_hook(lambda _, inputs: noisy.append(inputs[0].detach().double()))
found = variances(waves, picture)
exact = (1000 + 3 * (3 * torch.cat(noisy)).cos()).var(0, correction=0)
error = (found - exact).abs().max()
print(f"waves around 1000: variances from {exact.min():.2f} to {exact.max():.2f}, the largest error {error:.2f}")
assert error > 0.1
PYTHON
echo "as described"
