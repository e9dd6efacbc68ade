"""What the layers of a network make of a picture: their feature maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

from cnnexplain.commands import ImageCommand
from cnnexplain.commands._pointing import require_channels
from cnnexplain.commands._runs import choices_of, detail_of
from cnnexplain.core.explanation import Answer
from cnnexplain.core.params import Param
from cnnexplain.core.reduce import Reducer, SilentChannels
from cnnexplain.core.results import Detail
from cnnexplain.core.results.channels import FeatureMaps, Look, Shared
from cnnexplain.core.words import abbreviated, run_name
from cnnexplain.engine.capabilities import Capability
from cnnexplain.errors import ImageError, OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.choice import Choice
    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.preprocess import Geometry
    from cnnexplain.core.results.channels import Statistics
    from cnnexplain.engine.model import Model
    from cnnexplain.engine.outputs import Broken, Output

__all__ = ["Activations"]

IN_STRIP = 8  # channels of each layer
ON_PHOTOGRAPH = 9
BARS = 24
MOST = 4096  # maps on one sheet
MOST_BARS = 256


@dataclass(frozen=True)
class Activations(ImageCommand):
    """Feature maps: what the channels of every stage, or of the layers that are named, make of a picture.

    Channels are ordered by the mean of what is positive in their maps. Layers without a map are shown as bars.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SCORES, Capability.LAYERS})
    seeded: ClassVar[bool] = False
    reducers: ClassVar[tuple[type[Reducer], ...]] = (SilentChannels,)
    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain activations bundled:efficientnet_lite0 cat.jpg",
        "cnnexplain activations resnet50 cat.jpg --layer layer2 --top 16 --overlay",
        "cnnexplain activations resnet50 photos/ --layer layer4 --channel 5,17 -o out",
    )

    layer: Annotated[
        tuple[str, ...],
        Param(
            "Layer whose channels are shown, all of them; may be repeated. Left out, one strip through the network: "
            "the strongest channels of the last map of every size.",
            ("-l", "--layer"),
            metavar="NAME",
        ),
    ] = ()
    top: Annotated[
        int | None,
        Param(
            "How many channels, the strongest. Left out, 8 in the strip, 9 with --overlay, else all of the layer; "
            "of a layer without a map 24, and never more than 256.",
            min=1,
            max=MOST,
            metavar="K",
        ),
    ] = None
    channel: Annotated[
        tuple[int, ...],
        Param(
            "These channels instead, in this order; may be repeated.", min=0, metavar="C[,C...]", split=True
        ),
    ] = ()
    sort: Annotated[
        str | None,
        Param(
            "Order of the channels that are shown. Left out, strength.",
            metavar="NAME",
            choices=("strength", "index"),
        ),
    ] = None
    scale: Annotated[
        str,
        Param(
            "Whether each channel's colours have their own scale, which shows the pattern of weak ones too, or all "
            "of a layer share one, which shows how strong they are.",
            metavar="NAME",
            choices=("channel", "layer"),
        ),
    ] = "channel"
    overlay: Annotated[
        bool, Param("Lay each map on the photograph, where the model saw it.", ("--overlay",))
    ] = False
    together: bool = False  # all layers in one strip: where none was named

    def bind(self, model: Model) -> tuple[Activations, tuple[Choice, ...]]:
        """Settle the layers, and see that the channels are there."""
        for option in ("top", "sort"):
            if self.channel and getattr(self, option) is not None:
                raise OptionError(
                    f"--{option} has no meaning beside --channel, which names the channels and their order",
                    f"leave out --{option}, or --channel",
                )
        choices: tuple[Choice, ...] = ()
        layers = tuple(dict.fromkeys(map(model.find_layer, self.layer)))
        model.runs.require_maps(layers, or_vectors=True)
        bound = replace(self, sort=self.sort or "strength")
        if not layers:
            layers, choice = model.choose_stages()
            choices = (choice,)
            bound = replace(bound, together=True, top=self.top or IN_STRIP)
        choices += tuple(choices_of(model, layers, "what it gave back last is shown"))
        for layer in layers:
            require_channels(self.channel, layer, model.runs.channels(layer))
        return replace(bound, layer=layers), choices

    def explain(self, model: Model, batch: Batch) -> Answer:
        """One forward, without gradients."""
        with model.outputs(*self.layer) as outputs:
            # A copy, so that a model may write into its input.
            logits = model.forward(batch.inputs.clone())
        problems = _broken(model, batch, logits, outputs)
        numbers = logits.clone()
        for values in (numbers, *(output.values for output in outputs.values())):
            values[list(problems)] = 0  # so that nothing stumbles over them; these pictures are not shown
        by_layer = [self._of_layer(model, batch, numbers, layer, outputs[layer]) for layer in self.layer]
        return Answer(logits.cpu(), tuple(zip(*by_layer, strict=True)), problems)

    def _of_layer(
        self, model: Model, batch: Batch, logits: Tensor, layer: str, output: Output
    ) -> list[FeatureMaps]:
        """What a layer made of every picture."""
        run = run_name(layer.partition(" #")[0], output.run)
        laying, run_detail = model.runs.laying(run), detail_of(model, run)
        values = laying.upright(output.values) if output.values.ndim == 4 else output.values
        require_channels(self.channel, layer, values.shape[1])
        labels = _labels(model, logits, values)
        count = min(len(set(self.channel)) or self.top or self._usual(values.ndim == 4), values.shape[1])
        drawn = count if values.ndim == 4 else min(count, MOST_BARS)
        order = "as they were named" if self.channel else f"by {self.sort}"
        look = Look(self.together, cast("Shared", self.scale), self.overlay, order)
        remarks = [*_remarks(layer, output), *run_detail.remarks[output.runs > 1 :]]
        if drawn < count:
            remarks.append(
                f"{count:,} units were asked for; there is room for {drawn} bars. --save-raw has all values."
            )
        detail = Detail(run_detail.facts, tuple(remarks))
        return [
            replace(
                self._of_picture(layer, of_picture, drawn, laying.on(batch.geometry(row)), whole=batch.whole),
                placed=not laying.lost,
                labels=labels,
                look=look,
                detail=detail,
            )
            for row, of_picture in enumerate(values)
        ]

    def _of_picture(
        self, layer: str, values: Tensor, shown: int, geometry: Geometry, *, whole: bool
    ) -> FeatureMaps:
        """What is measured and kept of one picture's (C, h, w) or (C,)."""
        from cnnexplain.engine.channels import histogram, principal, statistics

        measured = statistics(values)
        channels = self._order(values, measured, shown)
        stored = channels if whole else channels[:shown]
        components, variance = principal(values) if values.ndim == 3 else (None, None)
        return FeatureMaps(
            layer=layer,
            values=values[list(stored)].cpu().numpy(),
            channels=tuple(stored),
            shown=shown,
            statistics=measured,
            histogram=histogram(values),
            geometry=geometry,
            components=None if components is None else components.numpy(),
            variance=() if variance is None else tuple(variance.tolist()),
        )

    def _order(self, values: Tensor, measured: Statistics, shown: int) -> list[int]:
        """All channels, those that are shown first."""
        # Of channels that are equally strong the one with the largest value, then the first.
        strength = measured.max if values.ndim == 1 else measured.strength
        ranked = sorted(range(len(strength)), key=lambda one: (-strength[one], -measured.max[one], one))
        if self.channel:
            named = dict.fromkeys(self.channel)  # each once
            return [*named, *(one for one in ranked if one not in named)]
        if self.sort == "index":
            return [*sorted(ranked[:shown]), *ranked[shown:]]
        return ranked

    def _usual(self, is_map: bool) -> int:
        """How many channels are shown where nobody says so."""
        if not is_map:
            return BARS
        return ON_PHOTOGRAPH if self.overlay else MOST


