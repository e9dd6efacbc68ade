"""Results: what a command says of an image or of a model. One file, one kind; its name is the kind's.

A result becomes one entry of its image's record, in which `kind` stands. Those who show results (`render/KIND.py`,
`report/KIND.py`) are found by that word; who does not know a kind shows its entry as a plain table.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

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


@cache  # asked for every record
def kinds() -> frozenset[str]:
    """Every kind that has a file here."""
    return frozenset(module.name for module in pkgutil.iter_modules(__path__))


def result_class(kind: str) -> type[Result] | None:
    """The class of a kind; None where it is not known."""
    if kind not in kinds():
        return None
    module: Any = importlib.import_module(f"{__name__}.{kind}")
    (name,) = module.__all__
    return cast("type[Result]", getattr(module, name))


def summaries(entries: Sequence[Entry]) -> Iterator[str]:
    """Lines for a terminal out of the entries of one record, kind by kind; unknown kinds in general words."""
    by_kind: dict[str, list[Entry]] = {}
    for entry in entries:
        by_kind.setdefault(kind_of(entry), []).append(entry)
    for kind, same in by_kind.items():
        yield from (result_class(kind) or Result).summaries(same)


def entry(result: Result, picture: str | None, raw: str | None) -> dict[str, Any]:
    """A result as an entry of its record, with the paths of its picture and of its raw values below OUT, or None.

    Raises `ValueError` where a fact of its detail has the name of another key.
    """
    recorded = {**result.record(), "picture": picture}
    if raw is not None:
        recorded["raw"] = raw
    if result.detail.remarks:
        recorded["remarks"] = [readable(remark) for remark in result.detail.remarks]
    if taken := recorded.keys() & result.detail.facts.keys():
        raise ValueError(f"a fact must not be called {', '.join(sorted(taken))}")
    return {**recorded, **{readable(name): fact(value, name) for name, value in result.detail.facts.items()}}


def _summary(entry: Entry) -> str:
    """What can be said of an entry of any kind."""
    names = (kind_of(entry), entry.get("method"), entry.get("layer") and f"at {entry['layer']}")
    return " ".join(str(name) for name in dict.fromkeys(names) if name)
