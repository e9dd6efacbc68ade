"""Sliding windows: what the score loses, and which class wins, while a window hides a place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cnnexplain.commands._hiding import Hiding, require_finite
from cnnexplain.core.preprocess import Geometry
from cnnexplain.core.results import Detail
from cnnexplain.core.results.map import PIXELS
from cnnexplain.core.results.winners import Winners
from cnnexplain.core.target import TargetSpec
from cnnexplain.formulas.hiding import occlusion, window_starts

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.results import Result

AT_ONCE = 4096  # windows whose scores of all classes are kept


def sliding(hiding: Hiding, window: int, stride: int) -> Iterator[Result]:
    """A map for each class, and the winning classes; see `commands.occlusion`."""
    import torch

    down, across = (window_starts(length, window, stride) for length in hiding.size)
    top = torch.tensor(down).repeat_interleave(len(across))
    left = torch.tensor(across).repeat(len(down))

    drops: list[list[Tensor]] = [[] for _ in hiding.wanted]
    best: list[Tensor] = []
    for start in range(0, len(top), AT_ONCE):
        here = slice(start, start + AT_ONCE)
        scores = hiding.perturbed.windows(
            _patches(hiding, window, top[here], left[here]), top[here], left[here]
        )
        require_finite(scores, _place(top[here], left[here]))
        for known, (target, _) in zip(drops, hiding.wanted, strict=True):
            known.append((hiding.values(hiding.logits, target) - hiding.values(scores, target)).cpu())
        if hiding.model.function is None:
            best.append(hiding.model.targets(TargetSpec(), scores)[0].index.cpu())
    detail = _detail(hiding, window, stride, (len(down), len(across)))
    for known, (_, prediction) in zip(drops, hiding.wanted, strict=True):
        of_windows = torch.cat(known).reshape(len(down), len(across))
        values = occlusion(of_windows, (down, across), (window, window))
        yield from hiding.heatmaps("sliding", prediction, values, detail)
    if best:
        yield _winners(hiding, torch.cat(best), (down, across), window, detail)


def _patches(hiding: Hiding, window: int, top: Tensor, left: Tensor) -> Callable[[range], Tensor]:
    import torch

    def patches(rows: range) -> Tensor:
        places = [(int(top[place]), int(left[place])) for place in rows]
        return torch.cat([hiding.filled[:, :, y : y + window, x : x + window] for y, x in places])

    return patches


def _place(top: Tensor, left: Tensor) -> Callable[[int], str]:
    return lambda place: f"a window at x {int(left[place])}, y {int(top[place])}"


def _winners(
    hiding: Hiding, best: Tensor, starts: tuple[list[int], list[int]], window: int, detail: Detail
) -> Winners:
    """Which class (N,) is the best one with the window at each place."""
    import torch

    counts = torch.bincount(best)
    ranked = [index for index in counts.argsort(descending=True, stable=True).tolist() if counts[index]]
    (first, last), (left, right) = (
        _edges(along, window, length) for along, length in zip(starts, hiding.size, strict=True)
    )
    geometry = hiding.image.geometry(0)
    return Winners(
        method="sliding",
        layer=PIXELS,
        classes=best.reshape(len(starts[0]), len(starts[1])).numpy(),
        labels=tuple(hiding.model.labels[index] for index in ranked),
        indices=tuple(ranked),
        geometry=Geometry(geometry.picture_size, geometry.box_of((left, first, right, last), hiding.size)),
        detail=Detail(detail.facts),
    )


def _edges(starts: list[int], window: int, length: int) -> tuple[float, float]:
    """Where a grid begins and ends whose cells lie around the centres of the windows."""
    step = (starts[-1] - starts[0]) / (len(starts) - 1) if len(starts) > 1 else float(length)
    return max(0.0, starts[0] + (window - step) / 2), min(float(length), starts[-1] + (window + step) / 2)


def _detail(hiding: Hiding, window: int, stride: int, places: tuple[int, int]) -> Detail:
    """What is recorded and said of the windows."""
    perturbed = hiding.perturbed
    facts: dict[str, Any] = {
        "window": window,
        "stride": stride,
        "fill": hiding.fill,
        "windows": list(places),
        "compared": hiding.compared,
        "incremental": not perturbed.reason,
    }
    if perturbed.reason:
        facts["why_whole"] = perturbed.reason
    elif perturbed.progress.whole_from:
        facts["whole_from"] = perturbed.progress.whole_from
    of = _compared(hiding)
    remark = (
        f"What the {of} loses, on average over the windows that hide a place: {places[0]}×{places[1]} windows of "
        f"{window}×{window} pixels, filled with {hiding.fill}."
    )
    return Detail({"occlusion": facts}, (remark,))


def _compared(hiding: Hiding) -> str:
    return "score" if hiding.compared == "logit" else "probability"
