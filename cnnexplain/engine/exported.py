"""Modules that run operators and none of their layers, such as those of torch.export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from cnnexplain.errors import LayerError

PIXELS = "cnnexplain saliency looks at pixels and needs no layer"


def require_layers(module: nn.Module, ran: Sequence[Any], name: str) -> None:
    """Raise `LayerError` where a picture went through a module and none of its layers `ran`."""
    if ran:
        return
    if isinstance(module, torch.fx.GraphModule):
        raise LayerError(
            f"{name} is a graph, as torch.export makes it, and runs none of the layers that it names",
            "give the Python model that it was made from, or torch.export.unflatten(exported), whose layers run; "
            + PIXELS,
        )
    raise LayerError(
        f"{name} runs functions alone, and no layers that could be looked into",
        f"call an nn.Module in its forward where the map is made, nn.Identity() will do; {PIXELS}",
    )
