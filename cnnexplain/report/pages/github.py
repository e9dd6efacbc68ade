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
    for verdict in verdicts:
        if verdict.status in KINDS:
            title = _escaped(f"cnnexplain check {verdict.check}", PROPERTY)
            message = f"{model}: {verdict.says}{f'. {verdict.do}' if verdict.do else ''}"
            lines.append(f"::{KINDS[verdict.status]} title={title}::{_escaped(message, DATA)}")
    return lines


def summary(verdicts: Sequence[Verdict], model: str) -> str:
    """A table in Markdown; what failed first."""
    order = ("fail", "warn", "pass", "skipped")
    counts = [
        f"{sum(verdict.status == status for verdict in verdicts)} {word}"
        for status, word in zip(order, ("failed", "warned", "passed", "skipped"), strict=True)
    ]
    rows = [
        f"| {SIGNS[verdict.status]} {verdict.status} | {verdict.check} | {_cell(verdict.says)}"
        f"{f'<br>{_cell(verdict.do)}' if verdict.do else ''} |"
        for verdict in sorted(verdicts, key=lambda verdict: order.index(verdict.status))
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
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", text)
