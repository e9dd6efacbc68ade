#!/usr/bin/env bash
# pytorch-grad-cam 1.5.7's GuidedBackpropReLUModel exchanges the rectifiers of the network that it is given, and afterwards
# puts one torch.nn.ReLU into every place. The network then has one rectifier, which runs everywhere: a hook on the last
# one hears all of them. The gradient is read from the picture's `.grad`, which nobody clears.
# One would guess that the network comes back as it was, and that two calls for the same picture give the same map.
# Seen: a ResNet-18 in training has 9 rectifiers before and 1 after, whose hook fires 17 times a pass, and is in evaluation
# mode; the second map of the same tensor is exactly twice the first, the third three times.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 torchvision==0.29.1 grad-cam==1.5.7
venv/bin/python - <<'PYTHON'
import numpy as np
import torch
from pytorch_grad_cam import GuidedBackpropReLUModel
from torchvision.models import resnet18

torch.manual_seed(0)
net, picture = resnet18().train(), torch.rand(1, 3, 64, 64)


def rectifiers():
    return [name for name, module in net.named_modules() if isinstance(module, torch.nn.ReLU)]


before = rectifiers()
first = GuidedBackpropReLUModel(net)(picture, 0).copy()
after, training = rectifiers(), net.training
second = GuidedBackpropReLUModel(net)(picture, 0).copy()
third = GuidedBackpropReLUModel(net)(picture, 0).copy()
heard = []
net.layer4[1].relu.register_forward_hook(lambda *_: heard.append(1))
net(picture)
print(f"rectifiers: {len(before)} before, {len(after)} after; in training: {training}; the last one runs {len(heard)} times")
ratios = [float(np.abs(other).sum() / np.abs(first).sum()) for other in (second, third)]
print("the same picture again, and again:", [round(ratio, 3) for ratio in ratios])
assert (len(before), len(after), training, len(heard)) == (9, 1, False, 17)
assert np.allclose(second, 2 * first, atol=1e-4 * np.abs(first).max())
assert np.allclose(third, 3 * first, atol=1e-4 * np.abs(first).max())
PYTHON
echo "as described"
