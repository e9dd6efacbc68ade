"""Pictures as SVG and PDF: the words of a picture as text, shapes where they are on it, strangers' names inert."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw
from torch import nn

from cnnexplain import Explainer, load
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.verdict import Confusion, Curves
from cnnexplain.errors import OptionError
from cnnexplain.render import Picture, kernels, pictures, pictures_of_model
from cnnexplain.render.kit import panel, text
from cnnexplain.render.kit.confusion import confusion
from cnnexplain.render.kit.curves import curves
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.paper import WordsMark, line_of, new_paper, noted
from cnnexplain.render.kit.text import write

Make = Callable[..., Any]
SVG = "{http://www.w3.org/2000/svg}"
MARK = "cnnexplain test"
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8))
HOSTILE = "</text><script>alert(1)</script>&\"'<!-- ]]> (x) Tj \\) \x00\x1b\ud800.png"
SCRIPTS = ("naïve ﬁnal −1", "кот", "γάτα", "猫ねこ고양이", "חתול", "قطة", "🐈", "แมว", "बिल्ली")


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """Of a small network with two convolutions and a head."""
    module = nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 5), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)),
    )
    return load(module, preprocess=Preprocess(input_size=(64, 64), resize=(64, 64)))


def drawn(explainer: Explainer) -> Iterator[tuple[str, Picture]]:
    """A picture of every kind."""
    commands = {
        "gradcam": {},
        "saliency": {},
        "deconv": {"layer": ("0", "2")},
        "activations": {"layer": ("0", "2")},
        "occlusion": {"window": 16, "stride": 16},
        "compare": {"method": ("gradcam", "gradient")},
    }
    for command, options in commands.items():
        for picture in pictures(explainer.explain(PHOTO, command, **options), RenderOptions()):
            yield command, picture
    yield "bars", next(iter(pictures(explainer.explain(PHOTO, "activations", layer="6"), RenderOptions())))
    for layer in explainer.filters("2"):
        matrix = replace(layer, view="matrix", values=layer.values[..., :1, :1])
        for picture in pictures_of_model([layer, matrix], RenderOptions()):
            yield "filters", picture
    for picture in pictures_of_model([explainer.summary()], RenderOptions()):
        yield "summary", Picture(picture.draw, picture.shows)
    series = {"first & last": (1.0, 0.3, float("nan")), "two": (0.1, 0.2, 0.9)}
    lines = Curves("A <b>", (0.0, 0.5, 1.0), series, "x", "y")
    yield "curves", Picture(lambda: curves(lines), ())
    counts = np.array([[3, 1, 0], [0, 2, 2], [1, 0, 5]])
    table = Confusion("Taken for", ("a cat with a long name", "dog", "猫"), counts)
    yield "confusion", Picture(lambda: confusion(table), ())


def test_the_words_are_those_of_the_picture(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, picture in drawn(explainer):
        written: list[str] = []
        with monkeypatch.context() as patch:
            _listen(patch, written)
            whole = picture.draw()
        written = [each.strip(" ") or each for each in written]
        said = [each.text for each in words(picture)]
        assert [word for word in said if word not in written] == [], name
        assert sorted(written) == sorted(said), name
        assert noted(picture.draw).size == whole.size


def test_svg_has_them_as_text_and_nothing_that_runs(explainer: Explainer) -> None:
    for name, picture in drawn(explainer):
        tree = parsed(picture.svg(MARK))
        texts = [element.text or "" for element in tree.iter(f"{SVG}text")]
        assert texts == [each.text for each in words(picture)], name
        _require_inert(tree)


def test_text_begins_with_a_letter_where_that_letter_stands() -> None:
    """Browsers drop the spaces that text in SVG begins with, and would stretch the rest over their room."""
    face = text.font(26)
    plain, spaced = line_of("39.3%", face), line_of("  39.3% ", face)
    assert (spaced.text, spaced.length) == (plain.text, plain.length)
    assert spaced.x == pytest.approx(plain.x + face.getlength("  "))


def test_dots_per_inch_are_the_size_of_the_file(explainer: Explainer) -> None:
    picture = next(iter(drawn(explainer)))[1]
    width, height = picture.image.size
    tree = parsed(picture.svg(MARK, 300))
    assert (tree.get("width"), tree.get("height")) == (f"{width / 300:g}in", f"{height / 300:g}in")
    for dpi, points in ((300, 72 / 300), (None, 0.75)):
        (size,) = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", picture.pdf(MARK, dpi))
        assert [*map(float, size)] == pytest.approx([width * points, height * points], abs=1e-3)


def test_pdf_looks_like_the_picture_and_says_its_words(explainer: Explainer) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    for name, picture in drawn(explainer):
        content = picture.pdf(MARK)
        assert content == picture.pdf(MARK), "the same drawing, the same bytes"
        page = pdfium.PdfDocument(content)[0]
        read = _letters(page.get_textpage().get_text_range())
        for each in words(picture):
            if not set(each.text) & set("猫") and not each.degrees:
                assert _letters(each.text) in read, (name, each.text)
        shown = page.render(scale=96 / 72).to_pil().convert("L").resize(picture.image.size)
        # Strokes are smoothed otherwise: compared is what is left when both are blurred.
        sizes = [max(1, side // 8) for side in shown.size]
        small = [each.convert("L").resize(sizes, Image.Resampling.BOX) for each in (shown, picture.image)]
        differing = np.asarray(ImageChops.difference(*small)).astype(float)
        assert differing.mean() < 4, name
        assert np.percentile(differing, 99) < 48, name


@pytest.mark.parametrize("script", SCRIPTS)
def test_names_in_any_script_are_text(script: str) -> None:
    picture = _line(f"{script}.png")
    tree = parsed(picture.svg(MARK))
    assert [element.text for element in tree.iter(f"{SVG}text")] == [f"{script}.png"]
    pdfium = pytest.importorskip("pypdfium2")
    read = pdfium.PdfDocument(picture.pdf(MARK))[0].get_textpage().get_text_range()
    assert set(_letters(script)) <= set(_letters(read))
    if script not in (
        "قطة",
        "חתול",
    ):  # in which order a reader puts the rest of a mixed line is its own affair
        assert _letters(script) in _letters(read)
    else:
        assert script in read


@pytest.mark.parametrize("bold", [False, True])
def test_a_hostile_name_is_only_a_name(bold: bool) -> None:
    picture = _line(HOSTILE, bold=bold)
    content = picture.svg(MARK)
    tree = parsed(content)
    _require_inert(tree)
    (element,) = tree.iter(f"{SVG}text")
    assert element.text == text.visible(HOSTILE)
    pdf = picture.pdf(MARK)
    assert b"alert" not in pdf
    assert not re.search(rb"/(JavaScript|JS|OpenAction|AA|URI|Launch|EmbeddedFile)\b", pdf)


def test_more_letters_than_a_typeface_holds() -> None:
    pdfium = pytest.importorskip("pypdfium2")
    letters = [chr(0x4E00 + number) for number in range(600)]
    lines = ["".join(letters[start : start + 40]) for start in range(0, 600, 40)]

    def draw() -> Image.Image:
        paper = new_paper((900, 400))
        for row, line in enumerate(lines):
            write(ImageDraw.Draw(paper), (10, 20 * row), line, 15, "#000000")
        return paper

    read = pdfium.PdfDocument(Picture(draw, ()).pdf(MARK))[0].get_textpage().get_text_range()
    assert all(line in read for line in lines)


def test_python_is_told_where_such_files_come_from(explainer: Explainer) -> None:
    explanation = explainer.explain(PHOTO, "gradcam")
    with pytest.raises(OptionError, match="is made of pixels") as caught:
        explainer.picture(explanation, figure="svg")
    assert ".svg(" in caught.value.hint
    assert explainer.pictures(explanation)[0].svg(MARK).startswith(b"<svg")


def test_nothing_is_noted_once_a_drawing_failed() -> None:
    def failing() -> Image.Image:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - its own
        noted(failing)
    assert type(new_paper((3, 3))) is Image.Image


def parsed(content: bytes) -> ElementTree.Element:
    """The elements of an SVG file."""
    return ElementTree.fromstring(content)  # noqa: S314 - our own


def words(picture: Picture) -> list[WordsMark]:
    """All lines of words of a picture, in the order in which they are drawn."""
    return [mark for mark in noted(picture.draw).marks if isinstance(mark, WordsMark)]


def _line(name: str, *, bold: bool = False) -> Picture:
    def draw() -> Image.Image:
        paper = new_paper((600, 60))
        write(ImageDraw.Draw(paper), (10, 10), name, 20, "#16181d", bold=bold)
        return paper

    return Picture(draw, ())


def _require_inert(tree: ElementTree.Element) -> None:
    """Nothing in a file can run or be fetched."""
    for element in tree.iter():
        assert element.tag.removeprefix(SVG) in {"svg", "title", "g", "path", "image", "text"}
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert "href" not in name or value.startswith("data:image/png;base64,")


def _letters(words_read: str) -> str:
    """Without the spaces, which readers add and leave out, and with ligatures taken apart."""
    return re.sub(r"\s", "", words_read.replace("\ufb01", "fi").replace("\u2011", "-"))


def _listen(patch: pytest.MonkeyPatch, written: list[str]) -> None:
    """Note all words that are drawn as pixels."""
    lay, word = text.lay, kernels.word

    def listening(draw: Any, place: Any, said: str, *rest: Any) -> None:
        written.append(said)
        lay(draw, place, said, *rest)

    for module in (text, panel):
        patch.setattr(module, "lay", listening)
    pasted = Image.Image.paste

    def pasting(self: Any, im: Any, box: Any = None, mask: Any = None) -> None:
        if mask is not None:
            written.append(mask.info["words"][0].text)
        pasted(self, im, box, mask)

    patch.setattr(Image.Image, "paste", pasting)
    assert word("7").info["words"][0].text == "7"
