"""Text from strangers' files, as it may be shown on a terminal."""

from __future__ import annotations

JOINERS = "\u200c\u200d"  # invisible, but part of how some languages are written


def printable(text: str) -> str:
    """`text` on one line, without control characters."""
    text = text.strip()
    if text.isprintable():
        return text
    return "".join(char for char in " ".join(text.split()) if char.isprintable() or char in JOINERS).strip()
