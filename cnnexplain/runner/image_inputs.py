"""Pictures as Python has them: paths, PIL images, arrays and tensors."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cnnexplain.commands import BatchCommand
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.preprocess import Preprocess, Range
from cnnexplain.engine.model import Model
from cnnexplain.engine.pipeline import batched
from cnnexplain.errors import ImageError, OptionError
from cnnexplain.images.decode import of_array, of_image, read
from cnnexplain.images.decoded import Decoded, DecodeOptions
from cnnexplain.runner.explain import Prepared, explain, prepared

ImageInput = str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor
TYPED = "range=({}, {}); a picture that was normalised already is to be given as it was before"


def is_single(images: ImageInput | Iterable[ImageInput]) -> bool:
    """Whether this is one picture, not several."""
    return isinstance(images, (str, os.PathLike, Image.Image, np.ndarray, Tensor))


def all_of(images: ImageInput | Iterable[ImageInput]) -> list[ImageInput]:
    """One picture or several as a list."""
    return [images] if is_single(images) else list(images)  # type: ignore[list-item, arg-type]


def checked_range(limits: Any) -> Range | None:
    """`range` as a user gave it: two numbers, the lower first."""
    if limits is None:
        return None
    try:
        low, high = map(float, limits)
    except (TypeError, ValueError):
        low = high = 0.0
    if not (low < high and np.isfinite(high - low)):
        raise OptionError(
            f"range {limits!r} is not two numbers, the lower first",
            "give the values that are black and white, for example range=(0, 4095)",
        )
    return low, high


def prepare(image: ImageInput, preprocess: Preprocess, limits: Range | None = None) -> Prepared:
    """A picture with what a model sees of it. Raises `ImageError`, which names the picture."""
    name = "picture"
    wanted = DecodeOptions(preprocess.channels, limits or preprocess.range, typed=TYPED)
    try:
        if isinstance(image, (str, os.PathLike)):
            name = os.fspath(image)
            decoded = read(name, wanted)
        elif isinstance(image, Image.Image):
            name = str(getattr(image, "filename", "") or name)
            decoded = of_image(image, wanted)
        else:
            decoded = _of_values(image, wanted)
    except ImageError as error:
        raise ImageError(f"{name}: {error.problem}", error.hint) from error
    return prepared(name, decoded, preprocess)


def explained(
    model: Model, method: BatchCommand, images: Sequence[ImageInput], size: int, limits: Range | None
) -> Generator[Explanation | Exception, None, None]:
    """The explanations of pictures in order, or what each came to; several batches at a time. Inside `borrowed()`."""

    def of_batch(own: Model, batch: Sequence[ImageInput], _threads: int) -> list[Explanation | Exception]:
        pictures = [prepare(image, own.preprocess, limits) for image in batch]
        return [outcome for _, outcome in explain(own, method, pictures)]

    model.streams.settle(model, -(-len(images) // size))
    with closing(model.streams.answers(model, of_batch, batched(images, size))) as answers:
        yield from chain.from_iterable(answers)


def _of_values(image: Any, wanted: DecodeOptions) -> Decoded:
    """A picture of an array (height, width, bands) or a tensor (bands, height, width); bands may be left out."""
    channels_first = isinstance(image, Tensor)
    values = _array(image) if channels_first else image
    if not isinstance(values, np.ndarray):
        raise ImageError(
            f"a {type(image).__name__} is no picture",
            "give a path, a PIL image, an array (height, width, channels), or a tensor (channels, height, width)",
        )
    described = f"{'a tensor' if channels_first else 'an array'} of shape {tuple(values.shape)}"
    if values.ndim == 4:
        raise ImageError(
            f"{described} is a batch, and one picture was expected",
            "give a list of its pictures: explain(list(batch))",
        )
    if values.ndim not in (2, 3) or not values.size or values.dtype.kind not in "buif":
        raise ImageError(
            f"{described} and type {values.dtype} is no picture",
            "give numbers, (channels, height, width)"
            if channels_first
            else "give numbers, (height, width, channels)",
        )
    bands = {1, 3, wanted.channels}
    first, last = values.shape[0], values.shape[-1]
    if values.ndim == 3 and (first if channels_first else last) not in bands:
        wrong_way = (last if channels_first else first) in bands
        turned = "tensor.permute(2, 0, 1)" if channels_first else "array.transpose(1, 2, 0)"
        order = "channels first" if channels_first else "channels last"
        raise ImageError(
            f"{described} has {first if channels_first else last} channels, and the model takes {wanted.channels}",
            f"give {order}: {turned}" if wrong_way else "leave out the channels that the model does not take",
        )
    if values.ndim == 3 and channels_first:
        values = values.transpose(1, 2, 0)
    return of_array(values, wanted)


def _array(tensor: Tensor) -> NDArray[Any]:
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized:
        raise ImageError(
            "a tensor that is sparse, nested or quantised is no picture", "give it dense: tensor.to_dense()"
        )
    tensor = tensor.detach().cpu()
    values: NDArray[Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return values
