"""Score-CAM: which channels are asked for as masks, what the scores of the others are, and what that can be off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnexplain.commands._asked import Asked, Changed
from cnnexplain.core.results import Detail
from cnnexplain.core.words import percent
from cnnexplain.formulas.channels import channel_masks, scorecam, scorecam_bound, scorecam_turns
from cnnexplain.formulas.regression import kriging

if TYPE_CHECKING:
    from torch import Tensor

STRONGEST = 32  # channels that are asked for before any score is estimated,
SPREAD = 16  # and so many of all the others, from strong to weak
MORE = 16  # channels between which it is asked whether they suffice, or an eighth of those asked so far
AT_ONCE = 32  # masks in memory
DEVIATIONS = 3  # of what the estimates are expected to turn a map, in standard deviations
TURNED = 0.09  # how far that may be: a correlation of 0.996


def masked(asked: Asked) -> Changed:
    """The scores under the channels' masks: of the strongest and some others, then of those that may change most."""
    import torch

    a = asked.a
    uneven = (a.amax((1, 2)) > a.amin((1, 2))).cpu().nonzero()[:, 0]
    shapes = a.cpu()[uneven].flatten(1)
    order = shapes.norm(dim=1).argsort(descending=True, stable=True)
    scores = torch.full((len(asked.targets), len(uneven)), torch.nan)
    known = torch.zeros(len(uneven), dtype=torch.bool)
    part = order if asked.every or len(order) <= STRONGEST + SPREAD else _first(order)
    turned: list[float] = []
    while len(part):
        scores[:, part] = _asked_for(asked, uneven[part])
        known[part] = True
        if bool(known.all()):
            break
        worth, turned = _estimate(asked, shapes, scores, known)
        if all(
            off <= TURNED for off, target in zip(turned, asked.targets, strict=True) if target.weights is None
        ):
            break
        more = max(MORE, int(known.sum()) // 8)
        part = (~known).nonzero()[:, 0][worth.argsort(descending=True, stable=True)[:more]]
    every = torch.full((len(scores), len(a)), -torch.inf)
    every[:, uneven] = scores
    if bool(known.all()):
        return Changed(every)
    estimated = torch.zeros(len(a), dtype=torch.bool)
    estimated[uneven[~known]] = True
    return Changed(every, estimated, turned)


def _first(order: Tensor) -> Tensor:
    """The strongest channels, and some of the others, evenly from strong to weak."""
    import torch

    rest = order[STRONGEST:]
    places = (torch.arange(SPREAD) + 0.5) * len(rest) / SPREAD
    return torch.cat((order[:STRONGEST], rest[places.long()]))


def _asked_for(asked: Asked, channels: Tensor) -> Tensor:
    """The scores (R, n) under the masks of some channels."""
    import torch

    image, runs = asked.perturbed.image, asked.perturbed.model.runs
    laying = runs.laying(asked.run)
    parts = []
    for some in torch.split(channels, AT_ONCE):
        masks = _laid(laying.upright(asked.a[some.to(asked.a.device)]), laying.box(), image.shape[2:])
        parts.append(asked.of_classes(asked.perturbed.blends(torch.zeros_like(image), masks)))
    return torch.cat(parts, 1)


def _estimate(asked: Asked, shapes: Tensor, scores: Tensor, known: Tensor) -> tuple[Tensor, list[float]]:
    """Fill the scores (R, n) that are not known.

    Returns how much each of them may turn a map (u,), the most of any class that is shown; and of every class, to three
    standard deviations, what all of them together do.
    """
    import torch

    least, most = shapes.amin(1, keepdim=True), shapes.amax(1, keepdim=True)
    masks = (shapes - least) / (most - least)
    maps = shapes[None, :, :, None]
    worth = torch.zeros(int((~known).sum()), dtype=torch.float64)
    turned = []
    for of_class, target in zip(scores, asked.targets, strict=True):
        expected, covariance = kriging(masks, of_class, known)
        of_class[~known] = expected.to(of_class)
        turns = scorecam_turns(maps, of_class[None])[0, ~known].double()
        turned.append(DEVIATIONS * float((turns * (covariance @ turns)).sum().clamp_min(0).sqrt()))
        if target.weights is None:  # what is only judged must not change a map
            worth = torch.maximum(worth, covariance.diagonal().sqrt() * turns.norm(dim=1))
    return worth, turned


def _laid(a: Tensor, box: tuple[float, float, float, float], size: Sequence[int]) -> Tensor:
    """The masks (C, H, W) of channels (C, h, w) that lie on a part of the image, or beyond it; zero around that."""
    height, width = size
    left, top, right, bottom = (
        round(edge * side) for edge, side in zip(box, (width, height) * 2, strict=True)
    )
    made = channel_masks(a, (max(1, bottom - top), max(1, right - left)))
    if (left, top, right, bottom) == (0, 0, width, height):
        return made
    whole = made.new_zeros((len(made), height, width))
    within = made[:, max(0, -top) : height - top, max(0, -left) : width - left]
    top, left = max(0, top), max(0, left)
    whole[:, top : top + within.shape[1], left : left + within.shape[2]] = within
    return whole


def scorecam_maps(a: Tensor, _score: Tensor, scores: Tensor) -> Tensor:
    """The maps (N, h, w), of those of a layer (N, C, h, w) and scores under their masks (N, C); 0 without a mask."""
    without_any = scores.isneginf().all(1)[:, None, None]
    return scorecam(a, scores).masked_fill(without_any, 0)


def scorecam_detail(asked: Asked, _score: Tensor, changed: Changed, rank: int) -> Detail:
    """How many channels were asked for, and what the others may change."""
    scores = changed.scores[rank]
    constant, total = int(scores.isneginf().sum()), len(scores)
    left_out = 0 if changed.estimated is None else int(changed.estimated.sum())
    count = total - constant - left_out
    facts: dict[str, Any] = {"channels": count, "of": total, "constant": constant}
    remarks = []
    if not count:
        return Detail({"scorecam": facts}, ("Every channel is the same everywhere, and masks nothing.",))
    if constant:
        remarks.append(
            f"{constant:,} of {total:,} channels are the same everywhere and make no mask; they are left out."
        )
    if changed.estimated is not None:
        known = ~(changed.estimated | scores.isneginf())
        bound = float(scorecam_bound(asked.a.cpu()[None], scores[None], known[None])[0])
        likeness = (1 + changed.turned[rank] ** 2) ** -0.5
        facts |= {"correlation": likeness, "bound": bound}
        remarks.append(
            f"{count:,} of {total:,} channels asked for; from these the scores of {left_out:,} others are estimated. "
            f"The correlation with the map of all is {likeness:.3f}, to three standard deviations. If none scores "
            f"higher or lower than all of these, no cell is off by more than {percent(bound)} of the map's range."
        )
    return Detail({"scorecam": facts}, tuple(remarks))
