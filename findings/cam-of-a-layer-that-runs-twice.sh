#!/usr/bin/env bash
# A model that answers by the mean of a picture and its mirror image (test-time augmentation inside the model) runs its
# last convolution twice. The picture is red on the left; the class scores red.
#  - Captum 0.9.0's LayerGradCam gives the map of the last run alone, which is the mirror image's: it lies on the right;
#  - grad-cam 1.5.7 gives the map of the first run alone: it lies on the left.
# Neither says that there was another. One would guess at both maps, their sum, or an error; of the two libraries that
# name the same method, the same target and the same layer, at the same map.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.14.1 torchvision==0.29.1 captum==0.9.0 grad-cam==1.5.7
venv/bin/python - <<'PYTHON'
import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn


class Red(nn.Module):
    """Class 0 scores red, class 1 green."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 2, kernel_size=8, stride=8, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.features.weight.zero_()
            self.features.weight[0, 0] = self.features.weight[1, 1] = 1 / 64
            self.head.weight.copy_(torch.eye(2))

    def forward(self, picture):
        return self.head(self.features(picture).mean((2, 3)))


class WithMirrorImage(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Red()

    def forward(self, picture):
        return (self.model(picture) + self.model(picture.flip(3))) / 2


model = WithMirrorImage().eval()
picture = torch.zeros(1, 3, 64, 64)
picture[0, 0, :, :16] = 1  # the left quarter
by_captum = LayerGradCam(model, model.model.features).attribute(picture, target=0)[0, 0].detach()
by_grad_cam = GradCAM(model, [model.model.features])(picture, [ClassifierOutputTarget(0)])[0]
columns = [int(by_captum.sum(0).argmax()), int(torch.from_numpy(by_grad_cam).sum(0).argmax())]
print(f"of 8 columns of the map, Captum's strongest is {columns[0]}; of 64 of the picture, grad-cam's is {columns[1]}")
assert (by_captum[:, 6:] > 0).all()
assert (by_captum[:, :6] == 0).all()
assert columns[1] < 16
assert by_grad_cam[:, 40:].max() == 0
PYTHON
echo "as described"
