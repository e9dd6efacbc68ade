"""What the checks of explanations share: maps that can be judged, and a choice of pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cnnexplain.checks.suite.units import require_sound
from cnnexplain.core.verdict import Measurement, Skipped
from cnnexplain.core.words import listed
from cnnexplain.errors import LayerError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.checks.suite.subject import Subject

FEWEST_CELLS = 9  # of a map: fewer have no order worth the name
VARIES = 1e-6  # of its largest value: a map that varies less is the same everywhere


def at_most(subject: Subject, limit: int) -> Subject:
    """The subject with at most so many of its pictures, evenly from all."""
    count = len(subject.examples)
    if count <= limit:
        return subject
    examples = [subject.examples[number * count // limit] for number in range(limit)]
    return replace(subject, examples=tuple(examples))


def maps(subject: Subject) -> Tensor:
    """Grad-CAM of the best class of every picture (N, h, w). Raises `Skipped` where there is none worth judging.

    A model that fails is not one that has no maps: its `ModelError` goes on.
    """
    require_sound(subject)
    if not subject.model.trace.differentiable:
        raise Skipped("it cannot be explained: its scores carry no gradient")
    try:
        values = subject.maps
    except LayerError as error:
        raise Skipped(f"it cannot be explained: {error.problem}") from error
    if values[0].numel() < FEWEST_CELLS:
        rows, columns = values.shape[1:]
        raise Skipped(f"the map of {subject.map_layer} has {rows}x{columns} places, too few to judge")
    return values


def limited(measurement: Measurement, subject: Subject) -> Measurement:
    """The same result, saying which maps it leaves out where several layers or runs lead to the classes."""
    names = subject.model.runs.choose()[0]
    if len(names) == 1:
        return measurement
    others = f"not those of {listed(names[1:])}, which lead to the classes too"
    return replace(measurement, says=f"{measurement.says}; only maps of {names[0]} were looked at, {others}")


def varied(maps: Tensor) -> Tensor:
    """Which maps (N,) are finite and not the same everywhere."""
    flat = maps.flatten(1)
    spread = flat.amax(1) - flat.amin(1)
    valid: Tensor = (spread > VARIES * flat.abs().amax(1)) & flat.isfinite().all(1)
    return valid
