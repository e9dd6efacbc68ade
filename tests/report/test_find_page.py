"""Finding pictures of a long report in a real browser: the list has what was asked for, and links lead through it."""

from __future__ import annotations

import base64
import json
import random
import re
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from many import Lazy, Record, failure, image

from cnnexplain.report.pages import find_index
from cnnexplain.report.pages.find_index import sheets
from cnnexplain.report.pages.long import pages

if TYPE_CHECKING:
    from conftest import Browser

Run = Callable[..., dict[str, Any]]

MANY = 430
LABELS = ("tiger cat", "Egyptian cat", "dog", "class 10", "class 9")
NASTY = "<img src=x onerror=\"document.title='ran'\">#1 %&sort=name"
READY = "document.querySelectorAll('.found tbody tr').length"
SHOWN = "document.querySelector('.find output').textContent"
NAMES = "[...document.querySelectorAll('.found th bdi')].map(one => one.textContent)"


def labelled(place: int) -> Record:
    """The record of an image that should be of some class; every tenth has failed, and names come in no order."""
    chance = random.Random(place)
    name = f"{NASTY if place == 7 else ''}folder {place * 7 % 10}/photo {place * 37 % MANY}.jpg"
    if place % 10 == 4:
        return failure(place, name, "cut short" if place % 20 == 4 else "is empty")
    index, expected = chance.choices(range(5), k=2)
    made = image(place, name, LABELS[index], chance=round(chance.random(), 3))
    made["predictions"][0]["index"] = index
    return made | {"expected": {"index": expected, "label": LABELS[expected]}, "right": index == expected}


def write(out: Path, run: dict[str, Any], records: Lazy) -> Path:
    """Write the pages of a long report, and return that which finds pictures."""
    (out / "report").mkdir(parents=True)
    for path, content in pages(run, records):
        (out / path).write_text(content, "utf-8")
    return out / "report" / "find.html"


@pytest.fixture(name="find")
def find_fixture(tmp_path: Path, run: Run) -> Path:
    """The page of 430 pictures without the drawn ones, in a folder with an awkward name."""
    records = Lazy(MANY, lambda place: {**labelled(place), "explanations": []})
    return write(tmp_path / "out #1 100%? 'é'", run(), records)


def ask(browser: Browser, **wishes: str) -> list[str]:
    """Ask for pictures with the controls, and return the names in the list."""
    browser.ask(f"""
        for (const [name, value] of Object.entries({json.dumps(wishes)})) {{
            const control = document.querySelector(`.find [name=${{name}}]`);
            if (control.type === "checkbox") control.checked = value !== "";
            else control.value = value;
            control.dispatchEvent(new Event("input", {{bubbles: true}}));
        }}
    """)
    names: list[str] = browser.ask(NAMES)
    return names


def names(records: list[Record]) -> list[str]:
    """The first names of these records, as many as a list shows."""
    return [str(record["image"]) for record in records[:50]]


def chance_of(record: Record) -> float:
    """The probability of the first answer."""
    return float(record["predictions"][0]["probability"])


def test_what_is_asked_for_is_listed(browser: Browser, find: Path) -> None:
    browser.open(find)
    browser.wait(READY)
    every = list(map(labelled, range(MANY)))
    explained = [record for record in every if "error" not in record]
    failed = [record for record in every if "error" in record]
    assert browser.ask(NAMES) == names(every)
    assert browser.ask(SHOWN) == "all 430"
    wrong = [record for record in explained if not record["right"]]
    assert ask(browser, state="wrong") == names(wrong)
    assert browser.ask(SHOWN) == f"{len(wrong)} of 430"
    assert ask(browser, state="right") == names([record for record in explained if record["right"]])
    assert ask(browser, state="failed") == names(failed)
    empty = [record for record in failed if "empty" in record["error"]["message"]]
    assert ask(browser, find="EMPTY  is") == names(empty)
    assert ask(browser, state="explained", find="") == names(explained)
    dogs = [record for record in explained if record["predictions"][0]["label"] == "dog"]
    assert ask(browser, state="", **{"class": "dog"}) == names(dogs)
    should_be = [record for record in dogs if record["expected"]["label"] == "tiger cat"]
    assert ask(browser, expected="tiger cat") == names(should_be)
    sure = [record for record in explained if 0.5 <= chance_of(record) <= 0.755]
    assert ask(browser, expected="", **{"class": ""}, **{"from": "50%", "to": "75,5"}) == names(sure)
    by_chance = sorted(explained, key=chance_of)
    assert ask(browser, sort="confidence", **{"from": "", "to": ""}) == names(by_chance)
    assert ask(browser, down="1") == names(sorted(explained, key=chance_of, reverse=True))
    order = ["class 9", "class 10", "dog", "Egyptian cat", "tiger cat"]
    by_class = sorted(explained, key=lambda record: order.index(record["predictions"][0]["label"]))
    assert ask(browser, sort="class", down="") == names(by_class)
    two = [record for record in every if "folder 3" in str(record["image"])]
    by_name = sorted(two, key=lambda record: int(re.findall(r"\d+", str(record["image"]))[-1]))
    assert ask(browser, sort="name", find="folder 3/") == names(by_name)
    assert browser.ask("document.title") != "ran"
    assert browser.complaints == []
    assert all(request.startswith(("file:", "data:")) for request in browser.requests)


