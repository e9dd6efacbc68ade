"""The bundled model, and the same without its training."""

from __future__ import annotations

import pytest

import cnnexplain
from cnnexplain.engine.model import Model


@pytest.fixture(scope="session")
def bundled() -> Model:
    """The bundled model."""
    return cnnexplain.load("bundled:efficientnet_lite0").model


@pytest.fixture(scope="session")
def untrained() -> Model:
    """The same architecture with the weights that it begins with."""
    return cnnexplain.load("bundled:efficientnet_lite0", pretrained=False).model
