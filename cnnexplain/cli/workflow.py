"""Lines in the log of a GitHub workflow, whose runner obeys some of them.

A runner obeys lines that begin with `::`, after spaces, and lines with `##[` anywhere:
https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
"""

from __future__ import annotations

import os


def harmless(line: str) -> str:
    """A line for people, broken up where it stands in a workflow's log and the runner would obey it."""
    if not _in_workflow():
        return line
    line = line.replace("##[", "## [")
    return line.replace("::", ": :", 1) if line.lstrip().startswith("::") else line


def harmless_json(line: str) -> str:
    """The same for a record: JSON that reads back as it was. It begins with a brace."""
    return line.replace("##[", "##\\u005b") if _in_workflow() else line


def _in_workflow() -> bool:
    return os.environ.get("GITHUB_ACTIONS", "").lower() not in ("", "0", "false")
