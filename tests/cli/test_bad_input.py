"""Whatever a user gets wrong: the contract's exit code, two lines, no traceback, nothing lost."""
# ruff: noqa: E501 - a table reads best a case a line

from __future__ import annotations

import json
import os
import pickle
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from shell import TINY_OPTIONS, Finished, Run, spot_picture

PICTURE = "pictures/a.png"


class Exploit:
    """A pickle that makes a file when it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("pwned",)


def bomb() -> bytes:
    """A small PNG that says it has 60000 x 60000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def bad(work: Path) -> Path:
    """A folder of things that are no good."""
    (work / "empty").mkdir()
    spot_picture().save(work / "-liver.png")
    (work / "text.jpg").write_text("this is a letter, not a picture")
    spot_picture((400, 300)).save(work / "whole.jpg")
    (work / "truncated.jpg").write_bytes((work / "whole.jpg").read_bytes()[:1500])
    (work / "bomb.png").write_bytes(bomb())
    (work / "exploit.pth").write_bytes(pickle.dumps({"state_dict": Exploit()}))
    torch.save({"state_dict": Exploit()}, work / "exploit-zip.pth")
    torch.save({"head.weight": torch.zeros(5, 7), "other.bias": torch.zeros(3)}, work / "other.pth")
    cyclic: dict[str, object] = {}
    cyclic["model"] = cyclic
    torch.save(cyclic, work / "cyclic.pth")
    (work / "notes.txt").write_text("mine")
    (work / "two.txt").write_text("bright\ndark\n")
    (work / "three.txt").write_text("a\nb\nc\n")
    return work


