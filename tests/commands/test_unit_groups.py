"""Units that behave alike: planted copies are one group, dead units are in none, and scipy finds the same."""

from __future__ import annotations

import numpy as np
import pytest

from cnnexplain.formulas import unit_correlations, unit_groups

Maxima = np.ndarray


def planted(images: int = 200, seed: int = 0) -> Maxima:
    """Forty units that know nothing of each other; 30 to 34 copy unit 7, 35 and 36 copy 8, 38 and 39 are dead."""
    maxima = np.random.default_rng(seed).exponential(size=(images, 40)).astype(np.float32)
    maxima[:, 30:35] = maxima[:, [7]] * np.arange(1, 6, dtype=np.float32)
    maxima[:, 35:37] = maxima[:, [8]] + 0.05 * maxima[:, 35:37]
    maxima[:, 38], maxima[:, 39] = 0, 3
    return maxima


def test_copies_are_one_group_and_dead_units_are_in_none() -> None:
    numbers = unit_groups(planted())
    assert np.flatnonzero(numbers == 0).tolist() == [7, *range(30, 35)]
    assert np.flatnonzero(numbers == 1).tolist() == [8, 35, 36]
    assert set(np.delete(numbers, [7, 8, *range(30, 37)])) == {-1}


def test_groups_do_not_depend_on_the_order_of_units_or_images() -> None:
    maxima, random = planted(), np.random.default_rng(1)
    units, images = random.permutation(40), random.permutation(200)
    numbers, moved = unit_groups(maxima), unit_groups(maxima[images][:, units])

    def sets(numbers: Maxima, names: Maxima) -> set[frozenset[int]]:
        return {frozenset(names[numbers == group].tolist()) for group in range(numbers.max() + 1)}

    assert sets(numbers, np.arange(40)) == sets(moved, units)


def test_correlations_are_pearsons() -> None:
    maxima = planted()[:, :38]
    np.testing.assert_allclose(unit_correlations(maxima), np.corrcoef(maxima.T), atol=1e-6)
    assert not unit_correlations(planted())[38:].any()


@pytest.mark.parametrize("seed", range(8))
def test_scipy_finds_the_same_groups(seed: int) -> None:
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    distance = pytest.importorskip("scipy.spatial.distance")
    random = np.random.default_rng(seed)
    causes = random.normal(size=(120, 8))[:, random.integers(0, 8, 50)]
    maxima = np.maximum(causes + random.uniform(0, 2, 50) * random.normal(size=(120, 50)), 0)
    numbers = unit_groups(maxima.astype(np.float32), alike=0.6)
    apart = 1 - unit_correlations(maxima).astype(np.float64)
    tree = hierarchy.linkage(distance.squareform(apart, checks=False), "average")
    expected = hierarchy.fcluster(tree, 0.4, "distance")
    same = expected[:, None] == expected
    np.testing.assert_array_equal((numbers[:, None] == numbers) & (numbers >= 0), same & (same.sum(0) > 1))


@pytest.mark.parametrize("shape", [(5, 0), (5, 1), (1, 4), (2, 3)])
def test_few_units_or_images_are_no_error(shape: tuple[int, int]) -> None:
    assert unit_groups(np.zeros(shape, np.float32)).tolist() == [-1] * shape[1]
