"""Feature maps of untrained architectures of every family: shown right, or refused in words, and no trace left."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from architectures import architecture, size_of
from networks import as_model, explained, settle
from test_sweep import CONVOLUTIONAL, HYBRID, TOKENS, hooks

from cnnexplain.commands.activations import Activations
from cnnexplain.errors import CnnexplainError, LayerError


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVOLUTIONAL + HYBRID + TOKENS)
def test_every_stage_and_the_class_scores_or_words(name: str) -> None:
    size = size_of(name)
    module = settle(architecture(name), size).train()
    hooked = hooks(module)
    model = as_model(module, size)
    torch.manual_seed(1)
    inputs = torch.randn(1, 3, *size)
    if name in TOKENS:
        with pytest.raises(CnnexplainError, match="works on tokens") as caught:
            explained(Activations(), model, inputs)
        assert caught.value.hint
    else:
        answer = explained(Activations(), model, inputs)
        sizes = [tuple(one.found[0].values.shape[1:]) for one in answer.layers]
        assert sizes == sorted(set(sizes), reverse=True)
        assert len(sizes) > 1 or "convmixer" in name  # which never changes its size
        for one in answer.layers:
            (found,) = one.found
            with model.borrowed(), model.capture(one.layer) as truth:
                model.forward(inputs)
            torch.testing.assert_close(found.values, truth[one.layer][0].detach()[list(found.channels)])
    last = model.trace.layers[-1].name  # mostly the class scores
    with suppress(LayerError):  # or in words
        (scores,) = explained(Activations(layer=(last,)), model, inputs).layers
        assert scores.found[0].values.ndim in (1, 3)
    assert hooks(module) == hooked
    assert all(child.training for child in module.modules())
