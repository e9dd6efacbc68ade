"""What images should be and what they were taken for: a matrix whose every cell leads to its images with their maps."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexplain.core.prediction import Prediction
from cnnexplain.core.records import class_of, kind_of, readable
from cnnexplain.core.words import count, likelihood, percent
from cnnexplain.report.pages.words import href

MOST = 24  # classes in the matrix
SHADES = 5
SHOTS = 40  # images on a page of a gallery
UNKNOWN = -1  # in the place of a class: none is expected, or there is no answer

Record = Mapping[str, Any]
Pair = tuple[int, int]  # the class that is expected, and the one that came first
Link = Callable[[Pair], str]


@dataclass(frozen=True)
class ConfusionCell:
    """How many images of one class were taken for another, how large a share that is, and where they are shown."""

    images: str
    shade: int
    right: bool
    says: str
    href: str


@dataclass(frozen=True)
class ConfusionRow:
    """A class that images should be, and what became of them."""

    label: str
    cells: tuple[ConfusionCell | None, ...]
    right: str


@dataclass(frozen=True)
class ConfusionMatrix:
    """The classes that matter most, in their order."""

    title: str
    names: tuple[str, ...]
    rows: tuple[ConfusionRow, ...]
    remark: str


@dataclass(frozen=True)
class GalleryFigure:
    """A drawing of an image, with its alternative text and its caption."""

    src: str
    alt: str
    caption: str


@dataclass(frozen=True)
class GalleryImage:
    """An image in a gallery."""

    name: str
    href: str
    pictures: tuple[GalleryFigure, ...]


@dataclass(frozen=True)
class CellGallery:
    """The images of one cell, as many as a page shows."""

    anchor: str
    should: str
    taken: str
    right: bool
    images: str
    shots: tuple[GalleryImage, ...]


class LabelledImages:
    """The records of images of which it is known what they should be, read once; 16 bytes of each are kept."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.labels: dict[int, str] = {}
        self.cells: Counter[Pair] = Counter()
        self.right = 0
        should, wrong = array("q"), array("b")
        answered = array("q")
        for record in records:
            pair, right = (UNKNOWN, UNKNOWN), True
            if "right" in record and record["predictions"]:
                expected, best = record["expected"], record["predictions"][0]
                pair, right = (expected["index"], best["index"]), bool(record["right"])
                self.labels[pair[0]], self.labels[pair[1]] = expected["label"], best["label"]
                self.cells[pair] += 1
                self.right += right
            should.append(pair[0])
            answered.append(pair[1])
            wrong.append(not right)
        self._classes = max(self.labels, default=0) + 1
        keys = np.asarray(should) * self._classes + np.asarray(answered)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self.wrong: npt.NDArray[np.bool_] = np.asarray(wrong).astype(bool)

    @property
    def labelled(self) -> int:
        """How many images there are of which it is known what they should be."""
        return self.cells.total()

    @cached_property
    def groups(self) -> dict[int, list[Pair]]:
        """The cells of every class that is expected: the most frequent mistake first, what is right last."""
        by_class: dict[int, list[Pair]] = {}
        for pair in sorted(
            self.cells, key=lambda pair: (pair[0], pair[0] == pair[1], -self.cells[pair], pair[1])
        ):
            by_class.setdefault(pair[0], []).append(pair)
        return by_class

    def places(self, pair: Pair) -> npt.NDArray[np.int64]:
        """Where the images of one cell stand among the records."""
        key = pair[0] * self._classes + pair[1]
        start, end = np.searchsorted(self._keys, (key, key + 1))
        places: npt.NDArray[np.int64] = self._order[start:end]
        return places


def answer_fields(
    predictions: Sequence[Prediction], expected: int | None, labels: Sequence[str]
) -> dict[str, Any]:
    """The fields `expected` and `right` of a record; none where the expected class is not known.

    It is right where that class has the highest score, and no other has the same: a model that says nothing of any
    picture recognises none. Without predictions, as after an error, it is neither right nor wrong.
    """
    if expected is None:
        return {}
    entry: dict[str, Any] = {"expected": {"index": expected, "label": readable(labels[expected])}}
    if predictions:
        first, *others = predictions
        entry["right"] = first.index == expected and all(other.logit < first.logit for other in others)
    return entry


