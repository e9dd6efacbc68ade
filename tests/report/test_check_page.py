"""The page of a check: what is wrong first, in words, with what to do; no name can break it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from test_page import Seen

from cnnexplain.core.verdict import EvidenceTable, Profile, Verdict
from cnnexplain.report.pages.page import page
from cnnexplain.report.pages.verdicts import checked

if TYPE_CHECKING:
    from conftest import Browser

NASTY = "<script>document.title='ran'</script>\"><img src=x onerror=\"document.title='ran'\">\n\u202e%#?"
LONG = "an_endless_name_" * 16
PROFILE = Profile("Dispersion of each layer", ("a",), (1.0,), "x")
VERDICTS = (
    Verdict("finite", "All is finite", "pass", "error", "all 7 tensors are finite", seconds=0.25, why="NaN spreads"),
    Verdict("baseline", "As before", "skipped", "error", "needs a stored run"),
    Verdict("saturated", "Nothing saturates", "warn", "warn", "a tenth saturates", "train it longer", 0.1),
    Verdict(
        "untrained-layers", "All layers were trained", "fail", "error", "fc follows its initialisation",
        "load its weights", 1.0, {"least_dispersion": 1.5}, 2.5,
        EvidenceTable(("layer", "dispersion"), (("fc", "1.02"),)), PROFILE, "it answers at random",
    ),
)  # fmt: skip
HOSTILE = (
    Verdict(
        "finite", NASTY, "fail", "error", NASTY + LONG, LONG, 1.0, {LONG: LONG, NASTY: NASTY}, 1.0,
        EvidenceTable((LONG, NASTY), ((NASTY, LONG), (LONG, NASTY))), Profile(NASTY, (), (), "x"), LONG,
    ),
    Verdict("saturated", LONG, "pass", "warn", LONG, why=NASTY, table=EvidenceTable((LONG,), ((NASTY,),) * 20)),
)  # fmt: skip


@pytest.fixture
def made(run: Callable[..., dict[str, Any]]) -> Callable[..., str]:
    def carry_out(verdicts: tuple[Verdict, ...], **changed: Any) -> str:
        pictures = {one.check: f"check.{one.check}.png" for one in verdicts if one.drawing}
        options = {one.check: {"level": one.level, **one.limits} for one in verdicts}
        images = {"images": {"count": 8}, **changed}
        return page(run(command="check", options=options, **images), [checked(verdicts, pictures, "net")])

    return carry_out


def test_what_is_wrong_comes_first_and_says_what_to_do(made: Callable[..., str]) -> None:
    seen = Seen(made(VERDICTS))
    text = " ".join(seen.text.split())
    places = [
        text.index(head) for head in ("1 check failed", "1 check warned", "1 check skipped", "1 check passed")
    ]
    # First the tiles tell how many there are of each, then come they themselves.
    tiles = text.split("How it was run")[0]
    assert "1 check failed 1 check warned 1 check skipped 1 check passed 8 pictures" in tiles
    assert places == sorted(places)
    told = text.split("1 check failed")[2]
    for words in (
        "failed untrained-layers", "All layers were trained", "fc follows its initialisation", "load its weights",
        "1.02", "least-dispersion 1.5", "it answers at random", "2.5 s", "level error",
        "warned saturated", "train it longer", "skipped baseline", "needs a stored run", "passed finite",
    ):  # fmt: skip
        assert words in told, words
    alts = [one["alt"] for one in seen.all("img")]
    assert alts == ["Dispersion of each layer: fc follows its initialisation"]
    assert "images explained" not in text
    assert "Index" not in text


def test_a_record_says_why_it_matters() -> None:
    *_, found = checked(VERDICTS, {"untrained-layers": "check.untrained-layers.png"}, "net")["checks"]
    assert found["why"] == "it answers at random"
    assert (found["picture"], found["shows"]) == ("check.untrained-layers.png", PROFILE.title)


def test_no_name_gets_out_of_its_place(made: Callable[..., str]) -> None:
    seen = Seen(made(HOSTILE))
    assert seen.all("script") == []
    assert [one["src"] for one in seen.all("img")] == ["./check.finite.png"]
    assert "\u202e" not in seen.text
    assert "\\u202e" in seen.text


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (400, "dark"), (1200, "light")])
def test_it_fits_any_window(
    browser: Browser, made: Callable[..., str], tmp_path: Path, width: int, scheme: str
) -> None:
    Image.new("RGB", (960, 500), "white").save(tmp_path / "check.finite.png")
    (tmp_path / "index.html").write_text(made(HOSTILE), "utf-8")
    browser.open(tmp_path / "index.html", width, scheme=scheme)
    browser.ask("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.complaints == []
    assert browser.ask("document.title") == "resnet50 · cnnexplain check"
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert (
        browser.ask("""
        [...document.querySelectorAll('main *, header *, footer *')]
            .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
            .filter(one => !one.parentElement.closest('.list'))
            .map(one => one.outerHTML.slice(0, 200))
    """)
        == []
    )
