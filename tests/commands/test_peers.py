"""The native map of every method against pytorch-grad-cam and Captum, on real architectures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import pytorch_grad_cam as peers
import torch
from architectures import architecture, size_of
from captum.attr import LayerGradCam
from networks import answer, as_model, settle
from numpy.typing import NDArray
from PIL import Image
from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients
from torch import Tensor, nn

import cnnexplain
from cnnexplain.engine.model import Model
from cnnexplain.formulas.cam import CAMS

TOLERANCE = 1e-4  # of the peer's range
CLASSES = {
    "gradcam": peers.GradCAM,
    "gradcam++": peers.GradCAMPlusPlus,
    "xgradcam": peers.XGradCAM,
    "layercam": peers.LayerCAM,
    "hirescam": peers.HiResCAM,
    "eigencam": peers.EigenCAM,
    "eigengradcam": peers.EigenGradCAM,
}
# The peers add 1e-6 to a denominator that holds squared gradients (Grad-CAM++), which swamps those of an untrained
# network's scores. Both sides explain the same scores, so many times as large.
SCALE = 1e4
ARCHITECTURES = (
    "timm:resnet18",
    "timm:resnetv2_50@64x96",
    "timm:densenet121",
    "timm:efficientnet_lite0",
    "timm:mobilenetv3_small_050@128",
    "timm:regnetx_002",
    "timm:repvgg_a0",
    "timm:ghostnet_050",
    "timm:hrnet_w18_small",
    "timm:dla34",
    "timm:darknet53",
    "timm:res2net50_26w_4s@64",
    "timm:legacy_xception",
    "timm:nfnet_l0@64",
    "timm:convnext_atto@96x128",
    "tv:alexnet",
    "tv:squeezenet1_1",
    "tv:mobilenet_v2",
    "tv:shufflenet_v2_x0_5",
    "tv:inception_v3@139",
    "tv:swin_t@64x96",  # its map is (N, h, w, C) until `permute`
)


class Louder(nn.Module):
    """The same network with scores `SCALE` times as large."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return SCALE * self.inner(x)


class Case:
    """One model with inputs: our answer, and what the peers make of the same layer and classes."""

    def __init__(self, model: Model, inputs: Tensor) -> None:
        self.inputs = inputs
        self.answer = answer(model, inputs, method=tuple(CAMS))
        self.module = model.module
        self.layer = model.module.get_submodule(self.answer.maps[0].layer)
        self.targets = self.answer.logits.argmax(1)
        watch = ActivationsAndGradients(self.module, [self.layer], None)
        with torch.enable_grad():
            logits = watch(inputs)
            logits.gather(1, self.targets[:, None]).sum().backward()
        self.logits = logits.detach()
        self.maps, self.gradients = watch.activations[0].numpy(), watch.gradients[0].numpy()
        watch.release()

    def ours(self, method: str) -> NDArray[np.float32]:
        return next(one.values.numpy() for one in self.answer.maps if one.method == method)

    def theirs(self, method: str) -> NDArray[np.float32]:
        """The peer's map before it is rectified, scaled and enlarged."""
        with CLASSES[method](self.module, [self.layer]) as peer:
            found: NDArray[np.float32] = peer.get_cam_image(
                self.inputs, self.layer, self.targets, self.maps, self.gradients, False
            )
        if "eigen" not in method:
            return found
        # Its sign is the decomposition's: turn each picture's to rise with the mean of what was decomposed, or, where
        # a layer norm leaves nothing of that mean, to have its largest value above zero.
        decomposed = self.maps if method == "eigencam" else self.maps * self.gradients
        means = decomposed.mean(1) - decomposed.mean((1, 2, 3), keepdims=True)[:, 0]
        if np.abs(means).max() < 1e-6 * np.abs(decomposed).max():
            return found * np.sign(found.max((1, 2), keepdims=True) + found.min((1, 2), keepdims=True))
        return found * np.sign((found * means).sum((1, 2), keepdims=True))


