"""Synthesised pictures as results: made together, measured as they are saved, beside grey and real ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from cnnexplain.commands._climbing import Climb, climbed
from cnnexplain.core.results import Detail
from cnnexplain.core.results.synthesis import ALONE, Synthesis
from cnnexplain.core.words import number
from cnnexplain.engine.trace.mixing import batch_choice
from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.commands._aims import Aim

TOGETHER = {"cpu": 8, "cuda": 64, "mps": 16}  # pictures of 224x224 pixels
SMALL = 0.5  # of that area: of pictures that are smaller no more go through a model at once
GREY = 0.5
TWICE = 2  # so many times the strongest real picture, and it is said


def synthesised(
    aims: Sequence[Aim], places: Sequence[int], climb: Climb
) -> Iterator[tuple[int, tuple[Synthesis, ...]]]:
    """The pictures of targets of the same layer, several at a time. Inside `borrowed()`.

    Args:
        aims: All targets.
        places: Which of them are wanted.
        climb: How pictures are made.

    Yields:
        The place and the pictures of each target, as many as the climb has variants.
    """
    model = aims[places[0]].reach.model
    area = climb.size[0] * climb.size[1] / 224**2
    most = max(1, round(TOGETHER.get(model.device.type, 8) / (max(area, SMALL) * climb.variants)))
    most = 1 if batch_choice(model) else most
    grey = _of_grey(aims[places[0]], climb.size)

    def work(chunk: range) -> list[tuple[int, tuple[Synthesis, ...]]]:
        mine = [places[row] for row in chunk]
        return list(zip(mine, _made([aims[place] for place in mine], climb, grey), strict=True))

    for _, made in model.chunks.over(len(places), model.device, work, area * climb.variants, most):
        yield from made


def _made(aims: Sequence[Aim], climb: Climb, grey: Tensor) -> Iterator[tuple[Synthesis, ...]]:
    """The pictures of some targets, made at once."""
    reach, variants = aims[0].reach, climb.variants
    model = reach.model
    directions = torch.stack([aim.direction() for aim in aims]).to(model.device)
    names = [f"{aim.name} {variant}" if variant else aim.name for aim in aims for variant in range(variants)]
    inputs = climbed(reach, climb, directions.repeat_interleave(variants, 0), names)
    mean, std = _statistics(aims[0])
    pictures = inputs.float().cpu() * std + mean
    if climb.norm is None:  # what is saved has 8 bits: measured is what is saved
        levels = (pictures.clamp(0, 1) * 255).round().byte()
        pictures = levels.float() / 255
        inputs = model.inputs(list(levels.permute(0, 2, 3, 1).numpy()))
    with torch.no_grad():
        reached = reach(inputs)
    for row, aim in enumerate(aims):
        yield tuple(
            _result(
                aim,
                climb,
                variant,
                pictures[row * variants + variant],
                _activation(reached[row * variants + variant], directions[row]),
                _activation(grey, directions[row])[0],
            )
            for variant in range(variants)
        )


def _result(
    aim: Aim, climb: Climb, variant: int, picture: Tensor, reached: tuple[float, float], grey: float
) -> Synthesis:
    activation, mean = reached
    if not math.isfinite(activation):
        raise ModelError(
            f"the activation of {aim.name} is {activation}, not a finite number",
            "look for broken weights with cnnexplain check, or try --precision fp32",
        )
    return Synthesis(
        layer=aim.reach.layer,
        subject=aim.subject,
        values=picture.numpy(),
        activation=activation,
        mean=mean,
        grey=grey,
        steps=climb.steps,
        channel=aim.channel,
        variant=variant,
        highest=None if aim.highest is None else aim.highest.record(),
        patch=None if aim.highest is None else aim.highest.patch(),
        detail=Detail({}, tuple(_remarks(aim, climb, activation, grey))),
        method="pixel" if climb.norm is not None else climb.parametrization,
    )


def _remarks(aim: Aim, climb: Climb, activation: float, grey: float) -> Iterator[str]:
    """What a reader has to bear in mind."""
    if aim.highest is None:
        yield ALONE
    elif activation > TWICE * (real := abs(aim.highest.activation)):
        yield (
            f"It reaches {number(activation / max(real, 1e-12))} times what {aim.highest.image} does, the strongest "
            "real picture: no photograph looks like this to the model."
        )
    if activation <= grey:
        yield "The ascent reached no more than grey does: the unit may be dead, or need more steps."
    if climb.norm is not None:
        yield f"The norm of the input is at most {number(climb.norm)}: what is darker than black is drawn black."


def _of_grey(aim: Aim, size: tuple[int, int]) -> Tensor:
    """What a picture gives that is grey all over, (C, h, w) or (C,)."""
    model, (mean, std) = aim.reach.model, _statistics(aim)
    grey = torch.full((1, model.preprocess.channels, *size), GREY)
    with torch.no_grad():
        return aim.reach(((grey - mean) / std).to(model.blank()))[0]


def _statistics(aim: Aim) -> tuple[Tensor, Tensor]:
    """Mean and deviation by which inputs are normalised, (C, 1, 1) each."""
    preprocess = aim.reach.model.preprocess
    return torch.tensor(preprocess.mean)[:, None, None], torch.tensor(preprocess.std)[:, None, None]


def _activation(reached: Tensor, direction: Tensor) -> tuple[float, float]:
    """The largest and the mean value over all places along a direction, of (C, h, w) or (C,)."""
    cells = torch.einsum("c...,c->...", reached.float(), direction.to(reached.device))
    return float(cells.max()), float(cells.mean())
