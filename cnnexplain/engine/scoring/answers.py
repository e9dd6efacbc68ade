"""The tensors of whatever a model returns, and class scores out of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from cnnexplain.engine.scoring.ending_rules import is_dense
from cnnexplain.errors import ModelError

# ("item", key or number), ("field", name), or ("joined", None): all of a list, side by side.
Step = tuple[str, Any]
NAMED = ("logits", "out")  # what libraries call the class scores
DEEP, MANY = 4, 4096  # of an answer that is searched for tensors: levels, and tensors
HINT = (
    "cnnexplain explains classifiers; wrap the model so that it returns (N, classes), or, from Python, give a function "
    "of what it returns: explain(..., target=function)"
)


@dataclass(frozen=True, eq=False)
class Leaf:
    """One tensor of an answer: how it is called, and the way to it."""

    name: str
    path: tuple[Step, ...]
    tensor: Tensor
    pictures: int  # that the answer is for

    @property
    def scores(self) -> Tensor | None:
        """One row of class scores per picture (N, K), float32; None where the tensor has no such rows."""
        return read(self.tensor, self.pictures)

    @property
    def words(self) -> str:
        """Its name and shape, for people."""
        name = f"number {self.name}" if self.name.isdecimal() else self.name
        return f"{name} {_shape(self.tensor)}".strip()


def at(output: Any, path: Sequence[Step]) -> Any:
    """The part of an answer that a path leads to."""
    for kind, key in path:
        if kind == "joined":
            output = torch.cat([tensor.reshape(len(tensor), -1) for tensor in output], 1)
            continue
        output = output[key] if kind == "item" else getattr(output, key)
    return output


def leaves(output: Any, pictures: int) -> list[Leaf]:
    """Every tensor of an answer for so many pictures, in order."""
    tensors = islice(_walk(output, "", (), 0), MANY)
    return [Leaf(name, path, tensor, pictures) for name, path, tensor in tensors]


def read(tensor: Any, pictures: int) -> Tensor | None:
    """One row of class scores per picture (N, K), float32; None where a tensor has no such rows."""
    if not is_dense(tensor) or not tensor.is_floating_point():
        return None
    if tensor.ndim == 1 and tensor.shape[0] == pictures:
        tensor = tensor[:, None]
    if tensor.ndim > 2 and all(length == 1 for length in tensor.shape[2:]):
        tensor = tensor.flatten(1)
    if tensor.ndim != 2 or tensor.shape[0] != pictures or not tensor.shape[1]:
        return None
    values: Tensor = tensor.float()
    return values


def unsqueezed(output: Any, pictures: int) -> Any:
    """Any answer as it is, but (1, K) for (K,) or () of one picture, whose batch `.squeeze()` has taken away."""
    if pictures == 1 and is_dense(output) and (not output.ndim or (output.ndim == 1 and len(output) > 1)):
        return output.reshape(1, -1)
    return output


def refusal(output: Any, model_name: str) -> ModelError:
    """The error to raise for an answer without class scores."""
    return ModelError(
        f"{model_name} returns {described(output)}, not one row of class scores per picture", HINT
    )


def described(output: Any) -> str:
    """An answer in words: its tensors, by their names and shapes."""
    if isinstance(output, Tensor):
        return _tensor_words(output)
    tensors = leaves(output, 1)
    if not tensors:
        return f"a {type(output).__name__}"
    shown = ", ".join(f"{leaf.name} ({_tensor_words(leaf.tensor)})" for leaf in tensors[:5])
    return f"a {type(output).__name__} of {shown}{' and more' if len(tensors) > 5 else ''}"


def _walk(
    output: Any, name: str, path: tuple[Step, ...], depth: int
) -> Iterator[tuple[str, tuple[Step, ...], Tensor]]:
    if isinstance(output, Tensor):
        yield name, path, output
        return
    if depth == DEEP or output is None or isinstance(output, (str, bytes, int, float)):
        return
    steps: list[tuple[Step, str, Any]]
    if isinstance(output, Mapping):
        steps = [(("item", key), str(key), value) for key, value in output.items()]
    elif isinstance(output, (tuple, list)):
        fields = getattr(output, "_fields", None)
        names = fields if fields is not None else range(len(output))
        steps = [(("item", place), str(key), output[place]) for place, key in enumerate(names)]
    else:
        keys = list(getattr(output, "__dict__", {}))
        keys += [key for key in NAMED if key not in keys and isinstance(getattr(output, key, None), Tensor)]
        steps = [(("field", key), key, getattr(output, key)) for key in keys]
    for step, key, value in steps:
        yield from _walk(value, f"{name}.{key}" if name else key, (*path, step), depth + 1)


def _shape(tensor: Tensor) -> str:
    if not is_dense(tensor):
        return f"({_tensor_words(tensor)})"
    lengths = ("N", *map(str, tensor.shape[1:])) if tensor.ndim else ()
    return f"({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"


def _tensor_words(tensor: Tensor) -> str:
    if tensor.is_nested:
        return "a nested tensor, whose rows have lengths of their own"
    if tensor.layout is not torch.strided:
        return f"a sparse tensor ({str(tensor.layout).removeprefix('torch.')}) of shape {tuple(tensor.shape)}"
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        return f"a tensor of {kind} of shape {tuple(tensor.shape)}"
    return f"a tensor of shape {tuple(tensor.shape)}"
