"""Pictures as functions of other numbers, which an ascent changes more easily than pixels: spectra, phases, colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["fourier_picture", "phase_picture", "photograph_spectrum", "recorrelated"]

SOFTENED = 4.0  # what Lucid divides values by before the sigmoid: colours are less saturated
# Lucid's root of the covariance of colours in ImageNet: a row a colour, a column a direction that varies by itself:
# brightness, blue against red, green against both.
COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
# The mean magnitude of ImageNet's spectra at these frequencies, in cycles of a picture of 512 pixels, for each of those
# three directions: means over rings of the array that xplique 2.0.2 ships (MIT licence, its authors' own measurement).
CYCLES, PIXELS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256), 512
MAGNITUDES = (
    (100800, 37430, 24400, 16920, 10090, 7335, 4274, 2981, 1695, 1112, 608.5, 383.6, 187.3, 100.1, 53.32, 26.44,
     11.31, 5.005),
    (104000, 40580, 24100, 17410, 10260, 7231, 4157, 2892, 1630, 1082, 578.1, 355.3, 162.6, 80.3, 39.06, 17.67, 6.94,
     2.823),
    (78310, 31170, 21200, 13920, 8154, 5863, 3510, 2457, 1421, 946.8, 529, 337.6, 164.7, 85.22, 43.21, 20.19, 8.157,
     3.408),
)  # fmt: skip


def recorrelated(values: Tensor) -> Tensor:
    """Colours out of values whose channels vary independently, as red, green and blue of photographs do not.

    Olah, Mordvintsev & Schubert 2017 (doi:10.23915/distill.00007), with the matrix of their library Lucid, scaled so
    that its longest column has the length 1: brightness comes out larger than differences between colours.

    Args:
        values: (N, C, H, W), logits. Where C is not 3 there are no colours to mix, and they stay as they are.

    Returns:
        (N, C, H, W), logits.

    Example:
        >>> import torch
        >>> brightness = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
        >>> [round(value, 3) for value in recorrelated(brightness).flatten().tolist()]
        [0.563, 0.584, 0.584]
    """
    import torch

    if values.shape[1] != 3:
        return values
    matrix = torch.tensor(COLOURS, dtype=values.dtype, device=values.device)
    matrix = matrix / matrix.norm(dim=0).amax()
    return torch.einsum("dc,nchw->ndhw", matrix, values)


def fourier_picture(spectrum: Tensor, height: int, width: int, decay: float = 1.0) -> Tensor:
    """A picture out of its spectrum, in which an ascent's step changes all frequencies by as much as photographs have.

    Olah, Mordvintsev & Schubert 2017 (doi:10.23915/distill.00007). With f the frequency in cycles a pixel, s the
    spectrum and C `recorrelated`,

        picture = sigmoid(C irfft2(s / max(f, 1 / max(H, W))^decay) / 4)

    Args:
        spectrum: (N, C, H, W // 2 + 1, 2): real and imaginary parts, as `torch.fft.rfft2` orders frequencies.
        height: H of the picture.
        width: W of the picture.
        decay: How much less high frequencies count; 1 as in photographs.

    Returns:
        (N, C, H, W), between 0 and 1.

    Example:
        >>> import torch
        >>> fourier_picture(torch.zeros(1, 3, 4, 3, 2), 4, 4).unique()
        tensor([0.5000])
    """
    import torch

    scale = _frequencies(spectrum, height, width).clamp(min=1 / max(height, width)) ** -decay
    scaled = torch.view_as_complex((spectrum * scale[..., None]).contiguous())
    values = torch.fft.irfft2(scaled, s=(height, width), norm="ortho")
    return recorrelated(values / SOFTENED).sigmoid()


def photograph_spectrum(height: int, width: int, channels: int = 3) -> Tensor:
    """The magnitudes that photographs have on average: those of ImageNet, as MACO fixes them.

    Fel et al. 2023 (arXiv:2306.06805), section 3. Their array, which their library xplique ships, is used as its means
    over rings of equal frequency: which directions are the stronger is left to the phases.

    Args:
        height: H of the picture.
        width: W of the picture.
        channels: Three are brightness and two differences of colours (see `recorrelated`). Of another number each has
            the magnitudes of brightness.

    Returns:
        (channels, H, W // 2 + 1), in units of the array. The mean of the picture, at frequency 0, is 0.

    Example:
        >>> spectrum = photograph_spectrum(64, 64)
        >>> spectrum.shape, bool((spectrum[:, 0, 1] > 10 * spectrum[:, 0, 8]).all())
        (torch.Size([3, 64, 33]), True)
    """
    import numpy as np
    import torch

    rings = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    rows = MAGNITUDES if channels == 3 else MAGNITUDES[:1] * channels
    places = np.log(np.maximum(rings, 1e-9)), np.log(np.array(CYCLES) / PIXELS)
    spectrum = np.stack([np.exp(np.interp(*places, np.log(row))) for row in rows])
    spectrum[:, 0, 0] = 0
    return torch.from_numpy(spectrum.astype(np.float32))


def phase_picture(phases: Tensor, magnitude: Tensor, height: int, width: int) -> Tensor:
    """A picture of which only the phases are free: its magnitudes are those of photographs, so it cannot be noise.

    MACO, Fel et al. 2023 (arXiv:2306.06805), eq. 3. With v = irfft2(magnitude exp(i phases)), brought to mean 0 and
    deviation 1, and C `recorrelated`, the picture is sigmoid(C v).

    Args:
        phases: (N, C, H, W // 2 + 1), in radians.
        magnitude: (C, H, W // 2 + 1), such as of `photograph_spectrum`.
        height: H of the picture.
        width: W of the picture.

    Returns:
        (N, C, H, W), between 0 and 1.

    Example:
        >>> import torch
        >>> magnitude = photograph_spectrum(8, 8, channels=1)
        >>> pictures = phase_picture(torch.rand(1, 1, 8, 5), magnitude, 8, 8)
        >>> round(float(pictures.logit().std(correction=0)), 2)
        1.0
    """
    import torch

    values = torch.fft.irfft2(
        torch.polar(magnitude.expand_as(phases).contiguous(), phases), s=(height, width)
    )
    values = values - values.mean((1, 2, 3), keepdim=True)
    values = values / (values.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-8)
    return recorrelated(values).sigmoid()


def _frequencies(spectrum: Tensor, height: int, width: int) -> Tensor:
    """Return the frequency of every cell of a spectrum, in cycles a pixel, (H, W // 2 + 1)."""
    import torch

    rows = torch.fft.fftfreq(height, device=spectrum.device, dtype=spectrum.dtype)
    columns = torch.fft.rfftfreq(width, device=spectrum.device, dtype=spectrum.dtype)
    return torch.hypot(rows[:, None], columns[None])
