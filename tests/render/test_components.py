"""A principal component is drawn on both sides of zero: its sign is arbitrary, and nothing of it is cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cnnexplain
from cnnexplain.core.results import summaries
from cnnexplain.report.pages.record import explained
from tests.networks import pooled, settle

Make = Callable[..., tuple]
SIDES = np.kron([[-3.0, 1.0], [1.0, 1.0]], np.ones((4, 4)))  # one quarter differs from all others


@pytest.mark.parametrize("sign", [1, -1])
def test_what_differs_most_has_the_strongest_colour_whatever_its_sign(cards: Make, sign: int) -> None:
    one, heatmap = cards(sign * SIDES, scale="component", alpha=1.0)
    drawn = np.asarray(one.overlay(heatmap)).astype(int)
    odd, others = drawn[20, 30], drawn[150, 225]
    warm, cold = (odd, others) if sign < 0 else (others, odd)
    assert warm[0] > warm[2] + 20
    assert cold[2] > cold[0] + 20
    assert odd.min() < 20 < others.min(), "the darkest colour belongs to the largest absolute value"


@pytest.mark.parametrize("sign", [1, -1])
def test_the_peak_is_the_largest_absolute_value(cards: Make, sign: int) -> None:
    values = SIDES.copy()
    values[1, 2] = -7
    _, heatmap = cards(sign * values, scale="component")
    assert heatmap.peak == heatmap.geometry.pixel_of_cell(1, 2, (8, 8))
    _, plain = cards(values, scale="evidence")
    assert plain.peak != heatmap.peak


def test_a_component_of_zeros_has_no_peak_and_can_be_drawn(cards: Make, said: list[str]) -> None:
    one, heatmap = cards(np.zeros((7, 7)), scale="component")
    assert heatmap.peak is None
    one.card(heatmap)
    assert "zero everywhere" in " ".join(said)


def test_the_bar_goes_as_far_down_as_up_and_the_words_say_so(cards: Make, said: list[str]) -> None:
    one, heatmap = cards(SIDES, scale="component")
    one.card(heatmap)
    words = " ".join(said)
    assert {"3", "0", "−3"} <= set(said)
    assert "Circle: the strongest of 8x8 cells, −3," in words
    assert "not for and against" in words
    assert "has no colour" not in words


@pytest.mark.parametrize("method", ["eigencam", "eigengradcam"])
def test_record_picture_and_terminal_say_that_the_sign_is_arbitrary(
    method: str, said: list[str], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    explainer = cnnexplain.load(settle(pooled(), (32, 32)), input_size="32")
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    found = explainer.explain(Image.fromarray(noise), method=(method, "gradcam"))
    explainer.picture(found)
    assert "The sign of a principal component is arbitrary" in " ".join(said)
    record = explained(found, "gradcam", "net", [(None, None)] * len(found.results))
    component, plain = record["explanations"]
    assert component["scale"] == "component"
    assert plain["scale"] == "evidence"
    assert "arbitrary" in component["remarks"][0]
    assert "remarks" not in plain
    first, second = summaries(record["explanations"])
    assert first.endswith("sign arbitrary")
    assert "sign" not in second