def deviation(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The largest difference as a share of the peer's range, over all pictures."""
    assert ours.shape == theirs.shape
    ranges = np.ptp(theirs, axis=(1, 2))
    assert (ranges > 0).all(), "a constant map shows nothing"
    return float((np.abs(ours - theirs).max((1, 2)) / ranges).max())


@pytest.fixture(autouse=True)
def _thin_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer asks for all right singular vectors, thousands, and uses the first: leave the others out."""
    svd = np.linalg.svd
    monkeypatch.setattr(np.linalg, "svd", lambda x, full_matrices: svd(x, full_matrices=False))


@pytest.fixture(scope="module", params=ARCHITECTURES)
def case(request: pytest.FixtureRequest) -> Case:
    size = size_of(request.param)
    module = settle(Louder(architecture(request.param)), size)
    # Grad-CAM++ and XGrad-CAM divide by sums that may come near zero where maps are signed (NFNet, Swin); pictures
    # of this seed keep both sides' rounding below a third of what is allowed.
    torch.manual_seed(5)
    return Case(as_model(module, size), torch.randn(2, 3, *size))


@pytest.fixture(scope="module")
def bundled(photographs: list[Image.Image]) -> Case:
    """The trained model that ships with cnnexplain, on two photographs."""
    model = cnnexplain.load("bundled:efficientnet_lite0").model
    inputs = model.inputs([model.preprocess.apply(picture)[0] for picture in photographs])
    return Case(cnnexplain.load(Louder(model.module), preprocess=model.preprocess).model, inputs)


@pytest.fixture(scope="module")
def photographs() -> Iterator[list[Image.Image]]:
    import skimage.data

    return [Image.fromarray(skimage.data.chelsea()), Image.fromarray(skimage.data.coffee())]


@pytest.mark.parametrize("method", CAMS)
def test_map_is_pytorch_grad_cams(case: Case, method: str) -> None:
    torch.testing.assert_close(case.answer.logits, case.logits)
    assert deviation(case.ours(method), case.theirs(method)) < TOLERANCE


@pytest.mark.parametrize("method", CAMS)
def test_map_of_the_bundled_model_is_pytorch_grad_cams(bundled: Case, method: str) -> None:
    assert deviation(bundled.ours(method), bundled.theirs(method)) < TOLERANCE


@pytest.mark.parametrize("rectified", [False, True])
def test_gradcam_is_captums(case: Case, rectified: bool) -> None:
    assert_captum(case, rectified)


@pytest.mark.parametrize("rectified", [False, True])
def test_gradcam_of_the_bundled_model_is_captums(bundled: Case, rectified: bool) -> None:
    assert_captum(bundled, rectified)


def assert_captum(case: Case, rectified: bool) -> None:
    peer = LayerGradCam(case.module, case.layer)
    theirs = peer.attribute(case.inputs, case.targets, relu_attributions=rectified)[:, 0].detach().numpy()
    ours = case.ours("gradcam").clip(min=0) if rectified else case.ours("gradcam")
    if rectified and not theirs.any():
        assert not ours.any()
        return
    assert deviation(ours, theirs) < TOLERANCE


def test_explainer_gives_the_map_that_pytorch_grad_cam_rectifies(photographs: list[Image.Image]) -> None:
    """From photographs, through the public interface and the peer's own, up to its scaling to 0..1."""
    explainer = cnnexplain.load("bundled:efficientnet_lite0")
    model = explainer.model
    for photograph in photographs:
        heatmap = explainer.explain(photograph).heatmaps[0]
        layer = model.module.get_submodule(heatmap.layer)
        with peers.GradCAM(model.module, [layer]) as peer:
            peer.get_target_width_height = lambda _: None  # leave the map as small as it is
            theirs = peer(model.inputs([model.preprocess.apply(photograph)[0]]), None)[0]
        ours = heatmap.values.clip(min=0)
        np.testing.assert_allclose((ours - ours.min()) / np.ptp(ours), theirs, atol=TOLERANCE)
