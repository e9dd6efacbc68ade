"""Copies of a model that share its weights, each for a thread of its own."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Iterable, Iterator, ValuesView
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cnnexplain.engine.chunks import Chunks
from cnnexplain.engine.hooks import hooked, submodules
from cnnexplain.engine.trace.tracing import learnt
from cnnexplain.errors import CnnexplainError, first_line

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model


def copies(model: Model, count: int) -> tuple[tuple[Model, ...], str]:
    """Copies of a model, each for one thread; they share its weights and nothing else. Inside `model.borrowed()`.

    Costs one forward pass, by which a copy is seen to run as the model does.

    Args:
        model: The model that was looked at already.
        count: How many.

    Returns:
        The copies and "", or no copies and the reason why threads cannot share this model.
    """
    if model.function is not None:
        return (), "it is asked for a function of its answer, which may keep what it was given last"
    try:
        shared = tuple(_copy(model) for _ in range(count))
        before = _random_numbers()
        with random_numbers_kept():
            runs = _runs(shared[0])
            drawn = _random_numbers() != before
    except CnnexplainError as error:
        return (), f"a copy of it does not run: {error.problem}"
    except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything when it is copied
        return (), f"it cannot be copied: {first_line(error)}"
    if drawn:
        return (), "it draws random numbers, which threads would take from each other"
    return ((), "a copy of it runs other layers") if runs != model.trace.runs else (shared, "")


@contextmanager
def random_numbers_kept() -> Iterator[None]:
    """What a model draws at random within the block is not missing after it."""
    state, numbers = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numbers)


def _copy(model: Model) -> Model:
    """A copy with parameters of its own, whose values are those of the model, in the same place in memory."""
    shared: dict[int, Tensor] = {id(value): value.detach() for value in _remembered(model.module)}
    for parameter in model.module.parameters():
        shared[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    chunks = Chunks()
    chunks.alone = model.chunks.alone
    module, layout = copy.deepcopy(model.module, shared), copy.copy(model.layout)
    return learnt(
        replace(model, module=module, chunks=chunks, layout=layout, streams=type(model.streams)()), model
    )


def refresh(model: Model, shared: Iterable[Model]) -> None:
    """Give copies the values that the model has by now, whose weights may have been drawn anew for a while."""
    for copied in shared:
        for weight, of_model in zip(copied.module.parameters(), model.module.parameters(), strict=True):
            weight.data = of_model.data
        for buffer, now in zip(copied.module.buffers(), model.module.buffers(), strict=True):
            if buffer.shape == now.shape and not torch.equal(buffer, now):
                buffer.data.copy_(now)


def _remembered(module: nn.Module) -> Iterator[Tensor]:
    """Tensors of a graph that modules keep from the last image, which nobody can copy as they are."""
    for child in module.modules():
        for value in vars(child).values():
            kept = value.values() if isinstance(value, dict) else value
            several = kept if isinstance(kept, (list, tuple, ValuesView)) else (kept,)
            yield from (each for each in several if isinstance(each, Tensor) and not each.is_leaf)


def _runs(model: Model) -> Counter[str]:
    """How often every layer runs for one picture."""
    runs: Counter[str] = Counter()
    with hooked(submodules(model.module), after=lambda name, *_: runs.update((name,))), torch.no_grad():
        model.output_of(model.blank())
    return runs


def _random_numbers() -> tuple[Any, ...]:
    """Where the generators that everybody shares stand."""
    numpy_state = np.random.get_state(legacy=False)["state"]
    return torch.get_rng_state().tolist(), random.getstate(), numpy_state["key"].tobytes(), numpy_state["pos"]
