"""The report of a large run: links that lead somewhere, orders that are right, sizes and memory that are bounded."""

from __future__ import annotations

import copy
import posixpath
import random
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from cnnexplain.report import gathered, listing
from cnnexplain.report import pages as large
from cnnexplain.report.page import SHOWN_FAILURES, page
from cnnexplain.report.pages import PAGE, pages
from cnnexplain.report.words import shown

if TYPE_CHECKING:
    from conftest import Browser

Run = Callable[..., dict[str, Any]]
Record = dict[str, Any]
Make = Callable[[int], Record]

HOSTILE = (
    "<script>document.title='ran'</script>\"'><img src=x onerror=\"document.title='ran'\">"
    "\n\u202e\x1b[31m{{7*7}}%#?&lt;"
)
MEGABYTE = 1_000_000


def image(place: int, name: str = "", label: str = "", maps: int = 1, chance: float | None = None) -> Record:
    """The record of an image; every seventh is certain of class 3, the others are shared by few classes."""
    name = name or f"folder {place // 50}/photo {place:04}.jpg"
    index = 3 if place % 7 == 0 else 5 + place % 5
    share = chance if chance is not None else 0.99 if index == 3 else random.Random(place).random()
    best = {"index": index, "label": label or f"label {index}", "probability": share, "logit": 1.5}
    found = {
        "method": "gradcam",
        "layer": "conv_head",
        "target": best,
        "scale": "evidence",
        "shape": [7, 7],
        "min": -1.5,
        "max": 3.25,
        "peak": [20, 10],
    }
    drawn = [{**found, "picture": f"{name}.{number}.png"} for number in range(maps)]
    start = {"schema": 1, "image": name, "status": "ok", "command": "gradcam", "model": "resnet50"}
    return {**start, "size": [60, 40], "predictions": [best], "explanations": drawn}


def failure(place: int, name: str = "", problem: str = "cut short") -> Record:
    """The record of an image that failed."""
    start = image(place, name)
    error = {"type": "ImageError", "message": problem, "hint": f"hint of {place}"}
    return {**start, "status": "error", "error": error, "size": None, "predictions": [], "explanations": []}


def mixed(place: int) -> Record:
    """Every tenth image has failed."""
    return failure(place) if place % 10 == 4 else image(place)


class Lazy(Sequence[Record]):
    """Records that are made when they are asked for, as they are read from disk in a run."""

    def __init__(self, many: int, make: Make = mixed) -> None:
        self._many = many
        self._make = make

    def __len__(self) -> int:
        return self._many

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < self._many:
            raise IndexError(place)
        return self._make(place)


class Seen(HTMLParser):
    """The links, anchors, elements, cards and rows of a page; fails on tags that do not match."""

    def __init__(self, path: str, html: str) -> None:
        super().__init__()
        self.path = path
        self.html = html
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.anchors: list[str] = []
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert not self._open
        assert len(self.anchors) == len(set(self.anchors))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        assert not [name for name in known if name.startswith("on") or name == "style"]
        self.tags.append(tag)
        if tag not in ("meta", "link", "img"):
            self._open.append(tag)
        if "id" in known:
            self.anchors.append(known["id"])
        if tag == "a":
            self.links.append(known["href"])
        if tag == "img":
            assert known["loading"] == "lazy"
            self.pictures.append(known["src"])
        if tag == "tr" and "tbody" in self._open:
            self.rows.append([])
        if tag in ("th", "td") and "tbody" in self._open:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if "tbody" in self._open and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def goal(self, link: str) -> tuple[str, str]:
        """The path below OUT, and the anchor, that a link leads to."""
        path, _, anchor = link.partition("#")
        return (
            posixpath.normpath(posixpath.join(posixpath.dirname(self.path), path)) if path else self.path
        ), anchor


def told(run: dict[str, Any], records: Sequence[Record]) -> dict[str, Seen]:
    """The pages by their path, in the order in which they came."""
    made = [Seen(path, html) for path, html in pages(run, records)]
    assert len({one.path for one in made}) == len(made)
    return {one.path: one for one in made}


def series(made: dict[str, Seen], stem: str) -> list[Seen]:
    """The pages of a series, in order."""
    found = [one for path, one in made.items() if re.fullmatch(rf"report/{stem}-\d+\.html", path)]
    assert [one.path for one in found] == [
        f"report/{stem}-{number}.html" for number in range(1, len(found) + 1)
    ]
    return found


def rows(made: dict[str, Seen], stem: str) -> list[str]:
    """The first cells of a listing."""
    return [row[0] for one in series(made, stem) for row in one.rows]


