"""The interface of a source: its module, the variant of a model that it builds, and the model built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from cnnexplain.core.choice import Choice
    from cnnexplain.core.preprocess import Preprocess


class UnknownNameError(LookupError):
    """A source has no model of this name; another source may."""


class UnknownTagError(ModelError):
    """A source knows the architecture, but has no such weights for it; another source may."""


@dataclass(frozen=True)
class Variant:
    """The wanted variant of a model. `None` leaves a number to the architecture."""

    trained: bool = True
    classes: int | None = None
    channels: int | None = None
    size: tuple[int, int] | None = None  # (height, width)


@dataclass(frozen=True)
class Built:
    """A model fresh from its source."""

    module: nn.Module
    name: str  # the architecture, for people
    code: str  # where the code came from, in words
    preprocess: Preprocess
    crop_pct: float  # the share of the resized picture that `preprocess` keeps
    weights: str | None = None  # where its weights came from, in words; None where they are random
    labels: Sequence[str] | None = None
    choices: tuple[Choice, ...] = ()
    sized: bool = True  # whether its input size comes from the model; if not, it is the usual size
    unused: tuple[str, ...] = ()  # beginnings of checkpoint keys that only training needs


class ModelSource(Protocol):
    """The interface of every file in this folder, as a module."""

    PREFIX: str  # the word before the colon; the source with an empty prefix takes references that no other claims
    HELP: str  # how such a MODEL is written, and its meaning

    def names(self) -> Iterable[str]:
        """The names that may follow the prefix, where they can be listed: for near misses."""

    def build(self, name: str, variant: Variant) -> Built:
        """The model called `name`; raises `UnknownNameError` where there is none."""
