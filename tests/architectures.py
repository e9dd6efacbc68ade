"""Untrained architectures of timm and torchvision, written `timm:name@size`: seeded, in evaluation mode."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

SIZE = 96


def size_of(name: str) -> tuple[int, int]:
    """(height, width) from `@128`, or `@96x160`; 96x96 where nothing is written."""
    _, _, written = name.partition("@")
    height, _, width = written.partition("x")
    return int(height or SIZE), int(width or height or SIZE)


def architecture(name: str, **options: Any) -> nn.Module:
    """Build one. `options` go to its constructor."""
    library, _, rest = name.partition("@")[0].partition(":")
    if library == "timm":
        import timm

        build: Callable[..., nn.Module] = timm.create_model
    else:
        from torchvision.models import get_model

        build = get_model
        options = {"weights": None, **options}
        if rest in ("googlenet", "inception_v3"):
            options["init_weights"] = False
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build(rest, **options).eval()
