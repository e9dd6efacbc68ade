"""`--precision auto`: bf16 where it is there, hardly changes the maps of the first images, and is faster."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cnnexplain.commands import ImageCommand
from cnnexplain.core.choice import Choice
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results import Result
from cnnexplain.core.words import count, percent
from cnnexplain.engine.copies import random_numbers_kept
from cnnexplain.engine.model import Model
from cnnexplain.engine.trace.tracing import learnt
from cnnexplain.errors import OptionError
from cnnexplain.runner.explain import Prepared, explain
from cnnexplain.runner.output.folder import difference
from cnnexplain.runner.request import Request

SETTING, AUTO, EXACT, HALF = "precision", "auto", "fp32", "bf16"
LIMIT = 0.01  # by how much a value of a map may differ, as a share of the range of float32's map
FASTER = 1.05  # times; less may be chance
PROCESSORS = Path("/proc/cpuinfo")
HAVE_BF16 = re.compile(r"\b(avx512_bf16|amx_bf16|bf16)\b")  # as Linux calls it on x86 and Arm


def require_whole(request: Request[Any]) -> None:
    """Refuse to choose for a part of a run: another part may measure otherwise, and parts that differ do not join.

    Raises:
        OptionError: There are other parts.
    """
    if request.run.shard is not None:
        raise OptionError(
            "--precision auto goes by time, so that the parts of a run may choose otherwise and could not be merged",
            "give all parts the same --precision fp32 or bf16; auto on a few of the images says which",
        )


def with_precision(model: Model, precision: str) -> Model:
    """Return the same model, looked at already, in a precision."""
    return learnt(replace(model, precision=precision), model)


def measured(
    model: Model,
    method: ImageCommand,
    pictures: Sequence[Prepared],
    size: int,
    *,
    available: Callable[[torch.device], bool] | None = None,
    clock: Callable[[], float] | None = None,
) -> Choice:
    """Choose between fp32 and bf16 by what both make of the first images of a run.

    Args:
        model: In float32; called inside `borrowed()`.
        method: The command, bound to the model.
        pictures: Those of the first batch; at least one.
        size: How many go through the model together; see `explain`.
        available: Whether a device has bf16; left out, as the system says.
        clock: Seconds; left out those of the processor, or on a GPU those that pass.

    Returns:
        The precision and the reason for it, with the error and, where that is small enough, how many times as fast
        bf16 is.
    """
    if not (available or has_bf16)(model.device):
        return Choice(SETTING, EXACT, f"bf16 is not known to be in this {_kind(model.device)}")
    clock = clock or (time.process_time if model.device.type == "cpu" else time.perf_counter)
    half = with_precision(model, HALF)

    def explained(asked: Model) -> list[Explanation | Exception]:
        return [outcome for _, outcome in explain(asked, method, pictures, size=size)]

    def seconds(asked: Model) -> float:
        started = clock()
        explained(asked)
        return clock() - started

    with random_numbers_kept(), _one_thread():
        exact = explained(model)
        error, compared = 0.0, 0
        for before, after in zip(exact, explained(half), strict=True):
            if isinstance(before, Explanation):
                error = max(error, _apart(before, after))
                compared += 1
        of_images = f"of the first {count(compared, 'image')}" if compared > 1 else "of the first image"
        if not compared:
            return Choice(
                SETTING, EXACT, "none of the first images could be explained, so bf16 was not tried"
            )
        if error > LIMIT:
            words = (
                "bf16 gives other results"
                if error == inf
                else f"in bf16 maps are up to {percent(error)} of their range off"
            )
            return Choice(SETTING, EXACT, f"{words}, {of_images}; {percent(LIMIT)} is allowed")
        times = seconds(model) / max(seconds(half), 1e-9)
    within = f"maps {of_images} stay within {percent(error)} of their range"
    return Choice(
        SETTING, HALF if times >= FASTER else EXACT, f"{within}, and bf16 takes {1 / times:.2f} times as long"
    )


def continued(run: Mapping[str, Any], identity: Mapping[str, str]) -> Choice | None:
    """Return the choice of an earlier run, so that one that is continued does not measure anew.

    Args:
        run: The content of its run.json; empty where there is none.
        identity: That of the run that is about to begin, whatever its precision.

    Returns:
        None where the earlier run is another one, in more than its precision.
    """
    before = run.get("identity")
    if not isinstance(before, dict) or difference({**before, SETTING: ""}, {**identity, SETTING: ""}):
        return None
    reasons = [
        str(choice.get("reason")) for choice in run.get("choices", ()) if choice.get("what") == SETTING
    ]
    return Choice(
        SETTING, str(before.get(SETTING)), reasons[0] if reasons else "as in the run that is continued"
    )


def has_bf16(device: torch.device) -> bool:
    """Return whether a device computes in bf16 rather than to imitate it; False where it is not known."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not PROCESSORS.is_file():
        return False
    return HAVE_BF16.search(PROCESSORS.read_text("utf-8", "replace")) is not None


def _kind(device: torch.device) -> str:
    return "processor" if device.type == "cpu" else f"{device.type} device"


def _apart(before: Explanation, after: Explanation | Exception) -> float:
    """Return the largest difference of values of two explanations' maps, as a share of the range of the first's."""
    if not isinstance(after, Explanation) or len(before.results) != len(after.results):
        return inf
    return max((_differ(*pair) for pair in zip(before.results, after.results, strict=True)), default=0.0)


def _differ(before: Result, after: Result) -> float:
    if before.name_parts() != after.name_parts():  # another class, or another unit
        return inf
    one, other = _values(before), _values(after)
    if one is None or other is None:
        return 0.0
    if one.shape != other.shape:
        return inf
    largest, spread = float(np.abs(other - one).max(initial=0)), float(np.ptp(one)) if one.size else 0.0
    return largest / spread if spread else (inf if largest else 0.0)


def _values(result: Result) -> NDArray[Any] | None:
    """Return the values that are drawn of a result; None where it has none of its own."""
    values = result.distribution()
    return values if values is None or isinstance(values, np.ndarray) else result.arrays().get("values")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute as the streams of a run do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
