"""Verdicts for a GitHub workflow: annotations beside the log, and the summary of the step."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cnnexplain.core.records import readable
from cnnexplain.core.verdict import Verdict

KINDS = {"fail": "error", "warn": "warning"}
SIGNS = {"fail": "❌", "warn": "⚠️", "pass": "✅", "skipped": "➖"}
LONGEST = 1000  # letters of a cell: a summary of more than a megabyte is not shown at all
# What GitHub unescapes: https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
DATA = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_MARKUP = re.compile(r"""[\\`*_{}\[\]()<>#+!|~$@:&"']""")
PROPERTY = (*DATA, (":", "%3A"), (",", "%2C"))


def notes(verdicts: Sequence[Verdict], model: str) -> list[str]:
    """A workflow command for every check that failed or warns."""
    lines = []
    for one in verdicts:
        if one.status in KINDS:
            title = _escaped(f"cnnexplain check {one.check}", PROPERTY)
            said = f"{model}: {one.says}{f'. {one.do}' if one.do else ''}"
            lines.append(f"::{KINDS[one.status]} title={title}::{_escaped(said, DATA)}")
    return lines


def summary(verdicts: Sequence[Verdict], model: str) -> str:
    """A table in Markdown; what failed first."""
    order = ("fail", "warn", "pass", "skipped")
    counts = [
        f"{sum(one.status == status for one in verdicts)} {word}"
        for status, word in zip(order, ("failed", "warned", "passed", "skipped"), strict=True)
    ]
    rows = [
        f"| {SIGNS[one.status]} {one.status} | {one.check} | {_cell(one.says)}"
        f"{f'<br>{_cell(one.do)}' if one.do else ''} |"
        for one in sorted(verdicts, key=lambda one: order.index(one.status))
    ]
    head = [
        f"### cnnexplain check {_cell(model)}",
        "",
        ", ".join(counts),
        "",
        "| | check | what was found |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n\n"


def _escaped(text: str, rules: Sequence[tuple[str, str]]) -> str:
    text = readable(text)
    for letter, code in rules:
        text = text.replace(letter, code)
    return text


def _cell(text: str) -> str:
    """Text that is nothing but text, wherever it comes from: on one line, without markup or links."""
    text = " ".join(readable(text).split())
    text = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", text)
