"""What `--verdict` costs: maps with it and without, explained in turns.

Float32, on the CPU with one thread, by the processor's time. Decoding, drawing and writing are left out, which cost the
same with a verdict and without, so that the ratios of whole runs are lower.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import timm
import torch
from timing import in_turns, verdict

import cnnexplain
from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.commands.occlusion import Occlusion
from cnnexplain.commands.saliency import Saliency
from cnnexplain.core.explanation import Batch

BATCH, TURNS, ASKED = 8, 5, 1.5
# Actions, and how many images each has at once.
ACTIONS: dict[str, tuple[Any, int]] = {
    "gradcam": (GradCAM(), BATCH),
    "saliency -m gradient": (Saliency(), BATCH),
    "saliency -m smoothgrad": (Saliency(method=("smoothgrad",)), 1),
    "occlusion -m sliding": (Occlusion(), 1),
}


def compare(name: str) -> None:
    """Print one table."""
    torch.manual_seed(0)
    model = cnnexplain.load(timm.create_model(name).eval().to(memory_format=torch.channels_last)).model
    inputs = torch.randn(BATCH, 3, 224, 224).to(memory_format=torch.channels_last)

    def explain(action: Any, images: int) -> Callable[[], None]:
        bound, _ = action.bind(model)

        def run() -> None:
            with model.borrowed():
                bound.explain(model, Batch(inputs[:images]))

        return run

    print(
        f"\n{name}, a batch of {BATCH}, of smoothgrad and occlusion one image, {torch.get_num_threads()} thread"
    )
    for title, (action, images) in ACTIONS.items():
        contestants = {
            "without": explain(action, images),
            "with": explain(replace(action, verdict=True), images),
        }
        found = in_turns(contestants, TURNS, clock=time.process_time)
        print(
            f"  {title:24s} {found['without'].median * 1000 / images:8.0f} ms an image, with a verdict "
            f"{found['with'].median * 1000 / images:8.0f} ms   {verdict(found['with'].ratio(found['without']), ASKED)}"
        )


def main() -> None:
    """Print all tables, or those of the models that are named."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or ("tf_efficientnet_lite0", "resnet50"):
        compare(name)


if __name__ == "__main__":
    main()
