"""Weights are checked in one pass whatever their kind, and those who watch a model do not watch each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from networks import bare
from torch import nn
from torch.overrides import TorchFunctionMode

import cnnexplain
from cnnexplain.engine.trace.functions import unwatched
from cnnexplain.engine.trace.mixing import Joins
from cnnexplain.engine.weights import layers as weights


@pytest.mark.parametrize(
    ("values", "finite"),
    [
        (torch.full((9,), 3e38), True),  # whose sum overflows
        (torch.tensor([3e38, 3e38, -3e38]), True),
        (torch.full((9,), 6e4, dtype=torch.float16), True),
        (torch.zeros(0), True),
        (torch.ones(3, dtype=torch.float8_e5m2), True),  # which torch cannot sum
        (torch.ones(3, dtype=torch.complex64), True),
        (torch.tensor([1.0, float("nan")]), False),
        (torch.tensor([float("inf"), float("-inf")]), False),
        (torch.tensor([1.0, float("-inf")], dtype=torch.bfloat16), False),
    ],
    ids=str,
)
def test_weights_that_are_not_finite_are_found(values: torch.Tensor, finite: bool) -> None:
    module = nn.Module()
    module.weight = nn.Parameter(values, requires_grad=False)
    assert weights.broken(bare(module)) == ([] if finite else ["weight"])


class _Counting(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def test_what_looks_unwatched_is_not_seen() -> None:
    def look(tensor: torch.Tensor) -> int:
        return tensor.shape[0] + tensor.ndim

    tensor = torch.zeros(2, 3)
    with _Counting() as seen:
        assert unwatched(look)(tensor) == 4
        assert seen.calls == 0
        assert look(tensor) == 4
    assert seen.calls == 2


def test_a_look_at_a_model_calls_each_watcher_only_for_what_the_model_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A chain of n convolutions and rectifiers: each added pair adds the calls of its own two functions."""
    calls = [0]
    watch = Joins.__torch_function__

    def counted(self: Joins, *args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        return watch(self, *args, **kwargs)

    monkeypatch.setattr(Joins, "__torch_function__", counted)

    def of(pairs: int) -> int:
        calls[0] = 0
        body = [one for _ in range(pairs) for one in (nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())]
        module = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
        _ = cnnexplain.load(module, input_size=32).model.trace
        return calls[0]

    of(1)
    assert (of(12) - of(2)) / 10 <= 4
