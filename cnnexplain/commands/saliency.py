"""Maps of the pixels that a class score depends on: gradients and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

from cnnexplain.commands import ImageCommand
from cnnexplain.commands._baselines import BASELINES
from cnnexplain.commands._integral import INTEGRAL_TOLERANCE, KEPT, IntegralOptions, bytes_of
from cnnexplain.commands._maps import heatmaps, predicted, unlikely
from cnnexplain.commands._options import TargetOption, VerdictOption, settled_target, share_of
from cnnexplain.commands._pixel_maps import MAPS, Passes
from cnnexplain.commands._rules import require_rectifiers
from cnnexplain.commands._runs import choices_of
from cnnexplain.commands._sampled import FEWEST_CELLS, MOST, SAMPLED, TOLERANCE, Sampling, choice_of
from cnnexplain.commands._verdict import judge_of, verdict_choices
from cnnexplain.core.choice import Choice
from cnnexplain.core.explanation import Answer, joined
from cnnexplain.core.params import Param
from cnnexplain.core.results.map import PIXELS
from cnnexplain.core.target import settled
from cnnexplain.engine.capabilities import Capability
from cnnexplain.errors import OptionError
from cnnexplain.formulas.integrated import FIXED_STEPS

if TYPE_CHECKING:
    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.prediction import Prediction
    from cnnexplain.core.results import Result
    from cnnexplain.core.results.map import Heatmap
    from cnnexplain.engine.model import Model
    from cnnexplain.formulas.integrated import Quadrature

__all__ = ["Saliency"]
INTEGRATED = ("integrated-gradients",)
STEPS_ARE_FIXED = (
    "--steps fixes the gradients: at the places that Captum takes; without it as many as --tolerance asks"
)


@dataclass(frozen=True)
class Saliency(ImageCommand):
    """Map of the pixels that the class score depends on: gradients, integrated gradients, guided backpropagation.

    Several methods share their passes through the model. A map has one value for every pixel of the model's
    input; it is signed where the method has a sign.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SCORES, Capability.GRADIENTS})
    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain saliency bundled:efficientnet_lite0 cat.jpg",
        "cnnexplain saliency resnet50 photos/ -m integrated-gradients,guided-backprop -o out",
        "cnnexplain saliency resnet50 cat.jpg -m smoothgrad --samples 50 --target tabby",
    )

    method: Annotated[
        tuple[str, ...],
        Param(
            "Formula; several share their passes through the model.",
            ("-m", "--method"),
            metavar="NAME",
            choices=tuple(MAPS),
            split=True,
        ),
    ] = ("gradient",)
    target: TargetOption = "top"
    layer: Annotated[
        str | None,
        Param(
            "Layer of the Grad-CAM in guided-gradcam. Left out, the last map before pooling is taken.",
            ("-l", "--layer"),
            metavar="NAME",
        ),
    ] = None
    steps: Annotated[
        int | None,
        Param(
            "Gradients of integrated-gradients, exactly so many, at the places that Captum takes. Left out, as many as "
            "--tolerance needs, up to 500.",
            min=2,
            max=5000,
            metavar="N",
            of=INTEGRATED,
        ),
    ] = None
    tolerance: Annotated[
        str | None,
        Param(
            "Error that a map may have. integrated-gradients takes gradients until no more is expected, as a share of "
            f"the map's range ({INTEGRAL_TOLERANCE} where left out). smoothgrad and vargrad are drawn in the finest "
            f"cells whose standard error it allows, as a share of the largest value ({TOLERANCE}).",
            metavar="PERCENT",
            of=INTEGRATED + SAMPLED,
        ),
    ] = None
    baseline: Annotated[
        str,
        Param("Picture at which integrated-gradients begins.", choices=tuple(BASELINES), of=INTEGRATED),
    ] = "black"
    quadrature: Annotated[
        str | None,
        Param(
            "How the integral is taken: adaptive in short parts where the gradient changes, gauss-legendre at as many "
            f"fixed places as Captum does ({FIXED_STEPS} without --steps). Left out, adaptive; with --steps "
            "gauss-legendre.",
            choices=("adaptive", "gauss-legendre"),
            of=INTEGRATED,
        ),
    ] = None
    samples: Annotated[
        int | None,
        Param(
            "Noisy copies for smoothgrad and vargrad: drawn pixel by pixel, however much is chance; with --tolerance, "
            f"at most so many. Left out, as many as a map of {FEWEST_CELLS} cells a side asks for, at most {MOST:,}.",
            min=2,
            max=100_000,
            metavar="N",
            of=SAMPLED,
        ),
    ] = None
    noise: Annotated[
        float,
        Param(
            "Standard deviation of their noise: a share of the input's range.",
            min=0,
            max=10,
            metavar="SHARE",
            of=SAMPLED,
        ),
    ] = 0.15
    verdict: VerdictOption = False
    layers: tuple[str, ...] = ()  # the same, settled: the ends of all branches, or one

    def __post_init__(self) -> None:
        """See that the tolerance is one, before a model is loaded.

        Raises:
            OptionError: It is no share.
        """
        if self.tolerance is not None:
            share_of(self.tolerance, "--tolerance")

    def bind(self, model: Model) -> tuple[Saliency, tuple[Choice, ...]]:
        """Check the class, find the layer where one is needed, and see that every rule has something to rule."""
        target, choices = settled_target(model, self.target)
        layers: tuple[str, ...] = ()
        for name in self.method:
            if MAPS[name].rule != "gradient":
                require_rectifiers(model, name, "-m gradient or -m integrated-gradients")
        layer = self.layer
        if any(MAPS[name].of_layer for name in self.method):
            if layer is None:
                layers, choice = model.runs.choose()
                choices += (choice,)
            else:
                layers = (model.find_layer(layer),)
                model.runs.require_maps(layers)
            choices += tuple(choices_of(model, layers))
            layer = ", ".join(layers)
        elif layer is not None:
            raise OptionError(
                f"--layer {layer} has no use here: {', '.join(self.method)} explains pixels, not a layer",
                "leave --layer out (or the setting of that name), or add -m guided-gradcam",
            )
        quadrature = self.quadrature or ("gauss-legendre" if self.steps else "adaptive")
        if "integrated-gradients" in self.method:
            self._require_room(model)
            if self.steps and self.quadrature is None:
                choices += (Choice("quadrature", quadrature, STEPS_ARE_FIXED),)
        choices += choice_of(self._sampling, self.samples, self.tolerance)
        choices += verdict_choices(model, wanted=self.verdict)
        return replace(self, target=target.words, layer=layer, layers=layers, quadrature=quadrature), choices

    @property
    def _sampling(self) -> Sampling:
        return Sampling.of(self.samples, self.tolerance, self.noise, self.method)

    @property
    def seeded(self) -> bool:
        """Whether the maps, or what a verdict holds them against, depend on the seed."""
        random = {*SAMPLED} | ({"integrated-gradients"} if self.baseline == "random" else set())
        return self.verdict or not random.isdisjoint(self.method)

    def explain(self, model: Model, batch: Batch) -> Answer:
        """One forward of the pictures, one backward for each class and rule; more where a formula asks for it."""
        from cnnexplain.engine.streams import of_pictures

        size = batch.inputs.shape[2] * batch.inputs.shape[3] / 224**2
        # All that a pass computes is kept until the way back: few pictures at a time are faster.
        parts = of_pictures(model, len(batch), lambda own, rows: self._explained(own, batch.part(rows)), size)
        return joined([answer for _, answer in parts])

    def _explained(self, model: Model, batch: Batch) -> Answer:
        used = [MAPS[name] for name in self.method]
        judge = judge_of(model, wanted=self.verdict)
        # No graph is kept of a pass that no formula goes back through.
        pixels = batch.inputs.detach().requires_grad_(not all(one.of_copies for one in used))
        with ExitStack() as stack:
            maps = stack.enter_context(model.capture(*self.layers))
            ruled = any(one.rule != "gradient" for one in used)
            rectifiers = stack.enter_context(model.rectifiers()) if ruled else None
            # A copy, so that a model may write into its input.
            logits = (judge or model).forward(pixels.clone(), to_input=True)
        targets = model.targets(settled(self.target), logits, batch.expected)
        classes = predicted(model, logits, targets)
        notes = unlikely(model, logits, targets)
        if judge is not None:
            targets, classes = judge.with_mixture(targets, classes, logits)
        rules = {one.rule for one in used if not one.of_copies}
        backwards = len(targets) * (len(rules) + any(one.of_layer for one in used))
        keep = (remaining > 0 for remaining in reversed(range(backwards)))
        results: list[list[Heatmap]] = [[] for _ in range(len(batch))]
        fewer: dict[tuple[int, str, int], Heatmap] = {}
        for target, of_target in zip(targets, classes, strict=True):
            passes = Passes(
                model, pixels, target, rectifiers, maps, len(batch) - batch.copies,
                self._sampling, self._integral, keep,
            )  # fmt: skip
            mixed = target.weights is not None
            for name in self.method:
                few = judge is not None and MAPS[name].of_copies
                made = self._heatmaps(batch, name, of_target, passes.fewer() if mixed and few else passes)
                for of_picture, heatmap in zip(results, made, strict=True):
                    of_picture.extend([] if heatmap is None else [heatmap])
                if few and not mixed:  # what is like the mixture's map in all but the class
                    made = self._heatmaps(batch, name, of_target, passes.fewer())
                    fewer |= {
                        (row, heatmap.method, heatmap.target.index): heatmap
                        for row, heatmap in enumerate(made)
                        if heatmap is not None
                    }
        shown: Sequence[Sequence[Result]] = results
        if judge is not None:
            shown = judge.judged(batch, logits, results, fewer)
        return Answer(logits.detach().cpu(), tuple(map(tuple, shown)), notes=notes)

    def _heatmaps(
        self, batch: Batch, name: str, classes: Sequence[Prediction | None], passes: Passes
    ) -> list[Heatmap | None]:
        """The maps of a method, one for each picture that has a class."""
        values, details, samples = MAPS[name].formula(passes)
        made = heatmaps(
            batch,
            name,
            self.layer if MAPS[name].of_layer and self.layer else PIXELS,
            classes,
            MAPS[name].reduce(values).cpu(),
            scale=MAPS[name].scale,
            details=details,
            channels=values.detach().float().cpu() if batch.whole else None,
        )
        return [
            heatmap and samples[row].on(heatmap) if samples else heatmap for row, heatmap in enumerate(made)
        ]

    @property
    def _integral(self) -> IntegralOptions:
        tolerance = share_of(self.tolerance or INTEGRAL_TOLERANCE, "--tolerance")
        return IntegralOptions(
            self.steps, self.baseline, cast("Quadrature", self.quadrature or "adaptive"), tolerance
        )

    def _require_room(self, model: Model) -> None:
        shape = (model.preprocess.channels, *model.preprocess.input_size)
        if self.quadrature == "adaptive" and (self.steps or 0) * bytes_of(shape) > KEPT:
            raise OptionError(
                f"--steps {self.steps} would keep {(self.steps or 0) * bytes_of(shape) / 2**30:.1f} GiB of gradients",
                f"at most {KEPT // bytes_of(shape)} fit; --quadrature gauss-legendre keeps none",
            )
