"""What the two checks of gradients share: the loss, how it depends on every layer, and the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from cnnexplain.checks.suite.units import require_sound
from cnnexplain.core.verdict import ROWS, EvidenceTable, Profile, Skipped
from cnnexplain.engine import flow

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from cnnexplain.checks.suite.subject import Subject

SMOOTHED = 0.1  # of the label: a model that is certain and right still has a gradient
AT_ONCE = 4  # pictures: all their layers are kept
FEWEST = 3  # layers
SAME = 1e-6  # of the scores' size: what differs by less is rounding


class NoGradient(Skipped):
    """No layer has any influence on the loss: what `vanishing-gradients` finds, and others leave to it."""


@dataclass(frozen=True)
class Flow:
    """The influence of every layer on the loss, the median over the pictures."""

    layers: tuple[str, ...]
    values: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The first layer's against the last one's."""
        return self.values[0] / self.values[-1]

    def table(self, smallest: bool) -> EvidenceTable:
        """The layers, the smallest influence first or the largest."""
        last = self.values[-1]
        order = sorted(range(len(self.layers)), key=lambda place: self.values[place])
        rows = ((self.layers[place], f"{self.values[place] / last:.3g}") for place in order)
        ordered = list(rows) if smallest else list(rows)[::-1]
        return EvidenceTable(("layer", "influence, the last layer's being 1"), tuple(ordered[:ROWS]))

    def profile(self, limit: float, marked: frozenset[int]) -> Profile:
        """From the first layer to the last, with the line that the first must not cross."""
        last = self.values[-1]
        shares = tuple(value / last for value in self.values)
        title = "How strongly the loss depends on each layer"
        return Profile(title, self.layers, shares, "the last layer's being 1", True, (limit,), marked)


def measured(subject: Subject) -> Flow:
    """How the loss depends on each layer. Raises `Skipped` where it cannot be measured, `NoGradient` if it does not."""
    require_sound(subject)
    model = subject.model
    if not model.trace.differentiable:
        raise Skipped("its scores carry no gradient: it detaches them, or runs under no_grad()")
    if model.precision == "fp16":
        raise Skipped("gradients vanish in fp16 by themselves: use --precision fp32 or bf16")
    names: list[str] = []
    parts: list[list[Tensor]] = []

    def work(part: slice) -> list[flow.Influence]:
        inputs, loss = subject.inputs(part), _loss(subject, part)
        return flow.influences(model, inputs, loss)

    for influences in subject.in_parts(len(subject.examples), work, AT_ONCE):
        layers = [influence.layer for influence in influences]
        names = names or layers
        if names != layers:
            raise Skipped("its layers differ from picture to picture")
        parts.append([influence.values for influence in influences])
    values = [float(torch.cat(list(every)).median()) for every in zip(*parts, strict=True)]
    if values and max(values) == 0:
        raise NoGradient("no gradient comes back at all: see vanishing-gradients")
    if len(values) < FEWEST:
        raise Skipped(f"only {len(values)} layers are on the way of the gradient: {FEWEST} make a profile")
    if values[-1] == 0:
        raise Skipped("the loss does not depend on what its last layer says")
    return Flow(tuple(names), tuple(values))


def indifferent(subject: Subject) -> bool:
    """Whether different pictures get the same scores, but for rounding."""
    pictures = {one.pixels.tobytes() for one in subject.examples}
    logits = subject.logits
    spread = (logits.amax(0) - logits.amin(0)).max()
    return len(pictures) > 1 and bool(spread <= SAME * logits.abs().max())


def _loss(subject: Subject, part: slice) -> Callable[[Tensor], Tensor]:
    """Cross-entropy against the label, a tenth of it spread over all classes; without labels against all alike.

    What a certain model says of a right label would have next to no gradient, which says nothing of the layers.
    """

    def loss(logits: Tensor) -> Tensor:
        classes = max(2, logits.shape[1])
        aim = logits.new_full((len(logits), classes), 1 / classes)
        if subject.labelled:
            chosen = F.one_hot(subject.labels[part].to(logits.device), classes)
            aim = SMOOTHED * aim + (1 - SMOOTHED) * chosen
        if logits.shape[1] == 1:
            return F.binary_cross_entropy_with_logits(logits[:, 0], aim[:, 1], reduction="none")
        return -(aim * logits.log_softmax(1)).sum(1)

    return loss
