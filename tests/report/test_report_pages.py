"""The report of a large run: links that lead somewhere, every image once, orders that are right."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest
from many import Lazy, failure, image, mixed, rows, series, told

from cnnexplain.report.pages import image_index, listing
from cnnexplain.report.pages import long as large
from cnnexplain.report.pages.long import PAGE, pages
from cnnexplain.report.pages.page import SHOWN_FAILURES, page

Run = Callable[..., dict[str, Any]]


@pytest.fixture(name="small_pages")
def small_pages_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings of 60 rows, so that few images make many pages."""
    monkeypatch.setattr(large, "Listing", partial(listing.Listing, size=60))


@pytest.mark.parametrize("many", [1, PAGE])
def test_few_images_stay_one_page(many: int, run: Run) -> None:
    records = Lazy(many)
    assert list(pages(run(), records)) == [("index.html", page(run(), records))]


def test_one_image_more_makes_pages(run: Run) -> None:
    made = told(run(), Lazy(PAGE + 1))
    assert [len(one.anchors) for one in series(made, "images")] == [PAGE, 1]
    assert list(made)[-1] == "index.html"


def test_every_link_leads_somewhere(run: Run, small_pages: None) -> None:
    made = told(run(), Lazy(330))
    pictures = {found["picture"] for place in range(330) for found in mixed(place)["explanations"]}
    known = {"results.jsonl", "run.json", *pictures}
    for one in made.values():
        assert one.links
        for link in one.links:
            path, anchor = one.goal(unquote(link))
            assert path in made or path in known, (one.path, link)
            assert not anchor or anchor in made[path].anchors, (one.path, link)
        assert {one.goal(unquote(src))[0] for src in one.pictures} <= pictures
    reached, todo = set(), ["index.html"]
    while todo:
        path = todo.pop()
        if path in made and path not in reached:
            reached.add(path)
            todo += [made[path].goal(unquote(link))[0] for link in made[path].links]
    assert reached == set(made), "every page can be reached from the first"


def test_every_card_stands_once(run: Run) -> None:
    made = told(run(), Lazy(330))
    anchors = Counter(
        anchor for one in made.values() for anchor in one.anchors if anchor.startswith("image-")
    )
    assert anchors == Counter(f"image-{place}" for place in range(1, 331))
    in_order = [anchor for one in series(made, "images") for anchor in one.anchors]
    assert in_order == [f"image-{place}" for place in range(1, 331)]
    assert "from folder 2/photo 0100.jpg to folder 3/photo 0199.jpg" in made["report/images-2.html"].text


def test_pages_lead_to_their_brothers(run: Run) -> None:
    made = told(run(), Lazy(330))
    ways = [[link for link in one.links if link.startswith("./images-")] for one in series(made, "images")]
    first, previous, following, last = (f"./images-{number}.html" for number in (1, 1, 3, 4))
    assert ways[1] == [first, previous, following, last] * 2, "before the cards and after them"
    assert ways[0] == ["./images-2.html", last] * 2
    assert ways[3] == [first, "./images-3.html"] * 2
    assert "Page 2 of 4" in made["report/images-2.html"].text


def test_the_least_certain_come_first(run: Run, small_pages: None) -> None:
    made = told(run(), Lazy(330))
    explained = [record for record in Lazy(330) if record["status"] == "ok"]
    order = [
        record["image"] for record in sorted(explained, key=lambda one: one["predictions"][0]["probability"])
    ]
    assert rows(made, "confidence") == order
    text = made["index.html"].text
    headings = re.findall(r"folder \d+/photo \d+\.jpg", text[text.index("The least certain of 297 images") :])
    assert headings == order[: large.SHOWN_CARDS]


def test_names_are_sorted_as_people_sort_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "b/1.jpg",
        "a b/2.jpg",
        "a/10.jpg",
        "a/9.jpg",
        "A/1.jpg",
        "a/b/1.jpg",
        "a/009.jpg",
        "a/x.jpg2.jpg",
        "a/x.jpg",
    ]
    names += [f"z/{number}.jpg" for number in range(200)]
    wanted = [
        "A/1.jpg",
        "a/009.jpg",
        "a/9.jpg",
        "a/10.jpg",
        "a/b/1.jpg",
        "a/x.jpg",
        "a/x.jpg2.jpg",
        "a b/2.jpg",
        "b/1.jpg",
    ]
    wanted += [f"z/{number}.jpg" for number in range(200)]
    random.Random(0).shuffle(names)
    monkeypatch.setattr(image_index, "BLOCK", 16)  # so that blocks are merged
    assert rows(told(run(), Lazy(len(names), lambda place: image(place, names[place]))), "names") == wanted


def test_a_page_says_where_other_names_are(run: Run, small_pages: None) -> None:
    made = series(told(run(), Lazy(150)), "names")
    text = " ".join(made[0].text.split())
    assert "What is on which page folder 0/photo 0000.jpg to folder 1/photo 0059.jpg" in text
    assert "folder 2/photo 0120.jpg to folder 2/photo 0149.jpg" in text
    assert "What is on which page" not in made[1].text


def test_classes_have_their_images(run: Run) -> None:
    made = told(run(), Lazy(330))
    explained = [record for record in Lazy(330) if record["status"] == "ok"]
    by_class: dict[int, list[tuple[float, str]]] = {}
    for record in explained:
        best = record["predictions"][0]
        by_class.setdefault(best["index"], []).append((best["probability"], record["image"]))
    for index, images in by_class.items():
        assert rows(made, f"class-{index}") == [name for _, name in sorted(images, key=lambda one: one[0])]
    table = {row[0].split()[1]: row[1:] for row in made["report/classes.html"].rows}
    counts = [int(row[0]) for row in table.values()]
    assert counts == sorted(counts, reverse=True)
    for index, images in by_class.items():
        mean = sum(chance for chance, _ in images) / len(images)
        found = [cell.strip() for cell in table[str(index)]]
        assert found == [str(len(images)), f"{len(images) / 297:.1%}", f"{mean:.1%}"]


def test_failures_are_all_told(run: Run) -> None:
    made = told(run(), Lazy(330))
    places = range(4, 330, 10)
    assert rows(made, "failures") == [image(place)["image"] for place in places]
    first = made["index.html"]
    assert first.text.index("33 images failed") < first.text.index("The least certain")
    assert first.text.count("cut short") == SHOWN_FAILURES
    assert re.search(rf"{33 - SHOWN_FAILURES} more:\s+all failures", first.text)
    assert "hint of 324" in series(made, "failures")[0].text


def test_a_run_that_failed_wholly_still_makes_pages(run: Run) -> None:
    made = told(run(), Lazy(120, failure))
    assert "report/confidence-1.html" not in made
    assert "report/classes.html" not in made
    assert "least certain" not in made["index.html"].text


def test_a_run_without_answers_shows_its_first_images(run: Run) -> None:
    made = told(run(), Lazy(120, lambda place: {**image(place), "predictions": []}))
    assert "The first of 120 images explained" in made["index.html"].text
    assert "report/confidence-1.html" not in made


@pytest.mark.parametrize("status", ["interrupted", "running"])
def test_an_interrupted_run_ends_quickly_with_one_page(status: str, run: Run) -> None:
    made = told(run(status=status, images={"count": 900, "ok": 297, "error": 33}), Lazy(330))
    (first,) = made.values()
    assert "Pages of all images are made when it is finished" in first.text
    assert re.search(r"570\s+not done yet", first.text)
    assert "The least certain of 297 images" in first.text
    assert not [link for link in first.links if link.endswith(".html") or "#" in link]
