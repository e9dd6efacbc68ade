"""Boxes and cells of a map, and where they lie on the picture, and back."""

from __future__ import annotations

import pytest

from cnnexplain.core.preprocess import Geometry, Preprocess

SHAPE = (4, 8)  # height, width


def test_a_box_of_cells_lies_where_its_cells_are() -> None:
    geometry = Geometry((100, 60), (10.0, 20.0, 90.0, 60.0))  # a cell is 10 by 10
    assert geometry.box_of((0, 0, 8, 4), SHAPE) == geometry.box
    assert geometry.box_of((2, 1, 3, 3), SHAPE) == (30.0, 30.0, 40.0, 50.0)
    assert geometry.box_of((-1, 0, 0.5, 5), SHAPE) == (0.0, 20.0, 15.0, 70.0), "beyond the map, too"


def test_the_cell_of_a_pixel_is_the_one_over_its_middle() -> None:
    geometry = Geometry((100, 60), (10.0, 20.0, 90.0, 60.0))
    assert geometry.cell_of_pixel(10, 20, SHAPE) == (0, 0)
    assert geometry.cell_of_pixel(19, 29, SHAPE) == (0, 0)
    assert geometry.cell_of_pixel(20, 29, SHAPE) == (0, 1)
    assert geometry.cell_of_pixel(89, 59, SHAPE) == (3, 7)
    for x, y in ((9, 30), (90, 30), (50, 19), (50, 60)):
        assert geometry.cell_of_pixel(x, y, SHAPE) is None


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(500, 375), (90, 300), (224, 224)])
def test_there_and_back(mode: str, size: tuple[int, int]) -> None:
    geometry = Preprocess(crop_mode=mode).geometry(size)
    for shape in ((7, 7), (3, 5)):
        for row in range(shape[0]):
            for column in range(shape[1]):
                left, top, right, bottom = geometry.box_of((column, row, column + 1, row + 1), shape)
                middle = ((left + right) / 2, (top + bottom) / 2)
                if all(0 <= place < side for place, side in zip(middle, size, strict=True)):
                    pixel = geometry.pixel_of_cell(row, column, shape)
                    assert pixel == (int(middle[0]), int(middle[1]))
                    assert geometry.cell_of_pixel(*pixel, shape) == (row, column)
