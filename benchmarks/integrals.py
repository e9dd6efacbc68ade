"""Integrated gradients at equal error: the time of ours as they are by default, and of Captum's with the fewest steps.

The largest error of a map, summed over the channels, is held against a map of 2,000 Gauss-Legendre steps, as a share of
its range: 1 % is the limit for both. Float32, on the CPU with one thread, by the processor's time, in turns; only the
converged map is made in streams. Captum's steps go through in groups of four, which its tutorials do not do and which
keeps its memory small. The photographs are those of the docs; the bundled model has its weights, the others, named on
the command line, those of a seed: `python benchmarks/integrals.py [MODEL ...] [--photo NAME,...]`.
"""

from __future__ import annotations

import argparse
import copy
import time
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from captum.attr import IntegratedGradients
from PIL import Image
from timing import in_turns, verdict
from torch import Tensor

import cnnexplain
from cnnexplain.commands._passes import evaluator, secants
from cnnexplain.core.target import Target
from cnnexplain.formulas import integrated_gradients

PHOTOS = Path(__file__).parents[1] / "docs" / "photos"
STEPS, CONVERGED, LIMIT, ASKED, TURNS = (100, 150, 200, 250, 300, 400, 600), 2000, 0.01, 0.2, 3
AT_ONCE = 4  # of Captum's steps


def compare(name: str, photo: str) -> None:
    """Print one table."""
    torch.manual_seed(0)
    source = name if name.startswith("bundled:") else timm.create_model(name).eval()
    model = cnnexplain.load(source).model
    picture = Image.open(PHOTOS / photo).convert("RGB").resize(model.preprocess.input_size[::-1])
    pixels = np.asarray(picture)
    image, black = (model.inputs([values]) for values in (pixels, np.zeros_like(pixels)))
    with model.borrowed():
        with torch.no_grad():
            index = model.forward(image).argmax(1)
        target = Target(index, torch.zeros(1))
        ours = partial(
            integrated_gradients, evaluator(model, target), image, black, between=secants(model, target)
        )
        threads = torch.get_num_threads()
        exact = integrated_gradients(
            evaluator(model, target), image, black, steps=CONVERGED, quadrature="gauss-legendre"
        ).values.sum(1)
        torch.set_num_threads(1)
        module = copy.deepcopy(model.module).to(memory_format=torch.contiguous_format)

        def captum(steps: int) -> Tensor:
            values: Tensor = IntegratedGradients(module).attribute(
                image.contiguous(),
                black.contiguous(),
                target=int(index),
                n_steps=steps,
                internal_batch_size=AT_ONCE,
            )
            return values

        def error(values: Tensor) -> float:
            return float((values.sum(1) - exact).abs().max() / (exact.max() - exact.min()))

        integrals = ours()
        steps = next((count for count in STEPS if error(captum(count)) <= LIMIT), STEPS[-1])
        found = in_turns(
            {"cnnexplain": ours, "Captum": partial(captum, steps)}, TURNS, clock=time.process_time
        )
        torch.set_num_threads(threads)
    print(f"\n{name}, {photo}, a map within 1 % of the converged one's range")
    print(f"  cnnexplain: {integrals.steps[0]} gradients, expected error {integrals.errors[0]:.2%}", end="")
    print(f", true {error(integrals.values):.2%}, {found['cnnexplain'].median:.1f} s")
    print(f"  Captum: {steps} steps, {found['Captum'].median:.1f} s")
    print(f"  cnnexplain / Captum {verdict(found['cnnexplain'].ratio(found['Captum']), ASKED)}")


def main() -> None:
    """Print the tables of the bundled model, or of the models that are named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["bundled:efficientnet_lite0"])
    parser.add_argument("--photo", default="chelsea.png,coffee.png")
    asked = parser.parse_args()
    for name in asked.models:
        for photo in asked.photo.split(","):
            compare(name, photo)


if __name__ == "__main__":
    main()
