#!/usr/bin/env bash
# torchvision 0.29.1 with Pillow 13.0.0 and 16-bit grey pictures (X-rays, microscopy: PNG, mode "I;16") has three answers:
#  - transforms.ToTensor(): int16, not scaled to 0..1 as for every 8-bit picture, and all values above 32,767 (the bright
#    half) are negative: 65535 becomes -1;
#  - ToImage() and ToDtype(float32, scale=True), which the documentation calls its equivalent: 0..1, right;
#  - datasets.ImageFolder, whose loader calls convert("RGB"): everything above 255 becomes white, 99.6 % of a ramp.
# One would guess that the three agree, or that the first and third refuse.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 torchvision==0.29.1 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

ramp = np.linspace(0, 65535, 4096).round().astype(np.uint16).reshape(64, 64)
folder = Path("xrays", "chest")
folder.mkdir(parents=True)
Image.fromarray(ramp).save(folder / "ramp.png")
picture = Image.open(folder / "ramp.png")
assert picture.mode == "I;16"

old = transforms.ToTensor()(picture)
print(f"ToTensor: {old.dtype}, from {old.min()} to {old.max()}, white becomes {old[0, -1, -1]}")
assert old.dtype == torch.int16
assert old[0, -1, -1] == -1
assert (old < 0).float().mean() > 0.49

new = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])(picture)
print(f"ToImage, ToDtype: {new.dtype}, from {new.min():.3f} to {new.max():.3f}")
assert torch.allclose(new[0], torch.from_numpy(ramp.astype(np.float32) / 65535), atol=1e-6)

loaded = np.asarray(ImageFolder("xrays")[0][0])
white = float((loaded == 255).mean())
print(f"ImageFolder: {100 * white:.1f} % of the ramp are white")
assert white > 0.99
PYTHON
echo "as described"