@pytest.fixture(name="small_pages")
def small_pages_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings of 60 rows, so that few images make many pages."""
    monkeypatch.setattr(large, "Series", partial(listing.Series, size=60))


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
    names = ["b/1.jpg", "a b/2.jpg", "a/10.jpg", "a/9.jpg", "A/1.jpg", "a/b/1.jpg", "a/009.jpg"]
    names += [f"z/{number}.jpg" for number in range(200)]
    wanted = ["A/1.jpg", "a/009.jpg", "a/9.jpg", "a/10.jpg", "a/b/1.jpg", "a b/2.jpg", "b/1.jpg"]
    wanted += [f"z/{number}.jpg" for number in range(200)]
    random.Random(0).shuffle(names)
    monkeypatch.setattr(gathered, "BLOCK", 16)  # so that blocks are merged
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


def endless(place: int) -> Record:
    """As much as a record can hold: five maps, a name of 255 characters that all have to be escaped."""
    name = f"{place:06}{'<' * 249}"
    if place % 2:
        return failure(place, name, f"{name}: {name}")
    made = image(place, name, label='"' * 5_000, maps=5, chance=0.5)
    made["predictions"] *= 5
    return made


def test_the_first_page_stays_small(run: Run) -> None:
    changed = run(
        arguments="<" * 2 * MEGABYTE,
        options={"layer": ["\x1b" * 3_000] * 500},
        silent_channels={
            f"{number} {'<' * 3000}": {"channels": list(range(2_000)), "count": 2_000, "images": 9}
            for number in range(300)
        },
    )
    size = {}
    for name, status in (("finished", "finished"), ("interrupted", "interrupted")):
        *_, (path, html) = pages({**changed, "status": status}, Lazy(120, endless))
        assert path == "index.html"
        size[name] = len(html.encode())
        assert html.count('class="card') >= 1, "some cards fit"
    assert max(size.values()) < MEGABYTE


def test_memory_is_flat(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than 100 bytes for each image more."""
    best = {"index": 0, "label": "a label", "logit": 1.5}
    blank = {**image(0), "explanations": []}

    def make(place: int) -> Record:  # neither by name nor by confidence
        name, share = f"photo {place * 7919 % 20_011}.jpg", place * 104_729 % 20_011 / 20_011
        return {**blank, "image": name, "predictions": [{**best, "index": place % 50, "probability": share}]}

    monkeypatch.setattr(
        large, "rendered", lambda *rest, **named: ""
    )  # what is written is let go page by page
    peaks = {}
    for many in (2_000, 20_000):
        tracemalloc.start()
        for _ in pages(run(), Lazy(many, make)):
            pass
        peaks[many] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[20_000] - peaks[2_000] < 100 * 18_000


def test_pages_are_made_one_by_one(run: Run) -> None:
    """A page is there before the records behind it are read again."""
    read: list[int] = []

    def noted(place: int) -> Record:
        read.append(place)
        return mixed(place)

    made: Iterator[tuple[str, str]] = pages(run(), Lazy(500, noted))
    next(made)
    assert len(read) == 500 + PAGE, "all once for the orders, and the first hundred for their page"


def test_its_origin_stands_at_the_start_of_every_page(run: Run) -> None:
    for one in told(run(), Lazy(120)).values():
        assert b'<meta name="generator" content="cnnexplain 0.1.0">' in one.html.encode()[:512]
        assert "default-src 'none'" in one.html
        assert "unsafe" not in one.html
        assert "script" not in one.tags


def hostile(place: int) -> Record:
    name = f"{place} {HOSTILE}"
    return failure(place, name, name) if place % 10 == 4 else image(place, name, f"{HOSTILE} {place % 5}")


def test_hostile_names_are_only_text(run: Run) -> None:
    changed = run(arguments=HOSTILE, model={**run()["model"], "name": HOSTILE})
    made = told(changed, Lazy(120, hostile))
    plain = told(run(), Lazy(120))
    for path, one in made.items():
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", one.html)
        assert one.tags == plain[path].tags
        assert shown(HOSTILE) in one.text


def test_nothing_runs_and_nothing_overflows(browser: Browser, run: Run, tmp_path: Path) -> None:
    def make(place: int) -> Record:
        made = copy.deepcopy(hostile(place)) if place % 2 else image(place, "an_endless_name_" * 16)
        return {**made, "explanations": []}

    (tmp_path / "report").mkdir()
    changed = run(arguments=HOSTILE, model={**run()["model"], "name": HOSTILE})
    made = []
    for path, html in pages(changed, Lazy(120, make)):
        (tmp_path / path).write_text(html, "utf-8")
        made.append(path)
    kinds = [one for one in made if "class-" not in one] + [one for one in made if "class-" in one][:1]
    for path in kinds:
        for width, scheme in ((1280, "light"), (390, "dark")):
            browser.open(tmp_path / path, width, scheme=scheme)
            assert browser.ask("document.title") != "ran"
            assert browser.ask("document.scripts.length") == 0
            assert browser.complaints == []
            assert browser.ask("document.documentElement.scrollWidth") <= width, path
            brightness = sum(browser.look().getpixel((2, 2)) or ())  # type: ignore[arg-type]
            assert (brightness < 150) == (scheme == "dark")
