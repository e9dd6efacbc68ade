"""The pages hold together: what is written from the code is what the code says, and every link leads somewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pages
import pytest
from doc_shell import DOCS
from PIL import Image

from cnnexplain.commands._baselines import BASELINES
from cnnexplain.commands._pixel_maps import MAPS
from cnnexplain.commands.deconv import RULES
from cnnexplain.engine.backward.rectifiers import KIN
from cnnexplain.errors import ExitCode
from cnnexplain.formulas.cam import CAMS
from cnnexplain.sources._checkpoint import NESTS, SUFFIXES

EVERY_PAGE = pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)


def text(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def test_the_reference_is_what_the_code_says_and_needs_no_torch() -> None:
    script = (
        "import sys, reference; sys.stdout.write(reference.commands()); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=DOCS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == text("commands.md"), "run make docs"


def test_the_signatures_are_what_the_code_says() -> None:
    import reference

    import cnnexplain

    assert reference.signatures(text("python.md"), cnnexplain) == text("python.md"), "run make docs"
    described = set(re.findall(r"<!-- signature: (\w+)", text("python.md")))
    assert described == set(cnnexplain.__all__) - {"__version__"}


def test_every_check_has_its_row_its_page_and_its_limits() -> None:
    import reference

    from cnnexplain import checks

    assert reference.check_table(text("check.md")) == text("check.md"), "run make docs"
    kept = {page.stem for page in pages.CHECKS.glob("*.md")}
    assert kept == set(checks.ids())
    for name in kept:
        page = (pages.CHECKS / f"{name}.md").read_text("utf-8")
        assert reference.check_limits(page, name) == page, "run make docs"
        assert page.startswith(f"# {name}")


def test_the_pipelines_are_what_their_servers_read() -> None:
    yaml = pytest.importorskip("yaml")
    github, gitlab = (
        yaml.safe_load(block.text) for block in pages.blocks(DOCS / "check.md") if block.language == "yaml"
    )
    (job,) = github["jobs"].values()
    called = [step["run"] for step in job["steps"] if "cnnexplain check" in step.get("run", "")]
    assert len(called) == 1
    (job,) = (one for one in gitlab.values() if "script" in one)
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] == "checks.xml"
    for script in (*called, *job["script"]):
        assert "\t" not in script


@EVERY_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    for link in pages.links(page):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / unquote(path)).resolve()
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    code = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_names_every_page() -> None:
    named = set(pages.links(DOCS / "README.md"))
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= named


def test_every_picture_is_shown_made_and_described() -> None:
    kept = set(pages.PICTURES.rglob("*.png"))
    assert kept == pages.shown()
    assert set(pages.said()) == {picture.relative_to(pages.PICTURES).as_posix() for picture in kept}
    assert kept | {pages.REPORT, pages.BOARD, pages.SAID} == {
        file for file in pages.PICTURES.rglob("*") if file.is_file()
    }
    makers = {item for page in pages.pages() for item in pages.made_by(page).items()}
    folders = [pages.kept(out) for out, _ in makers]
    assert sorted(folders) == sorted({picture.parent for picture in kept}), "two commands write to one folder"
    for page in pages.pages():
        for words in re.findall(r"!\[([^\]]*)\]", page.read_text("utf-8")):
            assert len(words) > 15, f"{page.name}: {words!r} says nothing to one who cannot see the picture"


def test_the_pictures_are_small() -> None:
    files = [file for file in pages.PICTURES.rglob("*") if file.is_file() and file != pages.SAID]
    assert sum(file.stat().st_size for file in files) < 9_200_000
    for file in files:
        with Image.open(file) as picture:
            assert max(picture.size) <= 1300


def test_every_formula_has_its_paper_and_its_row() -> None:
    page = text("gradcam.md")
    for name, cam in CAMS.items():
        assert f"`{name}`" in page
        for paper in re.findall(r"arXiv:[\d.]+\d|doi:[\w./]+\w", cam.formula.__doc__ or ""):
            assert paper in page
        for authors in re.findall(r"^[A-Z].*? et al\. \d+|^[A-Z]\w+ & \w+ \d+", cam.formula.__doc__ or ""):
            assert authors in page


def test_every_map_of_pixels_has_its_paper_and_its_row() -> None:
    page = text("saliency.md")
    for name, entry in MAPS.items():
        assert f"| `{name}` |" in page
        said = entry.formula.__doc__ or ""
        for paper in re.findall(r"arXiv:[\d.]+\d", said):
            assert paper in page
        assert re.split(r" \(arXiv", said)[0] in page


def test_what_is_said_of_baselines_rules_and_rectifiers_is_what_there_is() -> None:
    page = text("saliency.md")
    for name in BASELINES:
        assert f"| `{name}` |" in page
    for kind in set(KIN.values()) - {"Threshold"}:  # is called ReLU where it is one
        assert kind in page, kind
    for rule in RULES:
        assert f"| `{rule}` |" in text("deconv.md")
    for key in json.loads(text("record.schema.json"))["$defs"]["explanation"]["properties"]:
        assert f"`{key}`" in text("pictures.md"), key


def test_what_is_said_of_checkpoints_is_what_is_done() -> None:
    page = text("models.md")
    for word in (*NESTS, *(suffix for suffix in SUFFIXES if suffix != ".pt2")):
        assert f"`{word}`" in page, word


def test_every_exit_code_is_explained() -> None:
    codes = {
        int(code)
        for row in re.findall(r"^\| ([\d, ]+) \|", text("pictures.md"), re.M)
        for code in row.split(",")
    }
    assert codes == {int(code) for code in ExitCode}


@EVERY_PAGE
def test_lines_and_words_are_for_readers(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert "TODO" not in prose
    assert "\t" not in prose
    assert page.read_text("utf-8").endswith("\n")
