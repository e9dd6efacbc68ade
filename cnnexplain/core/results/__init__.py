"""Results: what a command says of an image or of a model. One file, one kind; its name is the kind's.

A result becomes one entry of its image's record, in which `kind` stands. Those who show results (`render/KIND.py`,
`report/KIND.py`) are found by that word; who does not know a kind shows its entry as a plain table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cnnexplain.core import registry
from cnnexplain.core.records import fact, kind_of, readable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnexplain.core.results.channels import Histogram

Entry = Mapping[str, Any]  # of `explanations` in a record


@dataclass(frozen=True)
class Detail:
    """What else is to be known of a result: plain data for the record, sentences for people."""

    facts: Mapping[str, Any] = field(default_factory=dict)  # what JSON can hold, by the record's keys
    remarks: tuple[str, ...] = ()


class Result(ABC):
    """One thing that a command says of an image or of a model. Subclasses are frozen dataclasses."""

    kind: ClassVar[str]  # the name of its file, which is written into the record
    # Whether it is about the model as a whole. It then is no entry but stands in the record under its kind's name.
    of_whole_model: ClassVar[bool] = False

    method: str  # as `--method` takes it, or the command that made it
    layer: str  # that it is about, as `--layer` takes it; empty where it is about the model as a whole
    detail: Detail = Detail()  # what else is recorded of it, and what is said of it

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Its entry, without files and without `detail`: plain data, with `kind`, `method` and `layer`.

        Raises `ImageError` where a number is not finite.
        """

    @staticmethod
    def from_record(entry: Entry) -> Recorded:
        """The result that an entry was written of, of whatever kind, as far as the entry has it."""
        return Recorded(entry)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Its values as `--save-raw` writes them, by name; nothing where it has none."""
        return {}

    @classmethod
    def arrays_of(cls, results: Sequence[Any]) -> Mapping[str, NDArray[Any]]:
        """The values of several results that share a file; of most kinds each has one of its own."""
        (result,) = results
        return cast("Result", result).arrays()

    def summary(self) -> str:
        """One line for a terminal."""
        return next(type(self).summaries([self.record()]))

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Lines for a terminal out of entries of this kind, all of one record, in their order: one for each."""
        return (_summary(entry) for entry in entries)  # `map` is a kind, and its module has that name here

    @property
    def name(self) -> str:
        """What it is called in a sentence about it."""
        return f"{self.method} of {self.layer}"

    @classmethod
    def require_sound(cls, entry: Entry) -> None:
        """Raise `ValueError`, `TypeError` or `LookupError` where an entry is not like those that this kind writes."""
        _ = entry  # of a kind without rules of its own anything may be recorded

    def name_parts(self) -> Mapping[str, str]:
        """What tells its files from those of its neighbours, by the option that asks for it (method, layer, target)."""
        return {"layer": self.layer}

    def distribution(self) -> NDArray[np.float32] | Histogram | None:
        """Its values, flat, or how often they occur, for a histogram; None where it has none."""
        return None


@dataclass(frozen=True)
class Recorded(Result):
    """A result as its entry has it: without values, and perhaps of a kind that is not known here."""

    entry: Entry

    @property
    def kind(self) -> str:  # type: ignore[override]  # of each its own
        """The kind that it was recorded as."""
        return kind_of(self.entry)

    @property
    def method(self) -> str:  # type: ignore[override]
        """The method or command; empty where the entry names none."""
        return str(self.entry.get("method") or "")

    @property
    def layer(self) -> str:  # type: ignore[override]
        """The layer that it is about; empty where the entry names none."""
        return str(self.entry.get("layer") or "")

    def record(self) -> dict[str, Any]:
        """The entry, its files included."""
        return {"kind": self.kind, **self.entry}

    def summary(self) -> str:
        """One line for a terminal."""
        return next(summaries([self.entry]))


def result_class(kind: str) -> type[Result] | None:
    """The class of a kind, which may be another package's; None where it is not known."""
    loaded = registry.module(__name__, kind)
    if isinstance(loaded, ModuleType):
        (name,) = loaded.__all__
        loaded = getattr(loaded, name)
    return cast("type[Result] | None", loaded)


def summaries(entries: Sequence[Entry]) -> Iterator[str]:
    """Lines for a terminal out of the entries of one record, kind by kind; unknown kinds in general words."""
    by_kind: dict[str, list[Entry]] = {}
    for entry in entries:
        by_kind.setdefault(kind_of(entry), []).append(entry)
    for kind, of_kind in by_kind.items():
        yield from (result_class(kind) or Result).summaries(of_kind)


def entry(result: Result, picture: str | None, raw: str | None) -> dict[str, Any]:
    """A result as an entry of its record, with the paths of its picture and of its raw values below OUT, or None.

    Raises `ValueError` where a fact of its detail has the name of another key.
    """
    recorded = {**result.record(), "picture": picture}
    if raw is not None:
        recorded["raw"] = raw
    if result.detail.remarks:
        recorded["remarks"] = [readable(remark) for remark in result.detail.remarks]
    if reserved := recorded.keys() & result.detail.facts.keys():
        raise ValueError(f"a fact must not be called {', '.join(sorted(reserved))}")
    return {**recorded, **{readable(name): fact(value, name) for name, value in result.detail.facts.items()}}


def require_whole(*numbers: Any) -> None:
    """Raise `ValueError` where one is no whole number."""
    if not all(type(number) is int for number in numbers):
        raise ValueError("a whole number is something else")


def require_map(entry: Entry) -> None:
    """Raise where an entry does not name a layer, or has not the shape of a map."""
    height, width = entry["shape"]
    require_whole(height, width)
    if not isinstance(entry["layer"], str):
        raise TypeError("a layer has no name")


def _summary(entry: Entry) -> str:
    """What can be said of an entry of any kind."""
    names = (kind_of(entry), entry.get("method"), entry.get("layer") and f"at {entry['layer']}")
    return " ".join(str(name) for name in dict.fromkeys(names) if name)
