"""Makes anew what the documentation takes from the code: the reference, and every picture.

A picture is what a command on some page writes: `-o out/NAME` there, `pictures/NAME/` here. One that says the same and
looks the same (said.py) is left as it is, so that other processors, which round otherwise, change nothing.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pages
import reference
import said
from PIL import Image

import cnnexplain
from cnnexplain.cli.app import run

# As docs/tensorboard.md has it.
BOARD = (
    "cnnexplain gradcam bundled:efficientnet_lite0 docs/photos -t top3 -o out/board --tensorboard runs/lite0"
)


def main() -> None:
    """Remake the reference pages, the pictures, and, where there are none, the photographs of pages."""
    for page, text in reference_pages().items():
        _write(page, text)
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(pages.DOCS, Path(folder, "docs"))
        pictures(Path(folder))
        if not pages.REPORT.exists():
            photograph(Path(folder, "out", "index.html"))
        if not pages.BOARD.exists():
            _run(BOARD, Path(folder))
            photograph_of_board(Path(folder))


def reference_pages() -> dict[Path, str]:
    """The pages that are written from the code, and what they should hold."""
    python, check = pages.DOCS / "python.md", pages.DOCS / "check.md"
    limits = {
        page: reference.check_limits(page.read_text("utf-8"), page.stem)
        for page in pages.pages()
        if page.parent == pages.CHECKS
    }
    return {
        **limits,
        check: reference.check_table(check.read_text("utf-8")),
        pages.DOCS / "commands.md": reference.commands(),
        python: reference.signatures(python.read_text("utf-8"), cnnexplain),
    }


def pictures(folder: Path) -> None:
    """Run, in `folder`, the commands that make the pictures, and take over those that differ."""
    for page in pages.pages():
        prepare(page, folder)
        for out, command in pages.made_by(page).items():
            if (folder / out / "index.html").exists():
                continue  # shown on two pages
            _run(command, folder)
    wanted = pages.shown()
    kept = pages.said()
    told: dict[str, said.Facts] = {}
    for picture in sorted(wanted):
        name = picture.relative_to(pages.PICTURES).as_posix()
        made = folder / "out" / name
        if picture.exists() and name in kept and not same(made, picture, kept[name]):
            told[name] = kept[name]
            continue
        told[name] = said.facts(made.parent)[made.name]
        picture.parent.mkdir(parents=True, exist_ok=True)
        small(made, picture)
        print(f"new: {picture.relative_to(pages.ROOT)}")
    lines = (f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in told.items())
    _write(pages.SAID, "{\n" + ",\n".join(lines) + "\n}\n")
    for old in set(pages.PICTURES.rglob("*.png")) - wanted:
        old.unlink()
        print(f"gone: {old.relative_to(pages.ROOT)}")


def prepare(page: Path, folder: Path) -> None:
    """Write the files and run the Python that a page's commands need, where it says so: ```python making."""
    blocks = list(pages.blocks(page))
    if not any("making" in block.words for block in blocks):
        return
    for block in blocks:
        if block.file:
            (folder / block.file).write_text(block.text, "utf-8")
        elif "making" in block.words:
            subprocess.run([sys.executable, "-c", block.text], cwd=folder, check=True)


def small(made: Path, kept: Path) -> None:
    """Copy a picture, in as few bytes as it takes: everybody who clones the repository fetches it."""
    with Image.open(made) as image:
        image.save(kept, optimize=True)


def same(made: Path, kept: Path, facts: said.Facts) -> str:
    """What a picture shows otherwise than the one that is kept, whose `facts` these are; nothing where they agree."""
    now = said.facts(made.parent)[made.name]
    if why := said.disagreement(facts, now):
        return why
    command = now["command"]
    alike = command in said.ASCENTS or said.look_alike(made, kept, equal=command in said.EQUAL)
    return "" if alike else "it does not look the same"


def photograph(report: Path) -> None:
    """Have a browser take a picture of a report."""
    _photograph(report.as_uri(), pages.REPORT, (1000, 1240))


def photograph_of_board(folder: Path) -> None:
    """Have a browser take a picture of what TensorBoard shows of `folder/runs`."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    call = [sys.executable, "-m", "tensorboard.main", "--logdir", "runs", "--port", str(port)]
    with subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            time.sleep(15)  # until it has read the files
            _photograph(f"http://localhost:{port}/#images", pages.BOARD, (1200, 720))
        finally:
            server.terminate()


def _photograph(address: str, picture: Path, size: tuple[int, int]) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print(f"{picture.relative_to(pages.DOCS)} was not made: there is no chromium")
        return
    # The time is the page's own, which goes fast: a page that draws itself needs some.
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--virtual-time-budget=20000",
    )
    with tempfile.TemporaryDirectory() as profile:
        shot = Path(profile, "shot.png")
        window = f"--window-size={size[0]},{size[1]}"
        command = [browser, *flags, window, f"--user-data-dir={profile}", f"--screenshot={shot}", address]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(shot) as made:
            made.convert("RGB").save(picture, quality=85)
    print(f"new: {picture.relative_to(pages.ROOT)}")


def _run(command: str, folder: Path) -> None:
    words, before = shlex.split(command), (os.getcwd(), sys.argv)
    os.chdir(folder)
    sys.argv = words  # which the report quotes
    try:
        code = run(words[1:])
    finally:
        os.chdir(before[0])
        sys.argv = before[1]
    if code:
        sys.exit(f"{command} ended with {code}")


def _write(page: Path, text: str) -> None:
    if not page.exists() or page.read_text("utf-8") != text:
        page.write_text(text, "utf-8")
        print(f"new: {page.relative_to(pages.ROOT)}")


if __name__ == "__main__":
    main()
