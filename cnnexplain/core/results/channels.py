"""What a layer makes of a picture: its feature maps, or single values, and what was measured of all its channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cnnexplain.core.records import layer_name, number, readable
from cnnexplain.core.results import Detail, Entry, Result, require_map, require_whole
from cnnexplain.core.words import count, reached

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnexplain.core.preprocess import Geometry

__all__ = ["FeatureMaps"]

FEW_BLANK = 16  # channels that are zero everywhere are drawn up to so many

# Whether the colours of each channel have a scale of their own, or all of a layer share one.
Shared = Literal["channel", "layer"]


@dataclass(frozen=True, eq=False)
class Statistics:
    """One number for every channel of a layer, in the order of the channels, over all places of one picture."""

    mean: NDArray[np.float32]
    strength: NDArray[np.float32]  # the mean of what is positive: how much the channel fires
    min: NDArray[np.float32]
    max: NDArray[np.float32]
    sparsity: NDArray[np.float32]  # the share of places that are not above zero
    row: NDArray[np.int64]  # of the place where the channel is strongest
    column: NDArray[np.int64]


@dataclass(frozen=True)
class Histogram:
    """How often values fall into equal steps from `low` to `high`, which include zero; exact zeros are not in it."""

    counts: tuple[int, ...]
    low: float
    high: float
    zeros: int  # how many values are exactly zero
    sum: float
    squares: float  # the sum of all squares


@dataclass(frozen=True)
class Look:
    """How maps are to be drawn, as the user asked for it."""

    together: bool = False  # several layers in one strip, instead of a sheet for each
    scale: Shared = "channel"
    overlay: bool = False  # on the photograph
    order: str = "by strength"  # how the channels that are shown were chosen, in words


@dataclass(frozen=True, eq=False)
class FeatureMaps(Result):
    """What one layer made of one picture."""

    kind: ClassVar[str] = "channels"
    summed_up_as: ClassVar[str] = "layers"

    layer: str
    values: NDArray[np.float32] = field(repr=False)  # (K, h, w), or (K,) for a layer without a map
    channels: tuple[int, ...] = field(repr=False)  # which channels `values` holds, those to be drawn first
    shown: int  # so many were chosen to be drawn
    statistics: Statistics = field(repr=False)  # of all channels, in their order
    histogram: Histogram = field(repr=False)  # of all values
    geometry: Geometry = field(repr=False)
    components: NDArray[np.float32] | None = field(default=None, repr=False)  # (3, h, w), of all channels
    variance: tuple[float, ...] = field(default=(), repr=False)  # the components' shares of it
    labels: tuple[str, ...] = field(default=(), repr=False)  # of all channels, where they are classes
    look: Look = field(default_factory=Look, repr=False)
    detail: Detail = field(default_factory=Detail, repr=False)
    placed: bool = True  # whether it is known where on the picture the maps lie
    method: str = "activations"  # the command that made it

    @cached_property
    def drawn(self) -> tuple[int, ...]:
        """Which places of `channels` are drawn: those chosen, less all but a few that are zero everywhere."""
        if self.size is None:
            return tuple(range(self.shown))
        blank = [place for place in range(self.shown) if not self.values[place].any()]
        omitted = {*blank[FEW_BLANK:]}
        return tuple(place for place in range(self.shown) if place not in omitted)

    @property
    def count(self) -> int:
        """How many channels the layer has."""
        return len(self.statistics.max)

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the map; None for a layer without one."""
        return (self.values.shape[1], self.values.shape[2]) if self.values.ndim == 3 else None

    @property
    def min(self) -> float:
        """The smallest value of all channels."""
        return float(self.statistics.min.min())

    @property
    def max(self) -> float:
        """The largest value of all channels."""
        return float(self.statistics.max.max())

    @property
    def mean(self) -> float:
        """The mean of all values."""
        return float(self.statistics.mean.mean(dtype="float64"))

    @property
    def sparsity(self) -> float:
        """The share of all values that are not above zero."""
        return float(self.statistics.sparsity.mean())

    @property
    def silent(self) -> tuple[int, ...]:
        """The channels that are nowhere above zero: they do not fire in this picture. A class never counts as one."""
        return (
            () if self.labels else tuple(int(channel) for channel in (self.statistics.max <= 0).nonzero()[0])
        )

    @property
    def signed(self) -> bool:
        """Whether some value is negative."""
        return self.min < 0

    @property
    def peak(self) -> tuple[int, int] | None:
        """(x, y) of the largest value of all channels in the picture's pixels; None where nothing is positive."""
        return self.place(int(self.statistics.max.argmax()))

    def place(self, channel: int) -> tuple[int, int] | None:
        """Return where a channel is strongest, (x, y) in the picture's pixels.

        Args:
            channel: Its number in the layer.

        Returns:
            None where it does not fire, or where the layer has no map that lies on the picture.
        """
        if self.size is None or not self.placed or not self.statistics.max[channel] > 0:
            return None
        return self.geometry.pixel_of_cell(*self.cell(channel), self.size)

    def cell(self, channel: int) -> tuple[int, int]:
        """Return row and column in the map where a channel is strongest."""
        return int(self.statistics.row[channel]), int(self.statistics.column[channel])

    def map(self, channel: int) -> NDArray[np.float32]:
        """Return the map (h, w) of one channel, float32.

        Args:
            channel: Its number in the layer.

        Raises:
            LookupError: The channel's map was not kept.
        """
        if channel not in self.channels:
            raise LookupError(f"channel {channel} of {self.layer} was not kept; there are {self.channels}")
        values: NDArray[np.float32] = self.values[self.channels.index(channel)]
        return values

    def record(self) -> dict[str, Any]:
        """Return the statistics of all channels, and place and strength of those that are shown."""
        channels = {
            "count": self.count,
            "mean": number(self.mean, f"the mean of {self.layer}"),
            "sparsity": number(self.sparsity, f"the sparsity of {self.layer}"),
            "silent": list(self.silent),
            "shown": [self._channel(self.channels[place]) for place in self.drawn],
        }
        return {
            "kind": self.kind,
            "method": self.method,
            "layer": layer_name(self.layer),
            "target": None,
            "channels": channels,
            "shape": list(self.size or (1, 1)),
            "min": number(self.min, f"{self.layer}'s smallest value"),
            "max": number(self.max, f"{self.layer}'s largest value"),
            "peak": self.peak and list(self.peak),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the maps that were kept, (C, h, w) or (C,), in the order of the channels' numbers."""
        import numpy as np

        return {"values": self.values[np.argsort(self.channels)]}

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Return a line for each layer: how many channels, which is the strongest, how many are silent."""
        return map(_summary, entries)

    @classmethod
    def require_sound(cls, entry: Entry) -> None:
        """Refuse an entry whose shape, layer or channels are not those of feature maps.

        Raises:
            ValueError: A number is not whole, or a class enters.
            TypeError: The layer is no text.
            LookupError: Something is missing.
        """
        require_map(entry)
        require_whole(entry["channels"]["count"], *entry["channels"]["silent"])
        if entry["target"] is not None:
            raise ValueError("no class enters feature maps")

    def distribution(self) -> Histogram:
        """Return how often values occur in all channels, also in those that were not kept."""
        return self.histogram

    def _channel(self, channel: int) -> dict[str, Any]:
        place = self.place(channel)
        largest, strength = (float(each[channel]) for each in (self.statistics.max, self.statistics.strength))
        recorded: dict[str, Any] = {
            "channel": channel,
            "activation": number(largest, f"the activation of channel {channel}"),
            "strength": number(strength, f"the strength of channel {channel}"),
            "at": place and list(place),
        }
        return {**recorded, "label": readable(self.labels[channel])} if self.labels else recorded


def _summary(entry: Entry) -> str:
    channels, (height, width) = entry["channels"], entry["shape"]
    size = (
        f"{count(channels['count'], 'channel')} of {height}x{width}"
        if height * width > 1
        else count(channels["count"], "unit")
    )
    silent = f", {len(channels['silent'])} silent" if channels["silent"] and height * width > 1 else ""
    return f"{entry['layer']}, {size}, {reached(entry)}{silent}"
