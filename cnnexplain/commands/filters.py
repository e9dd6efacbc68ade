"""The weights of a model's layers as pictures, and what can be counted about them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

from cnnexplain.commands import ModelCommand
from cnnexplain.commands._kernel_facts import detail
from cnnexplain.core.choice import Choice
from cnnexplain.core.params import Param
from cnnexplain.core.results.kernels import Kernels, View
from cnnexplain.core.words import abbreviated, listed
from cnnexplain.engine.capabilities import Capability
from cnnexplain.errors import CnnexplainError, LayerError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnexplain.core.results.kernels import Ends, Sort
    from cnnexplain.engine.model import Model
    from cnnexplain.engine.weights.kernels import Weights

__all__ = ["Filters"]

FIRST, ALL = "first", "all"
NAMED = 4  # layers in a sentence


@dataclass(frozen=True)
class Filters(ModelCommand):
    """The weights of layers as pictures, with dead, equal and noisy filters found (Yosinski et al. 2015).

    First layers are shown in colour, deeper kernels as slices, layers without a kernel as a matrix.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.WEIGHTS})
    seeded: ClassVar[bool] = False
    needs_folder: ClassVar[bool] = True

    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain filters bundled:efficientnet_lite0",
        "cnnexplain filters resnet50 --layer layer1 --sort norm -o out",
        "cnnexplain filters net.pth --arch resnet18 --layer all",
    )
    unused: ClassVar[frozenset[str]] = frozenset({"alpha", "mean", "std", "model_output"})

    layer: Annotated[
        tuple[str, ...],
        Param(
            "Layer, or block of layers, whose weights are shown; may be repeated. Besides names: first, the layer that "
            "reads the picture, which is the default, and all.",
            ("-l", "--layer"),
            metavar="NAME",
        ),
    ] = ()
    sort: Annotated[
        str,
        Param(
            "Order of the filters: by number, the strongest first, or each beside the one most like it.",
            choices=("index", "norm", "likeness"),
        ),
    ] = "index"
    scale: Annotated[
        str | None,
        Param(
            "Whose largest weight has the strongest colour: each filter's own, or one for the whole layer. Left out, "
            "each filter's own, and one for a matrix.",
            choices=("filter", "shared"),
        ),
    ] = None
    view: Annotated[
        str,
        Param(
            "Kernels that read more than colours: slices of the strongest input channels, or one plane with the norm "
            "over all of them.",
            choices=("slices", "norm"),
        ),
    ] = "slices"
    top: Annotated[
        int | None,
        Param(
            "How many filters of a layer are drawn at most. Left out, 256, or 1024 that are one picture each. "
            "Counted are always all.",
            min=1,
            max=16384,
            metavar="K",
        ),
    ] = None
    slices: Annotated[
        int, Param("How many input channels of a filter are drawn at most.", min=1, max=64, metavar="S")
    ] = 6

    def bind(self, model: Model) -> tuple[Filters, tuple[Choice, ...]]:
        """Settle which layers are shown."""
        layers = _weighted(model)
        names: list[str] = []
        choices: tuple[Choice, ...] = ()
        for word in self.layer or (FIRST,):
            layer_names, layer_choices = _named(model, layers, word, explicit=bool(self.layer))
            names += layer_names
            choices += layer_choices
        return replace(self, layer=tuple(dict.fromkeys(names))), choices

    def inspect(self, model: Model) -> Iterator[Kernels]:
        """Layer by layer; weights that are not finite are shown as what they are."""
        layers = _weighted(model)
        by_name = {weights.name: weights for weights in layers}
        lazy = any(weights.shape is None for weights in layers)  # a pass would settle these for good
        for name in self.layer:
            yield self._kernels(model, by_name[name], may_run=not lazy)

    def _kernels(self, model: Model, weights: Weights, *, may_run: bool) -> Kernels:
        from cnnexplain.engine.weights.kernel_statistics import statistics

        with model.borrowed():
            values = weights.read()
        flattened = _flattened(model, weights) if may_run and values.ndim == 2 else None
        if flattened is not None:
            values = values.reshape(len(values), *flattened)
        elif values.ndim > 5:
            values = values.reshape(len(values), -1)
        view = _view(values, cast("View", self.view), in_colour=_in_colour(model, weights, flattened))
        # What the axes of other kinds mean is not known: those of nn.Bilinear are no neighbourhood.
        counted = statistics(values, spatial=weights.convolution or flattened is not None)
        kernels = Kernels(
            weights.name,
            weights.kind,
            values,
            counted,
            view,
            weights.groups,
            _order(values, counted.norms, cast("Sort", self.sort)),
            cast("Sort", self.sort),
            cast("Ends", self.scale or ("shared" if _alone(values, view) else "filter")),
            self.top,
            self.slices,
        )
        return replace(kernels, detail=detail(kernels, weights, flattened))


