"""Functions of a network that pass back their mean slope on the way from each row to the next, not that at the row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

NEAR = 1e-3  # values that differ by less than this have the slope between them that a curve has half way


class Single(torch.autograd.Function):
    """A function of single values, with its mean slope from row to row."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        before: Tensor,
        rectify: Callable[[Tensor], Tensor],
        cornered: bool,
        in_place: bool,
    ) -> Tensor:
        run = _difference(x, before)
        if not cornered:
            near, middle = run.abs() <= NEAR * (1 + x.abs()), _middle(x, before)
        y = rectify(x)
        slope = _difference(y, rectify(before.clone())).div_(run)
        if not cornered:
            slope = torch.where(near, _slope(rectify, middle), slope)
        else:
            _still(slope, y, rectify)
        ctx.slope = slope
        if in_place:
            ctx.mark_dirty(x)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient * ctx.slope, None, None, None, None


class Pooled(torch.autograd.Function):
    """Max-pooling: where the largest cell changes, each has the share of the way on which it is the largest."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        before: Tensor,
        pool: Callable[[Tensor], tuple[Tensor, Tensor]],
    ) -> Tensor:
        y, place = pool(x)
        y_before, place_before = pool(before)
        cells, start = x.flatten(2), _shifted(x, before).flatten(2)
        old, new = _shifted(place, place_before).flatten(2), place.flatten(2)
        lead = _shifted(y, y_before).flatten(2) - start.gather(2, new)  # of the old one, at first
        behind = y.flatten(2) - cells.gather(2, old)  # the old one, at last
        total = lead + behind
        ctx.share = torch.where(total > 0, lead / total, 0.5)
        ctx.old, ctx.new, ctx.shape = old, new, x.shape
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        above = gradient.flatten(2)
        of_old = above * ctx.share
        below = above.new_zeros(ctx.shape).flatten(2)
        below.scatter_add_(2, ctx.old, of_old).scatter_add_(2, ctx.new, above - of_old)
        return below.reshape(ctx.shape), None, None


class Product(torch.autograd.Function):
    """a b, whose rise is that of each factor times the mean of the other."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, a_before: Tensor, b_before: Tensor) -> Tensor:
        ctx.a, ctx.b = _middle(a, a_before), _middle(b, b_before)
        return a * b

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        of_a = (gradient * ctx.b).sum_to_size(ctx.a.shape)
        return of_a, (gradient * ctx.a).sum_to_size(ctx.b.shape), None, None


def _still(slope: Tensor, y: Tensor, rectify: Callable[[Tensor], Tensor]) -> None:
    """Give what does not move, whose mean slope came out as NaN, the slope of where it is.

    These are mostly whole channels of constants, and few: only channels with some are looked at.
    """
    if slope.ndim != 4:
        slope.copy_(torch.where(slope.isnan(), _slope(rectify, y), slope))
        return
    channels = slope.sum((0, 2, 3)).isnan().nonzero().flatten()
    if len(channels):
        some = slope[:, channels]
        slope[:, channels] = torch.where(some.isnan(), _slope(rectify, y[:, channels]), some)


def _shifted(x: Tensor, before: Tensor) -> Tensor:
    """The row before every row."""
    shifted = torch.empty_like(x)
    shifted[1:] = x[:-1]
    shifted[:1] = before
    return shifted


def _difference(x: Tensor, before: Tensor) -> Tensor:
    """Every row less the row before."""
    difference = torch.empty_like(x)
    torch.sub(x[1:], x[:-1], out=difference[1:])
    torch.sub(x[:1], before, out=difference[:1])
    return difference


def _middle(x: Tensor, before: Tensor) -> Tensor:
    return _shifted(x, before).add_(x).mul_(0.5)


def _slope(rectify: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.enable_grad(), torch._C.DisableTorchFunction():
        inside = x.detach().clone().requires_grad_()
        return torch.autograd.grad(rectify(inside.clone()).sum(), inside)[0]
