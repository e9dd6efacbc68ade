"""The atlas of units in a real browser: found, sorted, turned with and without a script, whatever the names are."""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from many import Seen, failure
from PIL import Image
from unit_records import LABELS, draw_pictures, run_of_units, unit, written

from cnnexplain.report.pages.atlas import atlas
from cnnexplain.report.pages.words import escaped

if TYPE_CHECKING:
    from conftest import Browser

Run = Callable[..., dict[str, Any]]
NASTY = (
    "<script>document.title='ran'</script>\"'><img src=x onerror=\"document.title='ran'\">"
    "\n\u202e{{7*7}}%#?&lt;/../x"
)
SHOWN = "[...document.querySelectorAll('.units > li')].map(tile => Number(tile.id))"
LAYERS = ("conv_stem", "blocks.3", "blocks.4")


@pytest.fixture
def out(tmp_path: Path, run: Run) -> Path:
    """An atlas of three layers with 70 units each, in a folder with an awkward name."""
    folder = tmp_path / "out #1 100%? 'é'"
    folder.mkdir()
    units = [unit(channel, layer, units=70) for layer in LAYERS for channel in range(70)]
    draw_pictures(folder, units)
    written(folder, run_of_units(run()), units)
    return folder


def ask(browser: Browser, control: str, value: str) -> None:
    """Set a control of the page and have it take notice."""
    browser.ask(
        f"(control => {{ control.type == 'checkbox' ? control.checked = {value!r} == '1' : control.value = {value!r};"
        f" control.dispatchEvent(new Event('input', {{bubbles: true}})) }})(document.getElementById({control!r}))"
    )


def press(browser: Browser, key: str) -> None:
    browser.ask(
        f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{key: {key!r}, bubbles: true}}))"
    )


def comes(browser: Browser, expression: str, expected: Any) -> None:
    """Wait for a page, or an entry of the history, to be there."""
    until = time.monotonic() + 20
    while browser.ask(expression) != expected:
        assert time.monotonic() < until, browser.ask(expression)
        time.sleep(0.05)


def test_every_link_leads_somewhere_and_every_picture_is_there(out: Path) -> None:
    pages = {
        str(page.relative_to(out)): Seen(str(page), page.read_text("utf-8")) for page in out.rglob("*.html")
    }
    assert sorted(pages)[:3] == ["index.html", "report/layer-blocks.3.html", "report/layer-blocks.4.html"]
    assert len(pages) == 1 + 3 + 6
    states = re.compile("(state|colour|group)=")
    for name, page in pages.items():
        for link in page.links:
            path, _, anchor = unquote(link).partition("#")
            there = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            if there.endswith(".html"):
                assert not anchor or states.match(anchor) or anchor in pages[there].anchors, link
            else:
                assert there in ("results.jsonl", "run.json"), link
        for picture in re.findall(r'<im(?:g|age)[^>]* (?:src|href)="([^"]+)"', page.html):
            assert (out / posixpath.dirname(name) / unquote(picture)).resolve().is_file(), picture


def test_units_are_found_sorted_and_kept_in_the_address(browser: Browser, out: Path) -> None:
    units = [unit(channel, "conv_stem", units=70) for channel in range(70)]
    page = out / "report" / "layer-conv_stem.html"
    browser.open(page)
    assert browser.ask(SHOWN) == list(range(70))
    ask(browser, "sort", "selective")
    alive = sorted((one for one in units if not one["dead"]), key=lambda one: one["selective"])
    falling = sorted(alive, key=lambda one: (-one["selective"], one["channel"]))
    dead = [one["channel"] for one in units if one["dead"]]
    assert browser.ask(SHOWN) == [one["channel"] for one in alive] + dead
    ask(browser, "down", "1")
    assert browser.ask(SHOWN) == [one["channel"] for one in falling] + dead
    ask(browser, "from", "20")
    assert browser.ask(SHOWN) == [one["channel"] for one in falling if one["selective"] >= 0.2]
    ask(browser, "colour", "grey")
    ask(browser, "state", "copy")
    expected = [
        one["channel"]
        for one in falling
        if one["selective"] >= 0.2 and one["channel"] % 2 and one["channel"] % 7 == 5
    ]
    assert browser.ask(SHOWN) == expected
    assert browser.ask("document.getElementById('shown').textContent") == f"{len(expected)} of 70"
    address = browser.ask("location.hash")
    browser.open(out / "index.html")
    browser.open(page)
    browser.ask(
        f"new Promise(done => {{ addEventListener('hashchange', () => done()); location.hash = {address!r} }})"
    )
    assert browser.ask(SHOWN) == expected
    browser.ask("document.getElementById('clear').click()")
    assert browser.ask(SHOWN) == list(range(70))
    for text, shown in (
        ("17", [17]),
        ("20-23", [20, 21, 22, 23]),
        (
            "PALACE",
            [c for c in range(70) if "palace" in (LABELS[c % 5], *(top["label"] for top in units[c]["top"]))],
        ),
        ("no such label", []),
    ):
        ask(browser, "find", text)
        assert browser.ask(SHOWN) == shown, text
    ask(browser, "find", "")
    ask(browser, "group", "3")
    assert browser.ask(SHOWN) == [one["channel"] for one in units if one["group"] == 3]
    ask(browser, "group", "none")
    assert browser.ask(SHOWN) == dead
    assert browser.complaints == []


