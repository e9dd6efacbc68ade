"""Markdown of which nothing but tables is obeyed, whatever stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, whatever stands in its cells."""
    lines = [head, ["---"] * len(head), *(map(plain, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Text of which neither Markdown nor HTML makes anything but text, on one line."""
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )
    return re.sub(r"[^\w ]|_", lambda sign: f"&#{ord(sign[0])};", shown)
