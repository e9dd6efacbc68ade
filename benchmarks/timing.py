"""How things are timed: in turns, so that what slows one slows the other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timed:
    """Seconds of every turn of one contestant."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def ratio(self, other: Timed) -> float:
        """The median over the turns of this one's time divided by the other's."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


def in_turns(
    contestants: dict[str, Callable[[], object]],
    turns: int,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timed]:
    """Run all contestants one after another, `turns` times; `time.process_time` is the clock for a busy machine."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(-warmup, turns):
        for name, work in contestants.items():
            started = clock()
            work()
            if turn >= 0:
                seconds[name].append(clock() - started)
    return {name: Timed(name, tuple(found)) for name, found in seconds.items()}


def verdict(value: float, limit: float, *, least: bool = False) -> str:
    """A ratio beside what was asked for: at most `limit`, or at least."""
    reached = value >= limit if least else value <= limit
    return (
        f"{value:6.2f}  (asked: at {'least' if least else 'most'} {limit:.2f}{'' if reached else ', MISSED'})"
    )
