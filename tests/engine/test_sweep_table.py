"""The table of layers over untrained architectures of every family: right, and nothing left on the module."""

from __future__ import annotations

import pytest
import torch
from architectures import architecture, size_of
from networks import as_model
from test_sweep import CONVOLUTIONAL, HYBRID, TOKENS, hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cnnexplain.engine.cost.table import layer_table


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVOLUTIONAL + HYBRID + TOKENS)
def test_architecture_has_its_table(name: str) -> None:
    size = size_of(name)
    module = architecture(name)
    with (
        FlopCounterMode(display=False) as counter,
        sdpa_kernel(SDPBackend.MATH),
    ):  # it stumbles over some token models under no_grad()
        module(torch.zeros(1, 3, *size))
    module.train()
    hooked, modes = hooks(module), [child.training for child in module.modules()]
    model = as_model(module, size)
    table = layer_table(model)
    assert hooks(module) == hooked
    assert [child.training for child in module.modules()] == modes
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert table.problem == ""
    assert [row.name for row in table.rows] == [
        name for name, _ in module.named_modules(remove_duplicate=False)
    ]
    assert table.whole.parameters == sum(one.numel() for one in module.parameters())
    assert 2 * table.whole.multiply_adds == counter.get_total_flops()
    assert sum(row.own_multiply_adds for row in table.rows) == table.whole.multiply_adds
    assert sum(row.own_activation_bytes for row in table.rows) == table.whole.activation_bytes
    if name in TOKENS:
        assert any("works on tokens" in one for one in table.remarks)
        assert set(table.defaults()) <= {"filters"}
    else:
        assert table.remarks == ()
        assert table.defaults()["gradcam"] == (model.choose_layer().value,)
        assert table.defaults()["deconv"] == tuple(
            row.name for row in table.layers if row.name in model.choose_stages()[0]
        )
    for row in table.layers:
        assert row.name == model.find_layer(row.name)
