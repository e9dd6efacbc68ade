"""The same explanations from Python.

import cnnexplain

explainer = cnnexplain.load("bundled:efficientnet_lite0")
explanation = explainer.explain("cat.jpg", "gradcam")
explanation.predictions[0].label, explanation.heatmaps[0].values, explanation.heatmaps[0].peak
explainer.picture(explanation).save("cat-gradcam.png")
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, overload

from PIL import Image
from torch import nn

from cnnexplain.commands import bound, image_command
from cnnexplain.commands.filters import Filters
from cnnexplain.commands.maximize import Maximize
from cnnexplain.commands.units import UnitAtlas
from cnnexplain.core.choice import Choice
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.params import checked
from cnnexplain.core.preprocess import Preprocess, Range
from cnnexplain.core.results.channels import FeatureMaps
from cnnexplain.core.results.kernels import Kernels
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.results.summary import LayerTable
from cnnexplain.core.results.synthesis import Synthesis
from cnnexplain.core.results.unit import Reconstruction
from cnnexplain.core.shown import UnitFacts
from cnnexplain.core.target import FunctionTarget
from cnnexplain.core.verdict import Verdict
from cnnexplain.engine.cost.table import layer_table
from cnnexplain.engine.model import Model
from cnnexplain.engine.scoring.functions import with_target
from cnnexplain.engine.trace.mixing import batch_choice
from cnnexplain.engine.trace.tracing import renamed
from cnnexplain.errors import OptionError
from cnnexplain.render import Picture, pictures
from cnnexplain.render.kernels import sheet
from cnnexplain.render.kit.notebook import html
from cnnexplain.render.kit.options import RenderOptions, drawing_of_pixels
from cnnexplain.render.map import MapCards
from cnnexplain.render.synthesis import card
from cnnexplain.runner.checking.given import verdicts
from cnnexplain.runner.checking.options import CheckOptions
from cnnexplain.runner.given_units import units_of
from cnnexplain.runner.image_inputs import ImageInput, all_of, checked_range, explained, is_single
from cnnexplain.runner.model import build, own_model, require_loadable
from cnnexplain.runner.options import DeviceOptions


@dataclass(frozen=True)
class Explainer:
    """A model that can be asked why: `load` makes it, and every method leaves the model's module as it was."""

    model: Model
    loading: tuple[Choice, ...] = ()  # what was decided while loading, with reasons
    # The model as it was asked for a function last.
    last: list[Model] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What was decided by default, with reasons: while loading, and when the model was looked at since."""
        return (*self.loading, *self.model.choices)

    @overload
    def explain(self, images: ImageInput, command: str = ..., **options: Any) -> Explanation: ...
    @overload
    def explain(
        self, images: Iterable[ImageInput], command: str = ..., **options: Any
    ) -> list[Explanation]: ...
    def explain(
        self,
        images: ImageInput | Iterable[ImageInput],
        command: str = "gradcam",
        *,
        batch_size: int = 8,
        range: Range | None = None,
        **options: Any,
    ) -> Explanation | list[Explanation]:
        """Explain one picture or several.

        Args:
            images: One or more paths, PIL images, arrays (H, W, C) or tensors (C, H, W), where C is 1, 3 or the number
                of the model's channels. What the model sees is rounded to 8 bits.
            command: The name of a command of the command line that explains images.
            batch_size: How many pictures go through the model together.
            range: (low, high), the values that are black and white in all pictures, deep picture files too. Left out,
                arrays hold bytes, 16-bit integers without sign, or floats in 0..1.
            **options: Those of the command: for gradcam `method="gradcam,layercam"`, `layer="layer4"`, or a tuple of
                either, and `target="top3"`. `target` may also be a function, from what the module returns for N
                pictures to a tensor (N,), attached to the graph; then a model need have no classes. It must treat all
                pictures of a batch alike, since methods send several copies of one through the model.

        Returns:
            One `Explanation` for one picture, a list for several. Their `choices` say what was chosen by default.

        Raises:
            OptionError: An option has no meaning, or a value that it cannot have.
            CnnexplainError: A picture, layer or class is not available.
        """
        single = is_single(images)
        every = all_of(images)
        if not isinstance(batch_size, int) or batch_size < 1:
            raise OptionError(f"batch_size {batch_size!r} is not a number of pictures", "give 1 or more")
        kind = image_command(command)
        values = checked_range(range)
        model, target = self.model, options.get("target")
        if callable(target):
            model, options = self._asked(FunctionTarget(target)), {**options, "target": "top"}
        method, settled = bound(kind(**checked(kind, options)), model)
        batch_size = 1 if batch_choice(model) else batch_size
        explanations: list[Explanation] = []

        with model.borrowed(), closing(explained(model, method, every, batch_size, values)) as outcomes:
            for explanation in outcomes:
                if not isinstance(explanation, Explanation):
                    raise explanation
                choices = (*batch_choice(model), *settled)  # this batch may have added to them
                explanations.append(replace(explanation, choices=choices, html=html))
        return explanations[0] if single else explanations

    def summary(self) -> LayerTable:
        """Return what the model is made of: for every layer and block shapes, costs and receptive fields.

        Where no picture can go through the model there are modules and parameters, and `problem` says why.
        """
        return layer_table(self.model)

    def check(
        self,
        images: ImageInput | Iterable[ImageInput] = (),
        *,
        labels: Sequence[int | str] | None = None,
        only: str | Sequence[str] = (),
        limits: Mapping[str, Mapping[str, Any]] | None = None,
        range: Range | None = None,
    ) -> list[Verdict]:
        """Check the model's sanity, as the command does.

        Args:
            images: As for `explain`. What cannot be measured without pictures or labels is `skipped`.
            labels: The class of every picture, as a number or a name.
            only: The ids of the checks that are carried out; left out, all.
            limits: Levels and limits by check, as checks.toml has them: `{"finite": {"level": "warn"}}`.
            range: As for `explain`.

        Returns:
            A verdict of every check, in their order.

        Raises:
            OptionError: There are not as many labels as pictures, or a name is not known.
            CnnexplainError: The model says nothing of any picture.
        """
        options = CheckOptions(**checked(CheckOptions, {"only": only}))
        return verdicts(self.model, options, limits or {}, all_of(images), labels, checked_range(range))

    def picture(
        self,
        explanation: Explanation | Kernels | Synthesis,
        finding: Heatmap | Reconstruction | FeatureMaps | None = None,
        **options: Any,
    ) -> Image.Image:
        """Return the picture that the command would write.

        Args:
            explanation: Of an image, the filters of a layer, or a synthesised picture.
            finding: Which of its results; left out, the first picture of all.
            **options: `colormap`, `alpha`, `max_side`, `figure` and `scale`, as on the command line.
        """
        drawing = drawing_of_pixels(options)
        if isinstance(explanation, Kernels):
            return sheet(explanation, drawing)
        if isinstance(explanation, Synthesis):
            return card(explanation, drawing)
        if isinstance(finding, Heatmap):
            return MapCards(explanation, drawing).figure(finding)
        made = self.pictures(explanation, **options)
        return next((one.image for one in made if finding in one.shows), made[0].image)

    def pictures(self, explanation: Explanation, **options: Any) -> list[Picture]:
        """Return all that the command would write: an `image` each, with the results that it `shows`."""
        return list(pictures(explanation, RenderOptions(**checked(RenderOptions, options))))

    def filters(self, layer: str | Sequence[str] = (), **options: Any) -> list[Kernels]:
        """Return the weights of layers, each with its `statistics`; copies, which do not change with the module.

        Args:
            layer: Names of layers or blocks, "first" (the one that reads the picture, as when it is left out) or "all".
            **options: Those of the command `filters`.
        """
        filters, _ = bound(Filters(**checked(Filters, {"layer": layer, **options})), self.model)
        return list(filters.inspect(self.model))

    def maximize(self, layer: str | Sequence[str] = (), **options: Any) -> tuple[Synthesis, ...]:
        """Return pictures that make channels or classes as strong as they can.

        Args:
            layer: Names of layers; left out where classes are maximised.
            **options: Those of the command `maximize`: `channel="3,17"`, `target="tabby"`, `parametrization`, `steps`.
        """
        command, _ = bound(Maximize(**checked(Maximize, {"layer": layer, **options})), self.model)
        return tuple(command.inspect(self.model))

    def units(
        self,
        images: Iterable[ImageInput],
        layer: str | Sequence[str] = (),
        *,
        labels: Sequence[str] | None = None,
        batch_size: int = 8,
        range: Range | None = None,
        **options: Any,
    ) -> dict[str, tuple[UnitFacts, ...]]:
        """Return what every unit of layers looks for: the pictures for which it is strongest, and what is counted.

        Args:
            images: Several, as for `explain`.
            layer: Names of layers, or "all"; left out, the last map of every size.
            labels: The class of every picture, which `facts["purity"]` then counts.
            batch_size: How many pictures go through the model together.
            range: As for `explain`.
            **options: Those of the command `units`: `top`, `channel`, `importance`, `importance_images`.

        Returns:
            By layer its units. Of each `shown` has the pictures, strongest first, with their `position` among all,
            and `facts` what the command's records say, as `fires`, `group` or `importance`.

        Raises:
            CnnexplainError: There are no pictures, one cannot be read, or a layer or channel is not there.
        """
        sources, values = all_of(images), checked_range(range)
        command = UnitAtlas(**checked(UnitAtlas, {"layer": layer, "deconv": False, **options}))
        method, _ = bound(command, self.model)
        return units_of(self.model, method, sources, batch_size, values, labels)

    def _asked(self, target: FunctionTarget) -> Model:
        """Return the model asked for a function; that of the last call where it is the same, looked at already."""
        for model in tuple(self.last):
            if model.function == target:
                return model
        model = with_target(self.model, target)
        self.last[:] = [model]
        return model


def load(
    model: str | nn.Module,
    *,
    device: str | None = None,
    precision: str = "fp32",
    preprocess: Preprocess | None = None,
    labels: Sequence[str] | str | os.PathLike[str] | None = None,
    **options: Any,
) -> Explainer:
    """Return an `Explainer` of a model that MODEL on the command line names, or of a module of your own.

    A module of your own is used where it is and is never changed for longer than a call: its training mode, hooks,
    gradients, `requires_grad` flags and device stay as they are.

    Args:
        model: The name, or the module.
        device: Where a named model runs, as `--device` says it; left out, on a GPU where there is one.
        precision: `fp32`, `bf16` or `fp16`; `auto` is for runs from the shell, which have first images.
        preprocess: What the model is fed; left out, its timm configuration, or 224x224 as usual for ImageNet.
        labels: The names of the classes, or a file of them.
        **options: Those of the command line: weights, arch, weights_key, pretrained, strict, input_size, mean, std,
            interpolation, crop_pct, crop_mode, range, activation, model_output (here also called output), seed.

    Raises:
        OptionError: An option has no meaning for this model, or a value that it cannot have.
        CnnexplainError: The model cannot be found or loaded.
    """
    if "output" in options:
        options["model_output"] = str(options.pop("output"))
    if isinstance(labels, (str, os.PathLike)):
        options["labels"], labels = labels, None
    if isinstance(options.get("range"), (tuple, list)):
        options["range"] = ",".join(map(repr, checked_range(options["range"]) or ()))
    settled = ModelOptions(**checked(ModelOptions, options))
    where = DeviceOptions(**checked(DeviceOptions, {"device": device or "auto", "precision": precision}))
    require_loadable(model, device, options)
    if isinstance(model, nn.Module):
        built, choices = own_model(model, settled, where.precision, preprocess)
    else:
        built, _, choices = build(model, settled, where)
        built = built if preprocess is None else replace(built, preprocess=preprocess)
    if labels is not None:
        built = renamed(built, tuple(map(str, labels)))
    return Explainer(built, choices)
