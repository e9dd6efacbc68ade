"""Finding pictures of a short report in place, in a real browser: cards are filtered, sorted, and gone through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from many import Lazy, Record
from test_find_page import NASTY, ask, chance_of, labelled, soon

from cnnexplain.report.pages.long import pages

if TYPE_CHECKING:
    from conftest import Browser

Run = Callable[..., dict[str, Any]]

MANY = 24
NAMES = """[...document.querySelectorAll('article.card h3 bdi')].filter(one => one.checkVisibility())
    .map(one => one.textContent)"""
SHOWN = "document.querySelector('.find output').textContent"
WAY = "document.querySelector('.walk p').textContent"


def write(out: Path, run: dict[str, Any], many: int) -> Path:
    """Write a report of so many images without pictures, and return its page."""
    out.mkdir(parents=True)
    ((path, content),) = pages(run, Lazy(many, lambda place: {**labelled(place), "explanations": []}))
    (out / path).write_text(content, "utf-8")
    return out / path


@pytest.fixture(name="html")
def html_fixture(tmp_path: Path, run: Run) -> Path:
    """The page of 24 images, in a folder with an awkward name."""
    return write(tmp_path / "out #1 100%? 'é'", run(), MANY)


def shown(browser: Browser, **wishes: str) -> list[str]:
    """The names on the cards once this is asked for, from top to bottom; failures stand above the others."""
    ask(browser, **wishes)
    names: list[str] = browser.ask(NAMES)
    return names


def names(records: list[Record]) -> list[str]:
    """Their names, those that failed first."""
    return [str(record["image"]) for record in sorted(records, key=lambda record: "error" not in record)]


def test_cards_are_filtered_and_sorted_in_place(browser: Browser, html: Path) -> None:
    browser.open(html)
    every = list(map(labelled, range(MANY)))
    explained = [record for record in every if "error" not in record]
    assert browser.ask(NAMES) == names(every)
    assert browser.ask(SHOWN) == "all 24"
    wrong = [record for record in explained if not record["right"]]
    assert shown(browser, state="wrong") == names(wrong)
    assert browser.ask(SHOWN) == f"{len(wrong)} of 24"
    failed = [record for record in every if "error" in record]
    assert shown(browser, state="failed") == names(failed)
    assert not browser.ask("document.getElementById('explained').checkVisibility()")
    by_chance = sorted(explained, key=chance_of, reverse=True)
    assert shown(browser, state="explained", sort="confidence", down="1") == names(by_chance)
    dogs = [record for record in by_chance if record["predictions"][0]["label"] == "dog"]
    assert shown(browser, **{"class": "dog"}) == names(dogs)
    browser.ask("document.querySelector('.find button').click()")
    assert browser.ask(NAMES) == names(every), "the order of the page"
    assert browser.ask("document.title") != "ran"
    assert any(NASTY in name for name in browser.ask(NAMES))
    assert browser.complaints == []


def test_the_address_has_what_was_asked_for(browser: Browser, html: Path) -> None:
    browser.open(html)
    dogs = shown(browser, **{"class": "dog"}, sort="confidence")
    address = browser.ask("location.href")
    assert "class=dog" in address
    browser.ask("window.before = 1; location.reload(); 0")
    soon(browser, "!window.before && document.querySelector('.find output')?.textContent.includes(' of ')")
    assert browser.ask(NAMES) == dogs
    assert browser.ask("document.querySelector('.find [name=class]').value") == "dog"


def test_one_card_leads_to_the_next_that_was_asked_for_and_back(browser: Browser, html: Path) -> None:
    browser.open(html)
    explained = shown(browser, state="explained")
    assert not browser.ask("document.querySelector('.walk').checkVisibility()")
    browser.ask("document.querySelector('.index summary').click()")
    browser.ask("[...document.querySelectorAll('.index a')].find(one => one.checkVisibility()).click()")
    browser.wait(f"{WAY} === '1 of {len(explained)}'")
    target = "document.querySelector(':target h3').textContent"
    assert browser.ask(target) == explained[0]
    browser.press("ArrowRight")
    browser.wait(f"{WAY} === '2 of {len(explained)}'")
    assert browser.ask(target) == explained[1]
    browser.ask("document.querySelector('.walk [rel=next]').click()")
    browser.wait(f"{WAY} === '3 of {len(explained)}'")
    browser.press("ArrowLeft")
    browser.wait(f"{WAY} === '2 of {len(explained)}'")
    browser.ask("history.go(-4)")
    browser.wait("!document.querySelector('.walk').checkVisibility()")
    assert browser.ask(NAMES) == explained
    browser.press("/")
    assert browser.ask("document.activeElement.name") == "find"
    assert browser.complaints == []


def test_without_scripts_all_cards_are_there(browser: Browser, html: Path) -> None:
    browser.scripts(False)
    browser.open(html)
    assert not browser.ask("document.querySelector('.find').checkVisibility()")
    assert len(browser.ask(NAMES)) == MANY
    browser.scripts(True)


def test_few_cards_need_no_list(tmp_path: Path, run: Run) -> None:
    assert 'class="find' not in write(tmp_path / "few", run(), 3).read_text("utf-8")
    assert 'class="find' in write(tmp_path / "more", run(), 4).read_text("utf-8")


def test_a_hundred_cards_answer_within_a_tenth_of_a_second(
    browser: Browser, tmp_path: Path, run: Run
) -> None:
    browser.open(write(tmp_path / "out", run(), 100))
    ask(browser, state="explained")
    before = browser.spent()
    for order in ("name", "confidence", "class", ""):
        ask(browser, sort=order)
    assert (browser.spent() - before) / 4 < 0.1


def test_nothing_overflows(browser: Browser, html: Path) -> None:
    for width in (1400, 800, 360, 320):
        browser.open(html, width)
        assert browser.ask("document.documentElement.scrollWidth") <= width
