"""The contact sheet for LaTeX: read as TeX reads it, captions say what they should, and nothing else happens."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest

from cnnexplain.report.pages.latex import MOST, contact_sheet, escaped, path_in_tex

WORDS = {
    "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<", "textgreater": ">",
    "textbar": "|", "textquotedbl": '"', "textasciigrave": "`", "textquotesingle": "'",
}  # fmt: skip
ACTIVE = set("\\{}$&#%_~^")
RUN = {"cnnexplain": "1.2.3"}


def read(tex: str) -> str:
    """What TeX prints of a caption. Fails where it would do anything but print."""
    printed, place, depth = "", 0, 0
    while place < len(tex):
        letter = tex[place]
        if letter == "\\":
            name = re.match(r"\\([A-Za-z]+)\{\}|\\([{}$&#%_])", tex[place:])
            assert name, tex[place:]
            printed += WORDS[name[1]] if name[1] else name[2]
            place += name.end()
            continue
        assert letter in "{}" or letter not in ACTIVE, tex[place:]
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
        printed += "" if letter in "{}" else letter
        place += 1
    assert depth == 0
    assert not re.search(r"--|``|''|\?`|!`|,,|<<|>>", tex), "a ligature"
    return printed


@pytest.mark.parametrize(
    "name",
    [
        string.printable.strip(),
        r"\input{/etc/passwd}",
        r"\\[9cm] \end{minipage}\write18{rm -rf ~}",
        "50% off_$x^2$ & #1 ~home",
        "``quoted'' -- and --- ?`!` ,,<<>>",
        "^^5cinput secret",
        "猫 кот חתול é",
        "}}{{",
    ],
)
def test_a_caption_prints_what_it_was_made_of(name: str) -> None:
    assert read(escaped(name)) == " ".join(name.split())


def test_what_no_line_holds_is_replaced() -> None:
    assert "\n" not in escaped("a\n\n\\par b\x00\x1b")
    assert read(escaped("a\n\nb")) == "a b"


def test_names_of_files_are_never_comments() -> None:
    path = path_in_tex("a%20b~1/c_d.png.gradcam")
    assert "%" not in path
    assert path.replace("\\cnnexplainpercent ", "%").replace("\\string~", "~") == "a%20b~1/c_d.png.gradcam"


def test_every_picture_of_a_run_is_on_it() -> None:
    tex = contact_sheet(RUN, [record("a_b.png", 2), record("50%.png", 1), {**record("broken.png", 0)}])
    assert tex.startswith("% cnnexplain 1.2.3")
    assert tex.count("\\begin{minipage}") == tex.count("\\end{minipage}") == 3
    assert re.findall(r"\\cnnexplainfolder/\{(.*?)\}\.png", tex) == [
        "a_b.png.gradcam.0", "a_b.png.gradcam.1", "50\\cnnexplainpercent .png.gradcam.0",
    ]  # fmt: skip
    captions = [read(caption) for caption in re.findall(r"\\footnotesize (.*)\}", tex)]
    assert captions[0].endswith("· a_b.png")
    assert "tabby & cat 0" in captions[0]
    assert tex.count("{") == tex.count("}") == len(re.findall(r"(?<!\\)\}|\\\}", tex))


def test_a_long_run_is_cut_and_says_so() -> None:
    tex = contact_sheet(RUN, (record(f"{number}.png", 1) for number in range(MOST + 5)))
    assert tex.count("\\includegraphics") == MOST
    assert f"Only the first {MOST:,} pictures" in tex


def record(image: str, classes: int) -> dict[str, Any]:
    """The record of an image with a map for each of some classes."""
    return {
        "image": f"folder/{image}",
        "status": "ok",
        "size": [4, 4],
        "explanations": [
            {
                "kind": "map", "method": "gradcam", "layer": "l", "of_class": True, "scale": "evidence",
                "target": {"index": number, "label": f"tabby & cat {number}", "probability": 0.5, "logit": 1.0},
                "shape": [2, 2], "min": 0.0, "max": 1.0, "peak": [1, 1],
                "picture": f"{image}.gradcam.{number}.png",
            }
            for number in range(classes)
        ],
    }  # fmt: skip
