"""The verdicts of checks on pictures that Python has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnnexplain.checks.suite.subject import Example, Subject
from cnnexplain.errors import OptionError
from cnnexplain.runner.checking.inputs import require_answers
from cnnexplain.runner.checking.labels import class_index
from cnnexplain.runner.checking.options import CheckOptions
from cnnexplain.runner.checking.thresholds import chosen
from cnnexplain.runner.checking.verdicts import verdict_of
from cnnexplain.runner.image_inputs import ImageInput, prepare

if TYPE_CHECKING:
    from cnnexplain.core.preprocess import Range
    from cnnexplain.core.verdict import Verdict
    from cnnexplain.engine.model import Model


def verdicts(
    model: Model,
    options: CheckOptions,
    limits: Mapping[str, Mapping[str, Any]],
    images: Sequence[ImageInput],
    labels: Sequence[int | str] | None,
    values: Range | None,
) -> list[Verdict]:
    """A verdict of every check, in their order; what is wrong with options, labels or pictures is raised.

    Args:
        model: What is checked.
        options: Which checks.
        limits: Levels and limits by check.
        images: All pictures; there may be none.
        labels: The class of each, where that is known.
        values: Those that are black and white in all pictures.
    """
    taken = chosen(options, limits, "limits")
    if labels is not None and len(labels) != len(images):
        raise OptionError(f"{len(labels)} labels for {len(images)} pictures", "give one for each picture")
    classes = [class_index(str(label), model.labels, "labels") for label in labels or ()]
    examples = []
    for place, image in enumerate(prepare(image, model.preprocess, values) for image in images):
        label = classes[place] if classes else None
        examples.append(Example(image.name, f"{place} {image.name}", "", image.pixels, label))
    with model.borrowed():
        with_finite = any(check.id == "finite" for check in taken)
        subject = Subject(model, tuple(examples), with_finite=with_finite)
        require_answers(subject)
        return [verdict_of(check, subject) for check in taken]