def _weighted(model: Model) -> list[Weights]:
    from cnnexplain.engine.weights.kernels import weighted

    with model.borrowed():  # a look at weights may compute them, and some learn from that while in training
        return weighted(model)


def _named(
    model: Model, layers: Sequence[Weights], word: str, *, explicit: bool
) -> tuple[list[str], tuple[Choice, ...]]:
    """The layers that a word stands for. A layer of this very name comes before the words first and all."""
    from cnnexplain.engine.weights.kernels import is_single_layer, outermost, reading, within

    alone = is_single_layer(model, layers[0]) and word == layers[0].name  # a model that is one layer
    if (word in (FIRST, ALL) or alone) and word not in outermost(model):
        if word == ALL:
            visible = [weights.name for weights in layers if weights.problem is None]
            hidden = [weights for weights in layers if weights.problem is not None]
            if not visible:
                raise ModelError(
                    f"no weights of {model.name} can be shown: {hidden[0].problem}", "name another model"
                )
            return visible, tuple(_omissions(hidden))
        if alone:
            return [word], ()
        first, reason = reading(layers, model.preprocess.channels)
        return [first], () if explicit and word != FIRST else (Choice("layer", first, reason),)
    inside, kind = within(model, layers, word)
    if not inside:
        raise LayerError(
            f"layer {word!r} has no filters: it is a {kind}",
            f"layers that have are {_some([weights.name for weights in layers])}; or --layer all",
        )
    return inside, ()


def _omissions(hidden: Sequence[Weights]) -> Iterator[Choice]:
    for problem in dict.fromkeys(weights.problem for weights in hidden):
        names = [weights.name for weights in hidden if weights.problem == problem]
        yield Choice("left out", _some(names), f"their weights: {problem}")


def _some(names: Sequence[str]) -> str:
    return abbreviated(names, NAMED) if len(names) > NAMED else listed(names)


def _flattened(model: Model, weights: Weights) -> tuple[int, int, int] | None:
    """The map that a linear layer reads flattened, where a pass with a blank picture shows that."""
    from cnnexplain.engine.weights.kernels import map_before

    if weights.convolution or weights.shape is None:
        return None
    picture = (model.preprocess.channels, *model.preprocess.input_size)
    try:
        return map_before(model.shapes, weights.name, weights.shape[1], picture)
    except CnnexplainError:
        return None  # it does not run: then as a matrix


def _in_colour(model: Model, weights: Weights, flattened: tuple[int, int, int] | None) -> bool:
    """Whether the three channels that come in are taken to be red, green and blue."""
    if model.preprocess.channels != 3 or weights.groups != 1:
        return False
    if flattened is not None:
        return flattened == (3, *model.preprocess.input_size)
    return weights.convolution and weights.inputs == 3


def _view(values: NDArray[np.float32], chosen: View, *, in_colour: bool) -> View:
    channels, sides = values.shape[1], values.shape[2:]
    if in_colour and len(sides) >= 2:
        return "colour"
    if math.prod(sides) == 1:
        return "matrix"
    return chosen if channels > 1 else "slices"


def _alone(values: NDArray[np.float32], view: View) -> bool:
    """Whether a filter has so few weights that a scale of its own would say nothing."""
    return view == "matrix" or (view == "norm" and math.prod(values.shape[2:]) == 1)


def _order(values: NDArray[np.float32], norms: NDArray[np.float64], sort: Sort) -> NDArray[np.intp] | None:
    import numpy as np

    if sort == "likeness":
        from cnnexplain.engine.weights.kernel_statistics import by_likeness

        return by_likeness(values, norms)
    if sort == "norm":  # what is not finite is looked for: first
        return np.argsort(-np.nan_to_num(norms, nan=np.inf), kind="stable")
    return None
