"""The words that are drawn on pictures as text of the page, without what its captions say already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

ZERO = "0"  # where a bar of colours begins, as most do
FEW = 3  # numbers, as beside a bar of colours
LONG = 50  # letters: such a line may go on in the next

_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[−+-]?\d+)?")
_SENTENCE = re.compile(r"(?<=[.!?]) +")


class PictureWords(NamedTuple):
    """What a caption leaves out: numbers, sentences with numbers, and sentences whose numbers the caption has."""

    numbers: tuple[str, ...]
    sentences: tuple[str, ...]
    general: tuple[str, ...]  # with … in the place of numbers


def not_said(lines: Sequence[str], caption: str) -> PictureWords:
    """What of the lines on a picture its caption does not say.

    Example:
        >>> not_said(["0.5", "Circle: the strongest of 7x11 cells."], "map 7 × 11")
        PictureWords(numbers=('0.5',), sentences=(), general=('Circle: the strongest of …x… cells.',))
    """
    words, known = set(_WORD.findall(caption)), set(_NUMBER.findall(caption))
    bare, sentences, general = [], list[str](), list[str]()
    for sentence in dict.fromkeys(_sentences(lines)):
        new = not known.issuperset(_NUMBER.findall(sentence))
        if not _WORD.search(sentence):
            bare += [sentence] if new and sentence != ZERO else []
        elif new:
            sentences.append(sentence)
        elif not words.issuperset(_WORD.findall(sentence)):
            general.append(_NUMBER.sub("…", sentence))
    if len(bare) > FEW:
        bare, sentences = [], [*sentences, " ".join(bare)]
    return PictureWords(tuple(bare), tuple(sentences), tuple(dict.fromkeys(general)))


def _sentences(lines: Iterable[str]) -> Iterator[str]:
    """Sentences of lines, of which a long one without a full stop goes on in the next."""
    begun = ""
    for line in lines:
        text = f"{begun} {line}" if begun else line
        goes_on = len(line) > LONG and not line.endswith((".", "!", "?"))
        if goes_on:
            begun = text
            continue
        begun = ""
        yield from _SENTENCE.split(text)
    if begun:
        yield from _SENTENCE.split(begun)
