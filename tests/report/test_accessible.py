"""A report of every command for those who see little, hear, use keys, a phone or paper: in a real browser."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from many import Lazy
from PIL import Image
from test_find_page import labelled

from cnnexplain.cli import app
from cnnexplain.report.pages.long import pages

if TYPE_CHECKING:
    from conftest import Browser

NET = """
import torch
from torch import nn


class Block(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())


class Net(nn.Sequential):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), *(Block(8) for _ in range(4)),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
        )
"""
CALLS = {
    "gradcam": "pics --labels-from labels.csv -t top2 --verdict",
    "saliency": "pics -m gradient,integrated-gradients --steps 8",
    "occlusion": "pics --window 16 --stride 16",
    "deconv": "pics -l 0 -l 4.0",
    "activations": "pics -l 0",
    "compare": "pics -m gradcam,gradient",
    "filters": "-l all",
    "summary": "",
    "maximize": "-l 0 --channel 0,1 --steps 4 --size 32",
    "units": "pics -l 4.0 --top 2",
    "check": "pics",
}
DRAWN = [name for name in CALLS if name not in ("units", "check")]  # whose pictures have words
OPEN = "document.querySelectorAll('details').forEach(one => { one.open = true; })"
SETTLED = "new Promise(done => setTimeout(done, 250))"
WORD = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*(?:e[−+-]?\d+)?")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, run_of_many: dict[str, Any]) -> Path:
    """A folder with the report of each command, and one of 430 images with their expected classes."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "net.py").write_text(NET)
    (folder / "pics").mkdir()
    for name, seed in (("one.png", 0), ("two's &.png", 1)):
        noise = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC).save(folder / "pics" / name)
    (folder / "labels.csv").write_text('image,label\npics/one.png,0\n"pics/two\'s &.png",1\n')
    start = Path.cwd()
    os.chdir(folder)
    try:
        for command, words in CALLS.items():
            images = [word for word in words.split() if word == "pics"]
            options = [word for word in words.split() if word != "pics"]
            model = ["net.py:Net", *images, "--input-size", "64", "-q"]
            assert app.run([command, *model, *options, "-o", command]) in (0, 1), command  # a check may fail
    finally:
        os.chdir(start)
    (folder / "short").mkdir()
    short = Lazy(12, lambda place: {**labelled(place), "explanations": []})
    for path, content in pages(run_of_many, short):
        (folder / "short" / path).write_text(content, "utf-8")
    many = folder / "many"
    (many / "report").mkdir(parents=True)
    for path, content in pages(run_of_many, Lazy(430, lambda place: {**labelled(place), "explanations": []})):
        (many / path).write_text(content, "utf-8")
    return folder


@pytest.fixture(scope="module")
def run_of_many(run: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The run.json of a long run whose images should be of known classes."""
    return run(answers={"right": 80, "labelled": 387})


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core, which a package for tests has."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None or not package.submodule_search_locations:
        pytest.skip("axe-playwright-python is not installed, so axe-core did not look at the pages")
    return Path(package.submodule_search_locations[0], "axe.min.js").read_text("utf-8")


def every(reports: Path) -> Iterator[Path]:
    """A page of each command, and one of each kind of a long report and of an atlas."""
    yield from (reports / command / "index.html" for command in CALLS)
    yield from sorted((reports / "units" / "report").glob("*.html"))
    yield from (reports / name / "index.html" for name in ("short", "many"))
    kinds: dict[str, Path] = {}
    for page in sorted((reports / "many" / "report").glob("*.html")):
        kinds.setdefault(re.sub(r"[-\d]+", "", page.stem), page)
    yield from kinds.values()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1300])
def test_axe_finds_nothing(browser: Browser, reports: Path, axe: str, width: int, scheme: str) -> None:
    for page in every(reports):
        browser.open(page, width, scheme=scheme)
        browser.ask(SETTLED)
        browser.ask(OPEN)
        browser.ask(f"{axe};0")
        answer = browser.ask("axe.run(document, {resultTypes: ['violations']}).then(JSON.stringify)")
        violations = [
            (violation["id"], node["html"][:160], node["failureSummary"])
            for violation in json.loads(answer)["violations"]
            for node in violation["nodes"]
        ]
        assert violations == [], page


@pytest.mark.parametrize("width", [320, 800])
def test_no_page_scrolls_sideways(browser: Browser, reports: Path, width: int) -> None:
    for page in every(reports):
        browser.open(page, width)
        browser.ask(SETTLED)
        browser.ask(OPEN)
        assert browser.ask("document.documentElement.scrollWidth") <= width, page
        assert browser.complaints == [], page


def test_what_has_the_focus_is_seen(browser: Browser, reports: Path) -> None:
    marked = """
        [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
            .filter(one => one.checkVisibility() && !one.disabled && !one.closest('svg'))
            .slice(0, 60)
            .filter(one => {
                one.focus({focusVisible: true});
                const style = getComputedStyle(one);
                return document.activeElement === one && !(Number.parseFloat(style.outlineWidth) >= 1
                    && style.outlineStyle !== 'none');
            })
            .map(one => one.outerHTML.slice(0, 120))
    """
    for page in every(reports):
        browser.open(page)
        browser.ask(SETTLED)
        assert browser.ask(marked) == [], page


def test_nothing_moves_for_those_who_bear_no_motion(browser: Browser, reports: Path) -> None:
    moving = """
        [...document.querySelectorAll('*')]
            .filter(one => {
                const style = getComputedStyle(one);
                return [style.transitionDuration, style.animationDuration].join().split(',')
                    .some(time => Number.parseFloat(time) > 0) || style.scrollBehavior === 'smooth';
            })
            .map(one => one.outerHTML.slice(0, 120))
    """
    for page in every(reports):
        browser.open(page)
        browser._call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}]
        )
        browser.ask(SETTLED)
        assert browser.ask(moving) == [], page


def test_on_paper_there_is_no_control_and_nothing_is_cut(browser: Browser, reports: Path) -> None:
    controls = """
        [...document.querySelectorAll('button:not(th button, .head button), input, select, .viewer')]
            .filter(one => one.checkVisibility()).map(one => one.outerHTML.slice(0, 120))
    """
    for page in every(reports):
        browser.open(page, 720, scheme="dark")
        browser.ask(SETTLED)
        browser.medium("print")
        try:
            assert browser.ask(controls) == [], page
            paper = browser.ask("getComputedStyle(document.body).backgroundColor")
            assert paper == "rgb(255, 255, 255)", page
            hidden = "[...document.querySelectorAll('figure .picture')].filter(one => !one.checkVisibility()).length"
            assert browser.ask(hidden) == 0, page
        finally:
            browser.medium("")


@pytest.mark.parametrize("command", DRAWN)
def test_all_words_of_a_picture_stand_on_the_page(reports: Path, command: str) -> None:
    out = reports / command
    page = _Text((out / "index.html").read_text("utf-8"))
    records = [json.loads(line) for line in (out / "results.jsonl").read_text("utf-8").splitlines()]
    words = {path: lines for record in records for path, lines in record["words"].items()}
    pictures = {file.relative_to(out).as_posix() for file in out.rglob("*.png") if ".plain." not in file.name}
    assert words.keys() == pictures
    for path, lines in words.items():
        missing = [word for line in lines for word in WORD.findall(line) if word not in page.words]
        assert missing == [], (path, lines)


class _Text(HTMLParser):
    """The words of a page, also those that describe pictures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: set[str] = set()
        self._silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("style", "script")
        for name, value in attrs:
            if name in ("alt", "aria-label"):
                self.words.update(WORD.findall(value or ""))

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.update(WORD.findall(data))
