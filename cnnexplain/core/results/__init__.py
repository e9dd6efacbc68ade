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
    """One thing that a command says of an image or of a model: a map, a unit, a table.

    Subclasses are frozen dataclasses, each in a file of this folder that is called like its `kind`.
    """

    kind: ClassVar[str]  # the name of its file, which is written into the record
    # Whether it is about the model as a whole. It then is no entry but stands in the record under its kind's name.
    of_whole_model: ClassVar[bool] = False

    summed_up_as: ClassVar[str] = "results"  # what its summaries are lines about, to count them: 3 maps

    method: str  # as `--method` takes it, or the command that made it
    layer: str  # that it is about, as `--layer` takes it; empty where it is about the model as a whole
    detail: Detail = Detail()  # what else is recorded of it, and what is said of it

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Return its entry in a record: plain data, with `kind`, `method` and `layer`.

        The paths of its files and its `detail` are added by `entry`.

        Raises:
            ImageError: A number is not finite.
        """

    @staticmethod
    def from_record(entry: Entry) -> Recorded:
        """Return a result out of an entry of a record, of whatever kind, also one that is not known here.

        Args:
            entry: As `record` wrote it. Values that stand in other files are not in it.
        """
        return Recorded(entry)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return its values as `--save-raw` writes them, by name; nothing where it has none."""
        return {}

    @classmethod
    def arrays_of(cls, results: Sequence[Any]) -> Mapping[str, NDArray[Any]]:
        """Return the values of several results that share a file, by name; of most kinds each has one of its own."""
        (result,) = results
        return cast("Result", result).arrays()

    def summary(self) -> str:
        """Return one line for a terminal."""
        return next(type(self).summaries([self.record()]))

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Return lines for a terminal out of entries of this kind: one for each, unless the kind says otherwise.

        Args:
            entries: All of this kind in one record, in their order.
        """
        return (_summary(entry) for entry in entries)  # `map` is a kind, and its module has that name here

    @property
    def name(self) -> str:
        """What it is called in a sentence about it."""
        return f"{self.method} of {self.layer}"

    @classmethod
    def require_sound(cls, entry: Entry) -> None:
        """Refuse an entry that is not like those that this kind writes.

        Args:
            entry: Of a record that is read, which may be damaged, or edited.

        Raises:
            ValueError: Something in it has another value than this kind writes.
            TypeError: Something in it has another type.
            LookupError: Something is missing.
        """
        _ = entry  # of a kind without rules of its own anything may be recorded

    def name_parts(self) -> Mapping[str, str]:
        """Return what tells its files from those of its neighbours, by option: `method`, `layer`, `target`."""
        return {"layer": self.layer}

    def distribution(self) -> NDArray[np.float32] | Histogram | None:
        """Return what a histogram is made of: its values (N,), or how often they occur; None where it has none."""
        return None


@dataclass(frozen=True)
class Recorded(Result):
    """A result as its entry in a record has it: without values, and perhaps of a kind that is not known here."""

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
        """Return the entry, the paths of its files included."""
        return {"kind": self.kind, **self.entry}

    def summary(self) -> str:
        """Return one line for a terminal."""
        return next(summaries([self.entry]))


def result_class(kind: str) -> type[Result] | None:
    """Return the class of a kind, which may be another package's; None where the kind is not known.

    Args:
        kind: As an entry of a record has it: `map`.
    """
    loaded = registry.module(__name__, kind)
    if isinstance(loaded, ModuleType):
        (name,) = loaded.__all__
        loaded = getattr(loaded, name)
    return cast("type[Result] | None", loaded)


def summaries(entries: Sequence[Entry]) -> Iterator[str]:
    """Say in a line each, for a terminal, what the entries of a record are.

    Args:
        entries: Those of one record, in their order.

    Yields:
        Lines, kind by kind; of a kind that is not known its name, its method and its layer.
    """
    by_kind: dict[str, list[Entry]] = {}
    for entry in entries:
        by_kind.setdefault(kind_of(entry), []).append(entry)
    for kind, of_kind in by_kind.items():
        yield from (result_class(kind) or Result).summaries(of_kind)


def counted(entries: Sequence[Entry]) -> str:
    """Say what the summaries of a record's entries are: `3 maps`; of several kinds `3 results`.

    Args:
        entries: Those of one record.

    Returns:
        Their number and a noun.
    """
    nouns = {(result_class(kind_of(entry)) or Result).summed_up_as for entry in entries}
    noun = nouns.pop() if len(nouns) == 1 else Result.summed_up_as
    return f"{sum(1 for _ in summaries(entries))} {noun}"


def entry(result: Result, picture: str | None, raw: str | None) -> dict[str, Any]:
    """Make of a result its entry in a record.

    Args:
        result: Any result of an image; its `detail` goes into the entry as well.
        picture: The path of its picture below OUT; None where none was drawn.
        raw: The path of its raw values below OUT; None where none were written.

    Returns:
        Plain data, as `docs/record.schema.json` describes it.

    Raises:
        ValueError: A fact of the result's detail has the name of another key.
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
    """Refuse numbers of a record that should be whole.

    Raises:
        ValueError: One of them is no `int`.
    """
    if not all(type(number) is int for number in numbers):
        raise ValueError("a whole number is something else")


def require_map(entry: Entry) -> None:
    """Refuse an entry that names no layer, or has not the shape of a map.

    Raises:
        TypeError: The layer is no text.
        ValueError: The shape is not two whole numbers.
    """
    height, width = entry["shape"]
    require_whole(height, width)
    if not isinstance(entry["layer"], str):
        raise TypeError("a layer has no name")


def _summary(entry: Entry) -> str:
    """Return what can be said of an entry of any kind: its kind, method and layer."""
    names = (kind_of(entry), entry.get("method"), entry.get("layer") and f"at {entry['layer']}")
    return " ".join(str(name) for name in dict.fromkeys(names) if name)
