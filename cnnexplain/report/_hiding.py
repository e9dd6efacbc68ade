"""What a figure says of how parts of an image were hidden, out of the facts `occlusion` and `rise` of an entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnnexplain.report.pages.figures import Entry, Fact
from cnnexplain.report.pages.words import words


def hiding_facts(entry: Entry) -> Iterator[Fact]:
    """Rows for a figure; none of an entry that nothing was hidden for."""
    if facts := _facts(entry, "occlusion"):
        places = " × ".join(words(facts.get("windows", "")).split(", "))
        side = words(facts.get("window", ""))
        apart = words(facts.get("stride", ""))
        yield "windows", f"{places}, each of {side} × {side} pixels, {apart} apart"
        yield from _common(facts)
        why, whole_from = facts.get("why_whole"), facts.get("whole_from")
        if why:
            yield "computed", f"all of each window's image: {words(why)}"
        else:
            yield (
                "computed",
                f"what changes; all from {words(whole_from)} on" if whole_from else "what changes",
            )
    if facts := _facts(entry, "rise"):
        yield "masks", f"{words(facts.get('masks', ''))} of {words(facts.get('grid', ''))} cells a side"
        yield "kept with a chance of", words(facts.get("probability", ""))
        yield from _common(facts)
        yield "mean over all masks", words(facts.get("mean", ""))
        yield "largest standard error", words(facts.get("standard_error", ""))


def _common(facts: Mapping[str, Any]) -> Iterator[Fact]:
    yield "filled with", words(facts.get("fill", ""))
    if facts.get("compared") == "probability":
        yield "compared", "probabilities"


def _facts(entry: Entry, name: str) -> Mapping[str, Any]:
    value = entry.get(name)
    return value if isinstance(value, Mapping) else {}
