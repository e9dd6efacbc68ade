"""What is asked of the runner, who watches it, and what it answers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from cnnexplain.core.loading import ModelOptions
from cnnexplain.images.find import ImageOptions
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.runner.checking.options import CheckOptions
from cnnexplain.runner.options import AnswerOptions, DeviceOptions, RunOptions

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.core.results import Result
    from cnnexplain.core.verdict import Verdict
    from cnnexplain.engine.model import Model
    from cnnexplain.errors import ModelError
    from cnnexplain.runner.checking.thresholds import Chosen

Action = TypeVar("Action")


@dataclass(frozen=True)
class Checklist:
    """The checks of a model that are to be carried out."""

    options: CheckOptions
    checks: tuple[Chosen, ...]


@dataclass(frozen=True)
class Joining:
    """The folders of finished runs that are parts of one."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class Request(Generic[Action]):
    """All that a user asked for.

    The `action` is what differs between commands: an `ImageCommand`, a `ModelCommand`, a `Checklist` or a `Joining`.
    All else is shared, and is left to its default where it means nothing to the action.
    """

    command: str
    action: Action
    reference: str = ""  # MODEL
    images: tuple[str, ...] = ()
    # The action's options that were set rather than left to their defaults.
    chosen: frozenset[str] = frozenset()
    run: RunOptions = field(default_factory=lambda: RunOptions(output=None))
    model: ModelOptions = field(default_factory=ModelOptions)
    where: DeviceOptions = field(default_factory=DeviceOptions)
    find: ImageOptions = field(default_factory=ImageOptions)
    answers: AnswerOptions = field(default_factory=AnswerOptions)
    render: RenderOptions = field(default_factory=RenderOptions)
    arguments: str = ""  # the command line, for the report
    start: str = field(default_factory=os.getcwd)  # the working folder, to which paths are relative


class Observer(Protocol):
    """Somebody who watches a run."""

    def loaded(self, model: Model, source: str, choices: Iterable[Choice]) -> None:
        """The model is there and every default is settled."""

    def planned(self, images: int, done: int, noun: str = "image") -> None:
        """So many pictures, or other things that have a record each, of which some were done before."""

    def recorded(self, record: Mapping[str, Any], *, again: bool = False, listed: bool = True) -> None:
        """One picture is finished, well or badly.

        `again`: it failed in an earlier run already; `listed`: it is one of those that are to be shown.
        """

    def staged(self, stage: str, done: int, total: int) -> None:
        """What is made of all records, one stage after another, has come so far."""

    def finding(self, result: Result) -> None:
        """Something was found in a model."""

    def judging(self, check: str, place: int, total: int) -> None:
        """A check begins, the `place`th of `total`."""

    def verdict(self, verdict: Verdict) -> None:
        """A check was carried out."""

    def annotated(self, line: str) -> None:
        """A line for the machine that runs the command, such as GitHub's workflow."""

    def notice(self, topic: str, text: str) -> None:
        """Something that a person should know of, and that stops nothing."""


@dataclass(frozen=True)
class Outcome:
    """How a run went."""

    report: Path | None  # None where nothing was to be written
    seconds: float
    images: int = 0
    failed: int = 0  # of them
    first_failed: Mapping[str, Any] | None = None  # the record of the first that did
    allowed: float = 0  # how many may
    lines: tuple[tuple[str, str], ...] = ()  # what is said of all images; see `core.reduce`
    verdicts: tuple[Verdict, ...] = ()  # of a check
    deed: str = "explained"  # what was done with the images
    done: int = 0  # of them that this run explained, others were done before
    answers: Mapping[str, float] = field(default_factory=dict)  # see `runner.answers.Tally`
    work: Mapping[str, float] = field(default_factory=dict)  # seconds: the whole; of processors, each stage
    stopped: ModelError | None = None  # why a model was looked into no further than halfway
