"""A picture that was made so that a unit, a channel or a class is as strong as it can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from cnnexplain.core.records import layer_name, number, readable
from cnnexplain.core.results import Detail, Entry, Result, require_whole
from cnnexplain.core.words import number as short

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Synthesis"]

ALONE = (
    "A synthesised picture without a real one to compare: what it seems to show need not be what the model looks for "
    "in photographs (arXiv:2506.07985)."
)


@dataclass(frozen=True, eq=False)
class Synthesis(Result):
    """A synthesised picture, what it reaches, and what grey and real pictures reach beside it."""

    kind: ClassVar[str] = "synthesis"
    summed_up_as: ClassVar[str] = "pictures"

    layer: str  # empty for a class
    subject: str  # what was made large: "channel 17", "285 Egyptian cat"
    values: NDArray[np.float32] = field(repr=False)  # (C, H, W), 0 is black and 1 white
    activation: float  # the largest over all places of the map, as of pictures that are scanned; or the logit
    mean: float  # over all places
    grey: float  # the activation of a picture that is grey all over
    steps: int
    channel: int | None = None  # None of directions and classes
    variant: int = 0  # of several pictures of the same target, counted from 0
    highest: Mapping[str, Any] | None = None  # the strongest of real pictures: its activation and its name
    patch: NDArray[np.uint8] | None = field(default=None, repr=False)  # what of that the unit sees, (h, w, 3)
    detail: Detail = field(default_factory=Detail, repr=False)
    method: str = "fourier"  # the parametrisation

    @property
    def target(self) -> str:
        """The layer, if there is one, and what was made large: what tells targets apart."""
        return f"{self.layer} {self.subject}".strip()

    @property
    def words(self) -> str:
        """What it reaches, in a line."""
        noun = "logit" if not self.layer else "activation"
        reached = f"{noun} {short(self.activation)}, of grey {short(self.grey)}"
        if self.highest is not None:
            reached += f", of the strongest real picture {short(self.highest['activation'])}"
        return reached

    @property
    def title(self) -> str:
        """What was made large, how, and what is reached."""
        which = f" ({self.variant + 1})" if self.variant else ""
        return f"{self.subject}{which} · {self.method}, {self.steps} steps · {self.words}"

    def record(self) -> dict[str, Any]:
        """Return what was made large, what was reached, and what grey and real pictures reach."""
        name = f"the activation of {self.target}"
        return {
            "kind": self.kind,
            "method": self.method,
            "layer": layer_name(self.layer),
            "target": None,
            "subject": readable(self.subject),
            **({} if self.channel is None else {"channel": self.channel}),
            **({"variant": self.variant} if self.variant else {}),
            "title": readable(self.title),
            "steps": self.steps,
            "activation": number(self.activation, name),
            "mean": number(self.mean, name),
            "grey": number(self.grey, name),
            "highest": None if self.highest is None else dict(self.highest),
            "shape": list(self.values.shape),
            "min": number(float(self.values.min()), f"the darkest of {self.target}"),
            "max": number(float(self.values.max()), f"the lightest of {self.target}"),
            "peak": None,
        }

    @classmethod
    def require_sound(cls, entry: Entry) -> None:
        """Refuse an entry whose shape, names or numbers are not those of a synthesised picture.

        Raises:
            ValueError: The shape is not of three whole numbers.
            TypeError: A name is no text.
            LookupError: Something is missing.
        """
        channels, height, width = entry["shape"]
        require_whole(channels, height, width, entry["steps"])
        if not all(isinstance(entry[name], str) for name in ("layer", "subject", "title")):
            raise TypeError("a target has no name")
        float(entry["activation"]), float(entry["grey"])

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Return a line for each picture: what was made large, and what was reached."""
        return (str(entry["title"]) for entry in entries)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the picture (C, H, W), 0 for black and 1 for white."""
        return {"values": self.values}
