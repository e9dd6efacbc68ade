"""Work on many rows at once, or on as many as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import TypeVar

import torch

from cnnexplain.core.choice import Choice
from cnnexplain.errors import CnnexplainError, ForwardError, is_out_of_memory, text_of

Result = TypeVar("Result")

# Rows at once of 224x224 pixels; of larger ones fewer. Of processors each stream has as many.
ROWS = {"cpu": 3, "cuda": 64, "mps": 16}
SHARED = 64  # rows of which two chunks are made even where they have work in common


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
        """Do `work` on all rows by the calling thread, see `within`: the chunks of `split`, or `most` at a time."""
        if most is None:
            chunks = split(rows, device, row_size)
        else:
            chunks = [range(start, min(start + most, rows)) for start in range(0, rows, most)]
        for chunk in chunks:
            yield from self.within(chunk, work)

    def within(self, chunk: range, work: Callable[[range], Result]) -> Iterator[tuple[range, Result]]:
        """Do `work` on the rows of a chunk at once; on fewer at a time after an out-of-memory error.

        Where the model's own code fails on several it gets one at a time, which is all that some models take; where
        that helps it is noted in `alone`. The error of a single row is raised.
        """
        start, failed = chunk.start, 0
        failure: ForwardError | None = None  # of the rows before `failed` at once
        while start < chunk.stop:
            if self.stopped:
                raise CancelledError
            size = min(self.limit or len(chunk), chunk.stop - start)
            part = range(start, start + size)
            try:
                result = work(part)
            except Exception as error:
                short = is_out_of_memory(error)
                if not short and not isinstance(error, ForwardError):
                    raise
                if size == 1:
                    self.limit = None  # something else holds the memory; more may fit once that is gone
                    raise
                self.limit = size // 2 if short else 1
                if isinstance(error, ForwardError):
                    failure, failed = error, part.stop
            else:
                yield part, result
                start += size
                if failure is not None and start >= failed:
                    self.takes_one(failure)
                    failure = None


def split(rows: int, device: torch.device, row_size: float = 1, most: int | None = None) -> list[range]:
    """How many rows go together, where memory does not say it: chunks of about the same size.

    Args:
        rows: How many there are.
        device: Where they are computed. On processors at least two chunks are made, which streams share; of fewer than
            `SHARED` rows whose number is said by `most`, and which may have work in common, one.
        row_size: How many times an input of 224x224 a row is.
        most: How many are wanted at once where the device is not to say it.
    """
    size = most or max(1, round(ROWS.get(device.type, 3) / max(row_size, 1)))
    fewest = 2 if device.type == "cpu" and (most is None or rows >= SHARED) else 1
    chunks = max(fewest, -(-rows // size))
    size = max(1, -(-rows // chunks))
    return [range(start, min(start + size, rows)) for start in range(0, rows, size)]


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
