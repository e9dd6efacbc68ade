"""Work on many rows at once, or on as many as memory allows."""

from __future__ import annotations

from collections.abc import Callable

import torch

ROWS = {"cpu": 8, "cuda": 64, "mps": 16}


class Chunks:
    """How many inputs go through a model at once where a method has many for each picture."""

    def __init__(self) -> None:
        self.limit: int | None = None  # what memory allowed; None until it was found wanting

    def over(self, rows: int, device: torch.device, work: Callable[[range], None]) -> None:
        """Do `work` for all rows, some at a time, and fewer at a time after an out-of-memory error.

        `work` must leave nothing behind when it fails. The error of a single row is raised.
        """
        start = 0
        while start < rows:
            size = min(self.limit or ROWS.get(device.type, 8), rows - start)
            try:
                work(range(start, start + size))
            except Exception as error:
                if not is_out_of_memory(error) or size == 1:
                    raise
                self.limit = size // 2
            else:
                start += size


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the CPU's allocator, had no memory left."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
