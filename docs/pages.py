"""Reads the pages of the documentation: their code blocks, the commands in them, their links and pictures.

A block's first word is its language. `bash` and `console` blocks are commands to be run from a folder that has
`docs/`; those marked `bash network` download weights, and those marked `bash install` install something. A block that
begins with `# NAME` and a file's ending is that file.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PICTURES = DOCS / "pictures"
CHECKS = DOCS / "checks"  # a page for each check of `cnnexplain check`
# Photographs of pages, made by a browser.
REPORT = PICTURES / "report.jpg"
BOARD = PICTURES / "tensorboard.jpg"
SAID = PICTURES / "said.json"  # what each picture says, by its path below PICTURES


@dataclass(frozen=True)
class Block:
    """A fenced block of code: its language, the words after it, its text, and the line it stands on."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, if it is one."""
        found = re.match(r"# ([\w-]+\.(?:py|toml))\n", self.text)
        return found[1] if found else None

    def commands(self) -> list[str]:
        """The commands of a block, each with its continuation lines, without comments and what they print."""
        joined = re.sub(r"\\\n(> )?\s*", "", self.text)
        if self.language == "console":
            return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]
        return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def pages() -> list[Path]:
    """Every page, the README first."""
    return [
        page
        for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(CHECKS.glob("*.md")))
        if page.exists()
    ]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of code on a page, in order."""
    text = page.read_text("utf-8")
    for found in re.finditer(r"^```(\w+)([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(found[1], tuple(found[2].split()), found[3], text.count("\n", 0, found.start()) + 1)


def links(page: Path) -> Iterator[str]:
    """Where the links and pictures on a page lead, outside code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for found in re.finditer(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text):
        yield found[1] or found[2]


def shown() -> set[Path]:
    """The pictures on all pages that the tool has made."""
    found = {
        (page.parent / link).resolve() for page in pages() for link in links(page) if link.endswith(".png")
    }
    return {picture for picture in found if PICTURES in picture.parents}


def output(command: str) -> str | None:
    """The folder that a command writes to, as it is typed."""
    words = shlex.split(command)
    found = [value for flag, value in itertools.pairwise(words) if flag in ("-o", "--output")]
    return found[-1] if found else None


def made_by(page: Path) -> dict[str, str]:
    """The commands on a page that make pictures which some page shows, by their OUT.

    What lands in `out/NAME` is shown as `docs/pictures/NAME`.
    """
    folders = {picture.parent for picture in shown()}
    found = {}
    for block in blocks(page):
        if block.language in ("bash", "console") and not block.words:
            for command in block.commands():
                out = output(command) if command.startswith("cnnexplain ") else None
                if out and (out == "out" or out.startswith("out/")) and kept(out) in folders:
                    found[out] = command
    return found


def kept(out: str) -> Path:
    """Where the documentation keeps the pictures that a command writes to `out`."""
    return PICTURES / Path(out).relative_to("out")


def said() -> dict[str, dict[str, Any]]:
    """What each picture of the documentation says (said.py), by its path below PICTURES."""
    found: dict[str, dict[str, Any]] = json.loads(SAID.read_text("utf-8")) if SAID.exists() else {}
    return found
