"""A model for every season."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnnexplain.core.preprocess import Preprocess
from cnnexplain.sources import Built, UnknownNameError

PREFIX = "almanac"
HELP = "almanac:NAME: a season"


def names() -> Iterator[str]:
    return iter(["sun", "moon"])


def build(name: str, _variant: Any) -> Built:
    """A network that has seen nothing yet."""
    from torch import nn

    if name not in names():
        raise UnknownNameError(name)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    shape = Preprocess((32, 32), resize=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)
    return Built(module, name, "an almanac", shape, 1.0, labels=["rain", "shine"])
