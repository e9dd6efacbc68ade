#!/usr/bin/env bash
# ptflops 0.7.5 counts a network in evaluation mode and leaves it there: a network that was in training goes on with its
# dropout switched off and its batch normalisations fixed, without a word.
# One would guess that counting changes nothing.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 ptflops==0.7.5
venv/bin/python - <<'PYTHON'
import ptflops
from torch import nn

net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout()).train()
before = net.training
ptflops.get_model_complexity_info(net, (3, 8, 8), print_per_layer_stat=False, verbose=False)
print(f"training before: {before}; after: {net.training}")
assert before
assert not net.training
PYTHON
echo "as described"
