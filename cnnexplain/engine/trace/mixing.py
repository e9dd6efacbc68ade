"""Models whose answer for a picture depends on the others of its batch: found, and given one picture at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cnnexplain.engine.scoring.ending_rules import is_dense
from cnnexplain.engine.trace.functions import Args, Function, Kwargs, argument, unwatched
from cnnexplain.engine.weights.layers import scripted_parts
from cnnexplain.errors import ModelError, is_out_of_memory

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.engine.model import Model

# Functions that join what lies along the dimensions `dim`, all of them where none are given.
_REDUCING = """
mean sum var std var_mean std_mean amax amin max min norm linalg_vector_norm median logsumexp prod nanmean
"""
# Functions that join or move what lies along `dim`, which has a default that is no picture's.
_ALONG = "softmax log_softmax softmin normalize cumsum cumprod sort argsort topk flip roll"
# Functions that pick some of what lies along `dim`, and may give a picture to others.
_PICKING = "select narrow index_select"
REDUCING, ALONG = frozenset(_REDUCING.split()), frozenset(f"{_ALONG} {_PICKING}".split())
RESHAPING = frozenset(("view", "reshape", "flatten", "unflatten"))
# Functions that take (length, pictures, channels) unless told otherwise, which people forget.
SEQUENCES = frozenset(("multi_head_attention_forward", "lstm", "gru", "rnn_tanh", "rnn_relu"))
JOINING = frozenset(("cat", "concat", "concatenate"))
APART = 1e-3  # of the scores' size; rounding of float32 makes less than 1e-5
APART_HALF = 0.02


class Joins(TorchFunctionMode):
    """Notes while one picture goes through a model what may join the pictures of a batch.

    `inside` are the names of the modules whose code is running, the innermost last.
    """

    def __init__(self, inside: Sequence[str], channels: int = 0) -> None:
        super().__init__()
        self.channels = channels
        self.inside = inside
        self.by_batch: str | None = None  # the module that measures its batch for sure
        self.suspect: str | None = None  # what may, and where
        self.copies = False  # whether the model makes a batch of its own out of one picture

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        """Carry out `func`."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        self._look(func, name, args, kwargs)
        result = func(*args, **kwargs)
        if name in RESHAPING and not self.copies:
            self.copies = self._divides(args, kwargs, result)
        return result

    @unwatched
    def _look(self, func: Function, name: str, args: Args, kwargs: Kwargs) -> None:
        """Note whether a call that is to come may join pictures, or makes several."""
        where = self.inside[-1] if self.inside else ""
        operand = _operand(args, kwargs)
        if operand is None or (torch.is_grad_enabled() and not operand.requires_grad):
            pass  # made of weights, as in weight standardisation, and not of the picture
        elif operand.requires_grad and _measures(func, args, kwargs):
            self.by_batch = self.by_batch or where or "its own code"
        elif self.suspect is None and (_measures(func, args, kwargs) or _joins(name, args, kwargs)):
            operation = "an index" if name == "getitem" else name
            self.suspect = f"{operation} in {where or 'its own code'}"
        self.copies = self.copies or (name in JOINING and _stacks(args, kwargs))

    @unwatched
    def _divides(self, args: Args, kwargs: Kwargs, result: Any) -> bool:
        """Whether one picture was laid out as crops or patches, of as many channels."""
        operand = _operand(args, kwargs)
        if operand is None or not operand.requires_grad or not isinstance(result, Tensor):
            return False
        pieces = result.ndim == 4 and result.shape[0] > 1 == operand.shape[0]
        return bool(pieces and result.shape[1] == self.channels)


def batch_choice(model: Model) -> tuple[Choice, ...]:
    """The choice to send pictures through a model one at a time, with the reason; nothing where they go in batches.

    Where `model.trace` saw something that may join the pictures of a batch, a picture is sent through alone and beside
    another: a few forward passes, once.
    """
    if model.chunks.alone is None:
        model.chunks.alone = _reason(model)
    return model.chunks.choices


