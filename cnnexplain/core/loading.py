"""What a model source is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cnnexplain.core.params import Param

if TYPE_CHECKING:
    from torch import nn

    from cnnexplain.core.choice import Choice
    from cnnexplain.core.preprocess import Preprocess

ACTIVATIONS = ("auto", "softmax", "sigmoid", "none")
CROP_MODES = ("center", "squash", "border")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")

UNFLATTEN = "give torch.export.unflatten(exported), a module whose layers run"  # of an exported program


@dataclass(frozen=True)
class ModelOptions:
    """How a model is built and what it is fed: the options beside the MODEL argument."""

    weights: Annotated[Path | None, Param("Put this checkpoint into the model.", metavar="FILE")] = None
    arch: Annotated[
        str | None,
        Param(
            "The architecture that a checkpoint given as MODEL belongs to, as you would write it as MODEL.",
            metavar="NAME",
            common=True,
        ),
    ] = None
    weights_key: Annotated[
        str | None,
        Param(
            "Which part of a checkpoint that holds several, such as state_dict_ema; by default the first that fits.",
            metavar="NAME",
        ),
    ] = None
    pretrained: Annotated[
        bool, Param("Load trained weights; --no-pretrained leaves the initialisation that --seed gives.")
    ] = True
    strict: Annotated[bool, Param("Refuse a checkpoint whose keys do not all fit.")] = True
    labels: Annotated[
        Path | None,
        Param("Names of the classes: one a line, or a JSON list or map.", metavar="FILE", common=True),
    ] = None
    input_size: Annotated[
        str | None,
        Param(
            "Input size: 224, or 224x320 (height x width), or 1x28x28 with channels.",
            metavar="SIZE",
            common=True,
        ),
    ] = None
    mean: Annotated[
        str | None,
        Param("Mean per channel, for values in 0..1: 0.5 or 0.485,0.456,0.406.", metavar="NUMBERS"),
    ] = None
    std: Annotated[str | None, Param("Standard deviation per channel, as for --mean.", metavar="NUMBERS")] = (
        None
    )
    interpolation: Annotated[str | None, Param("How pictures are resized.", choices=INTERPOLATIONS)] = None
    crop_pct: Annotated[
        float | None, Param("Share of the resized picture that is kept.", min=0.01, max=1.0)
    ] = None
    crop_mode: Annotated[
        str | None,
        Param(
            "center cuts the middle out, squash ignores the aspect ratio, border pads.", choices=CROP_MODES
        ),
    ] = None
    range: Annotated[
        str | None,
        Param(
            "Values of pictures of more than 8 bits that are black and white, the same for all: 0,4095. Left out, "
            "0 to 65535 of 16 bits without sign and 0 to 1 of floats; others are refused.",
            metavar="LOW,HIGH",
        ),
    ] = None
    activation: Annotated[
        str,
        Param(
            "What makes probabilities of scores: auto is what the model itself ends in, or else softmax; sigmoid for "
            "classes that do not exclude each other; none for scores that are no probabilities.",
            choices=ACTIVATIONS,
        ),
    ] = "auto"
    model_output: Annotated[
        str | None,
        Param(
            "Which of several outputs has the class scores: a name, or a number counted from 0. Beside -o also written "
            "--output.",
            metavar="NAME|N",
        ),
    ] = None
    seed: Annotated[int, Param("Seed of everything random.", min=0, max=2**63 - 1)] = 0


@dataclass(frozen=True)
class Loaded:
    """A model as its source hands it over: in eval mode, on the CPU, in float32; the caller's own as it was."""

    module: nn.Module
    reference: str  # as the user wrote it
    name: str  # the architecture, for people
    source: str  # where code and weights came from, in words
    preprocess: Preprocess
    labels: Sequence[str] | None  # one per class, or None where nobody named them
    choices: tuple[Choice, ...] = ()  # what was decided on the way, with reasons
    sized: bool = True  # whether the size of its input was given or is known
