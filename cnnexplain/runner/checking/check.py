"""The whole story of `check`: settle the thresholds, load the model, look at the pictures, judge, write down."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cnnexplain.checks.suite.subject import Subject
from cnnexplain.core.records import line
from cnnexplain.core.verdict import Measurement, Skipped, Status, Verdict
from cnnexplain.engine.borrow import buffers_kept
from cnnexplain.errors import (
    CheckInputError,
    CnnexplainError,
    InterruptedRunError,
    ModelError,
    first_line,
    shortage_behind,
)
from cnnexplain.images.decode import refuse_bombs
from cnnexplain.render.kit.evidence import drawn
from cnnexplain.report.pages import github, junit
from cnnexplain.report.pages.page import page
from cnnexplain.report.pages.verdicts import checked
from cnnexplain.runner import run_json
from cnnexplain.runner.answers import class_folders, named_by_folders
from cnnexplain.runner.checking import baselines
from cnnexplain.runner.checking.files import cleared
from cnnexplain.runner.checking.inputs import (
    WITHOUT,
    meant,
    prepared,
    require_answers,
    require_any,
    require_needs,
)
from cnnexplain.runner.checking.labels import expected, written_labels
from cnnexplain.runner.checking.options import CheckOptions
from cnnexplain.runner.checking.thresholds import Chosen, chosen
from cnnexplain.runner.model import build
from cnnexplain.runner.output.folder import REPORT, Folder, checked_folder, written_by_us
from cnnexplain.runner.output.write import save_png, write_file
from cnnexplain.runner.request import CheckRequest, Observer, Outcome

UNFORESEEN = "see whether the model gets through these pictures by itself, alone and several together"


def check(request: CheckRequest, observer: Observer) -> Outcome:
    """Carry out a request. Raises a `CnnexplainError` when it cannot be, or when it was interrupted.

    Nothing is written before every check is done: what stands in OUT is always a whole report.
    """
    try:
        return _check(request, observer)
    except KeyboardInterrupt as interruption:
        raise InterruptedRunError(
            "interrupted before every check was done", "run the same command again", interruption
        ) from interruption


def _check(request: CheckRequest, observer: Observer) -> Outcome:
    started, clock = time.time(), time.monotonic()
    options = request.options
    cleared(options)
    start = Path.cwd()  # code of the user's own may go to another folder
    refuse_bombs()
    torch.manual_seed(request.model.seed)
    taken = chosen(options, request.tables)
    for one in taken:
        if one.turned_on:
            observer.notice(one.id, "off in the configuration, and carried out since --only names it")
    folder = None if options.output is None else checked_folder(options.output)
    sources = meant(request)
    require_needs(taken, request, sources)
    stored = baselines.read(options.baseline) if options.baseline else None
    named = {} if options.labels_from is None else written_labels(options.labels_from, sources)
    folders = class_folders(request.images, options.output)
    model, loaded, choices = build(request.reference, request.model, request.where)
    if named:  # or else names are of no use, and may cost a forward of a model that fails
        model, by_folders = named_by_folders(model, folders, request.images)
        choices = (*choices, *by_folders)
    observer.loaded(model, loaded.source, choices)
    described = run_json.describe_check(request, model, loaded, taken, choices, sources, started)
    verdicts: list[Verdict] = []
    with model.borrowed(), buffers_kept(model):
        told = any(one.id == "finite" for one in taken)
        examples = tuple(prepared(model, sources, expected(named, model)))
        subject = Subject(model, examples, baseline=stored, with_finite=told)
        require_answers(subject)
        for choice in run_json.chosen_since(model, described):
            observer.notice(choice.setting, f"{choice.value} ({choice.reason})")
        if stored is not None:
            baselines.require_fit(stored, subject, taken)
        for place, one in enumerate(taken, 1):
            observer.judging(one.id, place, len(taken))
            verdicts.append(judged(one, subject, _storing(options, verdicts)))
            observer.verdict(verdicts[-1])
        require_any(verdicts, request, sources)
        stored_anew = _to_store(subject, verdicts, observer) if options.update_baseline else None
    record = _written(folder, verdicts, described, loaded.reference, request, clock)
    observer.recorded(record)
    seconds = time.monotonic() - clock
    if options.update_baseline is not None and stored_anew is not None:
        baselines.write(start / options.update_baseline, stored_anew)
        observer.notice("baseline", f"stored in {options.update_baseline}")
    if options.junit is not None:  # last: it says that all went well
        write_file(
            start / options.junit, junit.report(verdicts, loaded.reference, seconds).encode(), "--junit"
        )
    _tell_github(verdicts, loaded.reference, observer)
    report = None if folder is None else folder.as_named / REPORT
    return Outcome(report, seconds, len(sources), verdicts=tuple(verdicts))


def judged(one: Chosen, subject: Subject, storing: str = "") -> Verdict:
    """Carry out one check. `storing` says what becomes of a stored run that there is none of yet."""
    clock = time.monotonic()
    missing = [need for need in one.check.needs if not _has(subject, need)]
    found, level = Measurement(good=False, says=""), one.level
    status: Status
    try:
        if storing and missing == ["baseline"]:
            raise Skipped(storing)
        if missing:
            raise Skipped(f"needs {WITHOUT[missing[0]][0]}: {WITHOUT[missing[0]][1]}")
        with buffers_kept(subject.model):  # the next check is to see the same model
            found = one.check.measure(subject)
        if found.grave and not one.set_by_user:
            level = "error"
        status = "pass" if found.good else "fail" if level == "error" else "warn"
    except Skipped as skipped:
        found, status = Measurement(good=True, says=str(skipped)), "skipped"
    except CnnexplainError as error:
        # What cannot be measured has not been shown to be good.
        found = Measurement(good=False, says=f"could not be measured: {error.problem}", do=error.hint)
        status = "fail" if one.level == "error" else "warn"
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises must not cost the other verdicts
        short = shortage_behind(error)
        why, do = (short.problem, short.hint) if short else (first_line(error), UNFORESEEN)
        found = Measurement(good=False, says=f"could not be measured: {why}", do=do)
        status = "fail" if one.level == "error" else "warn"
    return Verdict(
        check=one.id,
        title=one.title,
        status=status,
        level=level,
        says=found.says,
        do="" if found.good else found.do,
        value=found.value,
        limits=one.limits,
        seconds=time.monotonic() - clock,
        table=found.table,
        drawing=found.drawing,
        why=one.check.why,
    )


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


def _has(subject: Subject, need: str) -> bool:
    return {
        "pictures": bool(subject.examples),
        "labels": subject.labelled,
        "baseline": subject.baseline is not None,
    }[need]


def _written(
    folder: Folder | None,
    verdicts: Sequence[Verdict],
    described: Mapping[str, Any],
    reference: str,
    request: CheckRequest,
    clock: float,
) -> dict[str, Any]:
    """Draw and write everything; the record."""
    if folder is None:
        return checked(verdicts, {}, reference)
    # Drawn before anything is written: whoever interrupts this still has the report from before.
    images = {f"check.{one.check}.png": drawn(one.drawing) for one in verdicts if one.drawing is not None}
    pictures = {one.check: f"check.{one.check}.png" for one in verdicts if one.drawing is not None}
    journal = folder.open(described["identity"], overwrite=request.options.overwrite)
    try:
        for old in folder.path.glob("check.*.png"):  # of a run whose checks had something to show
            if old.name not in images and written_by_us(old):
                old.unlink()
        for name, image in images.items():
            folder.write(name, partial(save_png, image))
        record = checked(verdicts, pictures, reference)
        concluded = run_json.concluded(described, "finished", time.monotonic() - clock)
        folder.conclude(concluded, [line(record)], [(REPORT, page(concluded, [record]))])
        journal.remove()
    finally:
        folder.close()
    return record


def _tell_github(verdicts: Sequence[Verdict], reference: str, observer: Observer) -> None:
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
