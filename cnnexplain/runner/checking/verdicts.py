"""From a check to its verdict: whatever a model does while it is measured ends up in words."""

from __future__ import annotations

import time

from cnnexplain.checks.suite.subject import Subject
from cnnexplain.core.verdict import Measurement, Skipped, Status, Verdict
from cnnexplain.engine.borrow import buffers_kept
from cnnexplain.errors import CnnexplainError, first_line, shortage_behind
from cnnexplain.runner.checking.inputs import WITHOUT
from cnnexplain.runner.checking.thresholds import Chosen

UNFORESEEN = "see whether the model gets through these pictures by itself, alone and several together"


def verdict_of(entry: Chosen, subject: Subject, storing: str = "") -> Verdict:
    """Carry out one check. `storing` says what becomes of a stored run that there is none of yet."""
    clock = time.monotonic()
    missing = [need for need in entry.check.needs if not _has(subject, need)]
    measured, level = Measurement(good=False, says=""), entry.level
    status: Status
    try:
        if storing and missing == ["baseline"]:
            raise Skipped(storing)
        if missing:
            raise Skipped(f"needs {WITHOUT[missing[0]][0]}: {WITHOUT[missing[0]][1]}")
        with buffers_kept(subject.model):  # the next check is to see the same model
            measured = entry.check.measure(subject)
        if measured.grave and not entry.set_by_user:
            level = "error"
        status = "pass" if measured.good else "fail" if level == "error" else "warn"
    except Skipped as skipped:
        measured, status = Measurement(good=True, says=str(skipped)), "skipped"
    except CnnexplainError as error:
        # What cannot be measured has not been shown to be good.
        measured = Measurement(good=False, says=f"could not be measured: {error.problem}", do=error.hint)
        status = "fail" if entry.level == "error" else "warn"
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises must not cost the other verdicts
        short = shortage_behind(error)
        why, do = (short.problem, short.hint) if short else (first_line(error), UNFORESEEN)
        measured = Measurement(good=False, says=f"could not be measured: {why}", do=do)
        status = "fail" if entry.level == "error" else "warn"
    return Verdict(
        check=entry.id,
        title=entry.title,
        status=status,
        level=level,
        says=measured.says,
        do="" if measured.good else measured.do,
        value=measured.value,
        limits=entry.limits,
        seconds=time.monotonic() - clock,
        table=measured.table,
        drawing=measured.drawing,
        why=entry.check.why,
    )


def _has(subject: Subject, need: str) -> bool:
    return {
        "pictures": bool(subject.examples),
        "labels": subject.labelled,
        "baseline": subject.baseline is not None,
    }[need]
