"""Every page is followed from top to bottom, as a reader would: its commands, its Python, what they should print."""

from __future__ import annotations

import re
from pathlib import Path

import make
import pages
import pytest
from doc_shell import DOCS, Shell
from pages import Block

# Other than these, commands on the pages do not need anything to be installed.
INSTALLING = ("make", "pip", "git", "python", "python3", "source", ".", ".venv/bin/pip", ".venv/bin/python")
BOUNDARY = "\x1e"


@pytest.fixture(scope="module")
def shell(programs: Path, tmp_path_factory: pytest.TempPathFactory, page: Path) -> Shell:
    """A shell of the page's own."""
    folder = tmp_path_factory.mktemp(page.stem)
    (folder / "docs").symlink_to(DOCS)
    return Shell(folder, programs)


@pytest.fixture(scope="module", params=pages.pages(), ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Path:
    """Each page in turn."""
    return request.param


@pytest.mark.slow
def test_a_page_does_what_it_says_from_top_to_bottom(page: Path, shell: Shell) -> None:
    python: list[tuple[Block, list[str]]] = []  # the blocks so far, and what each should print
    run = 0  # of them
    for block in pages.blocks(page):
        if block.file:
            (shell.folder / block.file).write_text(block.text, "utf-8")
        elif block.language == "python":
            python.append((block, []))
        elif block.language == "text" and "output" in block.words:
            python[-1][1].append(block.text)
        elif block.language in ("bash", "console"):
            run = _python(python, run, shell, page)
            (_bash if block.language == "bash" else _console)(block, shell, f"{page.name}:{block.line}")
    _python(python, run, shell, page)
    kept = pages.said()
    for picture in pages.shown() & _made_by(page):
        name = picture.relative_to(pages.PICTURES).as_posix()
        why = make.same(shell.folder / "out" / name, picture, kept[name])
        assert not why, f"{picture} is not what {page.name} makes ({why}): run make docs"


def _made_by(page: Path) -> set[Path]:
    folders = {pages.kept(out) for out in pages.made_by(page)}
    return {picture for picture in pages.shown() if picture.parent in folders}


def _python(blocks: list[tuple[Block, list[str]]], run: int, shell: Shell, page: Path) -> int:
    """Run a page's Python so far as one session, and see that each new block prints what stands below it."""
    if run == len(blocks):
        return run
    done = shell.python(f"\nprint({BOUNDARY!r})\n".join(block.text for block, _ in blocks))
    assert done.returncode == 0, f"{page.name}, the Python up to line {blocks[-1][0].line}\n{done.stderr}"
    for (block, expected), said in list(zip(blocks, done.stdout.split(BOUNDARY), strict=True))[run:]:
        for text in expected:
            assert said.strip().splitlines() == text.strip().splitlines(), f"{page.name}:{block.line}"
    return len(blocks)


def _bash(block: Block, shell: Shell, where: str) -> None:
    if "install" in block.words:
        return
    commands = block.commands()
    if any(command.split()[0] in INSTALLING for command in commands):
        commands = [command for command in commands if command.startswith("cnnexplain ")]
    if "network" in block.words:
        for command in commands:
            done = shell.run(f"{command} --no-pretrained")
            unreachable = "could not be downloaded" in done.stderr and " hf-hub:" in command
            assert done.returncode == 0 or unreachable, f"{where}: {command}\n{done.stderr}"
        return
    done = shell.run("set -euo pipefail\n" + "\n".join(commands))
    assert done.returncode == 0, f"{where}\n{done.stderr}"


def _console(block: Block, shell: Shell, where: str) -> None:
    """Each command after a `$` says what stands below it; it fails only where an error is shown."""
    expectations = re.split(r"^\$ .*\n", re.sub(r"\\\n(> )?\s*", "", block.text), flags=re.M)[1:]
    steps = list(zip(block.commands(), expectations, strict=True))
    script = "".join(
        f"{command}\nc=$?; printf '{BOUNDARY}%s{BOUNDARY}' $c; (exit $c)\n" for command, _ in steps
    )
    done = shell.run(script, merged=True)
    parts = done.stdout.split(BOUNDARY)
    assert len(parts) == 2 * len(steps) + 1, f"{where}\n{done.stdout}"
    for (command, expected), told, code in zip(steps, parts[0::2], parts[1::2], strict=False):
        assert (code != "0") == ("error: " in expected), f"{where}: {command} ended with {code}\n{told}"
        assert re.fullmatch(_pattern(expected), _steady(told)), f"{where}: {command} says\n{told}"


def _pattern(expected: str) -> str:
    """What a command should say; a … on the page stands for anything."""
    return re.escape(_steady(expected)).replace("…", "(?s:.*)")


def _steady(told: str) -> str:
    """What is said, without what differs between machines: seconds, and the device."""
    told = re.sub(r"^device  .*\n", "", told, flags=re.MULTILINE)
    return re.sub(r"in \d+\.\d s\b", "in 0.0 s", told).strip()
