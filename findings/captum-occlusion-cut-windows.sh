#!/usr/bin/env bash
# Occlusion moves a window over a picture and gives every pixel the mean of what the score loses over the windows that
# hide it. Where steps of the stride do not end at the edge, Captum 0.9.0 cuts the last window off: it hides less, takes
# less, and counts like any other. So pixels at the lower and right edge get less than all others.
# One would guess at equal values for pixels that count equally. 224 pixels, window 15 and stride 8 are the setting of
# Captum's own tutorial.
# Seen: of a score that is the sum of all pixels, 225 in the middle, 120 at the right edge, 64 in the lower right corner.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 captum==0.9.0
venv/bin/python - <<'PYTHON'
import torch
from captum.attr import Occlusion


def total(pictures):
    return pictures.sum((1, 2, 3))[:, None]


picture = torch.ones(1, 1, 224, 224)
found = Occlusion(total).attribute(picture, (1, 15, 15), strides=(1, 8, 8), target=0, perturbations_per_eval=49)[0, 0]
middle, edge, corner = (found[place].item() for place in ((112, 112), (112, 223), (223, 223)))
print(f"middle {middle:.0f}, right edge {edge:.0f}, corner {corner:.0f}; left edge {found[112, 0]:.0f}")
assert (middle, edge, corner, found[112, 0].item()) == (225, 120, 64, 225)
PYTHON
echo "as described"
