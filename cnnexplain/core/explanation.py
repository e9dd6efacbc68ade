"""What comes out of an explanation: for a batch (tensors), and for one picture (numbers to draw and record)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from cnnexplain.core.choice import Choice
from cnnexplain.core.laying import Laying

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from cnnexplain.core.feature_maps import FeatureMaps, LayerMaps
    from cnnexplain.core.preprocess import Geometry
    from cnnexplain.errors import ImageError


@dataclass(frozen=True, eq=False)  # arrays have no single truth to compare by
class Batch:
    """Pictures on their way through a model."""

    names: tuple[str, ...]
    pictures: tuple[Image.Image, ...]  # RGB, as a person sees them
    geometries: tuple[Geometry, ...]
    inputs: Tensor  # (N, C, H, W) float32, normalised, on the model's device
    whole: bool = True  # whether to keep all that is found, or only what is drawn
    expected: Tensor | None = None  # (N,) int64: the class that each picture should be, -1 where nobody said


# What the numbers of a map mean, which decides how they are drawn.
# "evidence": positive speaks for the class and is what is looked for; negative speaks against it.
# "signed": positive speaks for the class and negative against it, and both count alike.
# "rule": both signs of what a backward rule let through, which is no gradient.
# "magnitude": never negative; zero is nothing.
# "component": the two sides of a principal component, whose sign is arbitrary; zero is the mean place.
Scale = Literal["evidence", "signed", "rule", "magnitude", "component"]
SIGNLESS: tuple[Scale, ...] = ("rule", "component")  # neither sign speaks for the class
ROUNDING = 1e-5  # of a value: what sums of float32 may differ by between processors
PIXELS = "input"  # the layer of a map that has one value for every pixel of the input


@dataclass(frozen=True)
class Detail:
    """What else is to be known of one finding: plain data for the record, sentences for people."""

    facts: Mapping[str, Any] = field(default_factory=dict)  # what JSON can hold, by the record's keys
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Attribution:
    """A map for every picture of a batch, at the method's own resolution."""

    method: str
    layer: str
    index: Tensor  # (N,) int64, the class that is explained; -1 where a picture has none of this rank, and no map
    values: Tensor  # (N, h, w) float32 on the CPU
    # False for a map that no class enters; `index` is then the best class, for the record.
    of_class: bool = True
    scale: Scale = "evidence"
    details: tuple[Detail, ...] = ()  # one for every picture, or none at all
    channels: Tensor | None = None  # (N, C, h, w), signed, of which `values` were made, where they are kept
    laying: Laying = field(default_factory=Laying)  # how the map lies on the model's input
    # Of the ends of parallel branches that are explained together: which target's they are, and the share of what
    # counted that this one has, (N,). The largest share is shown first.
    rank: int = 1
    share: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Projection:
    """For every picture of a batch, what one unit of a layer saw, projected back to the input."""

    rule: str
    layer: str
    channel: Tensor  # (N,) int64
    cell: Tensor | None  # (N, 2) int64, row and column of the unit; None for a channel as a whole
    map_size: tuple[int, int]  # (h, w) of the layer's map
    activation: Tensor  # (N,) float32, of the unit, or the channel's largest
    sees: Tensor  # (N, 4) int64: left, top, right, bottom of what it can see, in the input's pixels
    values: tuple[Tensor, ...]  # for each picture (C, bottom - top, right - left), float32 on the CPU
    details: tuple[Detail, ...] = ()
    laying: Laying = field(default_factory=Laying)  # how the layer's map lies on the input


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model said of a batch, and why."""

    logits: Tensor  # (N, K)
    attributions: tuple[Attribution, ...] = ()
    projections: tuple[Projection, ...] = ()
    layer_maps: tuple[LayerMaps, ...] = ()
    problems: Mapping[int, ImageError] = field(
        default_factory=dict
    )  # by row, of pictures that cannot be explained


def joined(answers: Sequence[Answer]) -> Answer:
    """The answer for a batch out of those for its parts, in order: maps of the same methods, layers and ranks.

    Parts may have fewer ranks than others.
    """
    import torch

    if len(answers) == 1:
        return answers[0]
    longest = max((answer.attributions for answer in answers), key=len)
    filled = [
        (
            *answer.attributions,
            *(_blank(one, len(answer.logits)) for one in longest[len(answer.attributions) :]),
        )
        for answer in answers
    ]
    attributions = tuple(
        replace(
            parts[0],
            index=torch.cat([one.index for one in parts]),
            values=torch.cat([one.values for one in parts]),
            details=tuple(detail for one in parts for detail in one.details),
            channels=torch.cat(channels) if len(channels) == len(parts) else None,
        )
        for parts in zip(*filled, strict=True)
        for channels in ([one.channels for one in parts if one.channels is not None],)
    )
    return Answer(torch.cat([answer.logits for answer in answers]), attributions)


def _blank(like: Attribution, pictures: int) -> Attribution:
    """A map of no class for so many pictures."""
    channels = None if like.channels is None else like.channels.new_zeros(pictures, *like.channels.shape[1:])
    return replace(
        like,
        index=like.index.new_full((pictures,), -1),
        values=like.values.new_zeros(pictures, *like.values.shape[1:]),
        details=(Detail(),) * pictures if like.details else (),
        channels=channels,
    )


@dataclass(frozen=True)
class Prediction:
    """One class of one picture."""

    index: int
    label: str
    probability: float | None  # None where scores are no probabilities
    logit: float


@dataclass(frozen=True, eq=False)
class Heatmap:
    """One map of one picture: where the evidence for `target` was found."""

    method: str
    layer: str
    target: Prediction
    values: NDArray[np.float32] = field(repr=False)  # (h, w), signed, on the method's own scale
    geometry: Geometry = field(repr=False)  # where the map lies, which may be a part of what the model saw
    of_class: bool = True  # False for a map that no class enters
    scale: Scale = "evidence"
    detail: Detail = field(default_factory=Detail, repr=False)
    placed: bool = True  # whether it is known where on the picture the map lies
    # (C, h, w) of the input's channels, signed, of which `values` were made; None where there is no such thing.
    channels: NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def min(self) -> float:
        """The strongest evidence against, or the weakest for."""
        return float(self.values.min())

    @property
    def max(self) -> float:
        """The strongest evidence for the class; not above zero where nothing speaks for it."""
        return float(self.values.max())

    @property
    def peak(self) -> tuple[int, int] | None:
        """(x, y) of the strongest evidence in the picture's pixels; None where nothing is positive, or not `placed`.

        Where neither sign speaks for the class (`SIGNLESS`), the largest absolute value.
        """
        strength = abs(self.values) if self.scale in SIGNLESS else self.values
        if not strength.max() > 0 or not self.placed:
            return None
        row, column = _strongest(strength)
        return self.geometry.pixel_of_cell(row, column, (self.values.shape[0], self.values.shape[1]))


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What one unit of a layer saw in one picture, in pixels: the patch it can see, and what of it counted."""

    rule: str
    layer: str
    channel: int
    cell: tuple[int, int] | None  # row and column of the unit in its layer; None for a channel as a whole
    map_size: tuple[int, int]  # (h, w) of the layer's map
    activation: float
    sees: tuple[int, int, int, int]  # left, top, right, bottom of what it can see, in the input's pixels
    values: NDArray[np.float32] = field(repr=False)  # (C, bottom - top, right - left) of the input, signed
    input_size: tuple[int, int] = field(repr=False)  # (height, width)
    geometry: Geometry = field(repr=False)
    detail: Detail = field(default_factory=Detail, repr=False)
    laying: Laying = field(default_factory=Laying, repr=False)  # how the layer's map lies on the input

    @property
    def min(self) -> float:
        """The smallest value."""
        return float(self.values.min())

    @property
    def max(self) -> float:
        """The largest value."""
        return float(self.values.max())

    @property
    def place(self) -> tuple[int, int] | None:
        """(x, y) of the unit in the picture's pixels; None for a channel as a whole, or where that is not known."""
        if self.cell is None or self.laying.lost:
            return None
        cell, shape = self.laying.above(self.cell, self.map_size), self.laying.shape(self.map_size)
        return self.laying.on(self.geometry).pixel_of_cell(*cell, shape)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """`sees` in the picture's pixels."""
        return self.geometry.box_of(self.sees, self.input_size)

    @property
    def peak(self) -> tuple[int, int] | None:
        """(x, y) of the pixel that counted most, whatever its sign; None where none did."""
        strength = abs(self.values).max(0)
        if not strength.max() > 0:
            return None
        row, column = _strongest(strength)
        left, top, _, _ = self.sees
        return self.geometry.pixel_of_cell(top + row, left + column, self.input_size)


