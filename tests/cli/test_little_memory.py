"""A lack of memory is told as such, and never as a defect, a broken installation or a wrong input size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cnnexplain
from cnnexplain.cli import app
from cnnexplain.errors import CnnexplainError, ImageError, ModelError, shortage_behind
from cnnexplain.report.pages import record
from cnnexplain.sources.kit import libraries as _libraries

SHORT = [
    MemoryError(),
    MemoryError("Unable to allocate 3.2 GiB for an array"),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("could not create a primitive"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    OSError(12, "Cannot allocate memory"),
]
UNMAPPED = [
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ImportError("libgomp.so.1: cannot allocate memory in static TLS block"),
    OSError("libc10.so: failed to map segment from shared object: Cannot allocate memory"),
]


@pytest.mark.parametrize("error", [*SHORT, *UNMAPPED], ids=str)
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_command_says_memory(
    error: Exception, wrapped: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        if wrapped:
            raise ModelError("net.py does not import", "put this right in your code") from error
        raise error

    monkeypatch.setattr(app, "_run", fail)
    assert app.run(["gradcam"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: there is not enough memory")
    assert ("library" in first) == (error in UNMAPPED)
    assert second.startswith(("hint: give the program more memory", "hint: close other programs"))


@pytest.mark.parametrize(
    "error", [KeyError("memory"), ValueError("out of memory"), RuntimeError("primitive")]
)
def test_other_errors_are_no_lack_of_memory(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(app, "_run", fail)
    app.run(["gradcam"])
    assert "not enough memory" not in capsys.readouterr().err


def test_a_library_that_cannot_be_mapped_is_no_broken_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise UNMAPPED[0]

    monkeypatch.setattr(_libraries, "import_module", fail)
    with pytest.raises(ModelError) as caught:
        _libraries.library("timm")
    told = shortage_behind(caught.value)
    assert told is not None
    assert "library" in told.problem


def test_a_picture_that_lacked_memory_is_recorded_as_such() -> None:
    damaged = ImageError("the picture is damaged: MemoryError", "save or download it again")
    damaged.__cause__ = MemoryError()
    made = record.failed("a.png", damaged, "gradcam", "Net")["error"]
    assert made["message"].startswith("there is not enough memory")
    assert "damaged" not in made["message"]


class Greedy(nn.Module):
    """Has room for so many pictures at once."""

    room = 1

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.room:
            raise RuntimeError("could not create a primitive")
        return self.fc(self.conv(x).mean((2, 3)))


def test_batches_are_halved_and_a_single_picture_is_told_of() -> None:
    picture = np.zeros((32, 32, 3), dtype=np.uint8)
    module = Greedy()
    explainer = cnnexplain.load(module, input_size="32")
    assert len(explainer.explain([picture] * 5, batch_size=5)) == 5
    module.room = 0
    with pytest.raises(CnnexplainError, match="not enough memory on cpu for one picture") as caught:
        explainer.explain([picture] * 2)
    assert "--input-size" in caught.value.hint
    fresh = cnnexplain.load(module, input_size="32")
    with pytest.raises(ModelError, match="not enough memory on cpu for one picture of 32x32"):
        _ = fresh.model.labels
