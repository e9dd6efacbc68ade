"""Formulas that two networks are compared by: their laws, values worked by hand, and other programs' answers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cnnexplain.formulas import (
    assignment,
    effective_rank,
    expected_calibration_error,
    gram_matrix,
    linear_cka,
    unbiased_hsic,
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_representation_is_aligned_with_itself_and_with_what_is_turned_scaled_and_moved() -> None:
    x = drawn(40, 6)
    turn = torch.linalg.qr(drawn(6, 6, seed=1))[0]
    assert linear_cka(x, x) == 1.0
    assert linear_cka(x, -7 * x @ turn + 100) == pytest.approx(1, abs=1e-5)
    assert linear_cka(x, x.reshape(40, 2, 3)[:, :, [2, 0, 1]]) == pytest.approx(1, abs=1e-6)


def test_independent_representations_of_few_images_are_about_0_where_the_biased_estimate_is_not() -> None:
    pairs = [(drawn(50, 8, seed=2 * n), drawn(50, 8, seed=2 * n + 1)) for n in range(60)]
    assert abs(np.mean([linear_cka(*pair) for pair in pairs])) < 0.02
    biased = [
        float((k * m).sum() / (k.norm() * m.norm())) for k, m in (map(gram_matrix, pair) for pair in pairs)
    ]
    assert np.mean(biased) > 0.1


def test_the_estimate_is_the_mean_over_all_quadruples_of_different_images() -> None:
    """The U-statistic that it is short for, summed as it is defined."""
    k, m = gram_matrix(drawn(6, 3)), gram_matrix(drawn(6, 2, seed=1))
    terms = [
        k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in itertools.permutations(range(6), 4)
    ]
    assert float(unbiased_hsic(k, m)) == pytest.approx(float(sum(terms)) / len(terms), abs=1e-9)


def test_batches_say_on_average_what_all_images_say() -> None:
    x, noise = drawn(1600, 5), drawn(1600, 5, seed=1)
    y = x + noise
    sums = [0.0, 0.0, 0.0]
    for rows in torch.arange(1600).split(16):
        k, m = gram_matrix(x[rows]), gram_matrix(y[rows])
        for place, pair in enumerate(((k, m), (k, k), (m, m))):
            sums[place] += float(unbiased_hsic(*pair))
    assert sums[0] / math.sqrt(sums[1] * sums[2]) == pytest.approx(linear_cka(x, y), abs=0.03)


def test_layers_of_one_model_against_those_of_another_are_a_matrix() -> None:
    first = torch.stack([gram_matrix(drawn(8, 3, seed=n)) for n in range(2)])
    second = torch.stack([gram_matrix(drawn(8, 4, seed=n)) for n in range(3)])
    matrix = unbiased_hsic(first[:, None], second)
    assert matrix.shape == (2, 3)
    assert float(matrix[1, 2]) == pytest.approx(float(unbiased_hsic(first[1], second[2])))


def test_what_says_the_same_of_all_images_is_aligned_with_nothing() -> None:
    assert math.isnan(linear_cka(torch.ones(5, 3), drawn(5, 3)))


@pytest.mark.parametrize(
    ("matrix", "rank"),
    [
        (torch.eye(5), 5.0),
        (torch.ones(4, 3, 2), 1.0),
        (torch.diag(torch.tensor([3.0, 1.0])), math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))),
        (torch.zeros(3, 3), 0.0),
    ],
)
def test_the_effective_rank_is_worked_by_hand(matrix: Tensor, rank: float) -> None:
    assert effective_rank(matrix) == pytest.approx(rank, abs=1e-6)


def test_the_effective_rank_does_not_depend_on_order_and_is_that_of_the_singular_values() -> None:
    matrix = drawn(7, 20)
    shares = torch.linalg.svdvals(matrix.double())
    shares = shares / shares.sum()
    expected = math.exp(-float((shares * shares.log()).sum()))
    assert effective_rank(matrix) == pytest.approx(expected, rel=1e-6)
    assert effective_rank(matrix.T[torch.randperm(20)]) == pytest.approx(expected, rel=1e-6)
    matrix[2, 3] = math.nan
    assert math.isnan(effective_rank(matrix))


def test_calibration_is_worked_by_hand() -> None:
    confidence = torch.tensor([0.55, 0.55, 0.95, 0.95, 1.0])
    right = torch.tensor([True, False, True, True, True])
    # Ten bins: 0.5 to 0.6 is 0.05 too sure; 0.9 to 1 is 3 - 2.9 of 3 too modest.
    assert expected_calibration_error(confidence, right, bins=10) == pytest.approx((0.1 + 0.1) / 5)
    assert expected_calibration_error(torch.ones(4), torch.ones(4)) == 0
    assert math.isnan(expected_calibration_error(torch.ones(0), torch.ones(0)))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 6])
@pytest.mark.parametrize("whole", [True, False], ids=["with equal costs", "all costs different"])
def test_no_assignment_costs_less(size: int, whole: bool) -> None:
    draw = np.random.default_rng(size)
    for _ in range(20):
        cost = draw.integers(0, 3, (size, size)).astype(float) if whole else draw.normal(size=(size, size))
        columns = assignment(cost)
        assert sorted(columns) == list(range(size))
        least = min(
            sum(cost[row, column] for row, column in enumerate(order))
            for order in itertools.permutations(range(size))
        )
        assert cost[np.arange(size), columns].sum() == pytest.approx(least)


def test_a_large_assignment_costs_what_scipys_does() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    cost = np.random.default_rng(0).normal(size=(300, 300))
    rows, columns = optimize.linear_sum_assignment(cost)
    assert cost[np.arange(300), assignment(cost)].sum() == pytest.approx(cost[rows, columns].sum())


def test_shuffled_filters_are_found_again() -> None:
    draw = np.random.default_rng(0)
    filters, order = draw.normal(size=(256, 27)), draw.permutation(256)
    columns = assignment(-filters @ (filters[order] + 0.1 * draw.normal(size=(256, 27))).T)
    assert (order[columns] == np.arange(256)).all()
