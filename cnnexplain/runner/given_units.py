"""What the units of layers look for among pictures that Python has, without a folder to write to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.records import layer_name
from cnnexplain.core.results import entry
from cnnexplain.engine.pipeline import batched
from cnnexplain.engine.trace.mixing import batch_choice
from cnnexplain.errors import OptionError
from cnnexplain.runner.explain import explain
from cnnexplain.runner.image_inputs import ImageInput, prepare

if TYPE_CHECKING:
    from cnnexplain.commands.units import UnitAtlas
    from cnnexplain.core.preprocess import Range
    from cnnexplain.core.shown import UnitFacts
    from cnnexplain.engine.model import Model


def units_of(
    model: Model,
    method: UnitAtlas,
    images: Sequence[ImageInput],
    batch_size: int,
    values: Range | None,
    labels: Sequence[str] | None,
) -> dict[str, tuple[UnitFacts, ...]]:
    """What is said of the units of each layer. Raises what is wrong with the first picture that cannot be scanned.

    Args:
        model: What is asked.
        method: The bound command.
        images: All pictures; no more than a batch is decoded at a time.
        batch_size: How many go through the model together.
        values: Those that are black and white in all pictures.
        labels: The class of each, where that is known.
    """
    _require_use(method)
    if not images:
        raise OptionError(
            "units needs pictures, and there are none", "give a list of paths, images or arrays"
        )
    if labels is not None and len(labels) != len(images):
        raise OptionError(f"{len(labels)} labels for {len(images)} pictures", "give one for each picture")
    with model.borrowed():
        size = 1 if batch_choice(model) else batch_size

        def records() -> Iterator[dict[str, Any]]:
            for batch in batched(enumerate(images), size):
                made = [
                    replace(prepare(image, model.preprocess, values), place=place) for place, image in batch
                ]
                for _, outcome in explain(model, method, made, size=min(size, len(images))):
                    if not isinstance(outcome, Explanation):
                        raise outcome
                    yield {"explanations": [entry(result, None, None) for result in outcome.results]}

        folds, links = method.folded(records(), model.seed), method.links(model)
        units: dict[str, tuple[UnitFacts, ...]] = {}
        for layer in method.layer:
            kernels, linked = method.kernels(model, layer), links.get(layer)
            facts = method.facts(
                folds[layer_name(layer)],
                lambda position: labels[position] if labels is not None else None,
                len(images),
                model.labels,
            )
            units[layer] = tuple(
                replace(
                    unit,
                    facts={
                        **unit.facts,
                        **kernels.get(unit.channel, {}),
                        **(linked(unit.channel) if linked else {}),
                    },
                )
                for unit in facts
            )
    return units


def _require_use(method: UnitAtlas) -> None:
    """Raise `OptionError` for an option that only a run with a folder to write to can follow."""
    if method.deconv:
        raise OptionError(
            "deconv=True has no use here: units from Python are counted, and nothing is projected back",
            'leave it out; explain(picture, "deconv", layer=...) shows what units saw in a picture',
        )
    if method.synthesised is not None:
        raise OptionError(
            f"synthesised={method.synthesised!r} has no use here: its pictures stand in the pages of a folder",
            "leave it out; cnnexplain units ... --synthesised DIR -o OUT puts them there",
        )
