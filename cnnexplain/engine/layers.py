"""The layers of a model as one picture runs through it; finding one by name, and choosing one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from cnnexplain.core.choice import Choice
from cnnexplain.engine.capture import map_layout
from cnnexplain.engine.ending_rules import is_dense
from cnnexplain.engine.heads import PLAIN, Head
from cnnexplain.errors import LayerError, near_misses

COMPILED = "_orig_mod"  # where torch.compile keeps what it wraps
ATTENTION_POOL = 8  # an attention pool at a convolutional network's end has at most so many token layers


@dataclass(frozen=True)
class Layer:
    """One run of one module: its name for `--layer`, its class, and the shape of what came out for one picture.

    `map` is (channels, height, width) where that is a map; `leaf` says that the module holds no others,
    `weighted` that it is a leaf with parameters.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    map: tuple[int, int, int] | None
    leaf: bool
    weighted: bool
    moved: bool  # whether it depends on the picture, as positional maps do not
    same_as_next: bool  # the module around it, or an in-place one behind it, returned the very same tensor
    aside: bool = False  # of another size than what the module around it took in and gave back

    @property
    def places(self) -> int:
        """How many places of the picture the output has, cells of a map or tokens; zero where it has none."""
        return self.map[1] * self.map[2] if self.map else _tokens(self)


@dataclass(frozen=True)
class Trace:
    """What one picture's way through a model showed: every layer in order, and the number of class scores."""

    layers: tuple[Layer, ...]
    scores: int
    default: int | None  # which of the layers is explained when none is named
    differentiable: bool  # whether the scores have a gradient at all
    head: Head = PLAIN  # how the scores are read out of what the model returns

    def maps(self) -> list[Layer]:
        """The layers that hold a map larger than 1x1, each tensor once under its outermost name."""
        return [layer for layer in self.layers if _is_large(layer) and not layer.same_as_next]


def trace(module: nn.Module, inputs: Tensor, forward: Callable[[Tensor], Tensor]) -> Trace:
    """Send `inputs` (1, C, H, W) through the module and note every layer. Leaves no hook behind."""
    outputs: list[Tensor] = []
    layers: list[Layer] = []
    # A copy, so that a model may write into its input.
    picture = inputs.detach().requires_grad_().clone()
    # Of each tensor when it was last seen; an in-place operation raises it.
    versions = {id(picture): picture._version}
    size = (int(inputs.shape[-2]), int(inputs.shape[-1]))
    before: dict[str, int] = {}  # how many layers had been run when a module began

    def begin(name: str) -> Any:
        return lambda *_: before.update({name: len(layers)})

    def noting(name: str) -> Any:
        def note(layer: nn.Module, arguments: Any, output: Any) -> None:
            if not is_dense(output):
                return
            described = _described(name, layer, output, size)
            if arguments and is_dense(arguments[0]):
                places = _described(name, layer, arguments[0], size).places
                if places == described.places > 1:
                    within = layers[before[name] :]
                    layers[before[name] :] = [
                        replace(one, aside=one.aside or one.places != places) for one in within
                    ]
            if described.leaf and versions.get(id(output)) == output._version:
                return  # dropout or an identity: it handed on what it was given
            versions[id(output)] = output._version
            outputs.append(output)
            layers.append(described)

        return note

    handles: list[Any] = []
    for name, child in module.named_modules():
        if name:
            handles.append(child.register_forward_pre_hook(begin(name)))
            handles.append(child.register_forward_hook(noting(name)))
    try:
        logits = forward(picture)
    finally:
        for handle in handles:
            handle.remove()
    last_place = {id(output): place for place, output in enumerate(outputs)}
    table = tuple(
        replace(layer, same_as_next=last_place[id(output)] != place)
        for place, (layer, output) in enumerate(zip(layers, outputs, strict=True))
    )
    return Trace(table, int(logits.shape[1]), _default(table, outputs, logits), logits.requires_grad)


