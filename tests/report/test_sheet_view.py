"""Drawn sheets on the page, in a real browser: what a tile says, how it is enlarged, what stays while one scrolls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results.channels import FeatureMaps, Look
from cnnexplain.core.results.comparison import ComparedMap, CurveScores, MethodComparison
from cnnexplain.engine.channels import histogram, statistics
from cnnexplain.images.find import ImagePath
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.report.pages.page import page
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.write import Explained, Job, Writer

if TYPE_CHECKING:
    from conftest import Browser

NASTY = "</script><script>document.title='ran'</script>\"><img src=x onerror=\"document.title='ran'\">#1 %"
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
Make = Callable[..., Explanation]


def curves(height: float) -> CurveScores:
    deleted = tuple(height * (1 - share) for share in SHARES)
    return CurveScores(deleted, deleted[::-1], height / 2, height / 2, 0.1)


def compared(explanation: Make) -> Explanation:
    found = explanation(methods=("gradcam", NASTY))
    maps = tuple(
        ComparedMap(heatmap, curves(0.4 + 0.1 * place), curves(0.3), 0.2)
        for place, heatmap in enumerate(found.heatmaps)
    )
    comparison = MethodComparison(
        target=found.predictions[0],
        score="probability",
        cells=(8, 8),
        shares=SHARES,
        maps=maps,
        references={"random": replace(curves(0.2), spread=0.1), "edges": curves(0.2)},
        agreement=np.array(((1.0, 0.25), (0.25, 1.0))),
        grids=np.zeros((2, 8, 8), np.float32),
        random=(curves(0.1).deleted, curves(0.3).deleted),
    )
    return replace(found, results=(*found.heatmaps, comparison))


def strip(explanation: Make) -> Explanation:
    """Feature maps of two layers, a row for each."""
    found = explanation()
    chance = np.random.default_rng(0)
    maps = []
    for layer, channels in (("features.0", 12), (NASTY, 5)):
        values = chance.standard_normal((channels, 6, 6)).astype(np.float32)
        tensor = torch.from_numpy(values)
        order = tuple(range(channels))
        counted = statistics(tensor), histogram(tensor)
        look = Look(together=True)
        maps.append(FeatureMaps(layer, values, order, channels, *counted, found.geometry, look=look))
    return replace(found, results=tuple(maps))


@pytest.fixture
def opened(browser: Browser, tmp_path: Path, run: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Opens the page of an explanation and waits for its sheets."""

    def open_page(found: Explanation, width: int = 1300, wait: bool = True) -> None:
        out = tmp_path / "out #1 100%? 'é'"
        folder = OutputFolder(out)
        folder.open({}, overwrite=True)
        writer = Writer(
            folder, "deconv", "resnet50", frozenset(("method", "layer")), RenderOptions(), save_raw=False
        )
        record = writer.write(Explained(Job(0, ImagePath("c #.png", ""), "c #.png"), found))
        assert record["status"] == "ok", record.get("error")
        folder.close()
        (out / "index.html").write_text(page(run(), [record]), "utf-8")
        browser.open(out / "index.html", width)
        if wait:
            browser.wait("document.querySelector('.spot') !== null")

    return open_page


TIP = "document.querySelector('.tip:not([hidden])')?.innerText"
NAMES = "[...document.querySelectorAll('.spot')].map(one => one.ariaLabel.split(',')[0])"


def middle(browser: Browser, place: int, across: float = 0.5) -> tuple[float, float]:
    x, y = browser.ask(f"""(() => {{
        const spot = document.querySelectorAll('.spot')[{place}];
        spot.scrollIntoView({{block: 'center', inline: 'center'}});
        const box = spot.getBoundingClientRect();
        return [box.left + {across} * box.width, box.top + box.height / 2];
    }})()""")
    return x, y


def test_a_tile_says_its_number_and_what_was_measured(
    browser: Browser, opened: Callable[..., None], units: Make
) -> None:
    opened(units(layers=("blocks.2",), channels=(55, 7, 0)))
    assert browser.ask(NAMES) == ["channel 55", "channel 7", "channel 0"]
    browser.point(*middle(browser, 1))
    assert browser.ask(TIP).startswith("channel 7\nactivation 2.41\nrank 2 of those shown")
    browser.point(2, 2)
    assert browser.ask(TIP) is None
    assert browser.complaints == []


