"""A unit in full on its page: the images that it is strongest for, in words how it fires, and its relatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnexplain.core.words import count, number, percent
from cnnexplain.report.pages.figures import Fact
from cnnexplain.report.pages.unit_index import EXAMPLES, UnitEntry, UnitIndex, UnitSheet, sheet_of
from cnnexplain.report.pages.words import LONGEST_NAME, clipped, href

SHOWN_RELATIVES = 8
SHOWN_CLASSES = 5  # of those that a unit matters for
_TITLES = ("Strongest", "Median", "Random")  # of `EXAMPLES`
_SMALL = 0.1  # of a picture's longer side: a box that is smaller is hard to see
_RELATIVES = (
    ("neighbours", "Fires alike", "correlation"),
    ("inputs", "Reads most from", "weight"),
    ("outputs", "Is read most by", "weight"),
)

Record = Mapping[str, Any]


@dataclass(frozen=True)
class UnitExample:
    """An image with the patch that a unit sees of it. Boxes are left, top, width and height in pixels of the image."""

    name: str
    activation: str
    label: str
    column: int | None  # of the sheet
    thumb: str
    size: tuple[int, int]
    box: tuple[int, int, int, int] | None
    problem: str

    @property
    def ring(self) -> tuple[float, float, float] | None:
        """The middle and the radius of a ring around a box that is too small to be seen without."""
        longest = _SMALL * max(self.size)
        if self.box is None or max(self.box[2:]) > longest:
            return None
        left, top, width, height = self.box
        return left + width / 2, top + height / 2, longest


@dataclass(frozen=True)
class UnitExamples:
    """Images of one kind, such as the strongest ones."""

    title: str
    rows: int  # of the sheet: the patches, and below those of the strongest what of them counted
    examples: tuple[UnitExample, ...]


@dataclass(frozen=True)
class UnitRelative:
    """A unit that another is linked with; without a link where the atlas does not have it."""

    text: str
    value: str
    href: str
    src: str


@dataclass(frozen=True)
class UnitRelatives:
    """Units that are linked with one, in one way."""

    title: str
    value: str  # what the number beside each is
    units: tuple[UnitRelative, ...]


@dataclass(frozen=True)
class UnitSpread:
    """Quantiles of what a unit reaches, as shares of the way from its smallest to its largest value."""

    places: tuple[float, ...]  # of min, 25 %, median, 75 %, 99.5 %, max
    texts: tuple[Fact, ...]


@dataclass(frozen=True)
class UnitPicture:
    """A picture of the unit itself."""

    title: str
    src: str
    says: str


@dataclass(frozen=True)
class UnitKernel:
    """A kernel as squares: column, row and colour of each, in which grey is zero."""

    layer: str
    columns: int
    rows: int
    cells: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True)
class UnitCard:
    """A unit as its page shows it."""

    channel: int
    layer_link: str
    before: str  # links
    after: str
    marks: tuple[str, ...]
    sheet: UnitSheet | None
    sheet_src: str
    kinds: tuple[UnitExamples, ...]
    spread: UnitSpread | None
    facts: tuple[Fact, ...]
    kernel: UnitKernel | None
    pictures: tuple[UnitPicture, ...]
    relatives: tuple[UnitRelatives, ...]


def unit_card(record: Record, index: UnitIndex) -> UnitCard:
    """The card of a unit's record; `index` knows where the units are that it is linked with."""
    layer = index.layers[record["layer"]]
    place = layer.places[record["channel"]]
    unit, sheet = layer.units[place], sheet_of(record)
    around = [
        layer.units[near].channel if 0 <= near < len(layer.units) else None for near in (place - 1, place + 1)
    ]
    before, after = ("" if channel is None else layer.link(channel) for channel in around)
    return UnitCard(
        channel=unit.channel,
        layer_link=f"{layer.path}#{unit.channel}",
        before=before,
        after=after,
        marks=marks(unit),
        sheet=sheet,
        sheet_src=href(sheet.path) if sheet else "",
        kinds=tuple(_kinds(record, index.folder or "")),
        spread=_spread(record.get("quantiles")),
        facts=tuple(_facts(record)),
        kernel=_kernel(record.get("kernel")),
        pictures=tuple(_pictures(record)),
        relatives=tuple(_relatives(record, index)),
    )


def marks(unit: UnitEntry) -> tuple[str, ...]:
    """What is to be seen of a unit at once: that it is dead, say."""
    copy = unit.duplicate_of
    texts = (
        "dead" if unit.dead else "",
        "saturated" if unit.saturated else "",
        "" if copy is None else f"copy of {copy}",
        unit.colour,
        "" if unit.group is None else f"group {unit.group}",
    )
    return tuple(text for text in texts if text)


def _kinds(record: Record, folder: str) -> Iterator[UnitExamples]:
    sheet = sheet_of(record)
    for key, title in zip(EXAMPLES, _TITLES, strict=True):
        if examples := record.get(key):
            rows = sheet.rows if sheet and key == "top" else 1
            yield UnitExamples(title, rows, tuple(_example(image, folder) for image in examples))


