#!/usr/bin/env bash
# A transposed convolution of 8 channels, 4x4 kernels and stride 2 on a map of 10x10 multiplies each of 8 x 100 numbers by
# the 16 weights of each of 8 channels: 102,400 multiply-adds; in 4 groups a quarter. torch's own counter says so.
#  - thop 0.1.1 and torchinfo 1.8.0 multiply by the size of the output instead, and count the stride squared times too many:
#    4 times with a stride of 2, 16 with 4; groups and strides of 1 are counted right;
#  - ultralytics-thop 2.2.3, which is imported by the same name `thop` and has the same files, counts right.
# One would guess at one count for one layer, and at one name for one library.
set -euo pipefail
cd "$(mktemp -d)"
for name in thop==0.1.1.post2209072238 ultralytics-thop==2.2.3; do
    python3 -m venv "$name"
    "$name/bin/pip" install --quiet torch==2.14.1 torchinfo==1.8.0 numpy==2.4.6 "$name"
    "$name/bin/python" - "$name" <<'PYTHON'
import sys

import thop
import torch
import torchinfo
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

shape = (1, 8, 10, 10)
for groups, stride, padding in ((1, 1, 1), (1, 2, 1), (4, 2, 1), (4, 4, 0)):
    layer = nn.ConvTranspose2d(8, 8, 4, stride=stride, padding=padding, groups=groups, bias=False)
    with FlopCounterMode(display=False) as counter:
        output = layer(torch.zeros(shape))
    right, by_output = (8 * (8 // groups) * 16 * torch.Size(size[2:]).numel() for size in (shape, output.shape))
    counted = int(thop.profile(layer, inputs=(torch.zeros(shape),), verbose=False)[0])
    info = torchinfo.summary(layer, shape, verbose=0).total_mult_adds
    print(
        f"{groups} groups, stride {stride}: torch {counter.get_total_flops() // 2}, {sys.argv[1]} {counted}, "
        f"torchinfo {info}"
    )
    assert counter.get_total_flops() // 2 == right
    assert counted == (right if sys.argv[1].startswith("ultralytics") else by_output)
    assert info == by_output
PYTHON
done
echo "as described"
