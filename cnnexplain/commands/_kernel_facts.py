"""What is recorded and said of a layer's filters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cnnexplain.core.layer_words import times
from cnnexplain.core.results import Detail
from cnnexplain.core.results.kernels import ALIKE, DEAD
from cnnexplain.core.words import count, percent

if TYPE_CHECKING:
    from cnnexplain.core.results.kernels import Kernels, Likeness, Smoothness
    from cnnexplain.engine.weights.kernels import Weights

NAMED = 12  # filters in a sentence
PAIRS = 3
SURE = 4  # standard deviations


def detail(kernels: Kernels, weights: Weights, flattened: tuple[int, int, int] | None) -> Detail:
    """The facts of one layer, and the sentences."""
    import numpy as np

    counted, shape = kernels.statistics, kernels.shape
    sound = counted.norms[np.isfinite(counted.norms)]
    alike, smooth = counted.alike, counted.smoothness
    facts: dict[str, Any] = {
        "kind": kernels.type,
        "filters": shape[0],
        "inputs": shape[1],
        "kernel": list(shape[2:]),
        "groups": kernels.groups,
        "transposed": weights.transposed,
        "view": kernels.view,
        "sort": kernels.sort,
        "scale": kernels.ends,
        "norm": {
            "min": float(sound.min()) if sound.size else None,
            "median": float(np.median(sound)) if sound.size else None,
            "max": float(sound.max()) if sound.size else None,
        },
        "histogram": {"from": -counted.limit, "to": counted.limit, "counts": counted.histogram.tolist()},
        "dead": {"limit": DEAD, "share": len(counted.dead) / shape[0], "which": list(counted.dead)},
        "alike": alike
        and {
            "limit": ALIKE,
            "pairs": alike.pairs,
            "filters": alike.filters,
            "equal": alike.equal,
            "opposite": alike.opposite,
            "closest": [list(pair) for pair in alike.closest],
        },
        "smoothness": smooth and {"value": smooth.value, "random": 0.0, "spread": smooth.spread},
        "not_finite": {"nan": counted.nan, "infinite": counted.infinite, "which": list(counted.broken)},
    }
    if weights.twin is not None:
        facts["same_as"] = weights.twin
    return Detail({"filters": facts}, tuple(_remarks(kernels, weights, flattened)))


def _remarks(kernels: Kernels, weights: Weights, flattened: tuple[int, int, int] | None) -> Iterator[str]:
    counted, total = kernels.statistics, len(kernels.values)
    if counted.broken:
        kinds = " and ".join(
            word for word, count_of in (("NaN", counted.nan), ("infinity", counted.infinite)) if count_of
        )
        yield f"{kinds[0].upper()}{kinds[1:]} in {_share(counted.broken, total)}."
    if len(counted.dead) == total:
        yield "Every weight is zero." if not counted.limit > 0 else "Every filter is dead."
    elif counted.dead:
        yield (
            f"Dead: {_share(counted.dead, total)}, with a norm of at most {DEAD:.0%} of the layer's root mean square."
        )
    if counted.smoothness is not None:
        yield _smoothness(counted.smoothness)
    if counted.alike is not None and (counted.alike.pairs or counted.alike.opposite):
        yield _alike(counted.alike, total)
    if weights.twin is not None:
        yield f"These are the very weights of {weights.twin}."
    if flattened is not None:
        yield f"Its inputs are drawn as the {times(flattened)} that they were flattened from, channel by channel."
    elif not weights.convolution and len(kernels.kernel) > 0:
        yield f"{kernels.type} is no kind of layer that is known: its first axis is taken for filters."


def _smoothness(smoothness: Smoothness) -> str:
    if abs(smoothness.value) <= SURE * smoothness.spread:
        verdict = "like noise"
    elif smoothness.value > 0:
        verdict = "smoother than noise"
    else:
        verdict = "neighbours differ more than in noise"
    return f"Smoothness {smoothness.words}: {verdict}."


def _alike(likeness: Likeness, total: int) -> str:
    texts = []
    if likeness.pairs:
        pairs = ", ".join(f"{index} and {twin}" for index, twin, _ in likeness.closest[:PAIRS])
        ellipsis = ", …" if likeness.pairs > PAIRS else ""
        equal = f"; {likeness.equal:,} equal to the last bit" if likeness.equal else ""
        texts.append(
            f"{likeness.filters:,} of {count(total, 'filter')}, in {count(likeness.pairs, 'pair')} "
            f"({pairs}{ellipsis}){equal}"
        )
    if likeness.opposite:
        texts.append(f"{count(likeness.opposite, 'pair')} of opposite sign")
    return f"Near-duplicates (cosine of {ALIKE} or more): {'; '.join(texts)}."


def _share(places: Sequence[int], total: int) -> str:
    listed_places = ", ".join(map(str, places[:NAMED])) + (", …" if len(places) > NAMED else "")
    share = f", {percent(len(places) / total)}" if len(places) > NAMED else ""
    return f"{len(places):,} of {count(total, 'filter')}{share} ({listed_places})"
