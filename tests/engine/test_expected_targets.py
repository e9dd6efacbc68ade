"""The class that a picture should be is explained beside the best, where it is none of them."""

from __future__ import annotations

import pytest
import torch

from cnnexplain.core.target import TargetSpec
from cnnexplain.engine.scoring.scores import Scoring, targets

LOGITS = torch.tensor([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0], [5.0, 0.0, 0.0, 4.0]])
SOFTMAX = Scoring(("softmax",))


@pytest.mark.parametrize(
    ("spec", "expected", "found"),
    [
        (TargetSpec(), [0, 3, 0], [[0, 3, 0]]),
        (TargetSpec(), [2, 3, -1], [[0, 3, 0], [2, -1, -1]]),
        (TargetSpec(), [-1, -1, -1], [[0, 3, 0]]),
        (TargetSpec(top=2), [1, 0, 3], [[0, 3, 0], [1, 2, 3], [-1, 0, -1]]),
        (TargetSpec(index=1), [0, 0, 0], [[1, 1, 1]]),  # a class that was named is all that was asked for
        (TargetSpec(above=0.9), [2, 2, 2], [[-1, -1, -1]]),
    ],
)
def test_the_expected_class_has_a_rank_of_its_own(
    spec: TargetSpec, expected: list[int], found: list[list[int]]
) -> None:
    ranks = targets(spec, LOGITS, SOFTMAX, torch.tensor(expected))
    assert [one.index.tolist() for one in ranks] == found
    for one in ranks:
        for row, index in enumerate(one.index.tolist()):
            assert index < 0 or float(one.score[row]) == float(LOGITS[row, index])


def test_a_single_score_has_two_classes() -> None:
    ranks = targets(TargetSpec(), torch.tensor([[2.0], [-1.0]]), Scoring(("sigmoid",)), torch.tensor([0, 0]))
    assert [one.index.tolist() for one in ranks] == [[1, 0], [0, -1]]
    assert ranks[1].score.tolist()[0] == -2.0
