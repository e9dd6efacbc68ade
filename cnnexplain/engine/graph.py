"""A model's graph as TensorBoard draws it. Needs the package `tensorboard`."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from cnnexplain.engine.scoring.answers import Step, at

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model


class _SingleOutput(nn.Module):
    """A model that answers with one tensor alone, whatever else it returns; its mode is left alone."""

    def __init__(self, module: nn.Module, path: Sequence[Step]) -> None:
        super().__init__()
        self.model = module
        self._path = path

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = at(self.model(inputs), self._path)
        return output

    def train(self, _mode: bool = True) -> _SingleOutput:
        """Do nothing: a `train()` of the user's own may do more than switch, and the tracer calls it."""
        return self


def graph_of(model: Model) -> bytes:
    """The graph, a serialised GraphDef, of a black picture's way to the class scores. See `graph`."""
    height, width = model.preprocess.input_size
    black = np.zeros((height, width, model.preprocess.channels), np.uint8)
    return graph(model.module, model.inputs([black]), model.head.path)


def graph(module: nn.Module, inputs: Tensor, path: Sequence[Step]) -> bytes:
    """The graph, a serialised GraphDef, of what happens to `inputs` on the way to the output at `path`.

    Raises whatever tracing raises. Prints nothing. Not for several threads: warnings and stdout are the process's own.
    """
    from torch.utils.tensorboard import _pytorch_graph

    single = _SingleOutput(module, path)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # tracing is told to be deprecated, and fears for other inputs
        drawn, _ = _pytorch_graph.graph(single, inputs)  # type: ignore[no-untyped-call]
    _keep_the_way(drawn)
    _name(drawn, type(module).__name__)
    return bytes(drawn.SerializeToString())


def _keep_the_way(drawn: Any) -> None:
    """Leave out what does not depend on the input: weights, and numbers, one node of which serves many layers."""
    used_by: dict[str, list[str]] = {}
    for node in drawn.node:
        for path in node.input:
            used_by.setdefault(path, []).append(node.name)
    ends = {node.name for node in drawn.node if node.op == "IO Node"}
    reached, waiting = set(ends), list(ends)
    while waiting:
        new = [name for name in used_by.get(waiting.pop(), ()) if name not in reached]
        reached.update(new)
        waiting.extend(new)
    kept = [node for node in drawn.node if node.name in reached]
    for node in kept:
        node.input[:] = [path for path in node.input if path in reached]
    del drawn.node[:]
    drawn.node.extend(kept)


def _name(drawn: Any, kind: str) -> None:
    """Take the wrapping off: `_SingleOutput/Net[model]/...` is the model's own `Net/...`."""

    def plain(path: str) -> str:
        return path.replace(f"_SingleOutput/{kind}[model]", kind, 1).replace("_SingleOutput", "scores", 1)

    for node in drawn.node:
        node.name = plain(node.name)
        node.input[:] = [plain(path) for path in node.input]
