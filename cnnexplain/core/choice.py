"""What was chosen on the user's behalf, and why: shown on the terminal, in the report and in run.json."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """A decision that the user did not take: the `setting` that it is about, its `value`, and the `reason`."""

    setting: str
    value: str
    reason: str

    def record(self) -> dict[str, str]:
        """The choice as run.json has it."""
        return {"what": self.setting, "value": self.value, "reason": self.reason}
