"""Whether images were recognised and where the time went, in lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnnexplain.core.words import count, number, percent
from cnnexplain.runner.workers.timings import STAGES

if TYPE_CHECKING:
    from cnnexplain.runner.request import Outcome


def of_recognition(record: Mapping[str, Any]) -> str:
    """Whether an image was recognised, as the end of its line; nothing where its class is unknown."""
    if "right" not in record:
        return ""
    return "; right" if record["right"] else f"; wrong, should be {record['expected']['label']}"


def of_answers(answers: Mapping[str, float]) -> str:
    """How many images were recognised, and how many would be by chance: 37 of 50 images, 74.0% (chance 10.0%)."""
    right, labelled = int(answers["right"]), int(answers["labelled"])
    share, chance = percent(right / labelled), percent(answers["chance"])
    return f"{right:,} of {count(labelled, 'image')}, {share} (by chance {chance})"


def of_stages(outcome: Outcome) -> str:
    """Images in a second, which share of the processors' time each stage took, and how busy these were."""
    whole, processors = outcome.work["whole"], outcome.work["processors"]
    work = {stage: outcome.work[stage] for stage in STAGES}
    every = sum(work.values()) or 1.0
    shares = ", ".join(f"{stage} {percent(seconds / every)}" for stage, seconds in work.items())
    busy = percent(min(1.0, every / (whole * processors)))
    return f"{outcome.done / whole:.1f} images a second after loading; {shares}; processors {busy} busy"


def of_commands(outcome: Outcome) -> str:
    """How long each of the commands took that one consists of, for an image; empty where it is none of these."""
    commands = ((name, spent) for name, spent in outcome.work.items() if " -m " in name)
    return ", ".join(f"{name} {number(spent / max(1, outcome.done))} s" for name, spent in commands)
