"""The weights of one layer, as they are shown: a row for every filter, and what is to be known of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cnnexplain.core.records import layer_name, number, readable
from cnnexplain.core.results import Detail, Entry, Result, require_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Kernels"]

DEAD = 0.01  # of the root mean square of the layer's norms: a filter of at most this norm is dead
ALIKE = 0.99  # the cosine from which on two filters are near-duplicates
# What a filter looks like, which decides how a layer is drawn.
# "colour": it reads red, green and blue, and is a picture itself (of several frames where it is 3-D).
# "slices": a plane of weights for every input channel, the strongest first.
# "norm": one plane, of the norms over the input channels.
# "matrix": nothing but one weight an input channel; all filters together are a matrix, a row a filter.
View = Literal["colour", "slices", "norm", "matrix"]
Sort = Literal["index", "norm", "likeness"]
Ends = Literal["filter", "shared"]  # whose largest weight has the strongest colour


@dataclass(frozen=True)
class Smoothness:
    """How alike neighbouring weights are: 1 for flat kernels, 0 expected of independent ones, give or take."""

    value: float
    spread: float  # standard deviation of the value, for a layer of this size with independent weights

    @property
    def words(self) -> str:
        """0.37 (random 0 ± 0.03): digits as far as the spread leaves them a meaning."""
        digits = min(max(2, -math.floor(math.log10(self.spread))), 6)
        value = f"{round(self.value, digits) + 0.0:.{digits}f}".replace("-", "−")  # never minus nought
        return f"{value} (random 0 ± {self.spread:.{digits}f})"


@dataclass(frozen=True)
class Likeness:
    """Filters that point the same way, whatever their norms."""

    pairs: int  # with a cosine of at least the limit
    filters: int  # that have such a partner
    equal: int  # of the pairs, those whose weights are the same to the last bit
    opposite: int  # pairs with a cosine of at most minus the limit
    closest: tuple[tuple[int, int, float], ...]  # some of the pairs and their cosines, closest first


@dataclass(frozen=True, eq=False)
class KernelStatistics:
    """What can be counted about a layer's filters. What is not finite takes no part."""

    norms: NDArray[np.float64] = field(repr=False)  # (K,); NaN where a weight is not finite
    limit: float  # the largest absolute weight
    histogram: NDArray[np.int64] = field(repr=False)  # of all weights, from -limit to limit
    dead: tuple[int, ...]
    broken: tuple[int, ...]  # filters with a weight that is NaN or infinite
    nan: int  # weights that are
    infinite: int
    alike: Likeness | None  # None where filters are too small, or too many, to be compared
    smoothness: Smoothness | None  # None where no side of a kernel is 3 or longer


@dataclass(frozen=True, eq=False)
class Kernels(Result):
    """The filters of one layer."""

    kind: ClassVar[str] = "kernels"

    layer: str
    type: str  # the class of the layer, as Conv2d
    # (K, C, ...): a row a filter, whatever the layer's own layout; C input channels of those in its group.
    values: NDArray[np.float32] = field(repr=False)
    statistics: KernelStatistics = field(repr=False)
    view: View = "slices"
    groups: int = 1
    order: NDArray[np.intp] | None = field(default=None, repr=False)  # the filters by rank; None: by index
    sort: Sort = "index"
    ends: Ends = "filter"
    top: int | None = None  # how many filters are drawn at most; None: as many as stay readable
    slices: int = 6  # and of each how many input channels
    detail: Detail = field(default_factory=Detail, repr=False)
    method: str = "filters"  # the command that made it

    @property
    def shape(self) -> tuple[int, ...]:
        """Filters, input channels of each, and the sides of a kernel."""
        return tuple(self.values.shape)

    @property
    def size(self) -> str:
        """How many filters there are, and how large: 32 filters of 3×3×3."""
        filters, *inside = self.shape
        return f"{filters:,} filter{'s' if filters > 1 else ''} of {'×'.join(map(str, inside))}"

    @property
    def title(self) -> str:
        """What the layer is, and what stands out."""
        counted = self.statistics
        texts = [self.type, self.size]
        if counted.broken:
            texts.append(f"{len(counted.broken):,} not finite")
        if counted.dead:
            texts.append(f"{len(counted.dead):,} dead")
        if counted.alike is not None and counted.alike.pairs:
            texts.append(f"{counted.alike.filters:,} near-duplicates")
        if counted.smoothness is not None:
            texts.append(f"smoothness {counted.smoothness.words}")
        return " · ".join(texts)

    @property
    def min(self) -> float | None:
        """The smallest finite weight; None where there is none."""
        return self._extreme("min")

    @property
    def max(self) -> float | None:
        """The largest finite weight; None where there is none."""
        return self._extreme("max")

    @property
    def kernel(self) -> tuple[int, ...]:
        """The sides of a kernel: none for a linear layer."""
        return self.shape[2:]

    def ranked(self, count: int) -> NDArray[np.intp]:
        """Return the numbers of the first `count` filters, in the order in which they are shown."""
        import numpy as np

        return np.arange(min(count, len(self.values))) if self.order is None else self.order[:count]

    def input_channel(self, filters: Any, channel: Any) -> Any:
        """Return the number of a channel in the layer's input.

        Args:
            filters: The number of a filter, or an array of them: in a grouped layer filters read different channels.
            channel: The channel's number within the filter, or an array of the same shape.
        """
        return filters // max(len(self.values) // self.groups, 1) * self.values.shape[1] + channel

    def record(self) -> dict[str, Any]:
        """Return what the layer is, and the range of its weights."""
        return {
            "kind": self.kind,
            "method": self.method,
            "layer": layer_name(self.layer),
            "target": None,
            "title": readable(self.title),
            "shape": list(self.shape),
            "min": self.min if self.min is None else number(self.min, f"the least of {self.layer}"),
            "max": self.max if self.max is None else number(self.max, f"the most of {self.layer}"),
            "peak": None,
        }

    @classmethod
    def require_sound(cls, entry: Entry) -> None:
        """Refuse an entry whose shape or layer are not those of filters.

        Raises:
            ValueError: The shape is not of whole numbers.
            TypeError: The layer is no text.
            LookupError: Something is missing.
        """
        require_whole(*entry["shape"])
        if not isinstance(entry["layer"], str):
            raise TypeError("a layer has no name")

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Return a line for each layer: what it is, and what stands out."""
        return (str(entry["title"]) for entry in entries)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the weights (K, C, ...), the norm of each filter (K,), and the filters' numbers by rank (K,)."""
        return {
            "values": self.values,
            "norms": self.statistics.norms,
            "order": self.ranked(len(self.values)),
        }

    def _extreme(self, which: Literal["min", "max"]) -> float | None:
        import numpy as np

        finite = self.values
        if self.statistics.broken:
            finite = finite[np.isfinite(finite)]
        return float(getattr(finite, which)()) if finite.size else None
