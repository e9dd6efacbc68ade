"""A batch of eight pictures explained by Grad-CAM: against inference alone, and against pytorch-grad-cam.

Float32, on the CPU with two threads. The model, its weights and the input are the same for all. Inference is timed as
a careful user would run it: evaluation mode, no gradients, channels-last input. pytorch-grad-cam is used as its README
shows, with its model in its own (contiguous) layout, and in the faster channels-last layout too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import timm
import torch
from pytorch_grad_cam import GradCAM as PeerGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from timing import in_turns, verdict

import cnnexplain
from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.core.explanation import Batch

BATCH, TURNS = 8, 9


def compare(name: str, build: Callable[[], torch.nn.Module]) -> None:
    """Print one table."""
    torch.manual_seed(0)
    module = build().eval()
    inputs = torch.randn(BATCH, 3, 224, 224)
    fast = copy.deepcopy(module).to(memory_format=torch.channels_last)
    fast_inputs = inputs.to(memory_format=torch.channels_last)
    model = cnnexplain.load(fast).model
    bound, (choice,) = GradCAM().bind(model)
    several, _ = GradCAM(method=("gradcam", "gradcam++", "xgradcam", "layercam", "hirescam")).bind(model)
    batch = Batch(fast_inputs)
    layer = choice.value

    def inference() -> None:
        with torch.inference_mode():
            fast(fast_inputs)

    def ours(method: GradCAM) -> Callable[[], None]:
        def explain() -> None:
            with model.borrowed():
                method.explain(model, batch)

        return explain

    def peer(network: torch.nn.Module, given: torch.Tensor) -> Callable[[], None]:
        def explain() -> None:
            with PeerGradCAM(network, [network.get_submodule(layer)]) as cam:
                cam(given, [ClassifierOutputTarget(281)] * BATCH)

        return explain

    found = in_turns(
        {
            "inference": inference,
            "cnnexplain": ours(bound),
            "cnnexplain, five formulas": ours(several),
            "pytorch-grad-cam": peer(module, inputs),
            "pytorch-grad-cam, channels last": peer(fast, fast_inputs),
        },
        TURNS,
    )
    print(f"\n{name}, Grad-CAM at {layer}, batch of {BATCH}, {torch.get_num_threads()} threads")
    for one in found.values():
        print(
            f"  {one.name:34s} {one.median * 1000:8.0f} ms   {one.ratio(found['inference']):5.2f} x inference"
        )
    mine = found["cnnexplain"]
    print(f"  cnnexplain / inference        {verdict(mine.ratio(found['inference']), 1.15)}")
    print(f"  cnnexplain / pytorch-grad-cam {verdict(mine.ratio(found['pytorch-grad-cam']), 1 / 3)}")


def main() -> None:
    torch.set_num_threads(2)
    compare("EfficientNet-Lite0", lambda: timm.create_model("tf_efficientnet_lite0"))
    compare("ResNet-50", lambda: timm.create_model("resnet50"))


if __name__ == "__main__":
    main()
