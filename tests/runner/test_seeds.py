"""What tells one run from another has the seed for every command whose results depend on it, and for no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnnexplain import commands
from cnnexplain.commands import BatchCommand
from cnnexplain.core.loading import ModelOptions
from cnnexplain.runner.request import Request
from cnnexplain.runner.run import task_of

NET = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
"""

# What a command cannot do without.
OPTIONS: dict[str, dict[str, Any]] = {"maximize": {"layer": ("0",), "channel": ("1",)}}


class Deaf:
    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: None


@pytest.mark.parametrize("seeded", [True, False])
@pytest.mark.parametrize("name", commands.names())
def test_the_seed_of_a_seeded_command_is_part_of_what_its_run_is(
    name: str, seeded: bool, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(NET)
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "a.png")
    kind = commands.command(name)
    action = type(kind.__name__, (kind,), {"seeded": seeded})(**OPTIONS.get(name, {}))
    images = (str(tmp_path / "a.png"),) if isinstance(action, BatchCommand) else ()
    identities = []
    for seed in (3, 4):
        settings = ModelOptions(input_size="32", seed=seed)
        request = Request(name, action, f"{tmp_path / 'own.py'}:net", images, model=settings)
        identities.append(task_of(request, Deaf()).described["identity"])
    first, second = identities
    assert first.get("seed") == ("3" if seeded else None)
    # Weights that nobody loaded are drawn with the seed as well.
    differ = {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)} - {"weights"}
    assert differ == ({"seed"} if seeded else set())
