"""The layer that a user named."""

from __future__ import annotations

import re

from torch import nn

from cnnexplain.errors import LayerError, near_misses

COMPILED = "_orig_mod"  # where torch.compile keeps what it wraps


def find(module: nn.Module, written: str) -> tuple[str, nn.Module]:
    """The layer that a user named, `layer4.1` or, as Python writes it, `layer4[-1]`; its name and module."""
    name, child = _dotted(module, written)
    if child is not None:
        return name, child
    by_name = {name: child for name, child in module.named_modules(remove_duplicate=False) if name}
    several = [_dotted(module, part.strip())[0] for part in written.split(",")]
    if len(several) > 1 and by_name.keys() >= {*several}:
        each = " ".join(f"-l {name}" for name in several)
        raise LayerError(f"there is no layer called {written!r}", f"name each by itself: {each}")
    near = near_misses(name, by_name) or [name for name in by_name if name.endswith("." + written)][:3]
    top = [name for name, child in module.named_children() if any(True for _ in child.parameters())]
    quoted = "; a shell wants brackets in quotes: -l 'NAME[-1]'" if "[" in written else ""
    raise LayerError(
        f"there is no layer called {written!r}",
        (f"did you mean {' or '.join(near)}?" if near else f"the outermost layers are {', '.join(top)}")
        + quoted,
    )


def _dotted(module: nn.Module, written: str) -> tuple[str, nn.Module | None]:
    """The name with dots only, and the layer that bears it, if there is one."""
    name = ""
    place: nn.Module | None = module
    for part in re.sub(r"\[(-?\d+)\]", r".\1", written).split("."):
        children = list(place._modules) if place is not None else []
        if place is not None and part not in children and COMPILED in children:  # wrapped by torch.compile
            place, name = place._modules[COMPILED], f"{name}.{COMPILED}"
            children = list(place._modules) if place is not None else []
        from_end = re.fullmatch(r"-[1-9]\d{0,5}", part) and len(children) >= -int(part)
        child = children[int(part)] if from_end else part
        place = place._modules.get(child) if place is not None else None
        name = f"{name}.{child}" if name else child
    return name, place