def _strongest(strength: NDArray[np.float32]) -> tuple[int, int]:
    """Row and column of the largest value of (h, w); of those that are as large up to rounding the first, row by row.

    Equal values, of a map of a symmetrical picture say, are rounded otherwise on other processors.
    """
    first = int((strength >= strength.max() * (1 - ROUNDING)).argmax())
    row, column = divmod(first, strength.shape[1])
    return row, column


@dataclass(frozen=True, eq=False)
class Explanation:
    """All that was found out about one picture."""

    image: str
    picture: Image.Image = field(
        repr=False
    )  # RGB, perhaps only as large as it is drawn; `geometry` has the size
    geometry: Geometry = field(repr=False)
    predictions: tuple[Prediction, ...]  # best first
    heatmaps: tuple[Heatmap, ...] = ()
    reconstructions: tuple[Reconstruction, ...] = ()  # by layer, then by unit, then by rule
    feature_maps: tuple[FeatureMaps, ...] = ()  # one for each layer
    pixels: NDArray[np.uint8] | None = field(
        default=None, repr=False
    )  # (H, W, C), as the model sees the picture, before it is normalised
    notes: tuple[
        str, ...
    ] = ()  # in sentences: what was made of the picture's file, and what could not be explained
    activation: str = "softmax"  # what makes probabilities of scores: softmax, sigmoid or none
    explained: str = ""  # what the scores are, in words; empty where they are what the model returns
    html: Callable[[Explanation], str] | None = field(default=None, repr=False)  # what a notebook shows
    choices: tuple[Choice, ...] = ()  # what was chosen by default for this command, with reasons; from Python

    def _repr_html_(self) -> str | None:
        """For notebooks: classes and pictures, in one piece."""
        return None if self.html is None else self.html(self)

    def heatmap(self, **wanted: Any) -> Heatmap:
        """The first map whose fields are as `wanted`, for example `heatmap(method="gradcam++")`."""
        for heatmap in self.heatmaps:
            if all(getattr(heatmap, name) == value for name, value in wanted.items()):
                return heatmap
        have = ", ".join(f"{one.method} at {one.layer}" for one in self.heatmaps)
        raise LookupError(f"no map with {wanted}; there are {have}")
