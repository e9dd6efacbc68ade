"""Integrated gradients of a model: as many pictures at once as there is room for, and what is said of the gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.commands._baselines import BASELINES
from cnnexplain.commands._passes import evaluator
from cnnexplain.core.results import Detail
from cnnexplain.core.words import number, percent
from cnnexplain.formulas.integrated import MOST, integrated_gradients

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model
    from cnnexplain.formulas.integrated import Quadrature

# A gap below this share of the score is rounding, for each precision of the model.
ROUNDING = {"fp32": 1e-6, "fp16": 2.0**-10, "bf16": 2.0**-7}
KEPT = 2**30  # bytes of gradients that are kept at once


@dataclass(frozen=True)
class IntegralOptions:
    """How the integral is taken."""

    steps: int
    baseline: str
    quadrature: Quadrature
    max_gap: float


def integrated(
    model: Model, inputs: Tensor, target: Target, options: IntegralOptions
) -> tuple[Tensor, tuple[Detail, ...]]:
    """Integrated gradients (N, C, H, W) of a batch, and how complete each picture's sum is."""
    import torch

    from cnnexplain.engine.scoring.scores import score_of

    start = BASELINES[options.baseline](model, inputs)
    with torch.no_grad():
        rows = torch.arange(len(inputs), device=inputs.device)
        empty = model.require_count(model.forward(start.clone()))
        difference = target.score.detach() - score_of(empty, target, rows)
    most_steps = _most_steps(inputs, options)
    together = max(1, KEPT // (most_steps * bytes_of(tuple(inputs.shape[1:]))))
    values, details = torch.empty_like(inputs, dtype=torch.float32), []
    for first in range(0, len(inputs), together):
        part = slice(first, first + together)
        values[part], steps = integrated_gradients(
            evaluator(model, target.part(part)),
            inputs[part],
            start[part],
            steps=options.steps,
            quadrature=options.quadrature,
            max_gap=options.max_gap,
            most=most_steps,
            rounding=ROUNDING[model.precision],
        )
        sums = values[part].flatten(1).sum(1).tolist()
        for gap, total, used in zip(difference[part].tolist(), sums, steps, strict=True):
            details.append(_completeness(gap, total, used, options))
    return values, tuple(details)


def bytes_of(shape: tuple[int, ...]) -> int:
    """What one gradient takes."""
    channels, height, width = shape
    return 4 * channels * height * width


def _most_steps(inputs: Tensor, options: IntegralOptions) -> int:
    """How many steps one picture may take, whatever others share its batch."""
    return min(MOST * options.steps, max(2, KEPT // bytes_of(tuple(inputs.shape[1:]))))


def _completeness(difference: float, total: float, steps: int, options: IntegralOptions) -> Detail:
    gap = difference - total
    share = abs(gap / difference) if difference else float("inf")
    words = percent(share) if share < 10 else "larger than the difference"
    remark = (
        f"Score minus that of the {options.baseline} baseline: {number(difference)}; sum of the pixels: "
        f"{number(total)} (gap {words}, {steps} steps). A pixel like the baseline's gets nothing, whatever it means."
    )
    if share > max(options.max_gap, 0.01):
        remark = f"Do not add these up, the gap is too large. {remark}"
    facts = {
        "baseline": options.baseline,
        "quadrature": options.quadrature,
        "steps": steps,
        "difference": difference,
        "sum": total,
        "gap": gap,
    }
    return Detail({"completeness": facts}, (remark,))
