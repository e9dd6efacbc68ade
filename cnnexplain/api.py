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
from dataclasses import dataclass, field, replace
from typing import Any, overload

from PIL import Image
from torch import nn

from cnnexplain.checks.suite.subject import Example, Subject
from cnnexplain.commands import bound, image_command
from cnnexplain.commands.filters import Filters
from cnnexplain.core.choice import Choice
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.loading import UNFLATTEN, ModelOptions
from cnnexplain.core.params import checked
from cnnexplain.core.preprocess import Preprocess, Range
from cnnexplain.core.results.channels import FeatureMaps
from cnnexplain.core.results.kernels import Kernels
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.results.summary import LayerTable
from cnnexplain.core.results.unit import Reconstruction
from cnnexplain.core.target import FunctionTarget
from cnnexplain.core.verdict import Verdict
from cnnexplain.engine.borrow import unwrapped
from cnnexplain.engine.cost.table import layer_table
from cnnexplain.engine.input_size import with_size
from cnnexplain.engine.model import Model
from cnnexplain.engine.scoring.functions import asked
from cnnexplain.engine.trace.mixing import batch_choice
from cnnexplain.engine.trace.tracing import renamed
from cnnexplain.errors import OptionError
from cnnexplain.render import Picture, pictures
from cnnexplain.render.kernels import sheet
from cnnexplain.render.kit.notebook import html
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.map import MapCards
from cnnexplain.runner.checking.check import judged
from cnnexplain.runner.checking.inputs import require_answers
from cnnexplain.runner.checking.labels import class_index
from cnnexplain.runner.checking.options import CheckOptions
from cnnexplain.runner.checking.thresholds import chosen
from cnnexplain.runner.explain import explain
from cnnexplain.runner.image_inputs import Given, all_of, checked_range, is_one, prepare
from cnnexplain.runner.model import build
from cnnexplain.runner.options import DeviceOptions
from cnnexplain.runner.workers.pipeline import batched
from cnnexplain.sources import adopt