CASES: dict[str, tuple[list[str], int, str, str]] = {
    "no such image": (["gradcam", "tiny.py:Net", "pictures/d.png"], 4, r"no picture called 'pictures/d.png'", r"pictures/[abc].png"),
    "no such image, of one": (["gradcam", "tiny.py:Net", "nothing.png", "--limit", "1"], 4, r"nothing.png", r"name a picture"),
    "a checkpoint that holds itself": (["gradcam", "tiny.py:Net", PICTURE, "--weights", "cyclic.pth"], 2, r"cyclic.pth", r"."),
    "a mistyped folder": (["gradcam", "tiny.py:Net", "picture/"], 4, r"no picture or folder called 'picture/'", r"did you mean pictures/\?"),
    "a mistyped folder on the way": (["gradcam", "tiny.py:Net", "pictrues/a.png"], 4, r"'pictrues/a.png'", r"did you mean pictures/a.png\?"),
    "a mistyped folder of a glob": (["gradcam", "tiny.py:Net", "pictrues/*.png"], 4, r"'pictrues/\*.png'", r"did you mean pictures/\*.png\?"),
    "a folder that is not near": (["gradcam", "tiny.py:Net", "holidays"], 4, r"'holidays'", r"name a picture, a folder"),
    "a name that begins with a dash": (["gradcam", "tiny.py:Net", "-cat.jpg"], 2, r"'-cat.jpg' begins with a dash", r"\./-cat.jpg, or put --"),
    "a name that is read as a layer": (["gradcam", "tiny.py:Net", "-liver.png"], 2, r"'-liver.png' begins with a dash", r"\./-liver.png"),
    "an empty folder": (["gradcam", "tiny.py:Net", "empty"], 4, r"no pictures in 'empty'", r"\.jpg"),
    "a glob without a match": (["gradcam", "tiny.py:Net", "nothing/*.jpg"], 4, r"no pictures in 'nothing/\*.jpg'", r"\.jpg"),
    "a text file named .jpg": (["gradcam", "tiny.py:Net", "text.jpg"], 3, r"text.jpg: .*not a picture", r"JPEG, PNG"),
    "a truncated JPEG": (["gradcam", "tiny.py:Net", "truncated.jpg"], 3, r"truncated", r"again"),
    "a decompression bomb": (["gradcam", "tiny.py:Net", "bomb.png"], 3, r"too large", r"megapixels"),
    "no images named": (["gradcam", "tiny.py:Net"], 2, r"no pictures were named", r"cat.jpg"),
    "no such model": (["gradcam", "resnet51", PICTURE], 2, r"resnet51", r"resnet50"),
    "no such prefix": (["gradcam", "tim:resnet50", PICTURE], 2, r"'tim'", r"timm"),
    "no such file of code": (["gradcam", "tinny.py:Net", PICTURE], 2, r"tinny.py", r"tiny.py"),
    "no such factory": (["gradcam", "tiny.py:Nett", PICTURE], 2, r"'Nett'", r"tiny.py:Net"),
    "a factory that raises": (["gradcam", "tiny.py:raises", PICTURE], 2, r"KeyError", r"--debug"),
    "a factory of something else": (["gradcam", "tiny.py:number", PICTURE], 2, r"int", r"nn.Module|model"),
    "NaN weights": (["gradcam", "tiny.py:nan", PICTURE], 2, r"NaN.*'blocks.weight'", r"train|export"),
    "no such layer": (["gradcam", "tiny.py:Net", PICTURE, "-l", "block"], 2, r"'block'", r"blocks"),
    "a layer without a map": (["gradcam", "tiny.py:Net", PICTURE, "-l", "head"], 2, r"'head' returns a vector", r"--layer"),
    "no such label": (["gradcam", "tiny.py:Net", PICTURE, "--labels", "two.txt", "-t", "brigt"], 2, r"'brigt'", r"'bright'"),
    "no such class": (["gradcam", "tiny.py:Net", PICTURE, "-t", "2"], 2, r"2 is not a class", r"0 to 1"),
    "too many labels": (["gradcam", "tiny.py:Net", PICTURE, "--labels", "three.txt"], 2, r"3 labels, but Net has 2 classes", r"name"),
    "a missing file of labels": (["gradcam", "tiny.py:Net", PICTURE, "--labels", "no.txt"], 2, r"no.txt", r"."),
    "a pickle that runs code": (["gradcam", "tiny.py:Net", PICTURE, "--weights", "exploit.pth"], 2, r"exploit.pth", r"state_dict"),
    "a torch file that runs code": (["gradcam", "exploit-zip.pth", PICTURE, "--arch", "tiny.py:Net"], 2, r"mkdir", r"state_dict"),
    "a checkpoint of another model": (["gradcam", "other.pth", PICTURE, "--arch", "tiny.py:Net"], 2, r"does not fit", r"architecture"),
    "a checkpoint without --arch": (["gradcam", "other.pth", PICTURE], 2, r"architecture", r"--arch"),
    "an OUT that is a file": (["gradcam", "tiny.py:Net", PICTURE, "-o", "notes.txt"], 2, r"notes.txt", r"-o"),
    "an OUT below a file": (["gradcam", "tiny.py:Net", PICTURE, "-o", "notes.txt/out"], 2, r"notes.txt", r"-o"),
    "no such option": (["gradcam", "tiny.py:Net", PICTURE, "--tagret", "1"], 2, r"--tagret", r"--target"),
    "no such command": (["gradcm", "tiny.py:Net", PICTURE], 2, r"gradcm", r"gradcam"),
    "no such method": (["gradcam", "tiny.py:Net", PICTURE, "-m", "gradcamm"], 2, r"'gradcamm' is not one of", r"gradcam"),
    "no such colours": (["gradcam", "tiny.py:Net", PICTURE, "--colormap", "jet"], 2, r"jet", r"inferno"),
    "a negative batch": (["gradcam", "tiny.py:Net", PICTURE, "--batch-size", "0"], 2, r"--batch-size", r"1"),
    "a word for a number": (["gradcam", "tiny.py:Net", PICTURE, "--alpha", "half"], 2, r"--alpha", r"--help"),
    "no such device": (["gradcam", "tiny.py:Net", PICTURE, "--device", "tpu0"], 2, r"tpu0", r"cpu"),
    "a GPU that is not there": (["gradcam", "tiny.py:Net", PICTURE, "--device", "cuda:93"], 2, r"cuda:93", r"cpu"),
    "a share of failures beyond all": (["gradcam", "tiny.py:Net", PICTURE, "--max-failures", "200%"], 2, r"200%", r"1%"),
    "an input of another size": (["gradcam", "tiny.py:Net", PICTURE, "--input-size", "4"], 2, r"failed on an input", r"--input-size"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_two_lines_and_the_exit_code(run: Run, bad: Path, case: str) -> None:
    words, code, problem, hint = CASES[case]
    words = words if "-o" in words else [*words, "-o", "out"]
    words = words if "--input-size" in words else [*words, *TINY_OPTIONS]
    done = run(*words, "-q")
    assert done.code == code, done.err
    assert re.fullmatch(r"error: .+\nhint: .+\n", done.err), done.err
    assert re.search(problem, done.error), done.error
    assert re.search(hint, done.hint), done.hint
    assert done.out in ("", "out/index.html\n")
    assert not (bad / "pwned").exists()
    assert (bad / "notes.txt").read_text() == "mine"


def test_one_bad_image_never_stops_the_others(tiny: Run, bad: Path) -> None:
    words = (
        "pictures/a.png",
        "text.jpg",
        "missing.png",
        "truncated.jpg",
        "bomb.png",
        "pictures/b.png",
        "-o",
        "out",
    )
    done = tiny(*words)
    assert done.code == 3
    assert "4 of 6 images failed" in done.error
    records = [json.loads(line) for line in (bad / "out" / "results.jsonl").read_text().splitlines()]
    assert [(record["image"], record["status"]) for record in records] == [
        ("pictures/a.png", "ok"),
        ("text.jpg", "error"),
        ("missing.png", "error"),
        ("truncated.jpg", "error"),
        ("bomb.png", "error"),
        ("pictures/b.png", "ok"),
    ]
    assert "not a picture" in (bad / "out" / "index.html").read_text()
    assert tiny(*words, "--max-failures", "4").code == 0
    assert tiny(*words, "--max-failures", "50%").code == 3
    assert tiny(*words, "--max-failures", "67%").code == 0


def test_an_output_folder_that_may_not_be_written_to(tiny: Run, work: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (work / "closed").mkdir(mode=0o500)
    done = tiny(PICTURE, "-o", "closed/out")
    assert done.code == 2
    assert "closed" in done.error


@pytest.mark.slow
def test_weights_that_cannot_be_downloaded_name_the_way_out(run: Run) -> None:
    unreachable = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": "/nonexistent"}
    done = run("gradcam", "resnet18", PICTURE, "-o", "out", "-q", env=unreachable)
    check_says_how_to_go_on_without_network(done)


def check_says_how_to_go_on_without_network(done: Finished) -> None:
    assert done.code == 2
    assert "resnet18" in done.error
    assert "bundled:efficientnet_lite0" in done.hint
    assert "--weights" in done.hint


@pytest.mark.parametrize("words", [("./-liver.png",), ("--", "-liver.png"), ("-",)])
def test_names_that_begin_with_a_dash_are_taken_where_they_are_no_options(
    run: Run, bad: Path, words: tuple[str, ...]
) -> None:
    done = run("gradcam", "tiny.py:Net", *TINY_OPTIONS, "-q", "-o", "out", *words, stdin=b"-liver.png\n")
    assert done.code == 0, done.err
    assert len(list((bad / "out").glob("*liver.png*.gradcam.png"))) == 1
