"""What goes into an explanation and comes out of it: a batch of pictures, its answer, and all that is known of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from cnnexplain.core.choice import Choice
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.results import Result
from cnnexplain.core.results.channels import FeatureMaps
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.results.unit import Reconstruction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from cnnexplain.core.preprocess import Geometry
    from cnnexplain.errors import ImageError

AnyResult = TypeVar("AnyResult", bound=Result)


@dataclass(frozen=True, eq=False)  # arrays have no single truth to compare by
class Batch:
    """Pictures on their way through a model."""

    inputs: Tensor  # (N, C, H, W) float32, normalised, on the model's device
    pictures: tuple[Image.Image, ...] = ()  # RGB, as a person sees them
    # Where each input lies on its picture; where there are none, an input is its own picture.
    geometries: tuple[Geometry, ...] = ()
    whole: bool = True  # whether to keep all that is computed, or only what is drawn
    expected: Tensor | None = (
        None  # (N,) int64: the class that each picture should be, -1 where that is not known
    )
    places: tuple[int, ...] = ()  # of the pictures, each among all of a run
    copies: int = 0  # how many rows at the end only fill the batch up: nobody looks at their results

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.inputs)

    def geometry(self, row: int) -> Geometry:
        """Return where the input of a row lies on its picture."""
        from cnnexplain.core.preprocess import Geometry

        if self.geometries:
            return self.geometries[row]
        height, width = self.inputs.shape[2:]
        return Geometry((width, height), (0.0, 0.0, float(width), float(height)))

    def part(self, rows: range) -> Batch:
        """Return the batch of some of the pictures: the rows of a range."""
        here = slice(rows.start, rows.stop)
        own = len(self) - self.copies
        expected = None if self.expected is None else self.expected[here]
        return replace(
            self,
            inputs=self.inputs[here],
            pictures=self.pictures[here],
            geometries=self.geometries[here],
            expected=expected,
            places=self.places[here],
            copies=max(0, rows.stop - max(rows.start, own)),
        )


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model said of a batch, and why."""

    logits: Tensor  # (N, K); (N, 0) where the model was not asked that far
    results: tuple[tuple[Result, ...], ...]  # of every picture, in the order in which they are shown
    # By row, of pictures without an explanation.
    problems: Mapping[int, ImageError] = field(default_factory=dict)
    notes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # by row, sentences for the record
    seconds: Mapping[str, float] = field(default_factory=dict)  # that each of several commands took


def joined(answers: Sequence[Answer]) -> Answer:
    """Return the answer for a batch out of those for its parts.

    Args:
        answers: One for each part, in the order of the parts. Rows of problems and notes are counted within the part.
    """
    import torch

    if len(answers) == 1:
        return answers[0]
    problems: dict[int, ImageError] = {}
    notes: dict[int, tuple[str, ...]] = {}
    rows = 0
    for answer in answers:
        problems |= {rows + row: problem for row, problem in answer.problems.items()}
        notes |= {rows + row: sentences for row, sentences in answer.notes.items()}
        rows += len(answer.results)
    results = tuple(of_picture for answer in answers for of_picture in answer.results)
    return Answer(torch.cat([answer.logits for answer in answers]), results, problems, notes)


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the model says of one picture, and why."""

    image: str
    # RGB, perhaps only as large as it is drawn; `geometry` has the size.
    picture: Image.Image = field(repr=False)
    geometry: Geometry = field(repr=False)
    predictions: tuple[Prediction, ...]  # best first
    results: tuple[Result, ...] = ()
    # (H, W, C), as the model sees the picture, before it is normalised.
    pixels: NDArray[np.uint8] | None = field(default=None, repr=False)
    # In sentences: what was made of the picture's file, and what could not be explained.
    notes: tuple[str, ...] = ()
    activation: str = "softmax"  # what makes probabilities of scores: softmax, sigmoid or none
    explained: str = ""  # what the scores are, in words; empty where they are what the model returns
    html: Callable[[Explanation], str] | None = field(default=None, repr=False)  # what a notebook shows
    seconds: Mapping[str, float] = field(
        default_factory=dict
    )  # that each of several commands took; never recorded
    choices: tuple[Choice, ...] = ()  # what was chosen by default for this command, with reasons; from Python

    def _repr_html_(self) -> str | None:
        """Return classes and pictures as one piece of HTML for a notebook; None where nothing draws it."""
        return None if self.html is None else self.html(self)

    def of(self, kind: type[AnyResult]) -> tuple[AnyResult, ...]:
        """Return all results of one class, in their order: `explanation.of(Heatmap)`."""
        return tuple(result for result in self.results if isinstance(result, kind))

    @property
    def heatmaps(self) -> tuple[Heatmap, ...]:
        """The maps."""
        return self.of(Heatmap)

    @property
    def reconstructions(self) -> tuple[Reconstruction, ...]:
        """The units: by layer, then by unit, then by rule."""
        return self.of(Reconstruction)

    @property
    def feature_maps(self) -> tuple[FeatureMaps, ...]:
        """The feature maps, one for each layer."""
        return self.of(FeatureMaps)

    def heatmap(self, **fields: Any) -> Heatmap:
        """Return the first map that has all these values in its fields.

        Args:
            **fields: Values by the names of fields of `Heatmap`.

        Raises:
            LookupError: No map has them.

        Example:
            >>> explanation.heatmap(method="gradcam").peak
        """
        for heatmap in self.heatmaps:
            if all(getattr(heatmap, name) == value for name, value in fields.items()):
                return heatmap
        have = ", ".join(f"{heatmap.method} at {heatmap.layer}" for heatmap in self.heatmaps)
        raise LookupError(f"no map with {fields}; there are {have}")