def _labels(model: Model, logits: Tensor, values: Tensor) -> tuple[str, ...]:
    """The names of a layer's units where its values are the class scores."""
    if values.shape != logits.shape or not bool((values == logits).all()):
        return ()
    return model.labels[-1:] if logits.shape[1] == 1 else model.labels


def _remarks(layer: str, output: Output) -> list[str]:
    remarks = []
    if output.runs > 1:
        name, last = layer.partition(" #")[0], "last" if " #" not in layer else f"in run {output.run}"
        remarks.append(f"{name} is run {output.runs} times for a picture; what it gave back {last} is shown.")
    if output.extra:
        first = "token" if output.extra == 1 else f"{output.extra} tokens"
        remarks.append(
            f"Left out: the first {first}, taken to stand for no place of the picture. Where a model has such at the "
            "end, this map is shifted."
        )
    return remarks


def _broken(model: Model, batch: Batch, logits: Tensor, outputs: dict[str, Output]) -> dict[int, ImageError]:
    """The pictures for which something is not a number, by row, and in which layer that begins."""
    finite = logits.isfinite().all(1)
    for output in outputs.values():
        finite &= output.values.flatten(1).isfinite().all(1).to(finite.device)
    rows = (~finite).nonzero()[:, 0].tolist()
    if not rows:
        return {}
    firsts = model.first_broken(batch.inputs[rows])
    return {row: _problem(first, outputs, row) for row, first in zip(rows, firsts, strict=True)}


def _problem(first: Broken | None, outputs: dict[str, Output], row: int) -> ImageError:
    hint = "look at the weights of that layer and at what comes in, or try --precision fp32"
    if first is None:  # no layer returned it as a tensor: it arose in code between layers
        names = [name for name, output in outputs.items() if not bool(output.values[row].isfinite().all())]
        return ImageError(
            f"there are NaN or infinite values in {names[0] if names else 'the class scores'}", hint
        )
    where = f"{first.count} of {first.total} values"
    if first.channels:
        where = f"channel {abbreviated(first.channels, 1)}, {where}"
    kind = "NaN" if first.nan else "infinite"
    return ImageError(f"{first.layer} is the first layer with {kind} values: {where}", hint)
