"""Lines in the log of a GitHub workflow, whose runner takes some of them for commands.

A runner obeys lines that begin with `::`, after spaces, and lines with `##[` anywhere:
https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
"""

from __future__ import annotations

import os


def harmless(line: str) -> str:
    """A line for people, changed within a workflow's log where the runner would take it for a command."""
    if not _in_workflow():
        return line
    line = line.replace("##[", "## [")
    return line.replace("::", ": :", 1) if line.lstrip().startswith("::") else line


def harmless_json(line: str) -> str:
    """A record, a line of JSON that begins with a brace, changed likewise so that it reads back as it was."""
    return line.replace("##[", "##\\u005b") if _in_workflow() else line


def _in_workflow() -> bool:
    return os.environ.get("GITHUB_ACTIONS", "").lower() not in ("", "0", "false")
