"""Maps of a model whose classifier is drawn anew: what does not change does not depend on the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from cnnexplain.core.results.map import Heatmap
from cnnexplain.engine.weights.reinitialised import last_layer, reinitialised, stages

if TYPE_CHECKING:
    from cnnexplain.commands import ImageCommand
    from cnnexplain.core.explanation import Batch
    from cnnexplain.engine.model import Model

Maps = dict[tuple[str, str], Heatmap]  # of one image, by method and layer
DRAWS = 2  # of the classifier
STAGES = 5  # times that more layers are drawn anew


def redrawn(model: Model, image: Batch, commands: Sequence[ImageCommand], index: int) -> list[Maps]:
    """The maps of a class after the last layer that has weights was drawn anew, one dictionary for each draw.

    Cascading randomisation of Adebayo et al. 2018 (arXiv:1810.03292), its first step.

    Args:
        model: The model, whose weights are as they were afterwards. Called inside `borrowed()`.
        image: The image, as a batch of one.
        commands: Bound commands that make maps.
        index: The class that is explained, whatever the best one now is; of a function it does not count.
    """
    image = replace(image, expected=None)
    commands = [of_class(command, index) for command in commands]
    draws: list[Maps] = []
    _, parameters = last_layer(model)
    for draw in range(DRAWS if parameters else 0):  # quantised weights are no parameters
        with reinitialised(model.seed + draw) as reinitialise:
            for parameter in parameters:
                reinitialise(parameter)
            draws += maps_of(model, image, commands)
    return draws


def cascade(
    model: Model, image: Batch, commands: Sequence[ImageCommand], index: int
) -> list[tuple[int, Maps]]:
    """The maps of a class while more and more layers are drawn anew, from the last to the first, all in the end.

    Cascading randomisation of Adebayo et al. 2018 (arXiv:1810.03292). With each how many layers were drawn anew.
    """
    image = replace(image, expected=None)
    commands = [of_class(command, index) for command in commands]
    made: list[tuple[int, Maps]] = []
    with reinitialised(model.seed) as reinitialise:
        for count, parameters in stages(model, STAGES):
            for parameter in parameters:
                reinitialise(parameter)
            made += [(count, maps) for maps in maps_of(model, image, commands)]
    return made


def maps_of(model: Model, batch: Batch, commands: Sequence[ImageCommand]) -> list[Maps]:
    """The maps of every image of a batch; what cannot be explained is left out."""
    answers = [command.explain(model, batch) for command in commands]
    return [
        {
            (result.method, result.layer): result
            for answer in answers
            for result in answer.results[row]
            if isinstance(result, Heatmap)
        }
        for row in range(len(batch))
    ]


def of_class(command: ImageCommand, index: int) -> ImageCommand:
    """The bound command for one class; as it is for a function, whose `index` is -1."""
    fixed = {"target": str(index)} if index >= 0 and hasattr(command, "target") else {}
    return cast("ImageCommand", replace(cast("Any", command), **fixed))
