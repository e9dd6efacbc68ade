"""Which layers are explained when none is named, and why."""

from __future__ import annotations

from collections import Counter

from cnnexplain.core.choice import Choice
from cnnexplain.engine.trace.layers import Layer, Trace, is_large, only_pads, only_pools, tokens
from cnnexplain.errors import LayerError

ATTENTION_POOL = 8  # an attention pool at a convolutional network's end has at most so many token layers


def several_pictures(model_name: str) -> LayerError:
    """The error to raise for a model whose layers see a batch that it made of one picture."""
    return LayerError(
        f"{model_name} makes several pictures out of one, and sends them through its layers as one batch",
        "send each through by itself, as in self.net(x) + self.net(x.flip(3)): every run is explained; or look at "
        "the pixels: cnnexplain saliency",
    )


def choose(trace: Trace, model_name: str, goal: str = "the classes") -> Choice:
    """The layer to explain when none is named, with the reason; `LayerError` where no map is worth it.

    `goal` is what the scores are of, in words.
    """
    layer = None if trace.default is None else trace.layers[trace.default]
    after = trace.layers[trace.default + 1 :] if trace.default is not None else trace.layers
    sequences = sum(layer.leaf and tokens(layer) > 1 for layer in after)
    if sequences > ATTENTION_POOL:
        raise LayerError(
            f"{model_name} works on tokens, not on maps: {sequences} of its layers are attention or token layers, "
            + (f"and no map comes after {layer.name!r}" if layer else "and none holds a map"),
            "give a convolutional network, for example bundled:efficientnet_lite0, or look at the pixels: "
            "cnnexplain saliency",
        )
    if layer is None and trace.joins.copies:
        raise several_pictures(model_name)
    sequence = next((other for other in trace.layers if other.leaf and other.kind.endswith("1d")), None)
    if layer is None and sequence is not None:
        raise LayerError(
            f"{model_name} works on sequences, not on maps: its layer {sequence.name!r} is a {sequence.kind}, and no "
            "map comes before it",
            "look at the pixels: cnnexplain saliency",
        )
    if layer is None or layer.map is None:
        raise LayerError(
            f"{model_name} has no layer with a map larger than 1x1 on the way to "
            + goal.replace("the classes", "its classes"),
            "give a larger --input-size, or name a layer with --layer",
        )
    ends = [trace.layers[place] for place in trace.ends]
    names, maps = [end.run_name for end in ends], ", ".join(_map_words(end) for end in ends)
    reason = f"the last map on the way to {goal} before pooling: {maps}"
    if len(ends) == 1:
        later = trace.layers[trace.ends[0] + 1 :]
        if not any(other.name == ends[0].name and is_large(other) for other in later):
            names = [ends[0].name]  # its last run stands for it
    else:
        reason = f"the last maps of the branches that only together lead to {goal}: {maps}"
    if not trace.differentiable:
        reason = f"the last map before pooling, and no gradient tells whether all passes it: {maps}"
    if not trace.complete:
        reason += (
            f"; {goal} depend{'' if goal == 'the classes' else 's'} on the picture past that as well, so that it does "
            "not show all that counted"
        )
    return Choice("layer", ", ".join(names), reason)


def _map_words(layer: Layer) -> str:
    channels, height, width = layer.map or (0, 0, 0)
    return f"{channels} channels of {height}x{width}"


def stages(trace: Trace, model_name: str) -> tuple[tuple[str, ...], Choice]:
    """The last map of every resolution on the way to the classes, from shallow to deep, as one name a stage.

    Of the maps of one size the last that the outermost modules return. What lies beside that way, such as
    matrices of attention, which have the look of maps, is no stage. Raises `LayerError` where there is none.
    """
    choose(trace, model_name)  # or say why there is none
    names: dict[tuple[int, int], Layer] = {}
    later = Counter(layer.name for layer in trace.layers if is_large(layer))
    for place, layer in enumerate(trace.layers):
        later[layer.name] -= is_large(layer)
        if later[layer.name] and place != trace.default:
            continue  # the name stands for a later run of the same module
        shown = is_large(layer) and layer.moved and not layer.same_as_next and not layer.aside
        shown = shown and not only_pools(layer) and not only_pads(layer)
        if layer.map is None or not (shown or place == trace.default):
            continue
        size = layer.map[1:]
        if size not in names or layer.name.count(".") <= names[size].name.count("."):
            names[size] = layer
        if place == trace.default:
            break
    # What a block lays out otherwise within itself, as patches by pixels, has as many places as the block.
    for size, layer in list(names.items()):
        around = (other for other in names.values() if other.places == layer.places and other is not layer)
        if any(other.name.count(".") < layer.name.count(".") for other in around):
            del names[size]
    # Branches of other sizes beside the main way, as in pyramids, are no stages of it.
    ordered = sorted(names.values(), key=lambda layer: -layer.map[1] * layer.map[2] if layer.map else 0)
    sizes = ", ".join(f"{layer.map[1]}x{layer.map[2]}" for layer in ordered if layer.map)
    last = {layer.name: layer.run for layer in trace.layers if is_large(layer)}
    chosen = tuple(
        layer.name if layer.run == last[layer.name] else f"{layer.name} #{layer.run}" for layer in ordered
    )
    return chosen, Choice("layers", ", ".join(chosen), f"the last map of every size: {sizes}")
