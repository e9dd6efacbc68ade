"""The graph on the page of `summary`, in a real browser: blocks open in place, layers lead to their rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from networks import as_model
from torch import Tensor, nn

from cnnexplain.core import records
from cnnexplain.engine.cost.table import layer_table
from cnnexplain.report.graph import graph_view
from cnnexplain.report.pages import record
from cnnexplain.report.pages.page import page

if TYPE_CHECKING:
    from conftest import Browser

NASTY = "<img src=x onerror=\"document['title']='ran'\">\n\u202e</script>%#?"


class Block(nn.Module):
    """A convolution, and what it was given added to it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.conv, self.inner = nn.Conv2d(4, 4, 3, padding=1), inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(self.conv(x))


class Net(nn.Module):
    """Three equal blocks, one with blocks in it, one with a bad name; more than are open at first."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.body = nn.Sequential(*(Block(nn.ReLU()) for _ in range(3)), Block(Block(nn.Sigmoid())))
        self.add_module(NASTY, nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 5, padding=2)))
        self.tail = nn.Sequential(*(nn.Conv2d(4 + at, 5 + at, 1) for at in range(55)))
        self.fc = nn.Linear(59, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in list(self.children())[:-1]:
            x = layer(x)
        return self.fc(x.mean((2, 3)))


@pytest.fixture
def whole() -> dict[str, Any]:
    table = layer_table(as_model(Net(), (16, 16))).record()
    made: dict[str, Any] = records.plain(record.inspected("summary", "my net", [], {"summary": table}))
    return made


@pytest.fixture
def html(tmp_path: Path, run: Callable[..., dict[str, Any]], whole: dict[str, Any]) -> Path:
    described = {**run(), "command": "summary"}
    del described["images"]
    path = tmp_path / "index.html"
    path.write_text(page(described, [whole]), "utf-8")
    return path


# Everything that is drawn, to a tenth of a pixel.
DRAWN = r"""[...document.querySelectorAll('svg.graph > *')].map(each => [each.tagName, each.getAttribute('class'),
    (each.getAttribute('transform') ?? each.getAttribute('d')).replace(/-?[0-9.]+/g, n => (+n).toFixed(1)),
    each.textContent].join('|'))"""
TITLES = """[...document.querySelectorAll('svg.graph a, svg.graph g')].map(each => each.textContent)"""


def pressed(item: str) -> str:
    return f"document.querySelector('svg.graph [data-item=\"{item}\"]')"


def click(browser: Browser, item: str) -> None:
    event = "new MouseEvent('click', {bubbles: true, cancelable: true})"
    browser.ask(f"{pressed(item)}.dispatchEvent({event})")


def numbers(lines: list[str]) -> list[float]:
    return [float(each) for line in lines for each in re.findall(r"-?[0-9]+\.[0-9]", line)]


def test_blocks_open_in_place_and_close_to_what_was_there(browser: Browser, html: Path) -> None:
    browser.open(html)
    before = browser.ask(DRAWN)
    item = browser.ask("document.querySelector('svg.graph a.block').dataset.item")
    assert browser.ask(f"{pressed(item)}.getAttribute('aria-expanded')") == "false"
    click(browser, item)
    assert len(browser.ask(DRAWN)) > len(before)
    assert browser.ask(f"{pressed(item)}.getAttribute('aria-expanded')") == "true"
    assert browser.ask(f"document.activeElement === {pressed(item)}")
    click(browser, item)
    # The script's drawing is Python's, to the last word and half a pixel.
    after = browser.ask(DRAWN)
    assert [re.sub(r"[0-9.]+", "", line) for line in after] == [
        re.sub(r"[0-9.]+", "", line) for line in before
    ]
    assert numbers(after) == pytest.approx(numbers(before), abs=0.2)
    assert browser.complaints == []


def test_every_block_can_be_opened_and_no_name_does_anything(browser: Browser, html: Path) -> None:
    browser.open(html)
    for _ in range(30):
        closed = browser.ask("document.querySelector('svg.graph [aria-expanded=false]')?.dataset.item")
        if closed is None:
            break
        click(browser, closed)
    titles = "\n".join(browser.ask(TITLES))
    assert browser.ask("document.querySelectorAll('svg.graph [aria-expanded=false]').length") == 0
    assert "Block ×3" in titles
    assert "Sigmoid" in titles
    assert "onerror" in titles
    assert "\u202e" not in titles
    assert browser.ask("document.title").startswith("resnet50")
    assert browser.ask("document.images.length") == 0
    assert browser.complaints == []


def test_enter_opens_a_block(browser: Browser, html: Path) -> None:
    browser.open(html)
    item = browser.ask("document.querySelector('svg.graph a.block').dataset.item")
    browser.ask(f"{pressed(item)}.focus()")
    for kind in ("keyDown", "keyUp"):
        browser._call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                      windowsVirtualKeyCode=13)  # fmt: skip
    assert browser.ask(f"{pressed(item)}.getAttribute('aria-expanded')") == "true"


def test_a_layer_leads_to_its_row_also_when_the_table_is_sorted(browser: Browser, html: Path) -> None:
    browser.open(html)
    browser.ask("document.querySelectorAll('.tree details').forEach(each => each.open = false)")
    browser.ask("document.querySelector('.layers .head .parameters button').click()")
    stem = "[...document.querySelectorAll('svg.graph a')].find(each => each.textContent.startsWith('stem'))"
    browser.ask(f"{stem}.dispatchEvent(new MouseEvent('click', {{bubbles: true, cancelable: true}}))")
    row = browser.ask("document.querySelector(':target .name bdi').textContent")
    assert row == "stem"
    assert browser.ask("document.querySelector(':target').checkVisibility()")
    browser.ask("location.hash = document.querySelectorAll('.tree .row')[2].id")
    assert browser.ask("document.querySelector(':target').checkVisibility()"), (
        "within a block that was closed"
    )


@pytest.mark.parametrize("width", [320, 1300])
def test_the_graph_scrolls_and_the_page_does_not(browser: Browser, html: Path, width: int) -> None:
    browser.open(html, width)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask(
        "document.querySelector('.graph-box').scrollWidth > document.querySelector('.graph').clientWidth"
    )


def test_without_its_script_the_picture_is_there_with_links_to_rows(html: Path) -> None:
    text = re.sub(r"<script.*?</script>\n</body>", "", html.read_text("utf-8"), flags=re.DOTALL)
    assert "Block ×3</text>" in text
    assert "\u202e" not in text
    assert "<img src=x" not in text
    anchors = set(re.findall(r'href="#(layer-[0-9]+)"', text))
    assert anchors
    assert anchors <= set(re.findall(r'id="(layer-[0-9]+)"', text))


def test_records_of_earlier_versions_have_no_graph(whole: dict[str, Any]) -> None:
    del whole["summary"]["graph"]
    assert graph_view(whole) is None


def test_dead_units_stand_on_the_boxes(
    browser: Browser, tmp_path: Path, run: Callable[..., dict[str, Any]]
) -> None:
    net = Net()
    with torch.no_grad():
        net.stem.weight[1:3] = 0
        for block, dead in zip(net.body, (1, 2, 0), strict=False):
            block.conv.weight[:dead] = 1e-9
        net.fc.weight[0] = 0
    table = layer_table(as_model(net, (16, 16)))
    dead = {row.name: row.dead for row in table.rows}
    assert (dead["stem"], dead["body.0.conv"], dead["body.2.conv"], dead["fc"]) == (2, 1, 0, 1)
    assert dead["body"] is dead[""] is None
    whole = records.plain(record.inspected("summary", "my net", [], {"summary": table.record()}))
    described = {**run(), "command": "summary"}
    del described["images"]
    path = tmp_path / "index.html"
    path.write_text(page(described, [whole]), "utf-8")
    browser.open(path)
    said = (
        "[...document.querySelectorAll('svg.graph .dead')].map(each => each.textContent.split(' · ').at(-1))"
    )
    before = browser.ask(said)
    assert before.count("2 dead") == 1  # of the stem
    facts = browser.ask(
        "JSON.parse(document.querySelector('.graph-data').textContent).items.map(one => one.facts)"
    )
    assert any(each.endswith("3 dead") for each in facts), "of three blocks that are alike"
    item = browser.ask("document.querySelector('svg.graph a.block').dataset.item")
    click(browser, item)
    click(browser, item)
    assert browser.ask(said) == before


def test_a_row_leads_to_its_box_and_going_back_to_the_row(browser: Browser, html: Path) -> None:
    browser.open(html)
    browser.ask("document.querySelectorAll('.tree details').forEach(each => each.open = true)")
    rows = browser.ask("[...document.querySelectorAll('.tree .to-graph')].length")
    assert rows == browser.ask("document.querySelectorAll('.tree .row').length"), "each row leads to a box"
    hidden = """[...document.querySelectorAll('.tree .row .to-graph')]
        .find(each => !document.querySelector(`[id="${each.hash.slice(1)}"]`))"""
    row, box = browser.ask(f"{hidden}.closest('.row').id"), browser.ask(f"{hidden}.hash").removeprefix("#")
    browser.ask(f"{hidden}.click()")  # opens the blocks around it
    browser.wait(f"document.activeElement.id === '{box}'")
    assert browser.ask("document.activeElement.getAttribute('href')") == f"#{row}"
    event = "new MouseEvent('click', {bubbles: true, cancelable: true})"
    browser.ask(f"document.activeElement.dispatchEvent({event})")
    browser.wait(f"location.hash === '#{row}'")
    browser.ask("history.back()")
    browser.wait(f"document.activeElement.id === '{box}'")
    assert browser.complaints == []
