"""SmoothGrad to a standard error of 5 % of the map's largest value in 56x56 cells: against Captum's NoiseTunnel.

Captum has no standard error, so that it gets the number of samples which the largest variance of a cell asks for, and
opposite pairs of noise as many times fewer as their variance is smaller on the mean over the cells. Processor time of
one thread, float32; Captum's samples go through in groups of four, which suits it best on processors, in its own layout
and in the faster channels-last one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import timm
import torch
from captum.attr import NoiseTunnel
from captum.attr import Saliency as CaptumSaliency
from timing import in_turns, verdict

import cnnexplain
from cnnexplain.commands._passes import evaluator
from cnnexplain.commands.saliency import Saliency
from cnnexplain.core.explanation import Batch
from cnnexplain.core.target import TargetSpec
from cnnexplain.formulas import SampledMean, noisy_gradients
from cnnexplain.runner.image_inputs import prepare

PHOTO, NOISE, SHARE, CELLS = "docs/photos/coffee.png", 0.15, 0.05, (56, 56)
SAMPLES, AT_ONCE, TURNS = 64, 16, 3


def compare(explainer: cnnexplain.Explainer) -> None:
    """Print samples, time for each, and the ratio to Captum."""
    model = explainer.model
    inputs = model.inputs([prepare(PHOTO, model.preprocess, None).pixels])
    with model.borrowed():
        logits = model.forward(inputs.clone())
        (target,) = model.targets(TargetSpec(), logits)
        (moments,) = noisy_gradients(
            evaluator(model, target), inputs, samples=SAMPLES, noise=NOISE, variance=False
        )
        independent = SampledMean((CELLS,))
        deviation = float(NOISE * (inputs.max() - inputs.min()))
        generator = torch.Generator().manual_seed(0)

        def copies(rows: range) -> tuple[torch.Tensor, torch.Tensor]:
            noise = torch.randn(len(rows), *inputs.shape[1:], generator=generator)
            return inputs + deviation * noise, torch.zeros(len(rows), dtype=torch.int64)

        for _, _, gradients in evaluator(model, target)(SAMPLES, copies):
            independent.add(torch.nn.functional.adaptive_avg_pool2d(gradients, CELLS))
    largest = float(moments.gradient.mean(2).abs().max())
    of_captum = SAMPLES * (float(independent.error().max()) / (SHARE * largest)) ** 2
    pairs = float(moments.gradient.error(2).square().mean() / independent.error().square().mean())
    needed = {"cnnexplain": of_captum * pairs}
    index = int(target.index[0])
    bound, _ = Saliency(method=("smoothgrad",), target=str(index), samples=AT_ONCE).bind(model)

    def ours() -> None:
        with model.borrowed():
            bound.explain(model, Batch(inputs, whole=False))

    def captum(module: torch.nn.Module, image: torch.Tensor) -> Callable[[], object]:
        method = NoiseTunnel(CaptumSaliency(module))
        options = {"nt_samples": AT_ONCE, "nt_samples_batch_size": 4, "stdevs": deviation, "abs": False}
        return lambda: method.attribute(image, target=index, **options)

    fast = copy.deepcopy(model.module).to(memory_format=torch.channels_last)
    plain = copy.deepcopy(model.module).to(memory_format=torch.contiguous_format)
    timed = in_turns(
        {
            "cnnexplain": ours,
            "Captum": captum(plain, inputs.contiguous()),
            "Captum, channels last": captum(fast, inputs.contiguous(memory_format=torch.channels_last)),
        },
        TURNS,
        clock=time.process_time,
    )
    print(
        f"\n{model.name}, one thread, {CELLS[0]}x{CELLS[1]} cells, standard error {SHARE:.0%} of the largest value"
    )
    for name, of_name in timed.items():
        samples = needed.get(name, of_captum)
        print(f"  {name:24s} {samples:7.0f} samples of {of_name.median / AT_ONCE * 1000:6.1f} ms")
    for name in ("Captum", "Captum, channels last"):
        ratio = timed["cnnexplain"].ratio(timed[name]) * pairs
        print(f"  time / {name:22s} {verdict(ratio, 0.25)}")


def main() -> None:
    torch.set_num_threads(1)
    compare(cnnexplain.load("bundled:efficientnet_lite0"))
    torch.manual_seed(0)
    compare(cnnexplain.load(timm.create_model("resnet50").eval()))


if __name__ == "__main__":
    main()
