"""What is measured of a layer's channels in one picture, and the map's principal components."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnexplain.core.results.channels import Histogram, Statistics

BINS = 48
COMPONENTS = 3
NOTHING = 1e-12  # of the variance: a component with less is rounding


def statistics(values: Tensor) -> Statistics:
    """Statistics of every channel of (C, h, w), or of every unit of (C,). Sums are of double precision."""
    columns = values.shape[2] if values.ndim == 3 else 1
    flat = values.reshape(len(values), -1)  # (C, places)
    largest, place = flat.max(1)
    positive = flat > 0
    return Statistics(
        mean=flat.mean(1, dtype=torch.float64).float().cpu().numpy(),
        strength=flat.clamp(min=0).mean(1, dtype=torch.float64).float().cpu().numpy(),
        min=flat.amin(1).cpu().numpy(),
        max=largest.cpu().numpy(),
        sparsity=(1 - positive.sum(1) / flat.shape[1]).cpu().numpy(),
        row=(place // columns).cpu().numpy(),
        column=(place % columns).cpu().numpy(),
    )


def histogram(values: Tensor) -> Histogram:
    """The histogram of all values but those that are exactly zero, which would tower above the others."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    other = values[values != 0]
    counts = torch.zeros(BINS)
    if low < high:
        size = max(-low, high)  # divided by, since torch's own steps overflow where values are huge
        counts = torch.histc(other / size, BINS, low / size, high / size)
    total, squares = (float(torch.sum(x, dtype=torch.float64)) for x in (other, other.double().square()))
    zeros = values.numel() - other.numel()
    return Histogram(tuple(map(int, counts.tolist())), low, high, zeros, total, squares)


def principal(values: Tensor) -> tuple[Tensor, Tensor]:
    """The first three principal components of a map's places, (3, h, w) of (C, h, w), and their shares of the variance.

    Each place is one observation of C numbers, less their mean over places. A component's sign, which is
    arbitrary, is set so that it grows with the mean activation of a place; where it does not depend on that, so that
    its largest weight is positive. What a map does not have components for is zero.
    """
    channels, rows, columns = values.shape
    places = values.detach().double().cpu().reshape(channels, -1).T  # (P, C)
    size = places.abs().max()
    if size > 0:
        places = places / size  # so that squares neither vanish nor overflow
    centred = places - places.mean(0)
    wide = channels > len(places)
    # Of the two matrices of products the smaller one; both have the same spectrum.
    spectrum, vectors = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    total = spectrum.clamp(min=0).sum()
    scores = torch.zeros(COMPONENTS, len(places), dtype=torch.float64)
    shares = torch.zeros(COMPONENTS, dtype=torch.float64)
    overall = centred.mean(1)
    for rank in range(min(COMPONENTS, len(spectrum))):
        variance, vector = spectrum[-1 - rank], vectors[:, -1 - rank]
        if not variance > NOTHING * total:
            break
        score = vector * variance.sqrt() if wide else centred @ vector
        weights = centred.T @ score
        along = score @ overall
        aligned = along.abs() > 1e-9 * score.norm() * overall.norm()
        if (along if aligned else weights[weights.abs().argmax()]) < 0:
            score = -score
        scores[rank], shares[rank] = score * size, variance / total
    most = torch.finfo(torch.float32).max
    return scores.clamp(-most, most).reshape(COMPONENTS, rows, columns).float(), shares.float()
