"""Layers that run several times for one picture, and maps that lie otherwise than the picture: what is said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cnnexplain.core.choice import Choice
from cnnexplain.core.results import Detail
from cnnexplain.core.words import listed

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model


def choices_of(
    model: Model, layers: Sequence[str], of_all: str = "each run that has a map is explained"
) -> Iterator[Choice]:
    """Which runs are explained of a layer that runs several times, and which maps lie otherwise than the picture.

    `of_all` says it of a layer of which no single run was named.
    """
    named: dict[str, list[str]] = {}
    for layer in layers:
        name, _, run = layer.partition(" #")
        if model.runs.count(layer) > 1:
            named.setdefault(name, []).append(run)
    for name, runs in named.items():
        named_runs = f"{'runs' if len(runs) > 1 else 'run'} {listed(runs)} {'are' if len(runs) > 1 else 'is'} explained"
        runs_text = of_all if "" in runs else named_runs
        yield Choice("run", name, f"it runs {model.runs.count(name)} times for a picture; {runs_text}")
    for run in (run for layer in layers for run in model.runs.with_maps(layer)):
        if sentence := model.runs.laying(run).words:
            yield Choice("place", run, sentence)


def detail_of(model: Model, run: str) -> Detail:
    """What is to be known of the map of one run of a layer: which run it is, and how it is laid on the picture."""
    facts: dict[str, object] = {}
    remarks = []
    name, _, number = run.partition(" #")
    runs, laying = model.runs.count(run), model.runs.laying(run)
    if runs > 1:
        facts["run"] = {"number": int(number or 1), "of": runs}
        remarks.append(f"{name} runs {runs} times for a picture; this is run {number or 1}.")
    if not laying.plain:
        facts["laid"] = laying.facts()
        remarks.append(f"{laying.words[:1].upper()}{laying.words[1:]}.")
    return Detail(facts, tuple(remarks))


def joined(first: Detail, second: Detail) -> Detail:
    """All that two say."""
    return Detail({**first.facts, **second.facts}, (*first.remarks, *second.remarks))


def with_unseen(detail: Detail, unseen: bool, goal: str) -> Detail:
    """What is to be said of a map, part of whose score may not pass its layer."""
    from cnnexplain.engine.trace.runs import DETACHED

    score = "this class's score" if goal == "the class" else f"the value of {goal}"
    remark = f"Part of {score} does not pass the layer: {DETACHED}."
    return Detail(detail.facts, (remark, *detail.remarks)) if unseen else detail