def shapes(module: nn.Module, inputs: Tensor, forward: Callable[[Tensor], Any]) -> tuple[Layer, ...]:
    """Every run of a layer in order, without a graph, which would keep every map in memory."""
    found: list[Layer] = []
    size = (int(inputs.shape[-2]), int(inputs.shape[-1]))

    def noting(name: str) -> Any:
        def note(layer: nn.Module, _arguments: Any, output: Any) -> None:
            if is_dense(output):
                found.append(_described(name, layer, output, size))

        return note

    handles = [child.register_forward_hook(noting(name)) for name, child in module.named_modules() if name]
    try:
        with torch.no_grad():
            forward(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found)


def choose(trace: Trace, model_name: str) -> Choice:
    """The layer to explain when none is named, with the reason; `LayerError` where no map is worth it."""
    layer = None if trace.default is None else trace.layers[trace.default]
    after = trace.layers[trace.default + 1 :] if trace.default is not None else trace.layers
    tokens = sum(one.leaf and _tokens(one) > 1 for one in after)
    if tokens > ATTENTION_POOL:
        raise LayerError(
            f"{model_name} works on tokens, not on maps: {tokens} of its layers are attention or token layers, "
            + (f"and no map comes after {layer.name!r}" if layer else "and none holds a map"),
            "give a convolutional network, for example bundled:efficientnet_lite0, or look at the pixels: "
            "cnnexplain saliency",
        )
    if layer is None or layer.map is None:
        raise LayerError(
            f"{model_name} has no layer with a map larger than 1x1 on the way to its classes",
            "give a larger --input-size, or name a layer with --layer",
        )
    channels, height, width = layer.map
    return Choice(
        "layer",
        layer.name,
        f"the last map on the way to the classes before pooling: {channels} channels of {height}x{width}",
    )


def stages(trace: Trace, model_name: str) -> tuple[tuple[str, ...], Choice]:
    """The last map of every resolution on the way to the classes, from shallow to deep, as one name a stage.

    Of the maps of one size the last that the outermost modules return. What lies beside that way, such as
    matrices of attention, which have the look of maps, is no stage. Raises `LayerError` where there is none.
    """
    choose(trace, model_name)  # or say why there is none
    names: dict[tuple[int, int], Layer] = {}
    later = Counter(layer.name for layer in trace.layers if _is_large(layer))
    for place, layer in enumerate(trace.layers):
        later[layer.name] -= _is_large(layer)
        if later[layer.name]:
            continue  # the name stands for a later run of the same module
        shown = _is_large(layer) and layer.moved and not layer.same_as_next and not layer.aside
        shown = shown and not _only_pools(layer) and not _only_pads(layer)
        if layer.map is None or not (shown or place == trace.default):
            continue
        size = layer.map[1:]
        if size not in names or layer.name.count(".") <= names[size].name.count("."):
            names[size] = layer
        if place == trace.default:
            break
    # Branches of other sizes beside the main way, as in pyramids, are no stages of it.
    ordered = sorted(names.values(), key=lambda layer: -layer.map[1] * layer.map[2] if layer.map else 0)
    sizes = ", ".join(f"{layer.map[1]}x{layer.map[2]}" for layer in ordered if layer.map)
    chosen = tuple(layer.name for layer in ordered)
    return chosen, Choice("layers", ", ".join(chosen), f"the last map of every size: {sizes}")


