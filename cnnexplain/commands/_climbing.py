"""The ascent: pictures are changed, step by step, so that what each of them is for becomes stronger."""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.formulas import (
    direction_objective,
    diversity_objective,
    fourier_picture,
    in_ball,
    moved_view,
    phase_picture,
    photograph_spectrum,
    small_contributions_removed,
    small_norms_removed,
    smoothed,
    steepest_step,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from cnnexplain.engine.reaching import HeadOutput

REDIRECTED = 16  # steps for which rectifiers that are off let the gradient through, as in Lucid
RATES = {"pixel": 0.05, "fourier": 0.05, "maco": 0.1}  # of Adam
STEP = 0.05  # of an ascent of pixels: of the ball's radius, or of the length of a picture of deviation 1
DIVERSITY = 0.5  # how much being different counts, as a share of the objective
NOISE = 0.01  # deviation of what an ascent begins with
CROPS = (0.35, 0.85)  # of the picture's side, which MACO looks at
FINE = 0.08  # deviation of the noise on what MACO looks at


@dataclass(frozen=True)
class Climb:
    """How pictures are made: what they are functions of, how many steps, how large, and what bounds them."""

    parametrization: str
    steps: int
    size: tuple[int, int]  # height and width
    centre: bool  # whether the unit in the middle counts, rather than the mean of the channel
    variants: int  # pictures of the same target
    norm: float | None  # of the input, which bounds pixels in the place of black and white
    decay: float
    blur: float
    blur_every: int
    small_norm: float
    small_contribution: float

    def objective(self, maps: Tensor, directions: Tensor) -> Tensor:
        """What shall become large, (N,), of maps (N, C, h, w) or vectors (N, C); directions (N, C)."""
        if self.centre and maps.ndim > 2:
            value = (maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2] * directions).sum(1)
        else:
            value = direction_objective(maps, directions)
        if self.variants == 1:
            return value
        return value + DIVERSITY * value.detach().abs() * diversity_objective(maps, self.variants)


def climbed(reach: HeadOutput, climb: Climb, directions: Tensor, names: Sequence[str]) -> Tensor:
    """The inputs (N, C, H, W) at which an ascent ends. Inside `borrowed()`.

    What is random depends on the seed, a picture's own name and the step alone, so that a picture is the same whatever
    others are made together with it.

    Args:
        reach: What of the model shall become strong.
        climb: How.
        directions: (N, K), of what is reached.
        names: Of the targets, one for each picture.
    """
    import torch

    model = reach.model
    picture = _KINDS[climb.parametrization](reach, climb, names)
    # Until this step rectifiers that are off let the gradient of a picture through: of one that got none, and in the
    # first steps of one that reaches nothing yet, as behind a SiLU, whose gradient leads away where it is off.
    until = torch.zeros(len(names), dtype=torch.long, device=directions.device)
    for step in range(climb.steps):
        seen = picture.seen(step)
        # Channels last in memory, which convolutions prefer; the model's layout makes of it what it takes.
        pixels = seen.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
        off = until > step
        with model.rectifiers() if bool(off.any()) else nullcontext() as rectifiers:
            if rectifiers is not None:
                rectifiers.use("redirected")
                rectifiers.rows = off
            value = climb.objective(reach(pixels.clone()), directions)
            gradients = model.gradient_to_input(value, pixels)
        if step < REDIRECTED:
            until[value.detach() <= 0] = step + 2
        until[~gradients.flatten(1).any(1)] = step + 1 + REDIRECTED
        picture.advance(step, seen, gradients)
    return picture.inputs().detach()


class PicturesUnderWay(ABC):
    """Pictures under way, as functions of `values`."""

    values: Tensor

    def __init__(self, reach: HeadOutput, climb: Climb, names: Sequence[str]) -> None:
        """Begin with noise, each picture with its own."""
        import torch

        self.climb = climb
        self.seed, preprocess = reach.model.seed, reach.model.preprocess
        like = reach.model.blank()
        self.device, self.dtype = like.device, like.dtype
        self.channels = preprocess.channels
        self.mean, self.std = (
            torch.tensor(values, device=self.device)[:, None, None]
            for values in (preprocess.mean, preprocess.std)
        )
        self.values = torch.stack([self.start(name) for name in names]).to(self.device).requires_grad_()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values of a picture."""
        return self.channels, *self.climb.size

    def start(self, name: str) -> Tensor:
        """The values that a target's picture begins with."""
        return NOISE * self._normal(self.shape, zlib.crc32(name.encode("utf-8", "surrogatepass")))

    @abstractmethod
    def inputs(self) -> Tensor:
        """The pictures as the model gets them."""

    def seen(self, step: int) -> Tensor:  # noqa: ARG002 - others look otherwise every time
        """What the model sees at a step."""
        return self.inputs()

    @abstractmethod
    def advance(self, step: int, seen: Tensor, gradients: Tensor) -> None:
        """Change the values by the gradients at what was seen."""

    def normalised(self, pictures: Tensor) -> Tensor:
        """Inputs out of pictures from 0 for black to 1 for white."""
        return ((pictures - self.mean) / self.std).to(self.dtype)

    def _normal(self, shape: tuple[int, ...], *key: int) -> Tensor:
        import numpy as np
        import torch

        drawn = np.random.default_rng((self.seed, *key)).standard_normal(shape, dtype=np.float32)
        return torch.from_numpy(drawn)