def test_units_are_sorted_by_what_they_matter_for_the_score(browser: Browser, out: Path) -> None:
    units = [unit(channel, "blocks.4", units=70) for channel in range(70)]
    browser.open(out / "report" / "layer-blocks.4.html")
    ask(browser, "sort", "importance")
    ask(browser, "down", "1")
    falling = sorted(units, key=lambda one: (-one["importance"]["mean"], one["channel"]))
    assert browser.ask(SHOWN) == [one["channel"] for one in falling]
    ask(browser, "sort", "importance for espresso")
    falling = sorted(units, key=lambda one: (-one["importance"]["classes"][1]["mean"], one["channel"]))
    assert browser.ask(SHOWN) == [one["channel"] for one in falling]
    browser.open(out / "report" / "layer-blocks.3.html")
    assert (
        browser.ask("[...document.getElementById('sort').options].some(o => /importance/.test(o.value))")
        is False
    )
    assert browser.complaints == []


def test_keys_go_from_tile_to_tile_and_from_unit_to_unit(browser: Browser, out: Path) -> None:
    browser.open(out / "report" / "layer-blocks.4.html")
    focus = "document.activeElement.closest('li')?.id"
    browser.ask("document.querySelector('.units a').focus()")
    columns = browser.ask(
        "(tiles => tiles.filter(tile => tile.offsetTop == tiles[0].offsetTop).length)"
        "([...document.querySelectorAll('.units > li')])"
    )
    for key, channel in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowLeft", columns),
        ("End", 69),
        ("Home", 0),
    ):
        press(browser, key)
        assert browser.ask(focus) == str(channel), key
    press(browser, "/")
    assert browser.ask("document.activeElement.id") == "find"
    browser.ask("location.href = document.querySelector('.units li:nth-child(64) a').href")
    visible = (
        "[...document.querySelectorAll('.unit')].filter(unit => unit.checkVisibility()).map(unit => unit.id)"
    )
    comes(browser, visible, ["63"])
    press(browser, "ArrowLeft")
    comes(browser, visible, ["62"])
    browser.ask("history.back()")
    comes(browser, visible, ["63"])
    press(browser, "ArrowRight")
    comes(browser, visible, ["64"])
    assert browser.ask("location.href").endswith("units-blocks.4-2.html#64")
    browser.ask("document.querySelector('.page-of-units').click()")
    comes(browser, visible, [str(channel) for channel in range(64, 70)])
    browser.ask("location.hash = '#66'")
    comes(browser, visible, ["66"])
    press(browser, "Escape")
    comes(browser, "document.querySelector('li:target')?.id", "66")
    assert browser.complaints == []


def test_the_box_stands_where_the_record_says(browser: Browser, out: Path) -> None:
    browser.open(out / "report" / "units-blocks.4-1.html")
    left, top, right, bottom = unit(0, units=70)["top"][0]["box"]
    share = browser.ask("""(svg => {
        const whole = svg.querySelector('image').getBoundingClientRect(), rect = svg.querySelector('rect');
        const box = rect.getBBox(), placed = rect.getScreenCTM();
        return [
            (placed.a * box.x + placed.e - whole.left) / whole.width,
            (placed.d * box.y + placed.f - whole.top) / whole.height,
            box.width * placed.a / whole.width,
            box.height * placed.d / whole.height,
        ];
    })(document.querySelector('.whole'))""")
    assert share == pytest.approx(
        [left / 640, top / 427, (right - left) / 640, (bottom - top) / 427], abs=0.01
    )