def find(module: nn.Module, wanted: str) -> tuple[str, nn.Module]:
    """The layer that a user named, `layer4.1` or, as Python writes it, `layer4[-1]`; its name and module."""
    by_name = {name: child for name, child in module.named_modules(remove_duplicate=False) if name}
    name = _dotted(module, wanted)
    if name in by_name:
        return name, by_name[name]
    several = [_dotted(module, part.strip()) for part in wanted.split(",")]
    if len(several) > 1 and by_name.keys() >= {*several}:
        each = " ".join(f"-l {name}" for name in several)
        raise LayerError(f"there is no layer called {wanted!r}", f"name each by itself: {each}")
    near = near_misses(name, by_name) or [name for name in by_name if name.endswith("." + wanted)][:3]
    top = [name for name, child in module.named_children() if any(True for _ in child.parameters())]
    quoted = "; a shell wants brackets in quotes: -l 'NAME[-1]'" if "[" in wanted else ""
    raise LayerError(
        f"there is no layer called {wanted!r}",
        (f"did you mean {' or '.join(near)}?" if near else f"the outermost layers are {', '.join(top)}")
        + quoted,
    )


def _dotted(module: nn.Module, wanted: str) -> str:
    name = ""
    place: nn.Module | None = module
    for part in re.sub(r"\[(-?\d+)\]", r".\1", wanted).split("."):
        children = list(place._modules) if place is not None else []
        if (
            place is not None and COMPILED in children and part not in children
        ):  # torch.compile wraps the part
            place, name = place._modules[COMPILED], f"{name}.{COMPILED}"
            children = list(place._modules) if place is not None else []
        from_end = re.fullmatch(r"-[1-9]\d{0,5}", part) and len(children) >= -int(part)
        child = children[int(part)] if from_end else part
        place = place._modules.get(child) if place is not None else None
        name = f"{name}.{child}" if name else child
    return name


def _described(name: str, layer: nn.Module, output: Tensor, size: tuple[int, int]) -> Layer:
    shape = tuple(int(length) for length in output.shape)
    layout = map_layout(shape, size, layer) if shape[:1] == (1,) and output.is_floating_point() else None
    as_map = None
    if layout:
        rows = 1 if layout == "NCHW" else 0
        as_map = (shape[3] if rows == 0 else shape[1], shape[rows + 1], shape[rows + 2])
    leaf = next(layer.children(), None) is None
    weighted = leaf and next(layer.parameters(), None) is not None
    kind = type(layer).__name__
    return Layer(name, kind, shape[1:], as_map, leaf, weighted, output.requires_grad, same_as_next=False)


def _tokens(layer: Layer) -> int:
    """How many tokens came out of a layer, where its output is a sequence of them."""
    return layer.shape[0] if len(layer.shape) == 2 else 0


def _only_pools(layer: Layer) -> bool:
    return "pool" in layer.kind.lower() and not layer.weighted


def _only_pads(layer: Layer) -> bool:
    return "pad" in layer.kind.lower() and layer.leaf and not layer.weighted


def _is_large(layer: Layer) -> bool:
    return layer.map is not None and layer.map[1] * layer.map[2] > 1


def _default(layers: tuple[Layer, ...], outputs: list[Tensor], logits: Tensor) -> int | None:
    """The last map that the scores depend on and that is neither pooled nor already the scores themselves."""
    if not logits.requires_grad:
        return None
    total = logits.sum()
    token_counts = {_tokens(layer) for layer in layers} - {0, 1}
    fallback = None
    for place in reversed(range(len(layers))):
        layer, output = layers[place], outputs[place]
        if layer.map is None or not _is_large(layer) or layer.same_as_next or not output.requires_grad:
            continue
        if token_counts.intersection(layer.map[1:]):
            continue  # attention of tokens to tokens has the look of a map
        if any(one.name == layer.name and _is_large(one) for one in layers[place + 1 :]):
            continue  # the name stands for a later run of the same module
        (gradient,) = torch.autograd.grad(total, output, retain_graph=True, allow_unused=True)
        if gradient is None:
            continue
        names = [one for one, other in zip(layers, outputs, strict=True) if other is output]
        if any(_only_pools(one) for one in names if one.leaf):
            continue
        if (
            layer.map
            and layer.map[0] == logits.shape[1]
            and not any(one.weighted for one in layers[place + 1 :])
        ):
            fallback = place if fallback is None else fallback
            continue
        return place
    return fallback
