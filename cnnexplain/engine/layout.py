"""How pictures and weights lie in memory: channels last, which processors like best, where a model bears it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from cnnexplain.core.choice import Choice
from cnnexplain.errors import CnnexplainError, ForwardError, first_line, is_out_of_memory

Looked = TypeVar("Looked")

VIEW = "view size is not compatible"  # what torch says of a view that a layout does not allow


class MemoryLayout:
    """The layout of one model's inputs, and of its weights where they are ours to lay out.

    A model that calls `.view` on its maps runs with pictures as plain torch lays them out and with no others: from
    the moment that this is found it is given such.
    """

    def __init__(self, *, owns_weights: bool = False) -> None:
        self.channels_last = True
        self.choices: tuple[Choice, ...] = ()  # what is to be told of it
        self._owns_weights = owns_weights

    def of(self, inputs: Tensor) -> Tensor:
        """The inputs, laid out as the model can take them."""
        return inputs if self.channels_last else _plain(inputs)

    def use(self, module: nn.Module, *, channels_last: bool) -> None:
        """From now on lay out inputs so, and the weights of two-dimensional convolutions where they are ours."""
        self.channels_last = channels_last
        if self._owns_weights:
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.layout is torch.strided and not tensor.is_nested and tensor.ndim == 4:
                    values = tensor.data
                    last = torch.channels_last
                    tensor.data = values.contiguous(memory_format=last) if channels_last else _plain(values)

    @contextmanager
    def plain(self, module: nn.Module) -> Iterator[None]:
        """Lay everything out as plain torch does inside the block."""
        before = self.channels_last
        self.use(module, channels_last=False)
        try:
            yield
        finally:
            self.use(module, channels_last=before)

    def looked(self, module: nn.Module, look: Callable[[], Looked]) -> Looked:
        """The result of `look`; where the module's own code fails in it, of a second call with everything contiguous.

        Raises:
            Exception: What the first call raised, where memory was short or all was contiguous already; or the second.
        """
        try:
            return look()
        except Exception as error:
            theirs = isinstance(error, ForwardError) or not isinstance(error, CnnexplainError)
            if not theirs or is_out_of_memory(error) or not self.channels_last:
                raise
            first = error
        self.use(module, channels_last=False)
        try:
            shown = look()
        except BaseException:
            self.use(module, channels_last=True)
            raise
        self._explain(first)
        return shown

    def _explain(self, error: Exception) -> None:
        """Note the choice and its reason, once it has been seen that the model runs that way."""
        text = error.problem.partition(": ")[2] if isinstance(error, CnnexplainError) else first_line(error)
        place = re.search(r" \(at \S+\)$", text)
        why = f"its code calls .view{place[0] if place else ''}" if VIEW in text else f"or else: {text}"
        self.choices = (Choice("memory layout", "contiguous", why),)


def _plain(tensor: Tensor) -> Tensor:
    """The same values as torch lays them out by default.

    A copy, since `contiguous()` leaves a tensor with one channel as it is: either layout puts its values in the same
    order, but a convolution looks at its strides, and answers with channels last.
    """
    return tensor.clone(memory_format=torch.contiguous_format)