def test_tiles_by_keyboard(browser: Browser, opened: Callable[..., None], units: Make) -> None:
    opened(units(layers=("blocks.2", "blocks.4")))
    focused = "document.activeElement.ariaLabel.split(',')[0]"
    assert browser.ask("[...document.querySelectorAll('.spot[tabindex=\"0\"]')].length") == 3  # one a sheet
    browser.ask("[...document.querySelectorAll('.sheet')].at(-1).querySelector('.spot').focus()")
    assert browser.ask(TIP).startswith("channel 55")
    browser.press("ArrowRight")
    assert browser.ask(focused) == "channel 7"
    browser.press("ArrowLeft")
    assert browser.ask(focused) == "channel 55"
    browser.ask("document.activeElement.click()")
    assert browser.ask("document.querySelector('dialog').open")
    heading = "document.querySelector('dialog h2').textContent"
    assert browser.ask(heading) == "channel 55"
    browser.press("ArrowRight")
    assert browser.ask(heading) == "channel 7"
    browser.press("ArrowLeft")
    browser.press("ArrowLeft")
    assert browser.ask(heading) == "channel 0"
    assert "where whole channel" in browser.ask(
        "document.querySelector('dialog dl').innerText.replace(/\\n/g, ' ')"
    )
    browser.ask("document.querySelector('dialog [title=Close]').click()")
    assert not browser.ask("document.querySelector('dialog').open")
    assert browser.ask(focused) == "channel 55"  # where it was
    assert browser.complaints == []


def test_a_finger_enlarges(browser: Browser, opened: Callable[..., None], units: Make) -> None:
    opened(units(), 360)
    place = middle(browser, 0)
    browser.touch("touchStart", place)
    browser.touch("touchEnd")
    browser.wait("document.querySelector('dialog')?.open")
    box = "document.querySelector('dialog').getBoundingClientRect()"
    inside = browser.ask(f"(({{left, right}}) => left >= 0 && right <= innerWidth)({box})")
    assert inside


def test_what_is_enlarged_is_the_tile(
    browser: Browser, opened: Callable[..., None], explanation: Make
) -> None:
    opened(strip(explanation))
    browser.ask("document.querySelectorAll('.spot')[12].click()")
    wide, high = browser.ask("(one => [one.width, one.height])(document.querySelector('dialog canvas'))")
    width, height = browser.ask(
        "(one => ['width', 'height'].map(side => parseFloat(one.style[side])))"
        "(document.querySelectorAll('.spot')[12])"
    )
    sheet = browser.ask(
        "(one => [one.naturalWidth, one.naturalHeight])(document.querySelector('.paper img'))"
    )
    assert wide / high == pytest.approx(width * sheet[0] / (height * sheet[1]), rel=0.01)
    assert wide > 3 * width * sheet[0] / 100


def test_names_stay_while_a_strip_is_scrolled(
    browser: Browser, opened: Callable[..., None], explanation: Make
) -> None:
    opened(strip(explanation), 360)
    assert browser.ask("document.querySelector('.names b').textContent") == "features.0"
    assert browser.ask("[...document.querySelectorAll('.names b')][1].textContent") == NASTY
    box = "(one => [one.left, one.top])(document.querySelector('.names div').getBoundingClientRect())"
    before = browser.wait(f"document.querySelector('.names').checkVisibility() && {box}")
    browser.ask("document.querySelector('.scroller').scrollLeft = 200")
    assert browser.ask(box) == before
    assert browser.ask("document.querySelector('.spot').getBoundingClientRect().left") < before[0] + 200
    assert browser.ask("document.title") == "resnet50 · cnnexplain gradcam"
    assert browser.ask("document.documentElement.scrollWidth") <= 360
    # Names lie beside their rows.
    rows = browser.ask(
        "[...document.querySelectorAll('.names div')].map(one => one.getBoundingClientRect().top)"
    )
    spots = browser.ask(
        "[0, 12].map(at => document.querySelectorAll('.spot')[at].getBoundingClientRect().top)"
    )
    assert rows == pytest.approx(spots, abs=8)


def test_curves_and_agreement_are_read(
    browser: Browser, opened: Callable[..., None], explanation: Make
) -> None:
    opened(compared(explanation))
    browser.wait("document.querySelectorAll('.viewed .viewer').length")  # which moves what is below it
    browser.point(*middle(browser, 0, 0.26))
    said = browser.ask(TIP).split("\n")
    assert said[0] == "gradcam, cells deleted"
    assert said[1:4] == ["deleted 25% of the cells", "gradcam 0.3", "random 0.15"]
    assert said[4:] == ["edges 0.15", "random, lowest 0.075", "random, highest 0.225"]
    browser.ask("document.querySelectorAll('.spot')[1].click()")
    rows = "[...document.querySelectorAll('dialog tbody tr')].map(row => [...row.cells].map(one => one.textContent))"
    assert browser.ask(rows)[1][:2] == ["25%", "0.1"]
    browser.ask("document.querySelector('dialog').close()")
    browser.point(*middle(browser, 5))
    assert browser.ask(TIP) == f"gradcam and {NASTY}\nrank correlation 0.25"
    assert browser.ask("document.querySelectorAll('.viewer').length") == 1  # methods are switched in place
    assert browser.complaints == []
    assert all(request.startswith(("file:", "data:")) for request in browser.requests)


def test_without_scripts_sheets_are_the_pictures(
    browser: Browser, opened: Callable[..., None], units: Make
) -> None:
    browser.scripts(allowed=False)
    opened(units(), wait=False)
    browser.scripts(allowed=True)
    assert browser.ask(
        "[...document.querySelectorAll('figure .picture')].every(one => one.checkVisibility())"
    )
    assert browser.ask("document.querySelectorAll('.sheet').length") == 0