@dataclass(frozen=True)
class Explainer:
    """A model that can be asked why."""

    model: Model
    loading: tuple[Choice, ...] = ()  # what was decided while loading, with reasons
    # The model as it was asked for a function last.
    last: list[Model] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What was decided by default, with reasons: while loading, and when the model was looked at since."""
        return (*self.loading, *self.model.choices)

    @overload
    def explain(
        self,
        images: Given,
        command: str = ...,
        *,
        batch_size: int = ...,
        range: Range | None = ...,
        **options: Any,
    ) -> Explanation: ...
    @overload
    def explain(
        self,
        images: Iterable[Given],
        command: str = ...,
        *,
        batch_size: int = ...,
        range: Range | None = ...,
        **options: Any,
    ) -> list[Explanation]: ...
    def explain(
        self,
        images: Given | Iterable[Given],
        command: str = "gradcam",
        *,
        batch_size: int = 8,
        range: Range | None = None,
        **options: Any,
    ) -> Explanation | list[Explanation]:
        """Explain one picture, or several: a path, a PIL image, an array (H, W, C) or a tensor (C, H, W).

        Arrays and tensors hold bytes, 16-bit integers without sign, floats in 0..1, or else values of which `range`,
        (low, high), are black and white; it holds for deep picture files too, for all pictures alike. C is 1, 3 or the
        number of the model's channels. What the model sees is rounded to 8 bits.

        `command` and `options` are those of the command line: for gradcam `method="gradcam,layercam"` (or a
        tuple of names), `layer="layer4"` (or a tuple) and `target="top3"`. Returns one `Explanation` for one picture
        and a list for several, whose `choices` say what was chosen by default. Raises `cnnexplain.CnnexplainError`
        where a picture, layer or class is not available. The module is left exactly as it was, also then.

        `target` may also be a function, from whatever the module returns for N pictures to a tensor (N,) of one number
        per picture, attached to the graph; then a model need have no classes. It must treat every picture of a batch
        alike, since methods send several copies of one through the model.
        """
        single = is_one(images)
        every = all_of(images)
        if not isinstance(batch_size, int) or batch_size < 1:
            raise OptionError(f"batch_size {batch_size!r} is not a number of pictures", "give 1 or more")
        kind = image_command(command)
        values = checked_range(range)
        model, target = self.model, options.get("target")
        if callable(target):
            model, options = self._asked(FunctionTarget(target)), {**options, "target": "top"}
        method, settled = bound(kind(**checked(kind, options)), model)
        alone = batch_choice(model)
        batch_size, settled = 1 if alone else batch_size, (*alone, *settled)
        found: list[Explanation] = []
        with model.borrowed():
            for batch in batched(every, batch_size):
                given = [prepare(one, model.preprocess, values) for one in batch]
                for _, explanation in explain(model, method, given):
                    if not isinstance(explanation, Explanation):
                        raise explanation
                    found.append(replace(explanation, choices=settled, html=html))
        return found[0] if single else found

    def summary(self) -> LayerTable:
        """What the model is made of: a row for every layer and block, with shapes, costs and receptive fields.

        Where no picture can go through the model there are modules and parameters, and `problem` says why.
        """
        return layer_table(self.model)

    def check(
        self,
        images: Given | Iterable[Given] = (),
        *,
        labels: Sequence[int | str] | None = None,
        only: str | Sequence[str] = (),
        limits: Mapping[str, Mapping[str, Any]] | None = None,
        range: Range | None = None,
    ) -> list[Verdict]:
        """Check the model's sanity, as the command does: a verdict of every check, in their order.

        `images` and `range` are as for `explain`. `labels` has the class of every picture, as a number or a name.
        `only` names checks; `limits` has levels and limits by check, as checks.toml: `{"finite": {"level": "warn"}}`.
        What cannot be measured without pictures or labels is `skipped`. Raises `cnnexplain.CnnexplainError` where the
        model says nothing of any picture. The module is left exactly as it was, also then.
        """
        options = CheckOptions(**checked(CheckOptions, {"only": only}))
        taken = chosen(options, limits or {}, "limits")
        given = all_of(images)
        if labels is not None and len(labels) != len(given):
            raise OptionError(f"{len(labels)} labels for {len(given)} pictures", "give one for each picture")
        classes = [class_index(str(one), self.model.labels, "labels") for one in labels or ()]
        examples = []
        values = checked_range(range)
        seen = (prepare(one, self.model.preprocess, values) for one in given)
        for place, one in enumerate(seen):
            label = classes[place] if classes else None
            examples.append(Example(one.name, f"{place} {one.name}", "", one.pixels, label))
        with self.model.borrowed():
            told = any(one.id == "finite" for one in taken)
            subject = Subject(self.model, tuple(examples), told=told)
            require_answers(subject)
            return [judged(one, subject) for one in taken]

    def picture(
        self,
        explanation: Explanation | Kernels,
        finding: Heatmap | Reconstruction | FeatureMaps | None = None,
        **options: Any,
    ) -> Image.Image:
        """The picture that the command would write of one finding, or else the first that it would write.

        Of a layer's filters their sheet. `options` are colormap, alpha and max_side.
        """
        if isinstance(explanation, Kernels):
            return sheet(explanation, RenderOptions(**checked(RenderOptions, options)))
        if isinstance(finding, Heatmap):
            return MapCards(explanation, RenderOptions(**checked(RenderOptions, options))).card(finding)
        made = self.pictures(explanation, **options)
        return next((one.image for one in made if finding in one.shows), made[0].image)

    def pictures(self, explanation: Explanation, **options: Any) -> list[Picture]:
        """All that the command would write: an `image` each, with the findings that it `shows`."""
        return list(pictures(explanation, RenderOptions(**checked(RenderOptions, options))))

    def filters(self, layer: str | Sequence[str] = (), **options: Any) -> list[Kernels]:
        """The weights of layers, each with its `statistics`: of the one that reads the picture, or of those named.

        `layer` takes names, blocks, "first" and "all"; `options` are those of the command. A copy each: what becomes
        of the module changes nothing in them.
        """
        filters, _ = bound(Filters(**checked(Filters, {"layer": layer, **options})), self.model)
        return list(filters.inspect(self.model))

    def _asked(self, target: FunctionTarget) -> Model:
        """The model asked for a function; that of the last call where it is the same, which was looked at already."""
        for model in tuple(self.last):
            if model.function == target:
                return model
        model = asked(self.model, target)
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
    """Load a model by its name, as MODEL on the command line, or take a module of your own.

    A module of your own is used where it is and is never changed for longer than a call: its training mode,
    hooks, gradients, `requires_grad` flags and device stay as they are. `preprocess` says what it is fed (default:
    its timm configuration, or 224x224 as usual for ImageNet); `labels` are names, or a file of them. `options` are
    those of the command line: weights, arch, weights_key, pretrained, strict, input_size, mean, std, interpolation,
    crop_pct, crop_mode, range, activation, model_output (here also called output), seed. Raises
    `cnnexplain.CnnexplainError` for a model that cannot be found or loaded.
    """
    if "output" in options:
        options["model_output"] = str(options.pop("output"))
    if isinstance(labels, (str, os.PathLike)):
        options["labels"], labels = labels, None
    if isinstance(options.get("range"), (tuple, list)):
        options["range"] = ",".join(map(repr, checked_range(options["range"]) or ()))
    settled = ModelOptions(**checked(ModelOptions, options))
    where = DeviceOptions(**checked(DeviceOptions, {"device": device or "auto", "precision": precision}))
    if not isinstance(model, (str, nn.Module)):
        raise OptionError(
            f"a {type(model).__name__} is no model",
            UNFLATTEN
            if type(model).__name__ == "ExportedProgram"
            else "give a name, as on the command line, or an nn.Module",
        )
    if isinstance(model, nn.Module):
        if device is not None:
            raise OptionError("a module of your own stays on its device", "move it first: module.to(device)")
        if useless := sorted(
            {"weights", "arch", "weights_key", "pretrained", "strict"}.intersection(options)
        ):
            raise OptionError(
                f"{useless[0]} means nothing for a module that is made already",
                "load the weights yourself: module.load_state_dict(...)",
            )
        loaded = adopt(unwrapped(model), settled)
        built = Model(
            loaded.module,
            loaded.name,
            loaded.preprocess,
            loaded.labels,
            where.precision,
            settled.seed,
            source=loaded.source,
            activation=settled.activation,
            output=settled.model_output,
        )
        choices = loaded.choices if preprocess is None else ()
        if preprocess is None and not loaded.sized:
            built, size = with_size(built, settled.crop_pct or 1.0)
            choices = (*choices, *size)
    else:
        built, _, choices = build(model, settled, where)
    if preprocess is not None:
        built = replace(built, preprocess=preprocess)
    if labels is not None:
        built = renamed(built, tuple(map(str, labels)))
    return Explainer(built, choices)
