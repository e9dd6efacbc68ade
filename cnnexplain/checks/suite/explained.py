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


def at_most(subject: Subject, most: int) -> Subject:
    """The subject with at most so many of its pictures, evenly from all."""
    count = len(subject.examples)
    if count <= most:
        return subject
    taken = [subject.examples[number * count // most] for number in range(most)]
    return replace(subject, examples=tuple(taken))


def maps(subject: Subject) -> Tensor:
    """Grad-CAM of the best class of every picture (N, h, w). Raises `Skipped` where there is none worth judging.

    A model that fails is not one that has no maps: its `ModelError` goes on.
    """
    require_sound(subject)
    if not subject.model.trace.differentiable:
        raise Skipped("it cannot be explained: its scores carry no gradient")
    try:
        found = subject.maps
    except LayerError as error:
        raise Skipped(f"it cannot be explained: {error.problem}") from error
    if found[0].numel() < FEWEST_CELLS:
        rows, columns = found.shape[1:]
        raise Skipped(f"the map of {subject.map_layer} has {rows}x{columns} places, too few to judge")
    return found


def limited(found: Measurement, subject: Subject) -> Measurement:
    """The same result, saying which maps it leaves out where several layers or runs lead to the classes."""
    names = subject.model.runs.choose()[0]
    if len(names) == 1:
        return found
    rest = f"; only maps of {names[0]} were looked at, not those of {listed(names[1:])}, which lead to the classes too"
    return replace(found, says=found.says + rest)


def varied(found: Tensor) -> Tensor:
    """Which maps (N,) are finite and not the same everywhere."""
    flat = found.flatten(1)
    spread = flat.amax(1) - flat.amin(1)
    kept: Tensor = (spread > VARIES * flat.abs().amax(1)) & flat.isfinite().all(1)
    return kept
