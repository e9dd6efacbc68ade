"""Winners: which class is the best one while a window hides a part of an image, for every place of the window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from cnnexplain.core.records import layer_name, readable
from cnnexplain.core.results import Detail, Entry, Result, require_whole
from cnnexplain.core.words import percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnexplain.core.preprocess import Geometry

__all__ = ["Winners"]
MOST = 8  # classes that are told apart; the others are counted together


@dataclass(frozen=True, eq=False)
class Winners(Result):
    """The best class with a window hidden, one for every place (Zeiler and Fergus 2013, figure 6e)."""

    kind: ClassVar[str] = "winners"

    method: str
    layer: str
    classes: NDArray[np.int64] = field(repr=False)  # (rows, columns), by the place of the window
    labels: tuple[str, ...]  # of the classes that win anywhere, the most frequent first
    indices: tuple[int, ...]  # likewise
    geometry: Geometry = field(repr=False)  # where the grid of windows lies on the picture
    detail: Detail = field(default_factory=Detail, repr=False)

    @property
    def shares(self) -> tuple[tuple[int, str, float], ...]:
        """Index, label and share of the places of each class, the most frequent first."""
        counts = Counter(self.classes.reshape(-1).tolist())
        return tuple(
            (index, label, counts[index] / self.classes.size)
            for index, label in zip(self.indices, self.labels, strict=True)
        )

    def record(self) -> dict[str, Any]:
        """Return the grid's shape, and the share of places at which each of the most frequent classes wins."""
        return {
            "kind": self.kind,
            "method": self.method,
            "layer": layer_name(self.layer),
            "target": None,
            "shape": list(self.classes.shape),
            "classes": [
                {"index": index, "label": readable(label), "share": round(share, 6)}
                for index, label, share in self.shares[:MOST]
            ],
        }

    @property
    def name(self) -> str:
        """What it is called in a sentence about it."""
        return f"winning classes of {self.method}"

    def name_parts(self) -> dict[str, str]:
        """Return the method, and what it is."""
        return {"method": f"{self.method}-winners", "layer": self.layer}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the index of the best class at each place of the window, int64."""
        return {"values": self.classes}

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Return a line for each grid: the classes that win, and at how many of the places."""
        return (_summary(entry) for entry in entries)

    @classmethod
    def require_sound(cls, entry: Entry) -> None:
        """Refuse an entry whose shape or classes are not those of a grid of windows.

        Raises:
            ValueError: A number is not whole.
        """
        require_whole(*entry["shape"])
        for winner in entry["classes"]:
            require_whole(winner["index"])
            float(winner["share"])
            str(winner["label"])


def _summary(entry: Entry) -> str:
    wins = ", ".join(f"{one['label']} at {percent(one['share'])}" for one in entry["classes"][:3])
    return f"{entry['method']}: with a window hidden the best class is {wins} of its places"
