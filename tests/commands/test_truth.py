"""The formulas against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from networks import OneConv, Readout, answer, heat
from torch import Tensor

from cnnexplain.formulas.cam import CAMS

PICTURE = torch.arange(16.0).reshape(1, 1, 4, 4)

# Two maps, and the gradient of the score with respect to them.
A = [[[1.0, 2], [3, 4]], [[4, 0], [0, 4]]]
G = [[[1.0, -1], [0, 2]], [[-1, -1], [-1, -1]]]
WORKED = {
    # Mean gradients 2/4 and -1: 0.5 a1 - a2.
    "gradcam": [[-3.5, 1], [1.5, -2]],
    # a1 sums to 10. Where g > 0: alpha(1) = 1/(2+10) and alpha(2) = 1/(2+20), so that a1 weighs
    # 1/12 * 1 + 1/22 * 2 = 23/132; a2 has no positive gradient.
    "gradcam++": [[23 / 132, 46 / 132], [69 / 132, 92 / 132]],
    # Sums of a g over sums of a: (1 - 2 + 0 + 8) / 10 and -8 / 8: 0.7 a1 - a2.
    "xgradcam": [[-3.3, 1.4], [2.1, -1.2]],
    # Positive gradients times maps: [[1*1, 0], [0, 2*4]] + 0.
    "layercam": [[1, 0], [0, 8]],
    # Gradients times maps: [[1, -2], [0, 8]] + [[-4, 0], [0, -4]].
    "hirescam": [[-3, -2], [0, 4]],
}


def worked(method: str, maps: Any, gradient: Any) -> Tensor:
    """The map of a class whose score has this gradient, beside a class that ignores everything."""
    maps, gradient = torch.tensor(maps), torch.tensor(gradient).expand(torch.tensor(maps).shape)
    network = Readout(torch.stack((gradient, torch.zeros_like(gradient))))
    return heat(network, maps[None], layer="maps", target="0", method=method)[0]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [("conv1", [[11.25, 13.5], [20.25, 22.5]]), ("relu1", [[0, 4], [28, 32.5]])],
)
def test_gradcam_of_the_network_that_fits_on_a_page(layer: str, expected: Any) -> None:
    found = answer(OneConv(), PICTURE, layer=layer, target="0")
    assert found.logits.tolist() == [[54] * 4]
    np.testing.assert_allclose(found.maps[0].values[0], expected, rtol=1e-6)


@pytest.mark.parametrize("method", WORKED)
def test_formula_gives_what_the_paper_says(method: str) -> None:
    np.testing.assert_allclose(worked(method, A, G), WORKED[method], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", CAMS)
def test_evidence_against_a_class_stays_negative(method: str) -> None:
    """One map that speaks against the class where it is strong, or that is itself negative."""
    assert worked(method, [[[0.0, -1], [-2, -3]]], 0.125).min() < 0


def test_gradcampp_with_a_negative_sum_of_the_map() -> None:
    # a sums to -3: alpha = 1/(2 - 3/2) = 2 everywhere; the weight is 4 * 2 * 0.5 = 4.
    np.testing.assert_allclose(worked("gradcam++", [[[-1.0, 0], [0, -2]]], 0.5), [[-4, 0], [0, -8]])


def test_gradcampp_leaves_out_what_its_formula_divides_by_zero() -> None:
    # The first map sums to -4, and 2 - 4 * 0.5 = 0. The second: alpha = 1/(2 + 4 * 0.5), the weight 0.5.
    maps = [[[-4.0, 0], [0, 0]], [[0, 4], [0, 0]]]
    np.testing.assert_allclose(worked("gradcam++", maps, 0.5), [[0, 2], [0, 0]])


def test_xgradcam_leaves_out_maps_that_sum_to_zero() -> None:
    # 1 - 1 = 0; the second map's weight is its mean gradient, 1.
    maps = [[[1.0, -1], [0, 0]], [[0, 2], [0, 0]]]
    np.testing.assert_allclose(worked("xgradcam", maps, 1.0), [[0, 2], [0, 0]])


@pytest.mark.parametrize("copies", [1, 4], ids=["more places than maps", "more maps than places"])
@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        # The maps are centred and at right angles with variances 18 and 2: the first is the component, and
        # rises with the mean of both, [[1.5, -1.5], [0.5, -0.5]].
        ([[[3.0, -3], [0, 0]], [[0, 0], [1, -1]]], [[3, -3], [0, 0]]),
        # Both are multiples of u = [[0, 0], [0, 1]]: 4 u and 3 u, together 5 (u - 1/4).
        ([[[0.0, 0], [0, 4]], [[0, 0], [0, 3]]], [[-1.25, -1.25], [-1.25, 3.75]]),
        # -2 u and u with u = [[1, -1], [0, 0]]: the mean falls with u, and so does the component.
        ([[[-2.0, 2], [0, 0]], [[1, -1], [0, 0]]], [[-(5**0.5), 5**0.5], [0, 0]]),
        # The mean is rounding noise, as after a layer norm, and says nothing: the largest value is positive.
        (
            [[[-3.0, 1], [1, 1]], [[2.9999998, -1], [-1, -1]]],
            [[3 * 2**0.5, -(2**0.5)], [-(2**0.5), -(2**0.5)]],
        ),
    ],
)
@pytest.mark.parametrize("method", ["eigencam", "eigengradcam"])
def test_first_component_of_maps_with_its_sign(method: str, maps: Any, expected: Any, copies: int) -> None:
    """Copies of every map scale the component by the root of their number; eigengradcam by the gradient, 2."""
    scale = copies**0.5 * (2 if method == "eigengradcam" else 1)
    np.testing.assert_allclose(
        worked(method, maps * copies, 2.0), scale * np.array(expected), rtol=1e-5, atol=1e-5
    )
