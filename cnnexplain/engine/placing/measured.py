"""Whether a map lies on the input as is supposed, measured: at which pixels do its cells look?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnexplain.core.laying import Side
from cnnexplain.engine.hooks import hooked
from cnnexplain.engine.placing.place_names import RESHAPING
from cnnexplain.engine.placing.places import Followed
from cnnexplain.engine.scoring.ending_rules import is_dense

# Of a grid of as many parts along each direction one is looked at in every row: as far from both diagonals as can be,
# so that mirroring or exchanging the directions shows.
PROBES = (3, 6, 0, 5, 2, 7, 1, 4)
ROUNDS = 4  # deep cells see nearly all of a picture, and it takes a few to tell whether a little more of their own side
CORRELATION = 0.8  # of where parts look and where they should: two copies side by side reach 0.5
SLOPE = 0.03  # by how much parts look farther where they should
OFFSET = 0.2  # of the input's side: how far off the middle part may look
EDGE = 0.2  # of the input's side: what no cell sees where strides do not come out even
# How far from where it should a part may look, as a share of the input's side: where each looks at a place of its own,
# and where all look nearly everywhere. What looks at two places is farther off.
NEAR, WIDE = 0.1, 0.3
# Where parts differ by less in where they look (of a total of 1), each sees all of the picture. Nothing can be measured
# then, and tokens that are laid out as a map again are trusted to be in their order.
ALIKE = 0.25
ORDERLY = RESHAPING | {"scaled_dot_product_attention"}
GRID = 16  # of squares over the input, on which that is compared


def lies_so(module: nn.Module, inputs: Tensor, forward: Callable[[Tensor], Any], followed: Followed) -> bool:
    """Whether a map looks at `inputs` (1, C, H, W) where it was seen to lie.

    The gradient of a part of the map is where that part looks. Its middle must go along with where the part lies, in
    both directions. Costs a forward pass and eight back, four times where it cannot be told sooner; false also where
    there is no gradient. Leaves no hook behind.
    """
    generator = torch.Generator().manual_seed(0)
    total: list[Tensor] = []
    for _ in range(ROUNDS):
        noise = torch.randn(inputs.shape, generator=generator)
        traced = _map(module, inputs + noise.to(inputs), forward, followed)
        if traced is None or not (looks := _looks(*traced, followed.first, generator)):
            return False
        total = [before + look for before, look in zip(total, looks, strict=True)] if total else looks
        sides = traced[0].shape[followed.first : followed.first + 2]
        shares = [
            [sum(_part(number, cells)) / 2 / cells for number in numbers]
            for numbers, cells in zip((range(len(PROBES)), PROBES), sides, strict=True)
        ]
        if followed.laying.turned:
            shares.reverse()
        laying = followed.laying
        if _fits(shares[0], laying.rows, total[0]) and _fits(shares[1], laying.columns, total[1]):
            return True
    squares = total[2] / total[2].sum(1, keepdim=True)
    apart = float((squares - squares.mean(0)).abs().sum(1).mean()) / 2
    return followed.doubt in ORDERLY and apart < ALIKE


def _map(
    module: nn.Module, inputs: Tensor, forward: Callable[[Tensor], Any], followed: Followed
) -> tuple[Tensor, Tensor] | None:
    """The map for these inputs, and the inputs as it depends on them."""
    maps: list[Tensor] = []
    calls = 0

    def keep(_name: str, _layer: nn.Module, _arguments: Any, output: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == followed.run and is_dense(output):
            maps.append(output.clone())  # which what works in place behind the layer does not reach

    start = inputs.detach().requires_grad_()
    layer = followed.layer, module.get_submodule(followed.layer)
    with hooked([layer], after=keep), torch.enable_grad():
        forward(start.clone())
    return (maps[0], start) if maps and maps[0].requires_grad else None


def _looks(values: Tensor, start: Tensor, first: int, generator: torch.Generator) -> list[Tensor]:
    """How much each part of a map looks at every row (parts, H), column (parts, W) and square of the input."""
    rows, columns, squares = [], [], []
    for row, column in enumerate(PROBES):
        top, below = _part(row, values.shape[first])
        left, right = _part(column, values.shape[first + 1])
        part = values.narrow(first, top, below - top).narrow(first + 1, left, right - left)
        weights = torch.randn(part.shape, generator=generator).to(part)
        (slope,) = torch.autograd.grad(part, start, weights, retain_graph=True, allow_unused=True)
        if slope is None or not slope.isfinite().all():
            return []
        looks = slope[0].cpu().double().square().sum(0)
        rows.append(looks.sum(1))
        columns.append(looks.sum(0))
        squares.append(F.adaptive_avg_pool2d(looks[None], GRID).flatten())
    return [torch.stack(profiles) for profiles in (rows, columns, squares)]


def _part(number: int, cells: int) -> tuple[int, int]:
    first = number * cells // len(PROBES)
    return first, max(first + 1, (number + 1) * cells // len(PROBES))


def _fits(shares: list[float], side: Side, profiles: Tensor) -> bool:
    """Whether the parts of a map at `shares` of its side look where they should: `profiles` (parts, pixels)."""
    if len(set(shares)) == 1:
        return True  # a single cell has no place along this direction
    length = profiles.shape[1]
    targets = side[0] + (side[1] - side[0]) * torch.tensor(shares, dtype=torch.float64)
    inside, totals = (targets > 0) & (targets < 1), profiles.sum(1)
    empty, full = totals[~inside], totals[inside]
    # Parts beside the picture, on padding, look at hardly anything.
    if len(full) < 2 or not (full > 0).all() or (empty > full.mean() / 2).any():
        return False
    targets, profiles = targets[inside], profiles[inside] / full[:, None]
    pixels = (torch.arange(length, dtype=torch.float64) + 0.5) / length
    middles = profiles @ pixels
    spread, moved = targets - targets.mean(), middles - middles.mean()
    slope = float((spread @ moved) / (spread @ spread))
    correlation = float(spread @ moved / (spread.norm() * moved.norm()).clamp_min(1e-12))
    middle = min(max((min(side) + max(side)) / 2, 0), 1)
    offset = abs(float(middles.mean() + slope * (middle - targets.mean())) - middle)
    # What sets a part apart from the others lies in one place: else it looks at two.
    apart = (profiles - profiles.mean(0)).clamp_min(0)
    apart = apart / apart.sum(1, keepdim=True).clamp_min(1e-300)
    distance = float((apart * (pixels - targets[:, None]).abs()).sum(1).mean())
    seen = profiles.sum(0).nonzero() / length
    first, last = max(0.0, min(side)), min(1.0, max(side))
    edges = max(abs(float(seen.min()) - first), abs(float(seen.max()) + 1 / length - last))
    return (
        correlation >= CORRELATION
        and slope >= SLOPE
        and offset <= OFFSET
        and distance <= WIDE + slope * (NEAR - WIDE)
        and edges <= EDGE
    )
