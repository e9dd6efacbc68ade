"""The page of `summary` in a real browser: folds without its script, sorts with it, and runs nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from networks import as_model
from PIL import Image
from torch import Tensor, nn

from cnnexplain.core import records
from cnnexplain.engine.cost.table import layer_table
from cnnexplain.report.pages import record
from cnnexplain.report.pages.page import page

if TYPE_CHECKING:
    from conftest import Browser

NASTY = (
    "<script>document['title']='ran'</script>\"><img src=x onerror=\"document['title']='ran'\">\n\u202e%#?"
)


class Net(nn.Module):
    """Layers whose order by parameters is not that of the code (112, 296, 18, 6, 120), with bad names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.body = nn.Sequential(nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU()), nn.Conv2d(8, 2, 1))
        self.add_module(NASTY, nn.Conv2d(2, 2, 1))  # 6
        self.add_module("endless_name_" * 20, nn.ReLU())
        self.fc = nn.Linear(2, 40)  # 120

    def forward(self, x: Tensor) -> Tensor:
        for layer in list(self.children())[:-1]:
            x = layer(x)
        return self.fc(x.mean((2, 3)))


def written(folder: Path, run: dict[str, Any], module: nn.Module, depth: int | None = None) -> Path:
    table = layer_table(as_model(module, (16, 16)))
    Image.new("RGB", (900, 400), (255, 0, 255)).save(folder / "summary.png")
    plain = {**table.record(), "shown_depth": depth or table.default_depth}
    one = records.plain(
        record.inspected("summary", "my net", [], {"summary": plain, "overview": "summary.png"})
    )
    del run["images"]
    html = folder / "index.html"
    html.write_text(page({**run, "command": "summary"}, [one]), "utf-8")
    return html


@pytest.fixture
def html(tmp_path: Path, run: Callable[..., dict[str, Any]]) -> Path:
    torch.manual_seed(0)
    return written(tmp_path, run(), Net(), depth=1)


NAMES = """[...document.querySelectorAll('.layers .row:not(.head) .name bdi')]
    .filter(one => one.checkVisibility()).map(one => one.textContent)"""


def test_blocks_fold_and_columns_sort(browser: Browser, html: Path) -> None:
    browser.open(html)
    assert browser.complaints == []
    nasty = NASTY.replace("\n", "\\n").replace("\u202e", "\\u202e")
    endless = "endless_name_" * 20
    assert browser.ask(NAMES) == ["stem", "body", nasty, endless, "fc"]
    browser.ask("document.querySelectorAll('.tree details').forEach(one => one.open = true)")
    every = ["stem", "body", "body.0", "body.0.0", "body.0.1", "body.1", nasty, endless, "fc"]
    assert browser.ask(NAMES) == every

    def click(column: str) -> None:
        browser.ask(f"document.querySelector('.head .{column} button').click()")

    click("parameters")
    assert browser.ask(NAMES)[:5] == ["body.0.0", "fc", "stem", "body.1", nasty]
    click("parameters")
    assert browser.ask(NAMES)[-5:] == [nasty, "body.1", "stem", "fc", "body.0.0"]
    click("kind")
    assert browser.ask(NAMES)[-1] == endless or browser.ask(NAMES)[-1] == "body.0.1"  # ReLU comes last
    click("field")
    assert set(browser.ask(NAMES)[-1:]) == {"fc"}  # has none
    click("layer")
    assert browser.ask(NAMES) == every
    assert browser.ask("document.title").startswith("resnet50")
    assert browser.complaints == []


def test_no_other_script_runs(browser: Browser, html: Path) -> None:
    browser.open(html)
    assert browser.ask("document.scripts.length") == 1
    browser.ask(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert browser.ask("window.ran") is None
    assert any("Content Security Policy" in one for one in browser.complaints)


@pytest.mark.parametrize("width", [320, 768, 1300])
def test_the_table_scrolls_and_the_page_does_not(browser: Browser, html: Path, width: int) -> None:
    browser.open(html, width)
    browser.ask("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    table = browser.ask("document.querySelector('.layers').scrollWidth")
    assert width < 1300 or table <= browser.ask("document.querySelector('.layers').clientWidth")
    # Cells stand below their headings, however deep their blocks.
    assert (
        browser.ask("""
        [...document.querySelectorAll('.tree .row')].flatMap(row => [...row.children].filter((cell, place) =>
            Math.abs(cell.getBoundingClientRect().left
                - document.querySelector('.head').children[place].getBoundingClientRect().left) > 1)
            .map(one => one.outerHTML.slice(0, 80)))
    """)
        == []
    )


def test_without_its_script_the_page_says_the_same(html: Path) -> None:
    text = html.read_text("utf-8")
    without = re.sub(r"<script type=.module.>.*?</script>\n</body>", "", text, flags=re.DOTALL)
    assert "<script" not in without
    for said in ("body.0.<", "296", "Linear", "<details>", "552", "gradcam"):
        assert said in without, said


def test_a_block_as_deep_as_python_allows_makes_a_page(
    tmp_path: Path, run: Callable[..., dict[str, Any]]
) -> None:
    deep: nn.Module = nn.Conv2d(3, 4, 1)
    for _ in range(60):
        deep = nn.Sequential(deep)
    html = written(tmp_path, run(), nn.Sequential(deep, nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    assert html.read_text("utf-8").count('class="row"') == 60 + 1 + 2 + 0


def test_a_model_that_failed_says_why_above_its_table(
    tmp_path: Path, run: Callable[..., dict[str, Any]]
) -> None:
    html = written(tmp_path, run(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(99, 2)))
    assert 'class="notice">No picture went through it: Sequential failed on an input of' in html.read_text(
        "utf-8"
    )
