"""The viewer of a picture's maps in a real browser: what it says is what the arrays hold, and every control works."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.results.map import Heatmap
from cnnexplain.images.find import ImagePath
from cnnexplain.render.kit.colormaps import ANCHORS, palette
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.report.pages import scripts
from cnnexplain.report.pages.page import page
from cnnexplain.runner.output import numbers
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.write import Explained, Job, Writer

if TYPE_CHECKING:
    from conftest import Browser

NASTY = "</script><script>document.title='ran'</script>\"><img src=x onerror=\"document.title='ran'\">#1 %"
CAT, DOG, NAMELESS = (
    Prediction(5, "tiger cat", 0.6, 4.0),
    Prediction(7, "dog", 0.3, 3.0),
    Prediction(9, NASTY, 0.1, 1.0),
)
READY = "document.querySelectorAll('.viewed .viewer').length"


@dataclass(frozen=True)
class Case:
    """A picture and how the model is shown it."""

    size: tuple[int, int]
    preprocess: Preprocess


CASES = {
    "cropped": Case((301, 200), Preprocess()),
    "upright": Case((120, 290), Preprocess(resize=(224, 224))),
    "padded": Case((400, 130), Preprocess(crop_mode="border", resize=(224, 224))),
    "squashed": Case((640, 500), Preprocess(crop_mode="squash", resize=(224, 224))),
    "tiny": Case((20, 13), Preprocess()),
    "large": Case((1900, 1411), Preprocess(resize=(236, 236))),
    "oblong": Case((301, 200), Preprocess(input_size=(96, 160), resize=(96, 160))),
}


def explanation(
    case: Case, name: str = "cat.png", classes: Sequence[Prediction] = (CAT, DOG, NAMELESS)
) -> Explanation:
    """Maps of two methods and two layers, and maps of pixels, of which one has a sign."""
    chance = np.random.default_rng(3)
    geometry = case.preprocess.geometry(case.size)
    height, width = case.preprocess.input_size
    photo = Image.fromarray(chance.integers(0, 256, (*case.size[::-1], 3), np.uint8))

    def heatmap(method: str, layer: str, target: Prediction, shape: tuple[int, int], **more: Any) -> Heatmap:
        values = chance.standard_normal(shape).astype(np.float32) * np.float32(
            0.01 if method == "gradcam" else 3
        )
        return Heatmap(method, layer, target, values, geometry, **more)

    maps = [
        *(
            heatmap(method, layer, target, (7, 11))
            for layer in ("features", NASTY)
            for target in classes
            for method in ("gradcam", "layercam")
        ),
        heatmap("gradient", "input", classes[0], (height, width), scale="magnitude"),
        heatmap("integrated", "input", classes[0], (height, width), scale="signed"),
    ]
    shown = photo if max(photo.size) <= 640 else photo.resize((640, round(640 * photo.height / photo.width)))
    return Explanation(name, shown, geometry, tuple(classes), tuple(maps))


def written(out: Path, explanations: Sequence[Explanation]) -> list[dict[str, Any]]:
    """The records of these, whose files are in a folder then."""
    folder = OutputFolder(out)
    folder.open({}, overwrite=False)
    writer = Writer(
        folder,
        "gradcam",
        "resnet50",
        frozenset(("method", "layer", "target")),
        RenderOptions(),
        save_raw=False,
    )
    records = [
        writer.write(Explained(Job(place, ImagePath(found.image, ""), f"{place}.png"), found))
        for place, found in enumerate(explanations)
    ]
    assert all(record["status"] == "ok" for record in records), records
    folder.close()
    return records


def report(out: Path, run: dict[str, Any], explanations: Sequence[Explanation]) -> Path:
    """The page of a run that found these, with all its files."""
    made = page(run, written(out, explanations))
    (out / "index.html").write_text(made, "utf-8")
    return out / "index.html"


@pytest.fixture
def html(tmp_path: Path, run: Callable[..., dict[str, Any]]) -> Path:
    """A page of two pictures, in a folder with an awkward name."""
    found = [explanation(CASES["cropped"]), explanation(CASES["upright"], NASTY)]
    return report(tmp_path / "out #1 100%? 'é'", run(), found)


def window(browser: Browser, stage: int = 0) -> tuple[float, float, float, float]:
    """Where a stage of the first viewer is on the screen: left, top, width and height."""
    left, top, width, height = browser.ask(f"""
        (() => {{
            const stage = document.querySelectorAll('.window')[{stage}];
            const box = stage.getBoundingClientRect();
            return [box.left, box.top, box.width, box.height];
        }})()
    """)
    return left, top, width, height


def opened(browser: Browser, html: Path, width: int = 1300, end: str = "") -> None:
    """Open a page and wait for its first viewer."""
    browser.open(html, width)
    if end:
        browser.ask(f"void (location.hash = {json.dumps(end)})")
    browser.wait(READY)
    browser.ask("document.querySelector('.window').scrollIntoView({block: 'center'})")


def choose(browser: Browser, name: str, value: str) -> None:
    """Choose in one of the first viewer's controls."""
    browser.ask(f"""
        (() => {{
            const control = document.querySelector('.viewer [name="{name}"]');
            if (control.type === 'checkbox') control.click();
            else control.value = {json.dumps(value)};
            control.dispatchEvent(new Event(control.type === 'range' ? 'input' : 'change'));
        }})()
    """)