def _example(image: Record, folder: str) -> UnitExample:
    box, thumb = image.get("box"), image.get("thumb")
    return UnitExample(
        name=clipped(image["image"].removeprefix(folder), LONGEST_NAME),
        activation=number(image["activation"]),
        label=clipped(image.get("label") or "", LONGEST_NAME),
        column=image.get("patch"),
        thumb=href(thumb) if thumb else "",
        size=tuple(image.get("size") or (0, 0)),
        box=(box[0], box[1], box[2] - box[0], box[3] - box[1]) if box else None,
        problem=clipped(image.get("problem") or "", LONGEST_NAME),
    )


def _spread(quantiles: Sequence[float] | None) -> UnitSpread | None:
    if not quantiles:
        return None
    low, high = quantiles[0], quantiles[-1]
    places = tuple((value - low) / (high - low) if high > low else 0.0 for value in quantiles)
    names = ("least", "25%", "median", "75%", "99.5%", "most")
    return UnitSpread(places, tuple(zip(names, map(number, quantiles), strict=True)))


def _facts(record: Record) -> Iterator[Fact]:
    images = count(record["images"], "image")
    if record.get("sampled"):
        images = f"a sample of {record['sampled']:,} of {images}"
    yield "Fires", f"in {percent(record['fires'])} of {images}"
    if record.get("dead"):
        yield "Dead", "it never fires, or is the same for every image"
    if record.get("saturated"):
        yield "Saturated", "it stands at its ceiling, the strongest images cannot be told apart"
    if record.get("sparseness") is not None:
        yield "Sparseness", f"{number(record['sparseness'])}, from 0 (all images alike) to 1 (a single one)"
    if record.get("selective") is not None:
        yield (
            "Selective",
            f"the strongest 0.5% of images hold {percent(record['selective'])} of its activation",
        )
    if purity := record.get("purity"):
        label = clipped(purity["label"], LONGEST_NAME)
        yield "Purity", f"{percent(purity['share'])} of its {purity['of']} strongest images are {label}"
    if record.get("shape"):
        yield "Map", " × ".join(map(str, record["shape"]))
    yield from _importance(record.get("importance") or {})
    wiring = record.get("wiring") or {}
    for key, word in (("inputs", "Reads"), ("outputs", "Is read")):
        if says := wiring.get(key):
            yield word, clipped(says)


def _importance(importance: Record) -> Iterator[Fact]:
    """What the score loses without the unit, in words."""
    images = count(importance.get("images", 0), "image")
    if (mean := importance.get("mean")) is not None:
        moves = "rises" if mean < 0 else "falls"
        yield (
            "Importance",
            f"without it the score of the answer {moves} by {number(abs(mean))} in the mean of {images}, "
            f"and {percent(importance['changes'])} of the answers change",
        )
    known = [each for each in importance.get("classes", ()) if each["mean"] is not None]
    if known:
        known.sort(key=lambda each: -abs(each["mean"]))
        yield (
            "For classes",
            "; ".join(
                f"{clipped(each['label'], LONGEST_NAME)} {number(each['mean'])} ({count(each['images'], 'image')})"
                for each in known[:SHOWN_CLASSES]
            ),
        )


def _kernel(kernel: Record | None) -> UnitKernel | None:
    if not kernel:
        return None
    colours = kernel["weights"] if len(kernel["weights"]) == 3 else kernel["weights"][:1] * 3
    largest = max((abs(weight) for colour in colours for row in colour for weight in row), default=0) or 1
    cells = [
        (column, row, "#" + "".join(f"{round(127.5 * (1 + weight / largest)):02x}" for weight in weights))
        for row, rows in enumerate(zip(*colours, strict=True))
        for column, weights in enumerate(zip(*rows, strict=True))
    ]
    return UnitKernel(
        clipped(kernel["layer"], LONGEST_NAME), len(colours[0][0]), len(colours[0]), tuple(cells)
    )


def _pictures(record: Record) -> Iterator[UnitPicture]:
    """The synthesised picture beside what real ones reach."""
    if made := record.get("synthesised"):
        best = record["top"][0]["activation"] if record.get("top") else None
        beside = "no image to compare it with" if best is None else f"the strongest image {number(best)}"
        yield UnitPicture(
            "Synthesised", href(made["picture"]), f"reaches {number(made['activation'])}, {beside}"
        )


def _relatives(record: Record, index: UnitIndex) -> Iterator[UnitRelatives]:
    for key, title, value in _RELATIVES:
        units = (record.get(key) or ())[:SHOWN_RELATIVES]
        if units:
            own = record["layer"]
            yield UnitRelatives(title, value, tuple(_relative(unit, value, own, index) for unit in units))


def _relative(linked: Record, value: str, own: str, index: UnitIndex) -> UnitRelative:
    name, channel = linked["layer"], linked["channel"]
    known = index.unit(name, channel)
    sheet = known[1].sheet if known else None
    return UnitRelative(
        text=f"{channel}" if name == own else f"{clipped(name, LONGEST_NAME)} · {channel}",
        value=number(linked[value]),
        href=known[0].link(channel) if known else "",
        src=href(sheet.path) if sheet else "",
    )
