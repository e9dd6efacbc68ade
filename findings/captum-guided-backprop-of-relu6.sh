#!/usr/bin/env bash
# Guided backpropagation and the deconvnet change what rectifiers let through on the way back. Captum 0.9.0 knows
# torch.nn.ReLU alone: a network whose rectifiers are ReLU6, Hardswish or SiLU modules has none that it would change.
# One would guess at a rule for ReLU6, or at a warning that no rectifier was met.
# Seen: of torchvision's MobileNetV2 both maps are the plain gradient, to the last bit, and the warning says that hooks
# were set on ReLU activations; of a ResNet-18 neither is.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 torchvision==0.29.1 captum==0.9.0
venv/bin/python - <<'PYTHON'
import warnings

import torch
from captum.attr import Deconvolution, GuidedBackprop
from torchvision.models import mobilenet_v2, resnet18

torch.manual_seed(0)
picture = torch.rand(1, 3, 64, 64, requires_grad=True)
for make, changed in ((mobilenet_v2, False), (resnet18, True)):
    net = make().eval()
    (gradient,) = torch.autograd.grad(net(picture)[0, 0], picture)
    for method in (GuidedBackprop, Deconvolution):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            explained = method(net).attribute(picture, target=0)
        same = torch.equal(explained, gradient)
        print(f"{make.__name__}, {method.__name__}: the gradient itself: {same}; {caught[0].message}")
        assert same is not changed
        assert [str(warning.message).split(".")[0] for warning in caught] == ["Setting backward hooks on ReLU activations"]
PYTHON
echo "as described"
