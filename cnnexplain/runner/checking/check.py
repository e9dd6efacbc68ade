"""Checking a model: the pictures and the model are found, every check gives its verdict, then all is written."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from cnnexplain.checks.suite.subject import Subject
from cnnexplain.core.verdict import Skipped, Verdict
from cnnexplain.engine.borrow import buffers_kept
from cnnexplain.errors import CheckInputError, ModelError
from cnnexplain.images.decode import refuse_bombs
from cnnexplain.render.kit.evidence import drawn
from cnnexplain.report.pages import github, junit
from cnnexplain.report.pages.verdicts import checked
from cnnexplain.runner import run_json
from cnnexplain.runner.answers import class_folders, named_by_folders
from cnnexplain.runner.checking import baselines
from cnnexplain.runner.checking.files import cleared
from cnnexplain.runner.checking.inputs import meant, prepared, require_answers, require_any, require_needs
from cnnexplain.runner.checking.labels import expected, written_labels
from cnnexplain.runner.checking.options import CheckOptions
from cnnexplain.runner.checking.verdicts import verdict_of
from cnnexplain.runner.model import build
from cnnexplain.runner.output.files import write_file, written_by_us
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.write import save_png
from cnnexplain.runner.request import Checklist, Observer, Outcome, Request
from cnnexplain.runner.task import Item, LoadedTask


class CheckTask(LoadedTask):
    """Checking a model's sanity. Nothing is written before every check is done: OUT always has a whole report."""

    resumable = False

    def __init__(self, request: Request[Checklist], observer: Observer) -> None:
        """Find the pictures and load the model. Raises a `CnnexplainError` where a check lacks what it needs."""
        super().__init__(request, observer)
        self.options, self.checks = request.action.options, request.action.checks
        cleared(self.options)
        refuse_bombs()
        torch.manual_seed(request.model.seed)
        for check in self.checks:
            if check.turned_on:
                observer.notice(check.id, "off in the configuration, and carried out since --only names it")
        self.sources = meant(request)
        require_needs(request, self.sources)
        self.baseline = baselines.read(self.options.baseline) if self.options.baseline else None
        labels_from = self.options.labels_from
        self.labels = {} if labels_from is None else written_labels(labels_from, self.sources)
        folders = class_folders(request.images, request.run.output)
        self.model, self.loaded, self.choices = build(request.reference, request.model, request.where)
        if self.labels:  # or else names are of no use, and may cost a forward of a model that fails
            self.model, by_folders = named_by_folders(self.model, folders, request.images)
            self.choices = (*self.choices, *by_folders)
        observer.loaded(self.model, self.loaded.source, self.choices)
        self.verdicts: list[Verdict] = []
        self.figures: dict[str, Image.Image] = {}  # by the names of their files
        self.new_baseline: bytes | None = None

    @cached_property
    def described(self) -> dict[str, Any]:
        """The content of run.json, with every check's limits for options."""
        limits = {check.id: {"level": check.level, **check.limits} for check in self.checks}
        described = run_json.describe(self, limits, self.model.own_labels or (), sources=self.sources)
        if self.sources:
            described["images"] = {"count": len(self.sources)}
        return described

    def prepare(self) -> None:
        """Carry out every check, and draw: whoever interrupts this still has the report from before."""
        described = self.described  # before the looks at the model that settle more
        with self.model.borrowed(), buffers_kept(self.model):
            reports_finite = any(check.id == "finite" for check in self.checks)
            examples = tuple(prepared(self.model, self.sources, expected(self.labels, self.model)))
            subject = Subject(self.model, examples, baseline=self.baseline, with_finite=reports_finite)
            require_answers(subject)
            for choice in run_json.note_choices(self.model, described):
                self.observer.notice(choice.setting, f"{choice.value} ({choice.reason})")
            if self.baseline is not None:
                baselines.require_fit(self.baseline, subject, self.checks)
            for place, check in enumerate(self.checks, 1):
                self.observer.judging(check.id, place, len(self.checks))
                self.verdicts.append(verdict_of(check, subject, _storing(self.options, self.verdicts)))
                self.observer.verdict(self.verdicts[-1])
            require_any(self.verdicts, self.request, self.sources)
            if self.options.update_baseline:
                self.new_baseline = _to_store(subject, self.verdicts, self.observer)
        if self.folder is not None:
            drawings = {verdict.check: verdict.drawing for verdict in self.verdicts}
            self.figures = {
                f"check.{name}.png": drawn(drawing)
                for name, drawing in drawings.items()
                if drawing is not None
            }

    def resume(self, folder: OutputFolder) -> None:
        """Replace the figures of an earlier run."""
        super().resume(folder)
        for old in folder.path.glob("check.*.png"):
            if old.name not in self.figures and written_by_us(old):
                old.unlink()
        for name, figure in self.figures.items():
            folder.write(name, partial(save_png, figure))

    def items(self) -> Generator[Item, None, None]:
        """One record of all verdicts."""
        pictures = {name.split(".")[1]: name for name in self.figures}
        yield Item(0, checked(self.verdicts, pictures, self.loaded.reference))

    def finish(self) -> None:
        """Write the files that were asked for beside OUT."""
        options, start = self.options, Path(self.request.start)  # a user's own code may go to another folder
        if options.update_baseline is not None and self.new_baseline is not None:
            baselines.write(start / options.update_baseline, self.new_baseline)
            self.observer.notice("baseline", f"stored in {options.update_baseline}")
        if options.junit is not None:  # last: it says that all went well
            report = junit.report(self.verdicts, self.loaded.reference, self.seconds())
            write_file(start / options.junit, report.encode(), "--junit")
        _annotate(self.verdicts, self.loaded.reference, self.observer)

    def interruption(self) -> tuple[str, str]:
        """That nothing was written."""
        return "interrupted before every check was done", "run the same command again"

    def outcome(self) -> Outcome:
        """How it went, with all verdicts."""
        return replace(super().outcome(), images=len(self.sources), verdicts=tuple(self.verdicts))


def _storing(options: CheckOptions, verdicts: Sequence[Verdict]) -> str:
    """What the check of the stored run, which is the last, says of one that is only now made."""
    if options.update_baseline is None:
        return ""
    if bad := _failed(verdicts):
        return f"not stored, since {bad} failed"
    return f"stored now; compare with --baseline {options.update_baseline}"


def _failed(verdicts: Sequence[Verdict]) -> str:
    return ", ".join(one.check for one in verdicts if one.status == "fail")


def _to_store(subject: Subject, verdicts: Sequence[Verdict], observer: Observer) -> bytes | None:
    """The baseline's file; nothing where a check failed: a model that is not in order is no measure of others."""
    if bad := _failed(verdicts):
        observer.notice("baseline", f"not stored, since {bad} failed")
        return None
    try:
        return baselines.text(subject)
    except (Skipped, ModelError) as reason:
        raise CheckInputError(
            f"no baseline can be stored: {reason}", "fix the model first; cnnexplain check --only finite"
        ) from reason


def _annotate(verdicts: Sequence[Verdict], reference: str, observer: Observer) -> None:
    """In a GitHub workflow: annotations, and the summary of the step."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for annotation in github.notes(verdicts, reference):
            observer.annotated(annotation)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(github.summary(verdicts, reference))
        except OSError as error:
            observer.notice("summary", f"{summary} cannot be written: {error.strerror}")