def read(browser: Browser) -> tuple[str, list[float]]:
    """The place that the reading names, and its numbers: value and percentile of each map."""
    place, said = browser.ask("""
        [document.querySelector('.reading .place')?.textContent,
         [...document.querySelectorAll('.reading')[0].querySelectorAll('data')].map(one => Number(one.value))]
    """)
    return place, said


def test_scripts_are_short_and_share_no_names() -> None:
    folder = Path(scripts.__file__).parents[1] / "scripts"
    names: list[str] = []
    for file in folder.glob("*.js"):
        text = file.read_text("utf-8")
        assert text.startswith("// "), file.name
        assert text.count("\n") <= 300, file.name
        names += re.findall(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE)
    assert len(set(names)) == len(names)


def test_colours_are_those_of_the_drawn_pictures(browser: Browser, html: Path) -> None:
    browser.open(html)
    code = scripts.joined(("palettes.js",))
    for name in ANCHORS:
        made = browser.ask(f"(() => {{ {code}; return [...palette('{name}')]; }})()")
        assert bytes(made) == palette(name), name


@pytest.mark.parametrize("name", CASES)
def test_what_is_read_is_what_the_array_holds(
    browser: Browser, tmp_path: Path, run: Callable[..., dict[str, Any]], name: str
) -> None:
    case = CASES[name]
    found = explanation(case)
    opened(browser, report(tmp_path / "out", run(), [found]))
    chance = np.random.default_rng(0)
    for place in (0, 3, len(found.heatmaps) - 2, len(found.heatmaps) - 1):
        heatmap = found.heatmaps[place]
        values = heatmap.values.astype(np.float64)
        for field, value in (
            ("Method", heatmap.method),
            ("Class", heatmap.target.label),
        ):
            choose(browser, field, value)
        layer = "" if heatmap.layer == "input" else heatmap.layer
        choose(browser, "Layer", layer)
        step = (values.max() - values.min()) / 65535
        left, top, width, height = window(browser)
        for _ in range(12):
            x, y = (int(chance.integers(0, side)) for side in case.size)
            browser.point(left + (x + 0.5) / case.size[0] * width, top + (y + 0.5) / case.size[1] * height)
            said, shown = read(browser)
            # A pixel of a large picture may be finer than the screen's.
            fine = [int(word.strip("xy ")) for word in said.split(",")]
            assert np.allclose(fine, (x, y), atol=max(0, case.size[0] / width - 0.5)), said
            cell = heatmap.geometry.cell_of_pixel(*fine, values.shape)
            if cell is None:
                assert shown == []
                continue
            value, percentile = shown
            assert abs(value - values[cell]) <= step / 2 * (1 + 1e-6)
            below = 100 * np.mean([values < value - step / 2, values <= value + step / 2], axis=(1, 2))
            assert below[0] - 1e-9 <= percentile <= below[1] + 1e-9
    assert browser.complaints == []


