"""The k largest of many: the same as sorting everything, however the pictures came and were divided."""

from __future__ import annotations

import numpy as np
import pytest

from cnnexplain.core.packed import packed, unpacked
from cnnexplain.core.strongest import NOBODY, Strongest, hashed

UNITS, PICTURES, K = 7, 60, 5


@pytest.fixture
def values() -> np.ndarray:
    """Few levels, so that many are equal, as where ReLU6 ends; one unit that is zero everywhere."""
    drawn = np.random.default_rng(0).integers(0, 7, (PICTURES, UNITS)).astype(np.float32)
    drawn[:, 3] = 0
    drawn[:, 4] *= 1e-3
    return drawn


def in_order(values: np.ndarray) -> list[list[int]]:
    """The pictures of each unit's k largest by sorting everything: of equal values the earlier picture first."""
    order = [sorted(range(len(values)), key=lambda row: (-unit[row], row)) for unit in values.T]
    return [rows[:K] for rows in order]


def scanned(values: np.ndarray, places: np.ndarray, portion: int) -> Strongest:
    """What is kept of these pictures, which come in portions, of each only what may count at that moment."""
    kept = Strongest.of(UNITS, K)
    for start in range(0, len(places), portion):
        some = places[start : start + portion]
        rows, units = kept.counts(values[some], some).nonzero()
        kept.add(units, values[some][rows, units], some[rows], (some[rows] % 9).astype(np.int32))
    return kept


@pytest.mark.parametrize("portion", [1, 4, 60])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_the_largest_are_those_of_sorting_everything(
    values: np.ndarray, portion: int, seed: int | None
) -> None:
    places = np.arange(PICTURES)
    if seed is not None:
        np.random.default_rng(seed).shuffle(places)
    kept = scanned(values, places, portion)
    assert kept.pictures.tolist() == in_order(values)
    np.testing.assert_array_equal(kept.values, np.take_along_axis(values.T, kept.pictures, 1))
    np.testing.assert_array_equal(kept.cells, kept.pictures % 9)


@pytest.mark.parametrize("parts", [2, 3, 60])
def test_parts_merged_in_any_order_have_the_same_state(values: np.ndarray, parts: int) -> None:
    whole = scanned(values, np.arange(PICTURES), 8)
    for seed in range(3):
        draw = np.random.default_rng(seed)
        of_parts = [scanned(values, part, 4) for part in np.array_split(draw.permutation(PICTURES), parts)]
        while len(of_parts) > 1:
            draw.shuffle(of_parts)
            first = of_parts.pop()
            of_parts[-1].merge(first)
        assert of_parts[0].state() == whole.state()
    again = Strongest.from_state(whole.state(), UNITS)
    again.merge(whole)  # a picture counts once
    assert again.state() == whole.state()


def test_fewer_pictures_than_are_kept() -> None:
    kept = Strongest.of(2, 3)
    kept.add(np.array([1]), np.float32([2.5]), np.array([8]), np.int32([4]))
    kept.add(np.array([], np.int64), np.float32([]), np.array([], np.int64), np.int32([]))
    assert kept.values.tolist() == [[-np.inf] * 3, [2.5, -np.inf, -np.inf]]
    assert kept.pictures.tolist() == [[NOBODY] * 3, [8, NOBODY, NOBODY]]


def test_memory_depends_on_units_and_k_alone(values: np.ndarray) -> None:
    few, many = Strongest.of(UNITS, K), Strongest.of(UNITS, K)
    for kept, pictures in ((few, 10), (many, 5000)):
        for place in range(pictures):
            here = np.array([place])
            rows, units = kept.counts(values[place % PICTURES][None], here).nonzero()
            kept.add(units, values[place % PICTURES][units], here[rows], np.zeros(len(units), np.int32))
    assert [each.nbytes for each in vars(few).values()] == [each.nbytes for each in vars(many).values()]


def test_places_are_drawn_evenly_and_alike_everywhere() -> None:
    drawn = hashed(np.arange(20_000), 3)
    assert len({*drawn.tolist()}) == 20_000
    assert abs(float((drawn < 2**63).mean()) - 0.5) < 0.02
    assert not np.array_equal(drawn, hashed(np.arange(20_000), 4))
    assert hashed(np.array([0, 1]), 0).tolist() == [16294208416658607535, 7960286522194355700]


def test_arrays_read_back_from_pieces_of_text() -> None:
    values = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    pieces = packed(values)
    assert max(map(len, pieces)) <= 4096
    np.testing.assert_array_equal(unpacked(pieces, np.float32), values)
    assert unpacked([], np.int32).shape == (0,)
    with pytest.raises(ValueError, match=r"base64|padding|character"):
        unpacked(["\u2026"], np.int32)
