"""Winning classes as a picture: every place in the colour of its class, the classes below with their shares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Geometry, Preprocess
from cnnexplain.core.results.winners import Winners
from cnnexplain.render import winners as drawing
from cnnexplain.render.kit.options import RenderOptions

Drawn = tuple[Image.Image, Winners]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[..., Drawn], list[str]]:
    """Draws a grid of classes; and what is written in its legend."""
    written: list[str] = []
    write = drawing.write

    def noted(draw: object, place: object, text: str, *more: object, **options: object) -> float:
        written.append(text)
        return write(draw, place, text, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(drawing, "write", noted)

    def made(classes: object, size: tuple[int, int] = (120, 90), **options: object) -> Drawn:
        grid = np.asarray(classes, np.int64)
        counts = np.bincount(grid.ravel())
        ranked = tuple(index for index in np.argsort(-counts, kind="stable").tolist() if counts[index])
        geometry = Preprocess(crop_mode="squash", resize=(224, 224)).geometry(size)
        where = Geometry(size, geometry.box_of((56, 56, 168, 168), (224, 224)))
        labels = tuple(f"class {index}" for index in ranked)
        winners = Winners("sliding", "input", grid, labels, ranked, where)
        picture = Image.new("RGB", size, (120, 120, 120))
        explanation = Explanation(
            "photos/cat.jpg", picture, geometry, (Prediction(0, "cat", 0.5, 1.0),), (winners,)
        )
        (card,) = drawing.pictures((winners,), explanation, RenderOptions(**options))  # type: ignore[arg-type]
        return card.image, winners

    return made, written


@pytest.mark.parametrize("size", [(120, 90), (8, 8), (40, 300), (300, 40), (1, 1)])
def test_any_grid_can_be_drawn_on_any_picture(
    drawn: tuple[Callable[..., Drawn], list[str]], size: tuple[int, int]
) -> None:
    made, written = drawn
    for classes in ([[3]], np.arange(12).reshape(3, 4), np.zeros((5, 1))):
        card, _ = made(classes, size)
        assert card.width >= 420
    assert "100.0%" in written


def test_each_place_has_its_classs_colour(drawn: tuple[Callable[..., Drawn], list[str]]) -> None:
    made, _ = drawn
    card, _ = made([[0, 0], [5, 0]], alpha=1.0)
    pixels = {colour: count for count, colour in card.convert("RGB").getcolors(1 << 24) or ()}
    blue, orange = (tuple(bytes.fromhex(colour[1:])) for colour in drawing.COLOURS[:2])
    squares = drawing.SWATCH**2
    assert (pixels[blue] - squares) / (pixels[orange] - squares) == pytest.approx(3, abs=0.3)


def test_classes_beyond_the_colours_are_counted_together(
    drawn: tuple[Callable[..., Drawn], list[str]],
) -> None:
    made, written = drawn
    made(np.arange(12).reshape(3, 4))
    assert "5 other classes" in written
    written.clear()
    made(np.arange(8).reshape(2, 4))
    assert "class 7" in written, "a single one is named"
