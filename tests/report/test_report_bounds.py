"""The report of a large run: bounded pages and memory, and no name that breaks it or runs."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from many import Lazy, Record, failure, image, mixed, told

from cnnexplain.report.pages import long as large
from cnnexplain.report.pages.long import PAGE, pages
from cnnexplain.report.pages.words import escaped

if TYPE_CHECKING:
    from conftest import Browser

Run = Callable[..., dict[str, Any]]

MEGABYTE = 1_000_000
HOSTILE = (
    "<script>document.title='ran'</script>\"'><img src=x onerror=\"document.title='ran'\">"
    "\n\u202e\x1b[31m{{7*7}}%#?&lt;"
)


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
        assert one.tags.count("script") == ("report/images-" in one.path or "report/find" in one.path)


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
        assert escaped(HOSTILE) in one.text


def test_nothing_runs_and_nothing_overflows(browser: Browser, run: Run, tmp_path: Path) -> None:
    def make(place: int) -> Record:
        made = hostile(place) if place % 2 else image(place, "an_endless_name_" * 16)
        return {**made, "explanations": []}

    (tmp_path / "report").mkdir()
    changed = run(arguments=HOSTILE, model={**run()["model"], "name": HOSTILE})
    made = []
    for path, html in pages(changed, Lazy(120, make)):
        (tmp_path / path).write_text(html, "utf-8")
        made += [path] if path.endswith(".html") else []
    kinds = [one for one in made if "class-" not in one] + [one for one in made if "class-" in one][:1]
    for path in kinds:
        for width, scheme in ((1280, "light"), (390, "dark")):
            browser.open(tmp_path / path, width, scheme=scheme)
            assert browser.ask("document.title") != "ran"
            assert browser.ask("document.scripts.length") == path.startswith(
                ("report/images-", "report/find")
            )
            if "find" in path:
                browser.wait("document.querySelectorAll('.found tr a').length")
            assert browser.complaints == []
            assert browser.ask("document.documentElement.scrollWidth") <= width, path
            brightness = sum(browser.look().getpixel((2, 2)) or ())  # type: ignore[arg-type]
            assert (brightness < 150) == (scheme == "dark")