def _reason(model: Model) -> str:
    joins = model.trace.joins
    if joins.by_batch:
        return (
            f"{joins.by_batch} has no running statistics and normalises by those of the batch: beside others a picture "
            "would get another answer"
        )
    if not joins.suspect and not scripted_parts(model.module):
        return ""
    try:
        with model.borrowed():
            differs = _differs(model)
    except ModelError as error:
        return f"it does not take two at once: {error.problem}"
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return f"there is not enough memory on {model.device} for two at once"
    return (
        f"beside another picture it gives another answer ({joins.suspect or 'its TorchScript'} joins those of a batch)"
        if differs
        else ""
    )


def _differs(model: Model) -> bool:
    """Whether the scores of one of two pictures depend on the other."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, *model.blank().shape[1:])
    pictures = torch.randn(shape, generator=generator).to(model.blank())
    pictures[1] = 3 * pictures[1] + 1
    with torch.no_grad():
        twice = [
            [model.forward(picture.clone()) for picture in (pictures[:1], pictures[1:])] for _ in range(2)
        ]
        beside = model.forward(pictures.clone())
    if len({scores.shape[1] for scores in (*twice[0], *twice[1], beside)}) > 1:
        return False  # a number of scores that changes is reported for the pictures themselves
    alone, repeated = map(torch.cat, twice)
    # Each by itself: a model that takes the first picture for all of them changes no answer for that one.
    size, differs, noise = (values.abs().amax(1) for values in (alone, beside - alone, repeated - alone))
    limit = (APART if model.precision == "fp32" else APART_HALF) * size
    # What differs by itself each time tells nothing.
    return bool(((differs > limit) & (limit > noise)).any())


def _operand(args: Args, kwargs: Kwargs) -> Tensor | None:
    """The tensor that a call is about."""
    return next((value for value in (*args[:1], *kwargs.values()) if isinstance(value, Tensor)), None)


def _measures(func: Function, args: Args, kwargs: Kwargs) -> bool:
    """Whether a call is a batch norm that normalises by the statistics of its input."""
    return func is F.batch_norm and bool(argument(args, kwargs, 5, "training", False))


def _stacks(args: Args, kwargs: Kwargs) -> bool:
    """Whether maps (1, C, h, w) are put one behind the other, as more pictures."""
    parts = args[0] if args else kwargs.get("tensors", ())
    dim = argument(args, kwargs, 1, "dim", kwargs.get("axis", 0))
    maps = [part for part in parts if isinstance(part, Tensor) and part.ndim == 4 and part.shape[0] == 1]
    return dim in (0, -4) and len(maps) > 1


def _joins(name: str, args: Args, kwargs: Kwargs) -> bool:
    """Whether a call joins what lies along the first dimension, which has one picture in it and others beside it."""
    operand = args[0] if args else kwargs.get("input", kwargs.get("query"))
    if not is_dense(operand) or not operand.ndim or operand.shape[0] != 1:
        return False
    if name == "getitem":
        first = args[1][:1] if isinstance(args[1], tuple) else (args[1],)
        return any(type(part) is int or (isinstance(part, slice) and part != slice(None)) for part in first)
    if name in SEQUENCES:
        batch_first = args[-1] if args and name != "multi_head_attention_forward" else False
        return operand.ndim == 3 and operand.shape[1] > 1 and batch_first is not True
    if name not in REDUCING and name not in ALONG:
        return name == "t"
    place = 2 if name in ("topk", "norm", "linalg_vector_norm", "normalize", "roll") else 1
    named = (kwargs[key] for key in ("dim", "dims", "axis") if key in kwargs)
    dims = next(named, args[place] if len(args) > place else None)
    if dims is None or isinstance(dims, Tensor):
        return dims is None and name in REDUCING  # not max(x, y)
    listed = dims if isinstance(dims, (tuple, list)) else (dims,)
    if name == "flip" and listed is not dims:
        listed = (dims, *args[place + 1 :])
    return any(type(dim) is int and dim % operand.ndim == 0 for dim in listed)
