#!/usr/bin/env bash
# Completeness: an explanation adds up to the score less that of a baseline. Quantus 0.6.0 compares the two floating
# point numbers with ==, and before that divides the explanation by its largest value, unless it is told
# `normalise=False`. The answer is True or False.
# One would guess that the exact explanation of a linear model passes.
# Seen: of eight random pictures weight times (input less baseline), right to 1e-6, passes where the rounding happens to
# be the same, 3 of 8 with `normalise=False` and 0 of 8 without; of whole numbers, where nothing is rounded, 8 and 0.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 quantus==0.6.0
venv/bin/python - <<'PYTHON'
import warnings

import numpy as np
import torch
from quantus import Completeness

warnings.filterwarnings("ignore")


def passed(pictures, weights, **options):
    """How many exact explanations of a linear model pass, and the largest error of their sums."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1, bias=False)).eval()
    model[1].weight.data = weights.reshape(1, 64)
    lowest = pictures.flatten(1).min(1).values.reshape(-1, 1, 1, 1)  # Quantus' baseline "black"
    exact = weights.reshape(1, 1, 8, 8) * (pictures - lowest)
    with torch.no_grad():
        change = model(pictures) - model(lowest.expand_as(pictures))
    error = (exact.sum((1, 2, 3)) - change[:, 0]).abs().max().item()
    scores = Completeness(disable_warnings=True, **options)(
        model=model, x_batch=pictures.numpy(), y_batch=np.zeros(len(pictures), int), a_batch=exact.numpy(), device="cpu"
    )
    return int(np.sum(scores)), error


generator = torch.Generator().manual_seed(0)
real = torch.rand(8, 1, 8, 8, generator=generator), torch.randn(64, generator=generator)
whole = tuple(torch.randint(0, 9, values.shape, generator=generator).float() for values in real)
for name, (pictures, weights), expected in (("real numbers", real, range(7)), ("whole numbers", whole, [8])):
    plain, error = passed(pictures, weights, normalise=False)
    normalised, _ = passed(pictures, weights)
    print(f"{name}: sums right to {error:.0e}; normalise=False {plain} of 8, as it comes {normalised} of 8")
    assert error < 1e-5
    assert plain in expected
    assert normalised == 0
PYTHON
echo "as described"
