"""From a picture to what the model sees, and back: resize, crop, and the geometry that undoes them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
LARGEST_WHOLE = 16  # times the input's area: up to here a picture is resized as a whole
Range = tuple[float, float]  # the values that are black and white
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Geometry:
    """Where the model's input lies on one picture.

    `box` is (left, top, right, bottom) of the input in the picture's pixels, as real numbers; it reaches
    beyond the picture where the input was padded.
    """

    picture_size: tuple[int, int]  # (width, height) after EXIF orientation
    box: tuple[float, float, float, float]

    @property
    def seen(self) -> tuple[float, float, float, float]:
        """The part of the picture that the model saw: `box` clipped to the picture."""
        width, height = self.picture_size
        left, top, right, bottom = self.box
        return max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)

    def pixel_of_cell(self, row: int, column: int, shape: tuple[int, int]) -> tuple[int, int]:
        """Find the pixel of the picture under the centre of a cell.

        Args:
            row: The cell's row, from 0.
            column: The cell's column, from 0.
            shape: Rows and columns of the map.

        Returns:
            (x, y) in pixels of the picture, from 0 at the upper left.
        """
        left, top, right, bottom = self.box
        x = left + (column + 0.5) * (right - left) / shape[1]
        y = top + (row + 0.5) * (bottom - top) / shape[0]
        width, height = self.picture_size
        return min(max(math.floor(x), 0), width - 1), min(max(math.floor(y), 0), height - 1)

    def box_of(
        self, box: tuple[float, float, float, float], shape: tuple[int, int]
    ) -> tuple[float, float, float, float]:
        """Find where a part of a map lies on the picture.

        Args:
            box: Left, top, right and bottom in cells of the map; fractions are allowed.
            shape: Rows and columns of the map.

        Returns:
            Left, top, right and bottom in pixels of the picture; they may lie beyond its edges.
        """
        left, top, right, bottom = self.box
        across, down = (right - left) / shape[1], (bottom - top) / shape[0]
        return left + box[0] * across, top + box[1] * down, left + box[2] * across, top + box[3] * down

    def cell_of_pixel(self, x: int, y: int, shape: tuple[int, int]) -> tuple[int, int] | None:
        """Find the cell of a map over the middle of a pixel.

        Args:
            x: The pixel's column in the picture, from 0.
            y: The pixel's row in the picture, from 0.
            shape: Rows and columns of the map.

        Returns:
            Row and column of the cell; None where the model does not see that pixel.
        """
        left, top, right, bottom = self.box
        row = math.floor((y + 0.5 - top) * shape[0] / (bottom - top))
        column = math.floor((x + 0.5 - left) * shape[1] / (right - left))
        return (row, column) if 0 <= row < shape[0] and 0 <= column < shape[1] else None


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes an input: the same arithmetic as timm's and torchvision's evaluation transforms.

    `input_size` and `resize` are (height, width). `crop_mode`: `center` scales the shorter side to `resize`
    and cuts out the middle; `squash` scales both sides, aspect lost; `border` scales the longer side and pads
    with the mean. `mean` and `std` are per channel, for values in 0..1. `range` has the values of pictures of more
    than 8 bits that are black and white; None leaves it to their kind.
    """

    input_size: tuple[int, int] = (224, 224)
    channels: int = 3
    resize: tuple[int, int] = (256, 256)
    crop_mode: str = "center"
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    range: Range | None = None

    def __post_init__(self) -> None:
        # Statistics are given for grey or RGB; an input of N channels repeats them in turn.
        """Repeat the mean and the deviation where the input has more channels than they have values."""
        object.__setattr__(self, "mean", _per_channel(self.mean, self.channels))
        object.__setattr__(self, "std", _per_channel(self.std, self.channels))

    @property
    def words(self) -> str:
        """What a person would say of it, to see at a glance whether it is what the model was trained with."""
        (height, width), resize = self.input_size, "x".join(map(str, self.resize))
        square = self.resize[0] == self.resize[1]
        crop = {
            "center": f"{f'shorter side to {self.resize[0]}' if square else f'to cover {resize}'}, the middle cut out",
            "squash": f"both sides to {resize}, the middle cut out",
            "border": f"{f'longer side to {self.resize[0]}' if square else f'to fit into {resize}'}, padded",
        }[self.crop_mode]
        mean, std = (", ".join(f"{value:.3g}" for value in values) for values in (self.mean, self.std))
        text = f"{self.channels}x{height}x{width}; {self.interpolation}, {crop}; mean {mean}; std {std}"
        return text if self.range is None else f"{text}; values {self.range[0]:g} to {self.range[1]:g}"

    def with_crop(self, input_size: tuple[int, int], crop_pct: float) -> Preprocess:
        """Return the same preprocessing for an input of another size.

        Args:
            input_size: Height and width of the input.
            crop_pct: The share of the resized picture's sides that the input keeps.
        """
        resize = (math.floor(input_size[0] / crop_pct), math.floor(input_size[1] / crop_pct))
        return replace(self, input_size=input_size, resize=resize)

    def geometry(self, picture_size: tuple[int, int]) -> Geometry:
        """Return where the input lies on a picture of this size (width, height)."""
        (width, height), (input_h, input_w) = picture_size, self.input_size
        resized_w, resized_h = self._resized(width, height)
        x, y = _offset(resized_w, input_w), _offset(resized_h, input_h)
        scale_x, scale_y = width / resized_w, height / resized_h
        box = (x * scale_x, y * scale_y, (x + input_w) * scale_x, (y + input_h) * scale_y)
        return Geometry(picture_size, box)

    def apply(
        self,
        picture: Image.Image,
        size: tuple[int, int] | None = None,
        bands: NDArray[np.uint8] | None = None,
    ) -> tuple[NDArray[np.uint8], Geometry]:
        """Make the input of a picture, before it is normalised.

        The picture is resized and cut as timm and torchvision do, to the last bit. Of a picture so long that this would
        fill the memory only the part that the model sees is resampled; the filter still reaches beyond the cut, and a
        value differs by a level or two at most.

        Args:
            picture: RGB. A model of another number of channels sees its colours in turn.
            size: Width and height of the original, where the picture was reduced.
            bands: uint8 (height, width, channels), what the model sees in the place of the picture's colours.

        Returns:
            The input, uint8 (H, W, channels), and where it lies on the picture.
        """
        size = size or picture.size
        if bands is not None:
            # One by one: Pillow takes a fourth band for transparency and mixes it into the others.
            planes = [
                Image.fromarray(np.ascontiguousarray(bands[..., band])) for band in range(self.channels)
            ]
            pixels = np.stack([self._cut(one, size, (band,)) for band, one in enumerate(planes)], axis=2)
            return pixels, self.geometry(size)
        if self.channels == 1:
            return np.atleast_3d(self._cut(picture.convert("L"), size, (0,))), self.geometry(size)
        pixels = self._cut(picture, size, tuple(channel % self.channels for channel in range(3)))
        if self.channels > 3:
            pixels = pixels[:, :, np.arange(self.channels) % 3]
        return np.ascontiguousarray(pixels[:, :, : self.channels]), self.geometry(size)

    def _cut(
        self, picture: Image.Image, size: tuple[int, int], channels: tuple[int, ...]
    ) -> NDArray[np.uint8]:
        """Return what the model sees of a picture, whose bands are these of its channels."""
        (width, height), (input_h, input_w) = picture.size, self.input_size
        resized_w, resized_h = self._resized(*size)
        x, y = _offset(resized_w, input_w), _offset(resized_h, input_h)
        left, top = max(0, x), max(0, y)
        right, bottom = min(resized_w, x + input_w), min(resized_h, y + input_h)
        resample = INTERPOLATIONS[self.interpolation]
        if resized_w * resized_h <= LARGEST_WHOLE * input_w * input_h:
            resized = picture.resize((resized_w, resized_h), resample).crop((left, top, right, bottom))
        else:
            scale_x, scale_y = width / resized_w, height / resized_h
            box = (left * scale_x, top * scale_y, min(right * scale_x, width), min(bottom * scale_y, height))
            resized = picture.resize((right - left, bottom - top), resample, box=box)
        if resized.size != (input_w, input_h):
            canvas = Image.new(resized.mode, (input_w, input_h), self._fill(channels))
            canvas.paste(resized, (left - x, top - y))
            resized = canvas
        return np.asarray(resized)

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        target_h, target_w = self.resize
        if self.crop_mode == "squash":
            return target_w, target_h
        if self.crop_mode == "center" and target_h == target_w:
            short, long = min(width, height), max(width, height)
            scaled = int(target_h * long / short)
            return (target_h, scaled) if width <= height else (scaled, target_h)
        ratios = (height / target_h, width / target_w)
        ratio = max(ratios) if self.crop_mode == "border" else min(ratios)
        return max(1, round(width / ratio)), max(1, round(height / ratio))

    def _fill(self, channels: tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the colour beyond the picture's edges, for these channels."""
        if self.crop_mode != "border":
            return 0
        levels = tuple(min(255, max(0, round(255 * self.mean[channel]))) for channel in channels)
        return levels if len(levels) > 1 else levels[0]


def _per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if channels == 1:
        return (sum(values) / len(values),)
    return tuple(values[channel % len(values)] for channel in range(channels))


def _offset(resized: int, size: int) -> int:
    if size > resized:
        return -((size - resized) // 2)
    return round((resized - size) / 2)
