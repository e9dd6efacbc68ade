"""Verdicts as JUnit XML, as GitLab, Jenkins and GitHub's usual readers take it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from cnnexplain.core.records import readable
from cnnexplain.core.verdict import Verdict
from cnnexplain.report.pages.words import escaped

# What XML 1.0 cannot hold, not even escaped. Lone surrogates are made readable before.
_UNSPEAKABLE = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def report(verdicts: Sequence[Verdict], model: str, seconds: float) -> str:
    """The whole file: a suite for the model, a case for each check.

    A check that failed is a failure, one that was skipped is skipped; one that warns has passed, and says so in its
    output, since readers know no warnings and the exit code is that of a pass too.
    """
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(sum(verdict.status == "fail" for verdict in verdicts)),
        "errors": "0",
    }
    skipped = str(sum(verdict.status == "skipped" for verdict in verdicts))
    root = Element("testsuites", {"name": "cnnexplain check", **counts, "time": f"{seconds:.3f}"})
    name = _line(f"cnnexplain check {model}")
    suite = SubElement(
        root, "testsuite", {"name": name, **counts, "skipped": skipped, "time": f"{seconds:.3f}"}
    )
    # Readers take what stands before the last dot for a package, and merge cases of the same name.
    group = "cnnexplain.check." + (re.sub(r"[^\w-]+", "_", readable(model)).strip("_") or "model")
    for verdict in verdicts:
        times = {"time": f"{verdict.seconds:.3f}"}
        case = SubElement(suite, "testcase", {"classname": group, "name": verdict.check, **times})
        if verdict.status == "fail":
            failure = SubElement(case, "failure", {"message": _line(verdict.says), "type": verdict.check})
            failure.text = _description(verdict)
        elif verdict.status == "skipped":
            SubElement(case, "skipped", {"message": _line(verdict.says)})
        else:
            warned = "warning: " if verdict.status == "warn" else ""
            SubElement(case, "system-out").text = warned + _description(verdict)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, "unicode")}\n'


def _description(verdict: Verdict) -> str:
    """A verdict in plain text: title, sentence, advice, and the evidence in rows."""
    parts = [verdict.title, verdict.says, *([f"do: {verdict.do}"] if verdict.do else [])]
    if verdict.table is not None and verdict.status != "pass":
        parts += ["", *(" | ".join(map(_line, row)) for row in (verdict.table.head, *verdict.table.rows))]
    return _clean("\n".join(parts))


def _line(text: str) -> str:
    """On one line, as an attribute is read."""
    return " ".join(_clean(text).split())


def _clean(text: str) -> str:
    lines = "\n".join(map(escaped, text.split("\n")))
    return _UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", lines)
