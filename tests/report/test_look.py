"""The page in a real browser: pictures show, nothing runs, nothing is fetched, nothing overflows."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results import Detail
from cnnexplain.errors import ImageError
from cnnexplain.report.pages import record
from cnnexplain.report.pages.page import page

if TYPE_CHECKING:
    from conftest import Browser

MAGENTA = (255, 0, 255)
NASTY = "<script>document.title='ran'</script>\"><img src=x onerror=\"document.title='ran'\">\n\u202e%#?.jpg"
LONG = "an_endless_name_" * 16


@pytest.fixture
def html(
    tmp_path: Path,
    run: Callable[..., dict[str, Any]],
    explanation: Callable[..., Explanation],
    units: Callable[..., Explanation],
) -> Path:
    """A report in a folder whose name, like those in it, is as awkward as names can be."""
    out = tmp_path / "out #1 100%? 'é'"
    pictures = ("plain.png", "sub folder/100% #1?&'\".png", "wide.png")
    (out / "sub folder").mkdir(parents=True)
    for picture in pictures:
        Image.new("RGB", (1300, 560), MAGENTA).save(out / picture)
    records = [
        record.explained(
            one,
            "gradcam",
            "resnet50",
            [(picture, None) for picture in shown],
        )
        for one, shown in zip(
            (
                explanation("cat.jpg", methods=("gradcam", "layercam", "eigencam")),
                explanation(NASTY, (NASTY,)),
                explanation(LONG, (LONG,), layer=LONG),
            ),
            (pictures, pictures[1:2], pictures[2:]),
            strict=True,
        )
    ]
    detail = Detail({LONG: {LONG: LONG}}, (LONG,))
    several = units(layers=(LONG, NASTY), channels=tuple(range(12)), detail=detail)
    sheets = dict(zip((LONG, NASTY), pictures, strict=False))
    records.append(
        record.explained(
            several,
            "deconv",
            "resnet50",
            [(sheets[result.layer], None) for result in several.results],
            {"overview": "wide.png"},
        )
    )
    records.append(record.failed(LONG, ImageError(NASTY, LONG), "gradcam", "resnet50"))
    changed = run(
        arguments=LONG, choices=[{"what": LONG, "value": LONG, "reason": LONG}], versions={LONG: LONG}
    )
    (out / "index.html").write_text(page(changed, records), "utf-8")
    return out / "index.html"


# Pictures load when they come into sight.
WIDTHS = """
    (async () => {
        for (const image of document.images) { image.scrollIntoView(); await image.decode(); }
        return [...document.images].map(image => image.naturalWidth);
    })()
"""


def test_every_picture_is_seen(browser: Browser, html: Path) -> None:
    browser.open(html)
    assert browser.ask(WIDTHS) == [1300] * 8
    colours = browser.look().getcolors(1 << 24) or []
    assert {colour: count for count, colour in colours}.get(MAGENTA, 0) > 50_000
    assert all(one.startswith(("file:", "data:")) for one in browser.requests)
    assert browser.complaints == []


def test_nothing_runs(browser: Browser, html: Path) -> None:
    browser.open(html)
    assert browser.ask("document.title") == "resnet50 · cnnexplain gradcam"
    assert browser.ask("document.scripts.length") == 1, "that which finds cards"
    # Even a script that got into the page would be stopped.
    browser.ask(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert browser.ask("window.ran") is None
    assert any("Content Security Policy" in one for one in browser.complaints)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 768, 1024, 1600])
def test_nothing_overflows(browser: Browser, html: Path, width: int, scheme: str) -> None:
    browser.open(html, width, scheme=scheme)
    browser.ask("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.ask(WIDTHS) == [1300] * 8
    assert browser.ask("innerWidth") == width
    assert browser.ask("document.documentElement.scrollWidth") <= width
    # What is clipped would not scroll, so every element is measured too; a list may scroll by itself.
    assert (
        browser.ask("""
        [...document.querySelectorAll('main *, header *, footer *')]
            .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
            .filter(one => !one.parentElement.closest('.list'))
            .map(one => one.outerHTML.slice(0, 200))
    """)
        == []
    )


def test_the_scheme_is_the_readers(browser: Browser, html: Path) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        browser.open(html, scheme=scheme)
        brightness[scheme] = sum(browser.look().getpixel((2, 2)) or ())  # type: ignore[arg-type]
    assert brightness["dark"] < 150 < 600 < brightness["light"]


def test_colours_can_be_read_in_both_schemes() -> None:
    css = resources.files("cnnexplain.report").joinpath("templates/page.css").read_text("utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w+);", part)) for part in css.split("@media", 2)[:2])
    for colours in (light, dark):
        for ink, paper in (
            ("ink", "paper"),
            ("ink", "card"),
            ("quiet", "paper"),
            ("quiet", "card"),
            ("accent", "paper"),
            ("accent", "card"),
            ("bad", "card"),
            ("bad", "bad-paper"),
            ("note", "note-paper"),
            ("good", "good-paper"),
            ("quiet", "track"),
        ):
            assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)


def contrast(one: str, other: str) -> float:
    """The ratio that WCAG 2 asks to be 4.5 or more for text."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    levels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in levels]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