def test_bytes_of_every_kind_come_back_from_any_number_of_properties(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = np.random.default_rng(0).bytes(50_000) + bytes(range(256))
    monkeypatch.setattr(numbers, "PROPERTY", 20_000)
    (tmp_path / "bytes.css").write_bytes(numbers.style_sheet(zlib.compress(content)))
    (tmp_path / "bare.html").write_text("<!doctype html>")  # a page that reads no other numbers meanwhile
    browser.open(tmp_path / "bare.html")
    code = scripts.joined(("numbers.js",))
    back = browser.ask(
        f"(async () => {{ {code}; "
        'const texts = await sheetTexts("./bytes.css", "--numbers-");'
        'return [texts.length, [...await inflated(bytesOf(texts.join("")))]]; })()'
    )
    assert back == [3, list(content)]


def test_an_enlarged_picture_reads_the_same(browser: Browser, html: Path) -> None:
    opened(browser, html)
    left, top, width, height = window(browser)
    x, y = left + 0.4 * width, top + 0.6 * height
    browser.point(x, y)
    before = read(browser)
    for _ in range(4):  # about the point itself
        browser.point(x, y, "mouseWheel", deltaX=0, deltaY=-100, modifiers=2)
    browser.wait("parseFloat(document.querySelector('.world').style.width) > 240")
    browser.point(x + 1, y)
    browser.point(x, y)
    assert read(browser) == before
    browser.point(x, y, "mousePressed", button="left", clickCount=1)
    browser.point(x - 50, y - 50, button="left", buttons=1)
    browser.point(x - 50, y - 50, "mouseReleased", button="left", clickCount=1)
    assert read(browser) == before  # the picture went along
    browser.point(x, y)
    assert read(browser) != before


def test_a_finger_reads_and_two_enlarge(browser: Browser, html: Path) -> None:
    opened(browser, html, 360)
    left, top, width, height = window(browser)
    middle = (left + width / 2, top + height / 2)
    browser.touch("touchStart", middle)
    assert read(browser)[0] == "x 150, y 100"
    browser.touch("touchEnd")
    browser.touch("touchStart", (middle[0] - 20, middle[1]), (middle[0] + 20, middle[1]))
    for apart in (30, 45, 60):
        browser.touch("touchMove", (middle[0] - apart, middle[1]), (middle[0] + apart, middle[1]))
    browser.touch("touchEnd")
    assert browser.ask("parseFloat(document.querySelector('.world').style.width)") > 200


def test_paper_has_the_drawn_pictures(browser: Browser, html: Path) -> None:
    opened(browser, html)
    browser.medium("print")
    shown = "[...document.querySelectorAll('figure .picture')].every(one => one.checkVisibility())"
    assert browser.ask(shown)
    assert not browser.ask("document.querySelector('.viewer').checkVisibility()")
    browser.medium("")


CURRENT = "[...document.querySelectorAll('.viewer')[0].querySelectorAll('select')].slice(0, 3).map(one => one.value)"


def test_a_link_leads_to_every_map_and_back_works(browser: Browser, html: Path) -> None:
    opened(browser, html, end="#image-1/layercam/features/dog")
    browser.wait(f'JSON.stringify({CURRENT}) === \'["layercam","features","dog"]\'')
    choose(browser, "Class", NASTY)
    choose(browser, "Method", "gradcam")
    assert browser.ask(CURRENT) == ["gradcam", "features", NASTY]
    browser.ask("history.back()")
    browser.wait(f"{CURRENT}[0] === 'layercam'")
    assert browser.ask(CURRENT) == ["layercam", "features", NASTY]
    browser.ask("history.back()")
    browser.wait(f"{CURRENT}[2] === 'dog'")
    for id in browser.ask("[...document.querySelectorAll('figure[data-map]')].map(one => one.id)"):
        assert browser.ask(f"document.getElementById({json.dumps(id)}).matches('figure')")
    assert len(set(browser.ask("[...document.querySelectorAll('[id]')].map(one => one.id)"))) == browser.ask(
        "document.querySelectorAll('[id]').length"
    )
    assert browser.complaints == []


KEYS: dict[str, tuple[str, str]] = {
    "m": ("Method", "value"),
    "l": ("Layer", "value"),
    "c": ("Class", "value"),
    "b": ("Beside it", "value"),
    "k": ("Colours", "value"),
    "[": ("Opacity", "value"),
    "]": ("Opacity", "value"),
    ",": ("Strongest", "value"),
    "o": ("Map", "checked"),
    "p": ("Peak", "checked"),
    "u": ("Unseen parts", "checked"),
    "i": ("Smooth", "checked"),
    "g": ("Grey picture", "checked"),
    "s": ("One scale for all maps of the method", "checked"),
}


def test_every_key_does_what_its_control_does(browser: Browser, html: Path) -> None:
    opened(browser, html)
    browser.ask("document.querySelector('.window').focus()")
    for key, (name, field) in KEYS.items():
        state = f"document.querySelector('.viewer [name=\"{name}\"]').{field}"
        before = browser.ask(state)
        browser.press(key)
        assert browser.ask(state) != before, key
    browser.press("r")
    at_peak = read(browser)
    browser.press("ArrowRight")
    assert read(browser)[0] != at_peak[0]
    browser.press("ArrowLeft")
    assert read(browser)[0].split(",")[0] == at_peak[0].split(",")[0]
    width = "document.querySelector('.world').style.width"
    for key, now in (("+", "150%"), ("+", "225%"), ("-", "150%"), ("0", "100%")):
        browser.press(key)
        assert browser.ask(width) == now, key
    browser.press("+")
    browser.press("ArrowRight", shift=True)
    assert browser.ask("document.querySelector('.world').style.left") != "-25%"
    browser.press("j")
    assert browser.ask("document.querySelector('.picture').checkVisibility()")
    browser.press("j")
    assert not browser.ask("document.querySelector('.picture').checkVisibility()")
    browser.press("?")
    assert browser.ask("document.querySelector('dialog').open")
    browser.press("Escape")
    browser.ask("document.querySelector('dialog').close()")
    browser.press("n")
    browser.wait(f"{READY} === 2 && document.querySelectorAll('.viewer')[1].contains(document.activeElement)")
    browser.press("n", shift=True)
    browser.wait("document.querySelectorAll('.viewer')[0].contains(document.activeElement)")
    assert browser.complaints == []


OPAQUE = """(() => {
    const map = document.querySelector('.map');
    const pixels = map.getContext('2d').getImageData(0, 0, map.width, map.height).data;
    let count = 0;
    for (let at = 3; at < pixels.length; at += 4) count += pixels[at] > 0;
    return count / (pixels.length / 4);
})()"""


def test_the_strongest_percent_stay(
    browser: Browser, tmp_path: Path, run: Callable[..., dict[str, Any]]
) -> None:
    square = Case((224, 224), Preprocess(resize=(224, 224)))
    opened(browser, report(tmp_path / "out", run(), [explanation(square)]))
    choose(browser, "Smooth", "")
    for method in ("gradient", "integrated"):
        choose(browser, "Method", method)
        for percent in (100, 50, 10, 1):
            choose(browser, "Strongest", str(percent))
            assert browser.ask(OPAQUE) == pytest.approx(percent / 100, abs=0.003), (method, percent)


def test_scales_are_own_or_those_of_the_method(
    browser: Browser, tmp_path: Path, run: Callable[..., dict[str, Any]]
) -> None:
    found = explanation(CASES["cropped"])
    opened(browser, report(tmp_path / "out", run(), [found]))
    largest = "document.querySelector('.colours p :last-child').textContent"
    own = [heatmap.max for heatmap in found.heatmaps if heatmap.method == "gradcam"]
    assert browser.ask(largest) == f"{own[0]:.3g}"
    choose(browser, "One scale for all maps of the method", "")
    assert browser.ask(largest) == f"{max(own):.3g}"


def test_any_two_stand_side_by_side_and_are_read_together(browser: Browser, html: Path) -> None:
    opened(browser, html)
    choose(browser, "Beside it", "3")
    first, second = window(browser, 0), window(browser, 1)
    assert first[1:] == pytest.approx(second[1:], abs=1)
    assert second[0] > first[0] + first[2]
    browser.point(second[0] + second[2] / 2, second[1] + second[3] / 2)
    assert len(read(browser)[1]) == 4
    assert browser.ask("document.querySelector('.viewed').querySelectorAll('.current').length") == 2


def test_without_scripts_or_numbers_the_drawn_pictures_show(browser: Browser, html: Path) -> None:
    shown = "[...document.querySelectorAll('figure .picture')].every(one => one.checkVisibility())"
    browser.scripts(allowed=False)
    browser.open(html)
    browser.scripts(allowed=True)
    assert browser.ask(shown)
    assert browser.ask("document.querySelectorAll('.viewer').length") == 0
    for values in html.parent.glob("*.numbers.css"):
        values.unlink()
    browser.open(html)
    assert "are shown as they were drawn" in browser.wait("document.querySelector('.notice')?.textContent")
    assert browser.ask(shown)


@pytest.mark.parametrize("width", [320, 800, 1400])
def test_nothing_runs_leaves_or_overflows(browser: Browser, html: Path, width: int) -> None:
    opened(browser, html, width)
    choose(browser, "Class", NASTY)
    choose(browser, "Layer", NASTY)
    choose(browser, "Beside it", "1")
    assert browser.ask("document.title") == "resnet50 · cnnexplain gradcam"
    assert browser.ask("document.scripts.length") == 1
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert (
        browser.ask("""
        [...document.querySelectorAll('.viewer *')].filter(one => !one.closest('.window') && one.checkVisibility())
            .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 200))
    """)
        == []
    )
    assert browser.complaints == []
    assert all(request.startswith(("file:", "data:")) for request in browser.requests)
    browser.ask(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    sheet = "Object.assign(document.createElement('script'), {src: 'index.html'})"
    browser.ask(f"document.body.append({sheet})")
    assert browser.ask("window.ran") is None
    assert len(browser.complaints) == 2


def test_every_control_has_a_name_and_nothing_moves_by_itself(browser: Browser, html: Path) -> None:
    opened(browser, html)
    assert (
        browser.ask("""
        [...document.querySelectorAll('.viewer :is(select, input)')].filter(one => !one.labels.length).length
    """)
        == 0
    )
    assert browser.ask("document.getAnimations().length") == 0
    assert browser.ask("document.querySelector('.window').getAttribute('aria-label')").startswith(
        "gradcam · features"
    )


def test_a_hundred_pictures_by_five_methods_stay_small(
    tmp_path: Path, run: Callable[..., dict[str, Any]]
) -> None:
    found = explanation(CASES["cropped"], classes=(CAT, DOG, CAT))
    five = replace(found, results=found.results[:5])
    (record,) = written(tmp_path / "out", [five])
    assert len(record["explanations"]) == 5
    assert len(page(run(), [record] * 100).encode()) < 500_000
