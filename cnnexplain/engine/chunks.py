"""Work on many rows at once, or on as many as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import TypeVar

import torch

from cnnexplain.core.choice import Choice
from cnnexplain.errors import CnnexplainError, ForwardError, is_out_of_memory, text_of

Result = TypeVar("Result")

# Rows at once of 224x224 pixels; of larger ones fewer.
ROWS = {"cpu": 4, "cuda": 64, "mps": 16}


class Chunks:
    """How many inputs go through a model at once where a method has many for each picture."""

    def __init__(self) -> None:
        self.limit: int | None = None  # what memory or the model allowed; None until it was found wanting
        # Why inputs must go through one at a time, "" where they need not; None until that was asked.
        self.alone: str | None = None
        # Whether another thread wants no more: `CancelledError` takes the next chunk's place.
        self.stopped = False

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The choice to send inputs through one at a time, with the reason; nothing where several go together."""
        return (Choice("batch", "one picture at a time", self.alone),) if self.alone else ()

    def takes_one(self, error: CnnexplainError) -> None:
        """Note what several at once came to, where each of them alone went through the model."""
        self.alone = self.alone or f"it does not take two at once: {error.problem}"

    def over(
        self,
        rows: int,
        device: torch.device,
        work: Callable[[range], Result],
        row_size: float = 1,
        most: int | None = None,
    ) -> Iterator[tuple[range, Result]]:
        """Do `work` on all rows, some at a time, and fewer at a time after an out-of-memory error.

        Where the model's own code fails on several it gets one at a time, which is all that some models take; where
        that helps it is noted in `alone`.
        `row_size` is how many times an input of 224x224 a row is; `most` is how many rows are wanted at once where
        the device is not to say it. The error of a single row is raised.
        """
        usual = most or max(1, round(ROWS.get(device.type, 4) / max(row_size, 1)))
        start, failed = 0, 0
        failure: ForwardError | None = None  # of the rows before `failed` at once
        while start < rows:
            if self.stopped:
                raise CancelledError
            size = min(self.limit or usual, most or rows, rows - start)
            chunk = range(start, start + size)
            try:
                result = work(chunk)
            except Exception as error:
                short = is_out_of_memory(error)
                if not short and not isinstance(error, ForwardError):
                    raise
                if size == 1:
                    self.limit = None  # something else holds the memory; more may fit once that is gone
                    raise
                self.limit = size // 2 if short else 1
                if isinstance(error, ForwardError):
                    failure, failed = error, chunk.stop
            else:
                yield chunk, result
                start += size
                if failure is not None and start >= failed:
                    self.takes_one(failure)
                    failure = None


# After these a process can compute nothing more on its GPU.
BROKEN_DEVICE = (
    "CUDA error",
    "device-side assert",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "CUBLAS_STATUS_EXECUTION_FAILED",
)


def is_broken_device(error: BaseException | None) -> bool:
    """Whether a GPU, or what is left of it for this process, takes no further work; also where the cause says so."""
    while error is not None:
        of_gpu = isinstance(error, getattr(torch, "AcceleratorError", ()))
        if of_gpu or (
            isinstance(error, RuntimeError) and any(sign in text_of(error) for sign in BROKEN_DEVICE)
        ):
            return True
        error = error.__cause__
    return False
