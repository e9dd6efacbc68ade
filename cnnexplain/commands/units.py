"""What every unit of a layer looks for: the pictures of a folder for which it is strongest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from cnnexplain.commands import FolderCommand
from cnnexplain.commands._pointing import require_channels
from cnnexplain.commands._runs import choices_of
from cnnexplain.core.choice import Choice
from cnnexplain.core.explanation import Answer
from cnnexplain.core.params import Param
from cnnexplain.core.words import count
from cnnexplain.engine.capabilities import Capability
from cnnexplain.errors import CnnexplainError, ImageError, OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.commands._scanning import LayerFold, Scanner
    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.results.unit import Reconstruction
    from cnnexplain.core.scan import Scan
    from cnnexplain.core.shown import UnitFacts
    from cnnexplain.engine.model import Model

__all__ = ["UnitAtlas"]

EVERY = "all"  # in the place of a layer's name
NO_DECONV = "none"
ABLATED = 64  # pictures in which channels are set to zero


@dataclass(frozen=True)
class UnitAtlas(FolderCommand):
    """What every unit looks for: the pictures of a folder for which it is strongest, and the patch that it sees there.

    One pass over the folder for all units of all layers. The k strongest pictures of each unit, one place in each, are
    cut out where the unit sees them, exactly; those patches are projected back to the pixels as deconv does.
    """

    seeded: ClassVar[bool] = True
    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain units bundled:efficientnet_lite0 photos/ -o atlas",
        "cnnexplain units resnet50 photos/ -l layer3 -l layer4 --importance --labels-from folder -o atlas",
        "cnnexplain units resnet50 photos/ -l layer4 --channel 5,17 --synthesised made -o atlas",
    )
    unused: ClassVar[frozenset[str]] = frozenset(
        {"colormap", "alpha", "figure", "scale", "dpi", "only", "activation"}
    )

    layer: Annotated[
        tuple[str, ...],
        Param(
            "Layer whose units are looked at; may be repeated; all: every layer with a map. Left out, the last map of "
            "every size.",
            ("-l", "--layer"),
            metavar="NAME",
        ),
    ] = ()
    top: Annotated[
        int, Param("How many of the strongest pictures are shown of each unit.", min=1, max=100, metavar="K")
    ] = 9
    channel: Annotated[
        tuple[int, ...],
        Param(
            "Show these channels only; may be repeated. Left out, all of them.",
            min=0,
            metavar="C[,C...]",
            split=True,
        ),
    ] = ()
    deconv: Annotated[
        bool,
        Param("Project the strongest patches back to the pixels, as deconv does.", ("--deconv/--no-deconv",)),
    ] = True
    importance: Annotated[
        bool,
        Param(
            "Measure what each channel matters for the score: how much that of the answered class falls when the "
            "channel is set to zero, overall and by class.",
            ("--importance/--no-importance",),
        ),
    ] = False
    importance_images: Annotated[
        int,
        Param(
            "In how many pictures channels are set to zero for --importance; of more they are drawn by --seed.",
            min=1,
            max=2048,
            metavar="N",
        ),
    ] = ABLATED
    synthesised: Annotated[
        str | None,
        Param(
            "Folder of a run of cnnexplain maximize on the same model: the pictures that it made for channels stand "
            "beside the real ones. A run that is done takes them up without scanning again; left out, those that are "
            "there stay.",
            metavar="DIR",
        ),
    ] = None
    rule: str = NO_DECONV  # of rectifiers on the way back; none where nothing is projected
    scanner: Any = field(
        default=None, repr=False, compare=False
    )  # of this process: a `Scanner`, once it is bound

    @property
    def needs(self) -> frozenset[Capability]:
        """Layers, and where it is asked what channels matter, scores."""
        return frozenset({Capability.LAYERS, *({Capability.SCORES} if self.importance else ())})

    def bind(self, model: Model) -> tuple[UnitAtlas, tuple[Choice, ...]]:
        """Settle layers and rule, and see that the channels are there."""
        from cnnexplain.commands._scanning import PURITY, SAMPLED, Sample, Scanner

        layers, choices = self._layers(model)
        for layer in layers:
            require_channels(self.channel, layer, model.runs.channels(layer))
        choices += tuple(choices_of(model, layers))
        choices += self._importance(model, layers)
        rule, reasons = self._rule(model)
        _ = model.fields  # looked at here, so that what the look settles is told
        sample, ablated = Sample(SAMPLED, model.seed), Sample(self._ablated, model.seed)
        scanner = Scanner(max(self.top, PURITY), sample, ablated)
        return replace(self, layer=layers, rule=rule, scanner=scanner), choices + reasons

    def explain(self, model: Model, batch: Batch) -> Answer:
        """One pass through the head, without gradients; of every map the largest values."""
        import numpy as np

        from cnnexplain.commands._scanning import Maxima
        from cnnexplain.engine.stopping import run_head

        scanner: Scanner | None = self.scanner
        if scanner is None:
            raise RuntimeError("the command was not bound")
        own = len(batch) - batch.copies
        places = (batch.places or tuple(range(own)))[:own]
        maps: dict[str, Maxima] = {}

        def take(layer: str, values: Tensor) -> Tensor:
            maps[layer] = Maxima.of(values, layer, scanner, places)
            return values

        with model.outputs(*self.layer, take=take):
            run_head(model, batch.inputs.clone() if self.importance else batch.inputs, self.layer)
        sound = [np.isfinite(each.values[:own]).all(1) for each in maps.values()]
        fine = np.logical_and.reduce(sound)
        ordered = {layer: maps[layer] for layer in self.layer}
        scans = scanner.scans(ordered, places, np.flatnonzero(fine).tolist())
        for row in np.flatnonzero(fine).tolist():
            if scanner.is_ablated(places[row]):
                scans[row] = _with_ablations(model, batch.inputs[row : row + 1], scans[row])
        problems = {row: _broken(ordered, row) for row in np.flatnonzero(~fine).tolist()}
        logits = batch.inputs.new_zeros((len(batch), 0), device="cpu")
        return Answer(logits, (*scans, *[()] * batch.copies), problems)

    def folded(self, records: Any, seed: int) -> Mapping[str, LayerFold]:
        """What the records of all pictures say together, by layer.

        Args:
            records: Those of the pictures, in the order in which ties are broken.
            seed: The model's.
        """
        from cnnexplain.commands._scanning import PURITY, folded

        return folded(records, max(self.top, PURITY), seed, ablated=self._ablated)

    def facts(
        self,
        fold: LayerFold,
        label: Callable[[int], str | None],
        images: int,
        classes: Sequence[str] = (),
    ) -> Iterator[UnitFacts]:
        """What is said of the units of a layer that are shown, and which pictures are.

        Args:
            fold: Of the layer, one of those that `folded` returned.
            label: The class that the picture at a position should be; None where that is not known.
            images: How many pictures were scanned.
            classes: The names of the model's classes, for what channels matter.
        """
        from cnnexplain.commands._scanning import PURITY
        from cnnexplain.commands._unit_facts import unit_facts

        channels = self.channel or range(len(fold.strongest.values))
        return unit_facts(fold, self.top, PURITY, sorted(set(channels)), label, images, classes)

    def kernels(self, model: Model, layer: str) -> Mapping[int, Mapping[str, Any]]:
        """What is said of the kernels of units, by channel; of layers that do not read the picture itself nothing.

        Args:
            model: Is borrowed.
            layer: Of the command's.
        """
        from cnnexplain.commands._unit_kernels import unit_kernels

        return unit_kernels(model, layer)

    def links(self, model: Model) -> Mapping[str, Callable[[int], Mapping[str, Any]]]:
        """By layer what says of a channel what it reads, and what reads it; empty where the model's graph is not known.

        Args:
            model: Is borrowed.
        """
        from cnnexplain.commands._unit_kernels import unit_links

        return unit_links(model, self.layer)

    def projected(
        self, model: Model, batch: Batch, layer: str, units: Sequence[tuple[int, int | None, bool]]
    ) -> Iterator[tuple[int, Reconstruction]]:
        """What units of a layer see in a picture, and where it is asked for what of it counted: by place in `units`.

        Args:
            model: Is borrowed.
            batch: The picture alone.
            layer: Of the command's.
            units: Of each the channel, the cell counted row by row (None: where it is strongest), and whether it is
                projected back to the pixels.
        """
        from cnnexplain.commands._projected import projected

        return projected(model, batch, layer, units, self.rule)

    @property
    def _ablated(self) -> int:
        """In how many pictures channels are set to zero."""
        return self.importance_images if self.importance else 0

    def _importance(self, model: Model, layers: Sequence[str]) -> tuple[Choice, ...]:
        if not self.importance:
            if self.importance_images != ABLATED:
                raise OptionError(
                    f"--importance-images {self.importance_images} has no use without --importance",
                    "add --importance, or leave it out",
                )
            return ()
        channels = sum(model.runs.channels(layer) or 0 for layer in layers)
        reason = f"in each {count(channels, 'channel')} set to zero, one at a time"
        return (Choice("importance", f"of {count(self.importance_images, 'picture')} at most", reason),)

    def _layers(self, model: Model) -> tuple[tuple[str, ...], tuple[Choice, ...]]:
        if EVERY in self.layer and all(layer.name != EVERY for layer in model.trace.layers):
            names = dict.fromkeys(layer.name for layer in model.trace.layers if layer.map and layer.name)
            layers = tuple(dict.fromkeys(map(model.runs.last, names)))
            units = sum(model.runs.channels(layer) or 0 for layer in layers)
            size = f"up to {units * 4 * 2048 // 10**6:,} MB for the sample of pictures"
            reason = f"{units:,} units of {len(layers)} layers; {size}"
            return layers, (Choice("layer", "all with a map", reason),)
        layers = tuple(dict.fromkeys(map(model.find_layer, self.layer)))
        model.runs.require_maps(layers)
        choices: tuple[Choice, ...] = ()
        if not layers:
            layers, choice = model.choose_stages()
            choices = (choice,)
        return tuple(dict.fromkeys(map(model.runs.last, layers))), choices

    def _rule(self, model: Model) -> tuple[str, tuple[Choice, ...]]:
        from cnnexplain.commands.deconv import _chosen_rule

        if not self.deconv:
            return NO_DECONV, ()
        try:
            with model.borrowed():
                from cnnexplain.engine.backward.gradients import require_any

                require_any(model)
        except CnnexplainError as error:
            return NO_DECONV, (Choice("deconv", "left out", error.problem),)
        if not model.nonlinearities.rectifiers:
            return "gradient", (Choice("rule", "gradient", "the model has no rectifiers"),)
        choice = _chosen_rule(model)
        return choice.value, (choice,)


def _with_ablations(model: Model, image: Tensor, scans: tuple[Scan, ...]) -> tuple[Scan, ...]:
    """The scans of an image with what each channel matters for its score."""
    from cnnexplain.commands._importance import ablations

    made = ablations(model, image, {scan.layer: (scan.count, *scan.shape) for scan in scans})
    return scans if made is None else tuple(replace(scan, ablation=made[scan.layer]) for scan in scans)


def _broken(maps: Mapping[str, Any], row: int) -> ImageError:
    import numpy as np

    layer = next(layer for layer, maxima in maps.items() if not np.isfinite(maxima.values[row]).all())
    return ImageError(
        f"the activations of {layer} are not numbers everywhere",
        "try --precision fp32, or check the model's weights",
    )
