"""A folder of the worst names that a file system takes, in one run: each is a record, a text, and nothing more."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from cnnexplain.report.pages import words

if TYPE_CHECKING:
    from conftest import Browser

RUNS = "onerror=document.title='ran'"
NAMES = {
    "two lines": b"new\nline.png",
    "a carriage return": b"model  mine\rdone.png",
    "an error that is none": b"x\nerror: all is lost\nhint: give up.png",
    "a colour": b"\x1b[31mred.png",
    "a title": b"\x1b]0;owned\x07.png",
    "a cleared screen": b"\x1b[2J\x1b[H\x1bc.png",
    "a link": b"\x1b]8;;http:\xe2\x81\x84\xe2\x81\x84evil.example\x1b\\click\x1b]8;;\x1b\\.png",
    "a bell and a backspace": b"\a\b\b\b\x7f.png",
    "a one-byte control sequence": "\x9b31mred.png".encode(),
    "markup of rich": b"[bold red]x[link=http:evil]y[.png",
    "a picture": f"<img src=x {RUNS}>.png".encode(),
    "a script": b"<script>document.title='ran'<\xe2\x81\x84script>.png",
    "an end of everything": f"\"'><svg on{RUNS[2:]}><!--.png".encode(),
    "a template": b"{{ 7 * 7 }}{% raw %}.png",
    "an entity": b"&lt;b&gt;&#60;.png",
    "quotes": b'it\'s "x" `y` $(touch canary) ;.png',
    "backslashes": b"..\\..\\up\\n.png",
    "escaped slashes": b"..%2f..%2fup.png",
    "slashes that are none": "..∕..／up.png".encode(),
    "dots": b"...up.png",
    "a leading dash": b"-o.png",
    "a leading flag": b"--overwrite.png",
    "a URL": b"javascript:alert(1).png",
    "places in a page": b"a?b#c%20.png",
    "255 bytes": b"x" * 251 + b".png",
    "255 bytes in 85 letters": "あ".encode() * 83 + b"xx.png",
    "bytes that are not UTF-8": b"caf\xe9\xff.png",
    "right to left": "gnp\u202egpj.exe.png".encode(),
    "isolates and marks": "\u2066a\u2069\u200f\u200b\ufeff.png".encode(),
    "line separators": "a\u2028b\u2029c\x85.png".encode(),
    "accents without end": ("e" + "\u0301" * 90 + ".png").encode(),
    "a letter composed": "\u00e9.png".encode(),
    "the same letter taken apart": "e\u0301.png".encode(),
    "small": b"case.png",
    "large": b"CASE.PNG",
    "the page": b"index.html.png",
    "the records": b"results.jsonl.png",
    "a picture that is made here": b"case.png.gradcam.png",
    "a name of Windows": b"con.png",
    "only spaces": b"   .png",
    "a space at the end": b"x .png",
    "a star": b"*.png",
}
# What is no picture, by its name in the folder, and what is said of it.
BAD = {
    "dangling.png": "no such file",
    "circle.png": "cannot be read",
    "pipe.png": "not a regular file",
    "zeros.png": "not a regular file",
    "random.jpg": "not a regular file",
}


@dataclass(frozen=True)
class Told:
    """The run of the folder: where, its exit code, and what it has said."""

    place: Path
    code: int
    out: bytes
    err: bytes
    before: set[bytes]

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """Every record, by its image."""
        lines = (self.place / "out" / "results.jsonl").read_bytes().decode("ascii").splitlines()
        found = {record["image"]: record for record in map(json.loads, lines)}
        assert len(found) == len(lines)
        return found


def tree(place: Path) -> set[bytes]:
    """Every file below a folder, with its content where it is one that can be read."""
    found = set()
    for root, folders, files in os.walk(os.fsencode(place)):
        for name in (*folders, *files):
            path = os.path.join(root, name)
            regular = stat.S_ISREG(os.lstat(path).st_mode)
            found.add(path + b"\0" + (Path(os.fsdecode(path)).read_bytes() if regular else b""))
    return found


@pytest.fixture(scope="module")
def told(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    place = tmp_path_factory.mktemp("names")
    folder = place / "pictures"
    (folder / "folder.png" / "..." / "<b>\n").mkdir(parents=True)
    stream = io.BytesIO()
    Image.new("RGB", (48, 32), "navy").save(stream, "PNG")
    for name in (*NAMES.values(), b"folder.png/.../<b>\n/x.png"):
        (folder / os.fsdecode(name)).write_bytes(stream.getvalue())
    (place / "outside.png").write_bytes(stream.getvalue())
    (folder / "linked.png").symlink_to("../outside.png")
    (folder / "above.png").symlink_to("..")
    (folder / "dangling.png").symlink_to("gone.png")
    (folder / "circle.png").symlink_to("circle.png")
    (folder / "zeros.png").symlink_to("/dev/zero")
    (folder / "random.jpg").symlink_to("/dev/urandom")
    os.mkfifo(folder / "pipe.png")
    before = tree(place)
    done = subprocess.run(
        [
            *(
                programs / "cnnexplain",
                "gradcam",
                "bundled:efficientnet_lite0",
                "pictures",
                "-o",
                "out",
                "-v",
            ),
            *("--max-side", "64", "--max-failures", str(len(BAD))),
        ],
        cwd=place,
        capture_output=True,
        timeout=200,
    )
    return Told(place, done.returncode, done.stdout, done.stderr, before)


def shown(name: bytes) -> str:
    """A name as records give it."""
    return "pictures/" + name.decode("utf-8", "backslashreplace")


def test_the_run_ends_as_the_contract_says(told: Told) -> None:
    assert told.code == 0, told.err
    assert told.out == b"out/index.html\n"


@pytest.mark.parametrize("case", NAMES)
def test_every_name_has_one_record_and_a_picture_of_its_own(told: Told, case: str) -> None:
    record = told.records[shown(NAMES[case])]
    assert record["status"] == "ok"
    (found,) = record["explanations"]
    assert re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*", found["picture"])
    assert len(found["picture"]) <= 255
    same = [one for one in told.records.values() if _picture(one).casefold() == found["picture"].casefold()]
    assert same == [record]
    with Image.open(told.place / "out" / found["picture"]) as picture:
        assert picture.format == "PNG"


def _picture(record: dict[str, Any]) -> str:
    return record["explanations"][0]["picture"] if record["explanations"] else ""


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_one_failure_and_is_not_waited_for(told: Told, name: str) -> None:
    record = told.records[f"pictures/{name}"]
    assert record["status"] == "error"
    assert BAD[name] in record["error"]["message"]


def test_links_to_pictures_are_followed_and_links_to_folders_are_not(told: Told) -> None:
    assert told.records["pictures/linked.png"]["status"] == "ok"
    below = told.records["pictures/folder.png/.../<b>\n/x.png"]
    assert re.fullmatch(
        r"folder\.png/_[\w.-]+/_[\w.-]+/x\.png\.gradcam\.png", below["explanations"][0]["picture"]
    )
    assert len(told.records) == len(NAMES) + len(BAD) + 2


def test_nothing_is_written_outside_out(told: Told) -> None:
    after = tree(told.place)
    assert told.before <= after
    out = os.fsencode(told.place / "out")
    assert all(path.startswith((out + b"\0", out + b"/")) for path in after - told.before)


def test_nothing_reaches_the_terminal_unescaped(told: Told) -> None:
    text = told.err.decode()
    assert text.replace("\n", "").isprintable()
    lines = text.splitlines()
    for line in lines:
        assert re.match(
            r"(model|input|device|layer|failed|done|work)  |.*  [\w ,'-]+ \d+\.\d%, gradcam at bn2 ", line
        ), line
    assert len(lines) == len(told.records) + 6


def test_the_page_shows_the_names_and_runs_nothing(told: Told, browser: Browser) -> None:
    page = told.place / "out" / "index.html"
    browser.open(page)
    assert browser.ask("document.title") == "tf_efficientnet_lite0 · cnnexplain gradcam"
    assert browser.ask("document.scripts.length") == 1  # the viewer
    assert browser.complaints == []
    text = browser.ask("document.body.textContent")
    for image in told.records:
        assert words.escaped(image.removeprefix("pictures/")) in text, image
    loaded = """
        (async () => {
            document.querySelectorAll('details').forEach(one => one.open = true);
            for (const image of document.images) { image.scrollIntoView(); await image.decode(); }
            return [...document.images].map(image => new URL(image.src).pathname);
        })()
    """
    places = browser.ask(loaded)
    assert len(places) == len(set(places)) == len(told.records) - len(BAD)
    assert all(place.startswith(f"{told.place}/out/") for place in places)
    assert all(one.startswith(("file:", "data:")) for one in browser.requests)
    assert browser.ask("document.title") == "tf_efficientnet_lite0 · cnnexplain gradcam"


def test_names_that_are_written_alike_have_a_record_each(programs: Path, tmp_path: Path) -> None:
    """A byte that is not UTF-8 is shown as \\xe9, and another file may be called just that."""
    Image.new("RGB", (48, 32), "navy").save(tmp_path / os.fsdecode(b"caf\xe9.png"))
    Image.new("RGB", (32, 48), "navy").save(tmp_path / "caf\\xe9.png")
    call = [
        programs / "cnnexplain",
        "gradcam",
        "bundled:efficientnet_lite0",
        tmp_path,
        "-o",
        tmp_path / "out",
    ]
    subprocess.run([*call, "--max-side", "64"], capture_output=True, check=True, timeout=200)
    found = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert sorted(record["size"] for record in found) == [[32, 48], [48, 32]]
