"""Maps on the page: a figure for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cnnexplain.core.belief import belief_words
from cnnexplain.core.records import is_misplaced
from cnnexplain.core.results.map import PIXELS, about_function
from cnnexplain.core.words import likelihood, percent
from cnnexplain.report._hiding import hiding_facts
from cnnexplain.report.pages.figures import (
    Entry,
    Fact,
    Figure,
    MapKey,
    Record,
    links_of,
    other_facts,
    remarks_of,
    source,
)
from cnnexplain.report.pages.words import shape, size, span, words

_SCALES = {
    "signed": "signed: for and against",
    "rule": "both signs of what the rule let through",
    "magnitude": "magnitude",
    "component": "two sides of a component, sign arbitrary",
}


def figures(entries: Sequence[Entry], record: Record) -> Iterator[Figure]:
    """A figure for every map."""
    return (_map(entry, record["size"]) for entry in entries)


def _map(entry: Entry, picture_size: Sequence[int]) -> Figure:
    target, peak, layer, method = entry["target"], entry["peak"], entry["layer"], entry["method"]
    of_class = entry.get("of_class", True)
    chance = likelihood(target) if of_class else ""
    about = f"‘{target['label']}’ ({chance})" if of_class else about_function(entry)
    where = f"strongest at x {peak[0]}, y {peak[1]} of {size(picture_size)}" if peak else _nothing(entry)
    facts = (
        ("layer", "" if layer == PIXELS else layer),
        ("map", shape(entry["shape"])),
        ("range", span(entry["min"], entry["max"])),
        ("scale", _SCALES.get(entry.get("scale", ""), "")),
        ("peak", f"x {peak[0]}, y {peak[1]}" if peak else "" if is_misplaced(entry) else "nothing positive"),
        *hiding_facts(entry),
        *_sampled_facts(entry),
        *_verdict_facts(entry),
        *other_facts([entry]),
    )
    return Figure(
        src=source(entry),
        alt=f"{method} of {about} {'in pixels' if layer == PIXELS else f'at {layer}'}: {where}",
        title=method,
        subject=_subject(entry),
        facts=tuple(fact for fact in facts if fact[1]),
        remarks=(*([belief_words(entry["verdict"])] if "verdict" in entry else []), *remarks_of([entry])),
        links=links_of([entry], "raw map") if entry.get("raw") else (),  # the picture is a link itself
        map=MapKey(method, "" if layer == PIXELS else layer, _goal(entry)),
    )


def _verdict_facts(entry: Entry) -> Iterator[tuple[str, str]]:
    """The numbers behind a verdict."""
    verdict = entry.get("verdict", {})
    if "marks" in verdict:
        yield (
            "beyond chance",
            f"{words(verdict['marks'])} standard deviations; edges {words(verdict['edges'])}",
        )
        where = "the image" if verdict["deleted_in"] == PIXELS else f"the map of {verdict['deleted_in']}"
        yield "deleted in", where
    if "alike" in verdict:
        yield "randomised classifier", f"rank correlation {words(verdict['alike'])}"


def _subject(entry: Entry) -> str:
    target = entry["target"]
    if entry.get("of_class", True):
        return f"{target['label']}, {likelihood(target)}"
    return about_function(entry) if "of" in entry else "what stands out, no class"


def _goal(entry: Entry) -> str:
    """What a map is of, in one word or two: the class or the function; empty where neither enters."""
    if entry.get("of_class", True):
        return str(entry["target"]["label"])
    return str(entry["of"]["name"]) if "of" in entry else ""


def _nothing(entry: Entry) -> str:
    if is_misplaced(entry) or entry.get("scale") in ("magnitude", "component"):
        return "it is not known where" if is_misplaced(entry) else "zero everywhere"
    speaks = entry.get("of_class", True) or "of" in entry
    return "nothing positive: no part speaks for it" if speaks else "nothing stands out"


def _sampled_facts(entry: Entry) -> Iterator[Fact]:
    """How many samples a map is the mean of, and how sure it is, out of the fact `sampled`."""
    facts = entry.get("sampled")
    if isinstance(facts, Mapping):
        yield "noisy copies", words(facts.get("samples", ""))
        share = facts.get("share")
        sure = f"{percent(share)} of the largest value" if isinstance(share, int | float) else "not known"
        yield "largest standard error", sure