def soon(browser: Browser, expression: str) -> None:
    """Wait for something that is true on the page that is there after a step from page to page."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if browser.ask(expression):
                return
        except AssertionError as error:  # asked between two pages
            if "navigated" not in str(error):
                raise
        time.sleep(0.02)
    raise AssertionError(expression)


def test_the_address_has_it_and_back_works(browser: Browser, find: Path) -> None:
    browser.open(find)
    browser.wait(READY)
    wrong = ask(browser, state="wrong", sort="confidence", down="1")
    browser.ask("document.querySelector('.turning [name=next]').click()")
    second = browser.ask(NAMES)
    assert "page=2" in browser.ask("location.hash")
    assert not set(second) & set(wrong)
    browser.ask("document.querySelectorAll('.found th a')[5].click()")
    soon(browser, "document.querySelector('.walk p')?.textContent.startsWith('56 of ')")
    card = "document.querySelector(':target h3').textContent"
    assert browser.ask(card) == second[5]
    browser.press("ArrowRight")
    soon(browser, "document.querySelector('.walk p')?.textContent.startsWith('57 of ')")
    assert browser.ask(card) == second[6]
    browser.press("ArrowLeft")
    soon(browser, "document.querySelector('.walk p')?.textContent.startsWith('56 of ')")
    browser.ask("document.querySelector('.walk [rel=prev]').click()")
    soon(browser, "document.querySelector('.walk p')?.textContent.startsWith('55 of ')")
    assert browser.ask(card) == second[4]
    browser.ask("history.go(-4)")
    soon(browser, f"location.pathname.endsWith('find.html') && {READY}")
    assert browser.ask(NAMES) == second
    browser.ask("history.back()")
    browser.wait("!location.hash.includes('page')")
    assert browser.ask(NAMES) == wrong
    browser.ask("document.querySelector('.find button').click()")
    assert browser.ask(SHOWN) == "all 430"
    assert browser.complaints == []


def test_keys_reach_the_search_and_the_rows(browser: Browser, find: Path) -> None:
    browser.open(find)
    browser.wait(READY)
    browser.press("/")
    assert browser.ask("document.activeElement.name") == "find"
    for key, row in (("ArrowDown", 0), ("ArrowDown", 1), ("ArrowUp", 0)):
        browser.press(key)
        assert browser.ask(f"document.activeElement === document.querySelectorAll('.found th a')[{row}]")
    browser.press("ArrowUp")
    assert browser.ask("document.activeElement.name") == "find"


def test_cards_without_a_list_have_no_way_through_it(browser: Browser, find: Path) -> None:
    browser.open(find.with_name("images-2.html"))
    assert browser.ask("document.querySelector('.walk')") is None
    assert not any("find" in request for request in browser.requests)


def test_without_scripts_or_index_words_lead_on(browser: Browser, find: Path) -> None:
    says = "document.querySelector('.without').textContent"
    browser.scripts(False)
    browser.open(find)
    assert "needs JavaScript" in browser.ask(says)
    assert not browser.ask("document.querySelector('.find').checkVisibility()")
    browser.scripts(True)
    find.with_name("find-1.css").unlink()
    browser.open(find)
    browser.wait(f"{says}.includes('cannot be read')")


@pytest.mark.parametrize("width", [1400, 800, 360, 320])
def test_nothing_overflows(browser: Browser, find: Path, width: int) -> None:
    browser.open(find, width)
    browser.wait(READY)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    narrow = "[...document.querySelectorAll('.found :is(th, td)')].filter(one => one.checkVisibility())"
    assert min(browser.ask(f"{narrow}.map(one => one.clientWidth)")) >= 40


def unpacked(sheet: str) -> dict[str, Any]:
    """What a file of the index holds."""
    packed = re.fullmatch(r'/\* cnnexplain .*? \*/\n:root\{--index:"([\w+/=]+)"\}\n', sheet)
    assert packed
    columns: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed[1])))
    return columns


def test_an_index_has_as_many_files_as_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_index, "PICTURES", 100)
    found = dict(sheets(Lazy(250, labelled), range(250)))
    assert list(found) == ["find-1.css", "find-2.css", "find-3.css"]
    columns = list(map(unpacked, found.values()))
    assert [entry["last"] for entry in columns] == [False, False, True]
    assert [name for entry in columns for name in entry["name"]] == [
        labelled(place)["image"] for place in range(250)
    ]
    monkeypatch.setattr(find_index, "ROOM", 20_000)
    long_names = Lazy(50, lambda place: image(place, f"{place}{'é' * 2_000}"))
    assert [len(unpacked(sheet)["name"]) for _, sheet in sheets(long_names, range(50))] == [2] * 25


def test_an_index_says_how_far_methods_agree() -> None:
    compared = {"kind": "comparison", "agreement": [[1, 0.5, None], [0.5, 1, 0.25], [None, 0.25, 1]]}
    records = [{**image(0), "explanations": [compared]}, image(1)]
    ((_, sheet),) = sheets(records, range(2))
    columns = unpacked(sheet)
    assert columns["agreement"] == [0.375, None]
    assert columns["picture"] == ["", "../folder%200/photo%200001.jpg.0.png"]


def test_scores_that_are_no_probabilities_stay_scores(browser: Browser, tmp_path: Path, run: Run) -> None:
    def scored(place: int) -> Record:
        made = image(place)
        made["predictions"][0] |= {"probability": None, "logit": place - 50.0}
        return {**made, "explanations": []}

    browser.open(write(tmp_path / "out", run(), Lazy(120, scored)))
    browser.wait(READY)
    assert ask(browser, sort="confidence", **{"from": "-2", "to": "−1"}) == names([scored(48), scored(49)])
    assert "score −2" in browser.ask("document.querySelector('.found .share').textContent")
