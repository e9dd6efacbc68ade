"""What a model's forward raises is told with the hint that helps against that kind of error."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import cnnexplain


class Own(nn.Module):
    """Does with a picture what the test says."""

    def __init__(self, work: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.work = work
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.work(x)


class Apart(Own):
    """Two pictures in one input."""

    def __init__(self) -> None:
        super().__init__(lambda x: self.conv(x[:, :3]) - self.conv(x[:, 3:]))


class Pair(nn.Module):
    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        return x + other


class Nothing(nn.Module):
    def forward(self) -> Tensor:
        return torch.zeros(1, 3)


class Halved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.half()).mean((2, 3))


def on_another_device(x: Tensor) -> Tensor:
    return x.mean((2, 3)) + torch.zeros(3, device="cuda")


def raising(error: Exception) -> Callable[[Tensor], Tensor]:
    def work(_x: Tensor) -> Tensor:
        raise error

    return work


def asserting(x: Tensor) -> Tensor:
    assert x.shape[1] == 5, "give five crops"
    return x


def flat(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


def exported(pictures: int, side: int) -> nn.Module:
    """A program of torch.export, for batches and pictures of one size."""
    module = flat(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return torch.export.export(module.eval(), (torch.zeros(pictures, 3, side, side),)).module()


SIZE = r"--input-size 32 or 1x28x28"
CASES: list[tuple[nn.Module, str, str]] = [
    (Pair(), r"failed on .*'other'", r"more than a picture \('other'\): wrap it"),
    (Nothing(), r"takes 1 positional argument", r"forward\(self, x\) takes a picture"),
    (flat(nn.Conv1d(3, 4, 3)), r"Sequential takes sequences \(N, C, L\), not pictures", r"x\.flatten\(2\)"),
    (flat(nn.BatchNorm1d(3), nn.Conv1d(3, 4, 3)), r"takes sequences \(N, C, L\)", r"cnnexplain filters"),
    (flat(nn.GRU(3, 4)), r"takes sequences \(N, C, L\)", r"x\.flatten\(2\)"),
    (flat(nn.Conv3d(3, 4, 3)), r"Sequential takes volumes \(N, C, D, H, W\)", r"x\.unsqueeze\(2\)"),
    (flat(nn.BatchNorm3d(3), nn.Conv3d(1, 4, 3)), r"takes volumes", r"x\.unsqueeze\(2\)"),
    (flat(nn.Embedding(5, 4)), r"failed on", r"numbers of words"),
    (Halved(), r"Half.*test_forward_errors.py:\d+\)", r"casts .*\.half\(\).* take the cast out"),
    (flat(Own(lambda x: x.double()), nn.Linear(64, 3)), r"failed on", r"casts"),
    (flat(nn.Conv2d(1, 4, 3)), r"to have 1 channels", r"--input-size 1x64x64"),
    (flat(nn.Conv2d(4, 4, 3)), r"to have 4 channels", r"--input-size 4x64x64"),
    (Apart(), r"to have 3 channels", r"--input-size 6x64x64"),
    (flat(nn.Conv2d(3, 6, 3), nn.Conv2d(5, 4, 3)), r"to have 5 channels", r"look at its forward"),
    (flat(nn.Flatten(), nn.Linear(400, 3)), r"failed on", rf"takes 400 numbers .* given 12288: .*{SIZE}"),
    (Own(lambda x: x.view(-1, 400)), r"failed on", rf"lays 12288 numbers .*\(-1, 400\): .*{SIZE}"),
    (flat(nn.Flatten(), nn.BatchNorm1d(3)), r"failed on", r"--debug"),
    (flat(nn.Conv2d(3, 4, 70)), r"Kernel size can't be greater", SIZE),
    (Own(on_another_device), r"failed on", r"names a device"),
    (Own(raising(ValueError("no such luck"))), r"ValueError: no such luck \(at test_forward_errors.py:\d+\)",
     r"look at its forward, at test_forward_errors.py:\d+, which raised this itself"),
    (Own(raising(RuntimeError("expected scalar type Half, I say"))), r"I say", r"at test_forward"),
    (Own(asserting), r"AssertionError: give five crops \(at test_forward_errors.py:\d+\)", r"at test_f"),
    (Own(raising(ValueError("Input image height 64 is not 224"))), r"height 64", SIZE),
    (exported(2, 64), r"Guard failed: input\.size\(\)\[0\]", r"batches of one size"),
    (exported(1, 48), r"Guard failed: input\.size\(\)\[2\] == 48", SIZE),
    (Own(lambda x: x.no_such_thing), r"no_such_thing",
     r"look at its forward, at test_forward_errors.py:\d+; --debug"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "problem", "hint"), CASES, ids=range(len(CASES)))
def test_each_kind_of_error_has_its_own_hint(module: nn.Module, problem: str, hint: str) -> None:
    explainer = cnnexplain.load(module, input_size="3x64x64", device=None)
    with pytest.raises(cnnexplain.CnnexplainError, match=problem) as caught:
        explainer.model.labels  # noqa: B018 - the first look at the model
    assert re.search(hint, caught.value.hint), caught.value.hint
