"""Classes whose scores depend on the picture by ways that no gradient sees, as past a `detach()` or under `no_grad`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cnnexplain.engine.hooks import hooked
from cnnexplain.engine.scoring.ending_rules import is_dense
from cnnexplain.engine.scoring.unseen import noise
from cnnexplain.errors import ForwardError

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model
    from cnnexplain.engine.trace.layers import Layer

LEAST = 1e-3  # of what another picture changes of a score, that it changes while the maps stay


def past(model: Model, ends: Sequence[Layer]) -> tuple[int, ...]:
    """The scores, by number, that another picture changes although the maps of the layers `ends` stay as they were.

    Call it inside `borrowed()`. Costs four forward passes of noise. Empty where the model's answers are random,
    or change in number, or where it refuses noise, since nothing can be told then. Leaves no hook behind.
    """
    first, other, _ = noise(model.blank())
    maps: dict[tuple[str, int], Tensor] = {}

    def keep(name: str, run: int, output: Any) -> None:
        maps[name, run] = output.detach().clone()

    def hold(name: str, run: int, _output: Any) -> Tensor:
        return maps[name, run].clone()

    with torch.no_grad():
        try:
            before = _scores(model, ends, first, keep)
            repeated = _scores(model, ends, first, hold)
            after = _scores(model, ends, other, lambda *_: None)
            held = _scores(model, ends, other, hold)
        except ForwardError:
            return ()
    if len({scores.shape for scores in (before, repeated, after, held)}) > 1:
        return ()
    if not torch.allclose(before, repeated, rtol=1e-4, atol=1e-5 * float(before.abs().max())):
        return ()
    least = LEAST * (after - before).abs() + 1e-5 * before.abs().max()
    return tuple(((held - before).abs() > least)[0].nonzero()[:, 0].tolist())


def _scores(
    model: Model, ends: Sequence[Layer], inputs: Tensor, change: Callable[[str, int, Any], Tensor | None]
) -> Tensor:
    """The scores (1, K) of one input, where `change` sees what the layers give back, and may give another."""
    runs: Counter[str] = Counter()
    changed = {(layer.name, layer.run) for layer in ends}

    def ran(name: str, _layer: nn.Module, _arguments: Any, output: Any) -> Tensor | None:
        runs[name] += 1
        changes = (name, runs[name]) in changed and is_dense(output)
        return change(name, runs[name], output) if changes else None

    layers = {layer.name: model.module.get_submodule(layer.name) for layer in ends}
    with hooked(layers.items(), after=ran):
        return model.forward(inputs.clone())
