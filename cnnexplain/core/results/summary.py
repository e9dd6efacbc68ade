"""What a model is made of: one row for every layer and block, in plain numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnnexplain.core.layer_words import layers_and_blocks
from cnnexplain.core.results import Detail, Entry, Result

if TYPE_CHECKING:
    from cnnexplain.core.graph.model import ModelGraph
    from cnnexplain.core.preprocess import Preprocess

__all__ = ["LayerTable"]

MOST_ROWS = 48  # so many are taken in at a glance: the depth that is shown when none is named keeps to it
FIRST_CLASSES = 3  # so many are named, to see which data set they are of

Pair = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """How a convolution or pooling slides, as its module says: a number for each direction."""

    kernel: Pair
    stride: Pair | None = None
    padding: Pair | str | None = None
    dilation: Pair | None = None
    groups: int | None = None


@dataclass(frozen=True)
class Reach:
    """What a cell of a map sees of the input, by rows or by columns."""

    size: int | None  # pixels; None for the whole input
    stride: float | None  # by how many pixels cells lie apart; None where each sees the whole input


@dataclass(frozen=True)
class LayerRow:
    """One layer or block. Sums include all that it holds; `own` is what runs or lies in itself alone.

    What only a forward pass can tell is None where there was none, and `outputs` is empty.
    """

    name: str  # as --layer takes it; empty for the model itself
    kind: str
    leaf: bool  # whether it holds no others
    runs: int | None  # how often it ran for one picture; None also for a container that has no run of its own
    outputs: tuple[tuple[int, ...], ...]  # the shapes that came out at batch size 1, of its last run
    map: tuple[int, int, int] | None  # (channels, height, width), where that is a map of the picture
    window: Window | None
    parameters: int
    own_parameters: int
    trainable: int  # how many of the parameters are
    multiply_adds: int | None
    own_multiply_adds: int | None
    activation_bytes: int | None
    own_activation_bytes: int | None
    field: tuple[Reach, Reach] | None  # of the rows and of the columns; None where the layer has no map
    same_as: str = ""  # the layer before it whose module, or some of whose parameters, it uses too
    default_of: tuple[str, ...] = ()  # the commands that show it when no layer is named
    dead: int | None = (
        None  # filters with next to no weight, see docs/filters.md; None where it has no such weights
    )

    @property
    def depth(self) -> int:
        """How many blocks it is in, itself counted: 0 for the model."""
        return self.name.count(".") + 1 if self.name else 0


@dataclass(frozen=True)
class LayerTable(Result):
    """Every layer of a model in the order in which its code declares them, the model itself first."""

    kind: ClassVar[str] = "summary"
    of_whole_model: ClassVar[bool] = True
    method: ClassVar[str] = "summary"  # type: ignore[misc]
    layer: ClassVar[str] = ""  # type: ignore[misc]  # of none of them
    detail: ClassVar[Detail] = Detail()  # type: ignore[misc]

    model: str
    source: str  # where code and weights came from, in words
    weights_sha256: str
    precision: str
    input_shape: tuple[int, ...]  # (1, C, H, W)
    preprocess: Preprocess
    classes: tuple[str, ...] | None  # None where the model does not answer with class scores
    rows: tuple[LayerRow, ...]
    parameter_bytes: int
    graph: ModelGraph | None = None  # None where no picture went through it, or it is too large
    problem: str = ""  # why no picture went through it, in words
    hint: str = ""  # what to do about that
    remarks: tuple[str, ...] = ()
    shown_depth: int | None = None  # how many levels a user wants to see

    @property
    def whole(self) -> LayerRow:
        """The model itself: all totals."""
        return self.rows[0]

    @property
    def layers(self) -> tuple[LayerRow, ...]:
        """All rows but the model itself."""
        return self.rows[1:]

    def share(self, row: LayerRow) -> float | None:
        """Return a row's share of all multiply-adds, 0 to 1; None where they could not be counted."""
        if row.multiply_adds is None or not self.whole.multiply_adds:
            return None
        return row.multiply_adds / self.whole.multiply_adds

    @property
    def depth(self) -> int:
        """The deepest level there is."""
        return max(row.depth for row in self.rows)

    @property
    def default_depth(self) -> int:
        """The deepest level at which the table is still taken in at a glance."""
        fits = [
            depth
            for depth in range(1, self.depth + 1)
            if sum(row.depth <= depth for row in self.layers) <= MOST_ROWS
        ]
        return max(fits, default=1)

    def shown(self) -> Iterator[LayerRow]:
        """Return the layers no deeper than `shown_depth`, or else `default_depth`, and default layers at any depth."""
        depth = self.shown_depth or self.default_depth
        return (row for row in self.layers if row.depth <= depth or row.default_of)

    def defaults(self) -> Mapping[str, tuple[str, ...]]:
        """Return the names of default layers, by the command that has them in this model."""
        commands = dict.fromkeys(command for row in self.layers for command in row.default_of)
        return {
            command: tuple(row.name for row in self.layers if command in row.default_of)
            for command in commands
        }

    def record(self) -> dict[str, Any]:
        """Return the table as JSON holds it: totals, and a row for every layer and block."""
        whole = self.whole
        return {
            "input": list(self.input_shape),
            "preprocess": asdict(self.preprocess),
            "preprocessing": self.preprocess.words,
            "classes": None if self.classes is None else len(self.classes),
            "first_classes": list((self.classes or ())[:FIRST_CLASSES]),
            "source": self.source,
            "weights_sha256": self.weights_sha256,
            "precision": self.precision,
            "totals": {
                "parameters": whole.parameters,
                "trainable": whole.trainable,
                "parameter_bytes": self.parameter_bytes,
                "multiply_adds": whole.multiply_adds,
                "activation_bytes": whole.activation_bytes,
            },
            "problem": self.problem or None,
            "remarks": list(self.remarks),
            "default_layers": {command: list(names) for command, names in self.defaults().items()},
            "shown_depth": self.shown_depth or self.default_depth,
            "rows": [self._plain_row(row) for row in self.rows],
            "graph": self.graph and self.graph.record(),
        }

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Return a line for each table: how many layers and blocks it has."""
        return (layers_and_blocks(len(entry["rows"]) - 1) for entry in entries)

    def _plain_row(self, row: LayerRow) -> dict[str, Any]:
        share = self.share(row)
        plain = dict(vars(row))  # not asdict(), which copies every number of thousands of rows
        field = plain.pop("field")
        return {
            **plain,
            "depth": row.depth,
            "share": None if share is None else round(share, 6),
            "window": None if row.window is None else dict(vars(row.window)),
            "receptive_field": field and [reach.size for reach in field],
            "total_stride": field and [reach.stride for reach in field],
            "same_as": row.same_as or None,
        }
