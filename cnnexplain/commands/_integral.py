"""Integrated gradients of a model, and what is said of their error and of the gap."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from cnnexplain.commands._baselines import BASELINES
from cnnexplain.commands._passes import evaluator, secants
from cnnexplain.core.results import Detail
from cnnexplain.core.words import number, percent
from cnnexplain.formulas.integrated import MOST, integrated_gradients

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model
    from cnnexplain.formulas.integrated import Integrals, Quadrature

INTEGRAL_TOLERANCE = "1%"  # where nobody says another
MEAN_SLOPES = "mean slopes"  # the rule that needs no reason
KEPT = 2**30  # bytes of gradients that are kept at once
WIDE = 0.01  # the share of the score's difference that a gap may have before nobody should add the pixels up


@dataclass(frozen=True)
class IntegralOptions:
    """How the integral is taken."""

    steps: int | None
    baseline: str
    quadrature: Quadrature
    tolerance: float


def integrated(
    model: Model, inputs: Tensor, target: Target, options: IntegralOptions
) -> tuple[Tensor, tuple[Detail, ...]]:
    """Integrated gradients (N, C, H, W) of a batch, and how good each picture's are."""
    import torch

    from cnnexplain.engine.scoring.scores import score_of

    start = BASELINES[options.baseline](model, inputs)
    with torch.no_grad():
        rows = torch.arange(len(inputs), device=inputs.device)
        empty = model.require_count(model.forward(start.clone()))
        difference = target.score.detach() - score_of(empty, target, rows)
    integrals, rule = _integrals(model, inputs, start, target, options)
    sums = integrals.values.flatten(1).sum(1).tolist()
    found = zip(difference.tolist(), sums, integrals.steps, integrals.errors, strict=True)
    return integrals.values, tuple(_detail(*row, rule, options) for row in found)


def bytes_of(shape: tuple[int, ...]) -> int:
    """What one gradient takes."""
    channels, height, width = shape
    return 4 * channels * height * width


def _integrals(
    model: Model, inputs: Tensor, start: Tensor, target: Target, options: IntegralOptions
) -> tuple[Integrals, str]:
    """The integrals, and what stands for the gradient of a part of the way, in words, with the reason."""
    from functools import partial

    from cnnexplain.engine.backward.secants import UnknownSlopeError

    integrals = partial(
        integrated_gradients,
        evaluator(model, target),
        inputs,
        start,
        steps=options.steps,
        tolerance=options.tolerance,
        quadrature=options.quadrature,
        most=min(MOST, max(2, KEPT // bytes_of(tuple(inputs.shape[1:])))),
    )
    if options.quadrature != "adaptive":
        return integrals(), "gradients at fixed places"
    if options.steps is not None:  # a mean slope takes the time of two gradients
        return integrals(), "gradients half way, as --steps asks"
    if model.precision != "fp32":
        return integrals(), f"gradients half way, in {model.precision}"
    try:
        return integrals(between=secants(model, target)), MEAN_SLOPES
    except UnknownSlopeError as unknown:
        return integrals(), f"gradients half way, as the mean slope of {unknown} is not known"


def _detail(
    difference: float, total: float, steps: int, error: float, rule: str, options: IntegralOptions
) -> Detail:
    """What is said of one picture's integral."""
    gap = difference - total
    share = abs(gap / difference) if difference else float("inf")
    words = percent(share) if share < 10 else "larger than the difference"
    remarks = [
        f"Score minus that of the {options.baseline} baseline: {number(difference)}; sum of the pixels: "
        f"{number(total)} (gap {words}). A pixel like the baseline's gets nothing, whatever it means."
    ]
    if share > WIDE:
        remarks[0] = f"Do not add these up, the gap is too large. {remarks[0]}"
    gradients = f"{steps} gradients"
    adapted = options.steps is None and options.quadrature == "adaptive"
    if not isfinite(error):
        remarks.append(f"Error of the map: not estimated, {gradients}.")
    else:
        reached = f"Error of the map: {percent(error)} of its range, {gradients}."
        reached += "" if rule == MEAN_SLOPES else f" Taken from {rule}."
        missed = adapted and error > options.tolerance
        remarks.append(
            f"The tolerance of {percent(options.tolerance)} is not reached. {reached}" if missed else reached
        )
    facts = {
        "baseline": options.baseline,
        "quadrature": options.quadrature,
        "rule": rule,
        "steps": steps,
        "error": error if isfinite(error) else None,
        "tolerance": options.tolerance if adapted and isfinite(error) else None,
        "difference": difference,
        "sum": total,
        "gap": gap,
    }
    return Detail(
        {"completeness": {name: fact for name, fact in facts.items() if fact is not None}}, tuple(remarks)
    )
