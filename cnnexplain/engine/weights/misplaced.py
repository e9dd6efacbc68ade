"""Whether a layer's weights are those that the batch normalisation behind it was trained with, or another layer's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cnnexplain.engine.hooks import hooked
from cnnexplain.engine.weights.running import (
    alike,
    exchanged,
    keeps_statistics,
    living,
    mismatches,
    norms,
    other_axes,
)

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

PAIRS = 256  # of layers that are tried in each other's place, the nearest first
GOOD = 1.5  # agreement from which on a layer's own weights are not doubted
GAIN = 0.1  # least gain in agreement at each place
DEVIATIONS = 5.0  # least gain at all places together, in standard deviations
SURE = 4.0  # gain at one place alone, in standard deviations
LIKELY = 1.0  # least gain of two layers exchanged with their norms, in standard deviations, where
NEARER = (
    0.75  # the means that are furthest from the running ones come to at most this share of their distance
)
CERTAIN = 0.99  # correlation: more counts as this, since atanh has no end


@dataclass(frozen=True)
class Misplaced:
    """A layer whose batch normalisation was trained with the weights that another layer holds."""

    layer: str
    holder: str  # the layer that holds them
    own: float  # agreement of the layer's own weights with the statistics behind it
    other: float  # agreement of the holder's
    channels: int  # over which they are correlated


def misplaced(model: Model, inputs: Tensor) -> list[tuple[Misplaced, ...]]:
    """The layers whose weights are exchanged: a tuple of two, or of more where they went around.

    Every layer of the same kind and shape is tried in a layer's place, on what arrives there, and its `agreement` with
    the statistics behind is compared. Layers are told where each agrees better, by `GAIN`, with the weights of the
    next, and all together by `DEVIATIONS`. That of two independent agreements over n channels is 2 / sqrt(n - 3).

    Where one place alone is far better served (`SURE`), the model runs on as if it were corrected there:
    otherwise nothing that arrives later would be right.

    Costs one forward pass of `inputs` (N, C, H, W) without gradients, and one run of a layer for each that is tried in
    its place. Weights are as they were afterwards, and no hook is left behind.
    """
    partners: dict[nn.Module, list[tuple[str, nn.Module]]] = {}
    names: dict[nn.Module, str] = {}
    for pair in alike(model.module)[:PAIRS]:
        for (name, layer), other in (pair, pair[::-1]):
            partners.setdefault(layer, []).append(other)
            names[layer] = name
    better: dict[str, Misplaced] = {}
    held = {name: name for name in names.values()}  # by layer, whose weights it has at the moment
    compared: set[nn.Module] = set()  # a layer's first run counts

    def compare(layer: nn.Module, arrived: Tensor, norm: nn.Module, output: Tensor) -> Tensor | None:
        name, now = names.get(layer, ""), agreement(norm, output)
        if not name or layer in compared or now is None or (now >= GOOD and held[name] == name):
            return None
        compared.add(layer)
        trials = {held[name]: (now, output, layer)}  # by the layer whose weights are tried
        for holder, partner in partners[layer]:
            with exchanged(layer, partner):
                tried = layer.forward(arrived)  # not called, so that no hook sees it
                if (other := agreement(norm, tried)) is not None:
                    trials[held[holder]] = (other, tried, partner)
        whose = max(trials, key=lambda holder: trials[holder][0])
        value, better_output, place = trials[whose]
        own = trials[name][0] if name in trials else now
        channels = int(living(norm).sum())
        if whose != name and value - own >= GAIN:
            better[name] = Misplaced(name, whose, own, value, channels)
        if value - now < GAIN or deviations([(value - now, channels)]) < SURE:
            return None
        mended.enter_context(exchanged(layer, place))
        held[name], held[names[place]] = held[names[place]], held[name]
        return better_output

    with ExitStack() as mended:
        _normalised(model.module, model.forward, inputs, compare)
    return [
        circle
        for circle in _circles(better)
        if deviations([(entry.other - entry.own, entry.channels) for entry in circle]) >= DEVIATIONS
    ]


def nearest(model: Model, inputs: Tensor, most: int) -> tuple[str, str, bool] | None:
    """Of `most` pairs of layers the one whose exchange makes all layers together agree best; whether with their norms.

    Layers with a batch normalisation right behind are exchanged together with it. None where no exchange is better by
    `LIKELY` over the layers that it reaches, or where the best one leaves the means that are furthest from the running
    ones of their layer further away than `NEARER` allows. Costs four forward passes of `inputs` (N, C, H, W), and one
    for each pair.
    """
    module, forward = model.module, model.forward
    norm_of: dict[nn.Module, nn.Module] = {}
    _normalised(module, forward, inputs[:1], lambda layer, _, norm, __: norm_of.update({layer: norm}))
    before = _agreements(module, forward, inputs)
    best, exchange = LIKELY, None
    for (name, layer), (other_name, other) in alike(module)[:most]:
        both = layer in norm_of and other in norm_of
        places = [(layer, other), *([(norm_of[layer], norm_of[other])] if both else [])]
        with _all_exchanged(places):
            after = _agreements(module, forward, inputs)
        # What comes before both of them, or beside them, gives what it gave, and says nothing.
        gains = [
            (after[norm][0] - own, channels)
            for norm, (own, channels) in before.items()
            if norm in after and after[norm][0] != own
        ]
        if gains and (gain := deviations(gains)) >= best:
            best, exchange = gain, (places, (name, other_name, both))
    if exchange is None:
        return None
    places, pair = exchange
    worst = max(mismatches(model, inputs).values())
    with _all_exchanged(places):
        return pair if max(mismatches(model, inputs).values()) <= NEARER * worst else None


@contextmanager
def _all_exchanged(pairs: Sequence[tuple[nn.Module, nn.Module]]) -> Iterator[None]:
    with ExitStack() as stack:
        for layer, other in pairs:
            stack.enter_context(exchanged(layer, other))
        yield


def _agreements(
    module: nn.Module, forward: Callable[[Tensor], Any], inputs: Tensor
) -> dict[str, tuple[float, int]]:
    """By batch normalisation, at its first run: its agreement with what arrives, and over how many channels."""
    agreements: dict[str, tuple[float, int]] = {}

    def look(name: str, norm: nn.Module, arguments: tuple[Any, ...]) -> None:
        values = arguments[0] if arguments else None
        if name not in agreements and isinstance(values, Tensor):
            value = agreement(norm, values)
            if value is not None:
                agreements[name] = value, int(living(norm).sum())

    with hooked(norms(module), before=look), torch.no_grad():
        forward(inputs)
    return agreements


def agreement(norm: nn.Module, values: Tensor) -> float | None:
    """How well what arrives at a batch normalisation agrees with the statistics that it keeps, channel by channel.

    Args:
        norm: A layer with a running mean and variance (C,).
        values: What arrives there, (N, C, ...).

    Returns:
        The correlation (Spearman's, as atanh) of the means, in running standard deviations, plus that of the
        variances. None where fewer than four channels vary, or `values` has other channels.
    """
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    varying = living(norm)
    if values.shape[1:2] != mean.shape or int(varying.sum()) < 4:
        return None
    spread, middle = torch.var_mean(values.float(), other_axes(values), correction=0)
    deviation = variance.sqrt()
    pairs = ((middle / deviation, mean / deviation), (spread, variance))
    correlations = [_correlation(measured[varying], kept[varying]) for measured, kept in pairs]
    return float(torch.tensor(correlations).clamp(-CERTAIN, CERTAIN).atanh().sum())


def _normalised(
    module: nn.Module,
    forward: Callable[[Tensor], Any],
    inputs: Tensor,
    use: Callable[[nn.Module, Tensor, nn.Module, Tensor], Tensor | None],
) -> None:
    """Run the model and `use` each layer with a batch normalisation behind: it, its input, the norm, its input.

    What `use` returns takes the place of the last.
    """
    last: list[tuple[nn.Module, Tensor, Any]] = []

    def ran(_name: str, layer: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        last[:] = [(layer, arguments[0], output)] if arguments else []

    def reached(_name: str, norm: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not last or not arguments or arguments[0] is not last[0][2]:
            return None
        layer, arrived, output = last.pop()
        instead = use(layer, arrived, norm, output)
        return None if instead is None else (instead, *arguments[1:])

    layers = [
        (name, child)
        for name, child in module.named_modules()
        if child._parameters.get("weight") is not None and not keeps_statistics(child)
    ]
    with hooked(norms(module), before=reached), hooked(layers, after=ran), torch.no_grad():
        forward(inputs)


def _correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's rank correlation of two vectors; 0 where one of them has the same value everywhere."""
    if bool((a == a[0]).all()) or bool((b == b[0]).all()):
        return 0.0
    ranks = torch.stack((a, b)).argsort(dim=1).argsort(dim=1)
    return float(torch.corrcoef(ranks.double())[0, 1].item())


def deviations(gains: Sequence[tuple[float, int]]) -> float:
    """The weighted sum of gains in agreement, each over so many channels, in standard deviations of that sum by chance.

    Each counts by its precision: the variance of a difference of two agreements over n channels is 4 / (n - 3).
    """
    certain = [channels - 3 for _, channels in gains]
    total = sum(gain * weight for (gain, _), weight in zip(gains, certain, strict=True))
    return total / (2 * math.sqrt(sum(certain)))


def _circles(better: dict[str, Misplaced]) -> list[tuple[Misplaced, ...]]:
    """Those that lead back to where they began, layer to holder."""
    circles: list[tuple[Misplaced, ...]] = []
    left = dict(better)
    for start in better:
        way = [start]
        while (there := left.get(way[-1])) is not None and there.holder not in way:
            way.append(there.holder)
        if way[-1] in left and left[way[-1]].holder == start:
            circles.append(tuple(left.pop(name) for name in way))
    return circles
