"""RISE: evidence out of random masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cnnexplain.commands._hiding import Hiding, require_finite
from cnnexplain.core.results import Detail
from cnnexplain.core.words import number, percent
from cnnexplain.formulas.hiding import Rise, rise_masks

if TYPE_CHECKING:
    from cnnexplain.core.results.map import Heatmap

AT_ONCE = 64  # masks, between which it is asked whether they suffice
FEWEST = 128  # a standard error of fewer is itself uncertain
UNSURE = 0.1  # of the map's range: above this standard error a map is mostly chance


def rise(hiding: Hiding, masks: int, max_error: float, grid: int, probability: float) -> Iterator[Heatmap]:
    """A map for each class, of as many masks as its standard error asks for; see `commands.occlusion`."""
    import torch

    generator = torch.Generator().manual_seed(hiding.model.seed)
    evidence = [Rise(probability) for _ in hiding.wanted]
    done = 0
    while hiding.wanted and done < masks:
        count = min(AT_ONCE, masks - done)
        laid = rise_masks(count, hiding.size, grid=grid, probability=probability, generator=generator)
        scores = hiding.perturbed.blends(hiding.filled, laid)
        require_finite(scores, _laid(done + 1))
        for known, (target, _) in zip(evidence, hiding.wanted, strict=True):
            known.add(laid, hiding.values(scores, target))
        done += count
        shown = zip(evidence, hiding.wanted, strict=True)
        if done >= FEWEST and all(
            _share(known) <= max_error for known, (target, _) in shown if target.weights is None
        ):
            break
    for known, (_, prediction) in zip(evidence, hiding.wanted, strict=True):
        facts = {
            "masks": known.count,
            "grid": grid,
            "probability": probability,
            "fill": hiding.fill,
            "compared": hiding.compared,
            "mean": known.mean,
            "standard_error": float(known.error.max()),
            "share": min(_share(known), 1.0),
            "max_error": max_error,
        }
        detail = Detail({"rise": facts}, (_remark(known, max_error),))
        for heatmap in hiding.heatmaps("rise", prediction, known.map.float(), detail):
            yield replace(heatmap, errors=known.error.float().numpy())


def _laid(first: int) -> Callable[[int], str]:
    return lambda place: f"mask {first + place} laid on it"


def _remark(known: Rise, max_error: float) -> str:
    share = _share(known)
    if known.count < FEWEST:
        return (
            f"Mostly chance: give more --masks. Of {known.count} the standard error is not known; that takes {FEWEST}. "
            f"The mean over all masks, {number(known.mean)}, is 0 here."
        )
    remark = (
        f"{known.count:,} masks; largest standard error of a pixel {number(float(known.error.max()))}, "
        f"{percent(min(share, 1))} of the map's range. The mean over all masks, {number(known.mean)}, is 0 here."
    )
    if share <= max_error or (not max_error and share <= UNSURE):
        return remark
    unsure = "Mostly chance" if share > UNSURE else f"Less sure than --max-error {max_error:g} asks"
    return f"{unsure}: give more --masks. {remark}"


def _share(known: Rise) -> float:
    """The largest standard error of a pixel as a share of the map's range."""
    values = known.map
    spread = float(values.max() - values.min())
    return float(known.error.max()) / spread if spread else 0.0
