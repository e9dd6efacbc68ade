"""What pictures are synthesised for: channels, sums of channels and classes, as directions in what is reached."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.core.records import layer_name
from cnnexplain.core.target import class_named
from cnnexplain.core.words import named
from cnnexplain.engine.reaching import HeadOutput
from cnnexplain.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from cnnexplain.commands._real import StrongestReal
    from cnnexplain.engine.model import Model

ALL = "all"


@dataclass(frozen=True, eq=False)
class Aim:
    """What a picture shall make strong: a direction among the channels of a layer, or among the classes."""

    reach: HeadOutput
    subject: str  # in words: "channel 17"
    weights: Mapping[int, float]  # by channel or class
    highest: StrongestReal | None = None  # of real pictures

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"{self.reach.layer} {self.subject}".strip()

    @property
    def channel(self) -> int | None:
        """The channel where it is one alone, which shall become strong."""
        alone = self.reach.layer and list(self.weights.values()) == [1.0]
        return next(iter(self.weights)) if alone else None

    def direction(self) -> Tensor:
        """The weights of all channels, (K,)."""
        import torch

        direction = torch.zeros(self.reach.shape[0])
        for channel, weight in self.weights.items():
            direction[channel] += weight
        return direction


def of_layer(
    model: Model, layer: str, words: Sequence[str], strongest: Mapping[tuple[str, str], StrongestReal]
) -> Iterator[Aim]:
    """The aims that `--channel` names of a layer.

    Args:
        model: The model that the pictures are for, of their size.
        layer: As `Model.find_layer` has it.
        words: `17`, `all`, `17+42` for both together, `17-42` for the one without the other, `-17` for the opposite.
        strongest: What real pictures reach, by layer and channel.

    Raises:
        OptionError: There is no such channel, or a word says something else.
        LayerError: The layer gives back neither maps nor vectors.
    """
    reach = HeadOutput.of(model, layer)
    channels = reach.shape[0]
    every = [str(channel) for channel in range(channels)]
    expanded = [part for text in words for part in (every if text == ALL else [text])]
    for word in dict.fromkeys(expanded):
        weights: dict[int, float] = {}
        for sign, digits in re.findall(r"([+-]?)(\d{1,9})", word):
            channel = int(digits)
            if channel >= channels:
                raise OptionError(
                    f"--channel {word} is not in {layer}, which has {channels}",
                    f"give a channel from 0 to {channels - 1}, or --channel all",
                )
            weights[channel] = weights.get(channel, 0) + (-1.0 if sign == "-" else 1.0)
        if not re.fullmatch(r"[+-]?\d{1,9}([+-]\d{1,9})*", word) or not any(weights.values()):
            raise OptionError(
                f"--channel {word!r} names no channel",
                "give numbers from 0: --channel 3,17, or all; 3+17 is both in one picture, --channel=-3 its opposite",
            )
        noun = "channel" if len(weights) == 1 and "-" not in word else "channels"
        subject = f"{noun} {word}" if "-" not in word[:1] else f"against channel {word[1:]}"
        yield Aim(reach, subject, weights, strongest.get((layer_name(layer), word)))


def of_classes(model: Model, words: Sequence[str]) -> Iterator[Aim]:
    """The aims that `--target` names: an index, a label, a part of one.

    Raises:
        TargetError: There is no such class.
    """
    for word in words:
        index = class_named(word.strip(), model.labels)
        scores = model.trace.scores
        subject = named(index, model.labels[index])
        if scores == 1:  # against it, and for it
            yield Aim(HeadOutput.of(model, ""), subject, {0: 1.0 if index else -1.0})
        else:
            yield Aim(HeadOutput.of(model, ""), subject, {index: 1.0})
