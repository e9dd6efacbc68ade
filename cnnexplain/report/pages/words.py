"""How names, numbers and paths are written on the page."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from cnnexplain.core.records import readable
from cnnexplain.core.words import number

# Controls, formatting (which can turn the reading direction round) and line breaks are shown, not obeyed.
_HIDDEN = {"Cc", "Cf", "Zl", "Zp"}
LONGEST_TEXT, LONGEST_NAME = 2_000, 300  # at the head of a page; run.json has all
_JOINERS = "\u200c\u200d"  # Persian words and family emoji need these, and they change nothing else


def escaped(text: str) -> str:
    r"""`text` with all that a reader would not see, or that would mislead, written out: a line break as \n."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(sign) for sign in readable(text))


def _visible(sign: str) -> str:
    if unicodedata.category(sign) in _HIDDEN and sign not in _JOINERS:
        return sign.encode("unicode_escape").decode("ascii")
    return sign


def clipped(text: str, longest: int = LONGEST_TEXT) -> str:
    """`text`, or where it is endless its beginning, and how much more there is."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]} … and {len(text) - longest:,} characters more"


def href(path: str) -> str:
    """A link to a file under OUT, whatever its name: always relative, every special character quoted."""
    return "./" + quote(readable(path))


def span(low: float, high: float) -> str:
    """A range in words, 0 to 3.1; an end below a thousandth of the other is written as 0."""
    negligible = 1e-3 * max(abs(low), abs(high))
    return " to ".join(number(end if abs(end) > negligible else 0) for end in (low, high))


def words(value: Any) -> str:
    """Plain data as people write it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {words(entry)}" for name, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(words(entry) for entry in value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and value >= 10_000:
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def size(sides: Sequence[int]) -> str:
    """Width and height of a picture: 451 × 300."""
    return f"{sides[0]} × {sides[1]}"


def shape(sides: Sequence[int]) -> str:
    """Height and width of a map, as PyTorch orders them, said where it matters: 8 × 12 (h × w)."""
    height, width = sides
    return f"{height} × {width}" + (" (h × w)" if height != width else "")


def duration(seconds: float) -> str:
    """3.2 s, 4 min 12 s, 2 h 5 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, remainder = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {remainder} s"
    return f"{minutes // 60} h {minutes % 60} min"
