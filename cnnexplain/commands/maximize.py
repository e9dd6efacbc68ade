"""Pictures that make a unit, a channel or a class as strong as they can (Erhan et al. 2009)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from cnnexplain.commands import SeriesCommand
from cnnexplain.core.choice import Choice
from cnnexplain.core.params import Param, declared
from cnnexplain.engine.capabilities import Capability
from cnnexplain.errors import CnnexplainError, OptionError

if TYPE_CHECKING:
    from cnnexplain.core.results.synthesis import Synthesis
    from cnnexplain.engine.model import Model

__all__ = ["Maximize"]

SMALLEST = 64  # pixels: below, a spectrum has too few frequencies
# Yosinski et al. 2015, table 1, third row, with what small pixels were given in the first.
GENTLE = {"decay": 0.0001, "blur": 1.0, "blur_every": 4, "small_norm": 0.0, "small_contribution": 0.0}
REGULARISED = tuple(GENTLE)


@dataclass(frozen=True)
class Maximize(SeriesCommand):
    """Pictures that make channels or classes as strong as they can: activation maximisation (Erhan et al. 2009).

    One record a target, with the activation reached. Many pictures are made at once, by the part of the model up to
    the layer alone.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.GRADIENTS})
    seeded: ClassVar[bool] = True
    needs_folder: ClassVar[bool] = True
    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain maximize bundled:efficientnet_lite0 -l blocks.4 --channel 3,17 -o out",
        "cnnexplain maximize resnet50 -t 'tabby' -t 282 --parametrization maco -o out",
        "cnnexplain maximize resnet50 -l layer3 --channel all --units atlas -o out",
    )
    unused: ClassVar[frozenset[str]] = frozenset({"colormap", "alpha", "scale"})

    layer: Annotated[
        tuple[str, ...],
        Param("Layer whose channels are maximised; may be repeated.", ("-l", "--layer"), metavar="NAME"),
    ] = ()
    channel: Annotated[
        tuple[str, ...],
        Param(
            "Channels of the layers, or all. 3+17 is both in one picture, 3-17 the one without the other, "
            "--channel=-3 the opposite of one.",
            metavar="C[,C...]|all",
            split=True,
        ),
    ] = ()
    target: Annotated[
        tuple[str, ...],
        Param(
            "Class whose score is maximised, before the softmax: a label, an index, or a part of a label; may be "
            "repeated.",
            ("-t", "--target"),
            metavar="CLASS",
        ),
    ] = ()
    parametrization: Annotated[
        str | None,
        Param(
            "What pictures are functions of: pixels; pixels with the four regularisers of Yosinski et al. 2015; a "
            "spectrum with independent colours; phases with the magnitudes of photographs. Left out, fourier, and "
            "regularised below 64 pixels.",
            choices=("pixel", "regularised", "regularized", "fourier", "maco"),
        ),
    ] = None
    steps: Annotated[int, Param("Steps of the ascent.", min=1, max=100_000)] = 128
    size: Annotated[
        str | None,
        Param("Side of the pictures in pixels, or HxW. Left out, the model's input size.", metavar="N|HxW"),
    ] = None
    objective: Annotated[
        str,
        Param("What of a channel becomes strong: its mean, or the unit in the middle of its map.",
              choices=("channel", "unit")),
    ] = "channel"  # fmt: skip
    diverse: Annotated[
        int, Param("Pictures of each target, kept different from each other.", min=1, max=16, metavar="N")
    ] = 1
    norm: Annotated[
        float | None,
        Param(
            "With pixel: bound the norm of the normalised input by this, in the place of black and white.",
            min=1e-6,
        ),
    ] = None
    decay: Annotated[
        float | None, Param("With regularised: share that every value loses in a step.", min=0, max=1)
    ] = None
    blur: Annotated[
        float | None, Param("With regularised: deviation of the Gaussian blur, in pixels.", min=0, max=100)
    ] = None
    blur_every: Annotated[
        int | None, Param("With regularised: steps from one blur to the next; 0 for none.", min=0)
    ] = None
    small_norm: Annotated[
        float | None,
        Param(
            "With regularised: share of the pixels, those of the smallest norm, that become grey in a step.",
            min=0,
            max=0.99,
        ),
    ] = None
    small_contribution: Annotated[
        float | None,
        Param(
            "With regularised: share of the pixels, those that contribute least, that become grey in a step.",
            min=0,
            max=0.99,
        ),
    ] = None
    units: Annotated[
        str | None,
        Param(
            "Folder of a run of cnnexplain units on the same model: the strongest real patch of a channel, and what it "
            "reached, stand beside the synthesised picture.",
            metavar="DIR",
        ),
    ] = None
    aims: tuple[Any, ...] = field(default=(), repr=False, compare=False)  # `Aim`s, once it is bound
    sized: Any = field(
        default=None, repr=False, compare=False
    )  # the model, with inputs of the pictures' size

    def bind(self, model: Model) -> tuple[Maximize, tuple[Choice, ...]]:
        """Settle the size and the parametrisation, and see that layers, channels and classes are there."""
        from cnnexplain.commands._aims import of_classes, of_layer
        from cnnexplain.commands._real import strongest_in

        self._require_targets()
        size, sized = self._sized(model)
        kind, choices = self._kind(size)
        self._require_use(kind)
        strongest = strongest_in(self.units, model.weights_sha256)
        with model.borrowed():
            layers = tuple(dict.fromkeys(map(sized.find_layer, self.layer)))
            aims = [
                aim for layer in layers for aim in of_layer(sized, layer, self.channel or ("all",), strongest)
            ]
            aims += of_classes(sized, self.target)
        if layers and not self.channel:
            choices += (Choice("channel", "all", f"none was named of {len(layers)} layer(s)"),)
        gentle = GENTLE if kind == "regularised" else {}
        settled: dict[str, Any] = {
            name: value if getattr(self, name) is None else getattr(self, name)
            for name, value in gentle.items()
        }
        size_words = f"{size[0]}x{size[1]}"
        return replace(
            self,
            layer=layers,
            parametrization=kind,
            size=size_words,
            aims=tuple({aim.name: aim for aim in aims}.values()),
            sized=sized,
            **settled,
        ), choices

    def subjects(self) -> tuple[str, ...]:
        """The targets by name. Called on a bound command."""
        return tuple(aim.name for aim in self.aims)

    def series(self, model: Model, places: Sequence[int]) -> Iterator[tuple[int, tuple[Synthesis, ...]]]:
        """The pictures of the targets at these places, several at a time. Inside `borrowed()`."""
        from cnnexplain.commands._climbing import Climb
        from cnnexplain.commands._synthesised import synthesised

        _ = model  # the one with inputs of the pictures' size takes its place
        climb = Climb(
            "ball" if self.norm is not None else str(self.parametrization),
            self.steps,
            self._sides(),
            self.objective == "unit",
            self.diverse,
            self.norm,
            *(getattr(self, name) or 0 for name in REGULARISED),
        )
        groups: dict[int, list[int]] = {}  # those of one layer go through the model together
        for place in places:
            groups.setdefault(id(self.aims[place].reach), []).append(place)
        for group in groups.values():
            yield from synthesised(self.aims, group, climb)

    def _sides(self) -> tuple[int, int]:
        """Height and width of the pictures of a bound command."""
        height, _, width = str(self.size).partition("x")
        return int(height), int(width)

    def _require_targets(self) -> None:
        if not self.layer and not self.target:
            raise OptionError(
                "there is nothing to maximise"
                if not self.channel
                else "--channel needs to know of which layer",
                "give -l LAYER --channel C, or -t CLASS; cnnexplain summary lists the layers",
            )
        if self.channel and not self.layer:
            raise OptionError(
                "--channel needs to know of which layer", "add -l LAYER, or leave --channel out"
            )

    def _sized(self, model: Model) -> tuple[tuple[int, int], Model]:
        """Height and width of the pictures, and the model with inputs of that size."""
        size = model.preprocess.input_size
        if self.size is not None:
            match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", self.size.strip())
            size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
            if min(size) < 1:
                raise OptionError(
                    f"--size {self.size!r} is no size in pixels", "for example --size 128, or --size 128x192"
                )
        if size == model.preprocess.input_size:
            return size, model
        sized = replace(model, preprocess=model.preprocess.with_crop(size, 1.0))
        try:
            with model.borrowed():
                _ = sized.trace
        except CnnexplainError as error:
            fits = "x".join(map(str, model.preprocess.input_size))
            raise OptionError(
                f"--size {self.size} is none that {model.name} can be run with: {error.problem}",
                f"leave it out for {fits}, or give a larger one",
            ) from error
        return size, sized

    def _kind(self, size: tuple[int, int]) -> tuple[str, tuple[Choice, ...]]:
        """The parametrisation, and what is said where it was chosen."""
        asked = {"regularized": "regularised"}.get(self.parametrization or "", self.parametrization)
        if min(size) < SMALLEST and asked in (None, "fourier", "maco"):
            reason = f"below {SMALLEST} pixels a spectrum has too few frequencies"
            reason += f", so that {asked} would give a poor picture" if asked else ""
            return "regularised", (Choice("parametrization", "regularised", reason),)
        if asked is None:
            reason = "the clearest pictures in few steps; --parametrization maco is closer to photographs"
            return "fourier", (Choice("parametrization", "fourier", reason),)
        return asked, ()

    def _require_use(self, kind: str) -> None:
        """Raise `OptionError` for an option that the parametrisation does not use."""
        for names, user in ((("norm",), "pixel"), (REGULARISED, "regularised")):
            for option in declared(type(self)):
                value = getattr(self, option.name)
                if option.name in names and value is not None and kind != user:
                    flag = f"--{option.name.replace('_', '-')}"
                    raise OptionError(
                        f"{flag} {value} has no use here: only {user} uses it, and this is {kind}",
                        f"leave {flag} out, or add --parametrization {user}",
                    )