class BoundedPixels(PicturesUnderWay):
    """PicturesUnderWay between black and white, each changed as its own gradient says (Adam)."""

    def __init__(self, reach: HeadOutput, climb: Climb, names: Sequence[str]) -> None:
        """Begin, with Adam's means at 0."""
        import torch

        super().__init__(reach, climb, names)
        self.adam = torch.optim.Adam([self.values], lr=RATES[climb.parametrization])

    def inputs(self) -> Tensor:
        """The values themselves, around grey."""
        return self.normalised(self.values + 0.5)

    def advance(self, step: int, seen: Tensor, gradients: Tensor) -> None:  # noqa: ARG002
        """A step of Adam, then back between black and white."""
        import torch

        (gradient,) = torch.autograd.grad(seen, self.values, -gradients.to(seen))
        self.values.grad = gradient
        self.adam.step()
        with torch.no_grad():
            self.bound()

    def bound(self) -> None:
        """Bring the values back to where they may be."""
        self.values.clamp_(-0.5, 0.5)


class InputInBall(PicturesUnderWay):
    """The input itself, of bounded norm (Erhan et al. 2009)."""

    def inputs(self) -> Tensor:
        """The values themselves."""
        return self.values.to(self.dtype)

    def advance(self, step: int, seen: Tensor, gradients: Tensor) -> None:  # noqa: ARG002
        """A step along the gradient, then back into the ball."""
        radius = self.climb.norm or 1.0
        moved = self.values.detach() + steepest_step(gradients, STEP * radius)
        self.values = in_ball(moved, radius).requires_grad_()


class RegularisedInput(PicturesUnderWay):
    """The input, of which after every step a part is taken away (Yosinski et al. 2015)."""

    def inputs(self) -> Tensor:
        """The values themselves: 0 is the mean of the pictures that the model was trained with."""
        return self.values.to(self.dtype)

    def advance(self, step: int, seen: Tensor, gradients: Tensor) -> None:  # noqa: ARG002
        """A step along the gradient, then the four regularisers, then back between black and white."""
        climb = self.climb
        moved = self.values.detach() + steepest_step(gradients, STEP * math.sqrt(math.prod(self.shape)))
        moved = moved * (1 - climb.decay)
        if climb.blur_every and (step + 1) % climb.blur_every == 0:
            moved = smoothed(moved, climb.blur)
        if step < climb.steps - 1:  # what is small a moment before the end had no time to become large
            moved = small_norms_removed(moved, climb.small_norm)
            moved = small_contributions_removed(moved, gradients, climb.small_contribution)
        black, white = -self.mean / self.std, (1 - self.mean) / self.std
        self.values = moved.clamp(black, white).requires_grad_()


class Spectrum(BoundedPixels):
    """A spectrum with independent colours, seen moved, enlarged and turned (Olah et al. 2017)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a spectrum."""
        height, width = self.climb.size
        return self.channels, height, width // 2 + 1, 2

    def inputs(self) -> Tensor:
        """The pictures of the spectra."""
        return self.normalised(fourier_picture(self.values, *self.climb.size))

    def seen(self, step: int) -> Tensor:
        """The pictures moved by up to 6 pixels, enlarged by up to a tenth, turned by up to 10 degrees."""
        import numpy as np

        rng = np.random.default_rng((self.seed, step))
        right, down = rng.uniform(-6, 6, 2).tolist()
        scale, degrees = rng.uniform(0.9, 1.1), rng.uniform(-10, 10)
        picture = fourier_picture(self.values, *self.climb.size)
        return self.normalised(moved_view(picture, (right, down), scale, degrees))

    def bound(self) -> None:
        """A spectrum is not bounded: the sigmoid bounds the picture."""


class Phases(Spectrum):
    """Phases, with the magnitudes of photographs; seen in noisy crops (MACO, Fel et al. 2023)."""

    def __init__(self, reach: HeadOutput, climb: Climb, names: Sequence[str]) -> None:
        """Begin with random phases."""
        super().__init__(reach, climb, names)
        self.magnitude = photograph_spectrum(*climb.size, self.channels).to(self.device)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of phases."""
        return super().shape[:-1]

    def start(self, name: str) -> Tensor:
        """Phases drawn as the noise of the others is, but as wide as a circle."""
        return super().start(name) * (math.pi / NOISE)

    def _picture(self) -> Tensor:
        return phase_picture(self.values, self.magnitude, *self.climb.size)

    def inputs(self) -> Tensor:
        """The pictures of the phases."""
        return self.normalised(self._picture())

    def seen(self, step: int) -> Tensor:
        """A part of the pictures, enlarged, with noise."""
        import numpy as np

        rng = np.random.default_rng((self.seed, step))
        side = rng.uniform(*CROPS)
        height, width = self.climb.size
        room = (1 - side) / 2 / side
        shift = (rng.uniform(-room, room) * width, rng.uniform(-room, room) * height)
        view = moved_view(self._picture(), shift, 1 / side)
        noise = self._normal((self.channels, height, width), step, 1).to(self.device)
        return self.normalised(view + FINE * noise)


_KINDS: dict[str, type[PicturesUnderWay]] = {
    "pixel": BoundedPixels,
    "ball": InputInBall,
    "regularised": RegularisedInput,
    "fourier": Spectrum,
    "maco": Phases,
}
