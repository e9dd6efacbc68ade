"""Gradients of pixels: against inference, against Captum, and several methods in one call against one by one.

Float32, on the CPU with two threads, weights and inputs the same for all. Captum is used as its tutorials show, with
the model in its own (contiguous) layout, and in the faster channels-last layout too; both take 50 steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import timm
import torch
from captum.attr import IntegratedGradients
from timing import in_turns, verdict

import cnnexplain
from cnnexplain.commands.saliency import Saliency
from cnnexplain.core.explanation import Batch

BATCH, STEPS, TARGET = 8, 50, 281
TOGETHER = ("gradient", "input-x-gradient", "guided-backprop", "guided-gradcam", "deconvnet")


def compare(name: str, build: Callable[[], torch.nn.Module], asked: float) -> None:
    """Print one table."""
    torch.manual_seed(0)
    module = build().eval()
    inputs = torch.randn(BATCH, 3, 224, 224)
    fast = copy.deepcopy(module).to(memory_format=torch.channels_last)
    fast_inputs = inputs.to(memory_format=torch.channels_last)
    model = cnnexplain.load(fast).model

    def ours(given: torch.Tensor, **options: object) -> Callable[[], None]:
        bound, _ = Saliency(target=str(TARGET), **options).bind(model)  # type: ignore[arg-type]
        batch = Batch(given)

        def explain() -> None:
            with model.borrowed():
                bound.explain(model, batch)

        return explain

    def inference() -> None:
        with torch.inference_mode():
            fast(fast_inputs)

    def captum(network: torch.nn.Module, given: torch.Tensor) -> Callable[[], None]:
        method = IntegratedGradients(network)
        return lambda: method.attribute(given, target=TARGET, n_steps=STEPS)

    one, fast_one = inputs[:1], fast_inputs[:1]
    found = in_turns(
        {
            "inference, batch of 8": inference,
            "gradient, batch of 8": ours(fast_inputs),
            **{f"{method}, batch of 8": ours(fast_inputs, method=(method,)) for method in TOGETHER[1:]},
            "all five in one call": ours(fast_inputs, method=TOGETHER),
        },
        7,
    )
    integrals = in_turns(
        {
            "cnnexplain, adaptive": ours(fast_one, method=("integrated-gradients",), steps=STEPS),
            "cnnexplain, as Captum": ours(
                fast_one, method=("integrated-gradients",), steps=STEPS, quadrature="gauss-legendre"
            ),
            "Captum": captum(module, one),
            "Captum, channels last": captum(fast, fast_one),
        },
        3,
    )
    print(f"\n{name}, {torch.get_num_threads()} threads")
    base = found["inference, batch of 8"]
    for timed in found.values():
        print(f"  {timed.name:34s} {timed.median * 1000:8.0f} ms   {timed.ratio(base):5.2f} x inference")
    apart = sum(found[f"{method}, batch of 8"].median for method in TOGETHER)
    print(f"  gradient / inference          {verdict(found['gradient, batch of 8'].ratio(base), 2.2)}")
    print(f"  five in one call / one by one {verdict(found['all five in one call'].median / apart, 1.0)}")
    print(f"  integrated gradients of one picture, {STEPS} steps")
    for timed in integrals.values():
        print(
            f"  {timed.name:34s} {timed.median * 1000:8.0f} ms   {timed.ratio(integrals['Captum']):5.2f} x Captum"
        )
    mine = integrals["cnnexplain, adaptive"]
    print(f"  adaptive / Captum             {verdict(mine.ratio(integrals['Captum']), asked)}")


def main() -> None:
    torch.set_num_threads(2)
    compare("EfficientNet-Lite0", lambda: timm.create_model("tf_efficientnet_lite0"), 1 / 5)
    compare("ResNet-50", lambda: timm.create_model("resnet50"), 1 / 2)


if __name__ == "__main__":
    main()
