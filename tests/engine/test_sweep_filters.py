"""Filters of untrained architectures of every family: every kind of layer that each has."""

from __future__ import annotations

import numpy as np
import pytest
from architectures import architecture, size_of
from networks import as_model
from test_sweep import CONVOLUTIONAL, HYBRID, TOKENS

from cnnexplain.commands.filters import Filters
from cnnexplain.core.results.kernels import Kernels
from cnnexplain.render.kernels import sheet
from cnnexplain.render.kit.options import RenderOptions


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVOLUTIONAL + HYBRID + TOKENS)
def test_filters_of_every_kind_of_layer(name: str) -> None:
    module = architecture(name).train()
    model = as_model(module, size_of(name))
    first, _ = Filters().bind(model)
    every, _ = Filters(layer=("all",)).bind(model)
    (stem,) = first.inspect(model)
    assert stem.kernel, "a network for pictures begins with a convolution"
    kinds: dict[object, str] = {}
    with model.borrowed():
        for layer in every.layer:
            child = model.module.get_submodule(layer)
            weight = getattr(child, "weight", None)
            kinds.setdefault(
                (type(child), getattr(child, "groups", 1) > 1, tuple(getattr(weight, "shape", ())[2:])), layer
            )
    some = Filters(layer=tuple(kinds.values()))
    for kernels in [stem, *some.inspect(model)]:
        seen_right(kernels)
    assert all(child.training for child in module.modules())


def seen_right(kernels: Kernels) -> None:
    counted, picture = kernels.statistics, sheet(kernels, RenderOptions())
    assert max(picture.size) < 2400, kernels.layer
    assert counted.norms.shape == (kernels.shape[0],)
    assert counted.histogram.sum() == kernels.values.size
    assert not counted.broken
    np.testing.assert_allclose(
        counted.norms, np.linalg.norm(kernels.values.reshape(kernels.shape[0], -1), axis=1), rtol=1e-4
    )
    if counted.smoothness is not None and len(counted.dead) == 0:
        assert abs(counted.smoothness.value) < 5 * counted.smoothness.spread, kernels.layer
