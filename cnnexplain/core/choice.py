"""What was chosen on the user's behalf, and why: shown on the terminal, in the report and in run.json."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """One decision that the user did not take: `what` was decided, its `value`, and the `reason`."""

    what: str
    value: str
    reason: str