@pytest.mark.parametrize("width", [320, 800, 1400])
def test_nothing_runs_is_fetched_or_overflows(browser: Browser, tmp_path: Path, run: Run, width: int) -> None:
    long = "an_endless_name_" * 16
    units = [
        unit(channel, layer, units=6, name=name + "{:03}.jpg", label=name)
        for layer in (NASTY, long, long + "b", "a.b", "A.B")
        for channel, name in enumerate((NASTY.replace("{", "").replace("}", ""), long, "x") * 2)
    ]
    for made in units:
        made["picture"] = "wide.png"
        for image in (image for kind in ("top", "median", "random") for image in made[kind]):
            image["thumb"] = "wide.png"
        made["neighbours"] = [
            {"layer": NASTY, "channel": 1, "correlation": 0.5},
            {"layer": long, "channel": 99, "correlation": 0.5},
        ]
    Image.new("RGB", (960, 128)).save(tmp_path / "wide.png")
    changed = run_of_units(run(), arguments=NASTY)
    written(tmp_path, changed, units, [failure(1, NASTY, NASTY), failure(2, long, long)])
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) == 11
    for page in pages:
        html = page.read_text("utf-8")
        assert "default-src 'none'" in html
        assert "unsafe" not in html
        assert not re.search('[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]| on[a-z]+="(?!document)', html)
        assert escaped(NASTY) in Seen(page.name, html).text or "endless" in html
        browser.open(page, width)
        assert browser.ask("document.documentElement.scrollWidth") <= width, page
        assert "ran" not in browser.ask("document.title").split()
        assert all(address.startswith(("file:", "data:")) for address in browser.requests)
        assert browser.complaints == []
    browser.ask(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert browser.ask("window.ran") is None


def test_without_a_script_units_stand_in_the_order_of_their_channels(out: Path) -> None:
    for name in ("layer-blocks.4.html", "units-blocks.4-1.html"):
        page = (out / "report" / name).read_text("utf-8")
        without = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
        channels = [int(number) for number in re.findall(r'<(?:li|article)[^>]* id="(\d+)"', without)]
        assert channels == sorted(channels) == list(range(len(channels)))
        assert "group 3" in without
    page = (out / "report" / "layer-blocks.4.html").read_text("utf-8")
    assert re.search(r'<div class="find panel"[^>]* hidden>', page)


def test_what_units_say_stands_in_words(run: Run) -> None:
    made = unit(17)
    made |= {"fires": 0.61, "sparseness": 0.83, "selective": 0.12, "sampled": 100, "saturated": True}
    made["purity"] = {"label": "daisy", "share": 0.7, "of": 50}
    made["synthesised"] = {"picture": "units/17.png", "activation": 12.5}
    classes = [
        {"index": 3, "label": "daisy", "mean": 0.5, "images": 1},
        {"index": 4, "label": "palace", "mean": -2.0, "images": 12},
    ]
    made["importance"] = {"mean": -0.25, "changes": 0.125, "images": 64, "classes": classes}
    made["kernel"] = {"layer": "conv_stem", "weights": [[[1.0, -0.5]], [[0.0, 0.5]], [[0.0, 0.0]]]}
    dead = {**unit(18), "dead": True, "fires": 0, "sparseness": None, "selective": None, "purity": None, "top": [],
            "median": [], "random": [], "picture": None, "tiles": None, "neighbours": []}  # fmt: skip
    for absent in ("inputs", "outputs", "colour"):
        dead.pop(absent)
    gone = unit(19)
    gone["top"][0] = {
        "image": "a.jpg",
        "activation": 1.5,
        "problem": "no such file",
        "picture": gone["picture"],
    }
    *_, (_, html), (_, first) = atlas(run_of_units(run()), (), [gone, made, dead])
    for said in (
        "in 61.0% of a sample of 100 of 500 images",
        "0.83, from 0",
        "hold 12.0% of its activation",
        "70.0% of its 50 strongest images are daisy",
        "without it the score of the answer rises by 0.25 in the mean of 64 images, and 12.5% of the answers change",
        "palace −2 (12 images); daisy 0.5 (1 image)",
        "reaches 12.5, the strongest image",
        'x="0" y="0" width="1" height="1" fill="#ff8080"',
        'x="1" y="0" width="1" height="1" fill="#40bf80"',
        "it never fires, or is the same for every image",
        "no such file",
        "saturated",
    ):
        assert said in html, said
    assert "<b>3</b> units" in first


def test_pages_are_few_bytes(run: Run) -> None:
    """Of 1,280 units with 15 images each; tiles and thumbnails come to this, which 60 MB are for."""
    units = [unit(channel, units=1280) for channel in range(1280)]
    sizes = {path: len(html.encode()) for path, html in atlas(run_of_units(run()), (), units)}
    assert sizes["index.html"] < 60_000
    assert sizes["report/layer-blocks.4.html"] < 600_000
    assert sum(sizes.values()) < 15_000_000


@pytest.mark.parametrize("layers", [100, 400])
def test_the_first_page_stays_small(run: Run, layers: int) -> None:
    units = [
        unit(channel, f"features.{place}.{'long' * 9}", units=8)
        for place in range(layers)
        for channel in range(8)
    ]
    *_, (path, first) = atlas(run_of_units(run()), (), units)
    assert path == "index.html"
    assert len(first.encode()) < 300_000
