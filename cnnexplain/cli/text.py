"""Text on its way to a terminal."""

from __future__ import annotations


def printable(text: object) -> str:
    """`text` without effects on a terminal: control characters and broken bytes are escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "backslashreplace").decode()
        for letter in str(text)
    )