def matrix(labelled: LabelledImages, run: Record, link: Link) -> ConfusionMatrix | None:
    """The matrix of all images of a run; `link` says where those of a cell are shown, "" where they are not.

    Nothing where of none it is known what it should be. By chance one is right in as many as the model has classes.
    """
    if not labelled.cells:
        return None
    chance = 1 / (run.get("model", {}).get("classes") or len(labelled.labels))
    occurring = sorted(labelled.labels)
    weight: Counter[int] = Counter()
    for (should, taken), images in labelled.cells.items():
        weight.update({should: images, taken: images} if should != taken else {should: 0})
    ranked = sorted(occurring, key=lambda index: (-weight[index], index))
    classes = sorted(ranked[:MOST])
    remark = "Rows: what an image should be. Columns: what it was taken for."
    if len(classes) < len(occurring):
        remark += (
            f" Left out: {count(len(occurring) - len(classes), 'class', 'classes')} with fewer mistakes."
        )
    share = percent(labelled.right / labelled.labelled)
    return ConfusionMatrix(
        title=f"{labelled.right:,} of {count(labelled.labelled, 'image')} right, {share} "
        f"(by chance {percent(chance)})",
        names=tuple(labelled.labels[index] for index in classes),
        rows=tuple(_row(labelled, should, classes, link) for should in classes),
        remark=remark,
    )


def _row(labelled: LabelledImages, should: int, classes: Sequence[int], link: Link) -> ConfusionRow:
    total = sum(images for (expected, _), images in labelled.cells.items() if expected == should)
    label = labelled.labels[should]
    cells: list[ConfusionCell | None] = []
    for answered in classes:
        images = labelled.cells[should, answered]
        says = f"{count(images, 'image')}: should be {label}, taken for {labelled.labels[answered]}"
        shade = -(-SHADES * images // max(total, 1))
        cells.append(
            ConfusionCell(f"{images:,}", shade, should == answered, says, link((should, answered)))
            if images
            else None
        )
    right = f"{labelled.cells[should, should]:,} of {total:,}" if total else "none"
    return ConfusionRow(label, tuple(cells), right)


def anchor(pair: Pair) -> str:
    """The anchor of a cell's images."""
    return f"cell-{pair[0]}-{pair[1]}"


def group(answers: LabelledImages, pair: Pair, shots: Sequence[GalleryImage]) -> CellGallery:
    """The images of a cell, of which `shots` are shown."""
    should, answered = (answers.labels[index] for index in pair)
    return CellGallery(
        anchor(pair), should, answered, pair[0] == pair[1], count(answers.cells[pair], "image"), tuple(shots)
    )


def gallery_image(record: Record, link: str) -> GalleryImage:
    """An image with the map of the class that it was taken for, and that of the class that it should be."""
    return GalleryImage(str(record["image"]), link, tuple(_pictures(record)))


def _pictures(record: Record) -> Iterator[GalleryFigure]:
    best, expected = record["predictions"][0], record["expected"]
    drawn = [entry for entry in record["explanations"] if entry.get("picture")]
    of_class = {target["index"]: entry for entry in reversed(drawn) if (target := class_of(entry))}
    captions = {best["index"]: "taken for", expected["index"]: "should be"}
    if record["right"]:
        captions = {best["index"]: "right:"}
    for index, verb in captions.items():
        if (entry := of_class.get(index)) is not None:
            target, method = entry["target"], entry.get("method") or kind_of(entry)
            caption = f"{verb} {target['label']}, {likelihood(target)}"
            yield GalleryFigure(href(entry["picture"]), f"{method} of {target['label']}", caption)
    if not captions.keys() & of_class.keys() and drawn:  # of other classes, or of none, as units
        yield GalleryFigure(href(drawn[0]["picture"]), str(drawn[0].get("method") or kind_of(drawn[0])), "")
