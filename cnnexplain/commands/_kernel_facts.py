"""What is recorded and said of a layer's filters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cnnexplain.core.results import Detail
from cnnexplain.core.words import count, percent
from cnnexplain.engine.weights.kernel_statistics import ALIKE, DEAD

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
    counted, every = kernels.statistics, len(kernels.values)
    if counted.broken:
        what = " and ".join(
            word for word, some in (("NaN", counted.nan), ("infinity", counted.infinite)) if some
        )
        yield f"{what[0].upper()}{what[1:]} in {_share(counted.broken, every)}."
    if len(counted.dead) == every:
        yield "Every weight is zero." if not counted.limit > 0 else "Every filter is dead."
    elif counted.dead:
        yield (
            f"Dead: {_share(counted.dead, every)}, with a norm of at most {DEAD:.0%} of the layer's root mean square."
        )
    if counted.smoothness is not None:
        yield _smoothness(counted.smoothness)
    if counted.alike is not None and (counted.alike.pairs or counted.alike.opposite):
        yield _alike(counted.alike, every)
    if weights.twin is not None:
        yield f"These are the very weights of {weights.twin}."
    if flattened is not None:
        yield f"Its inputs are drawn as the {_times(flattened)} that they were flattened from, channel by channel."
    elif not weights.convolution and len(kernels.kernel) > 0:
        yield f"{kernels.type} is no kind of layer that is known: its first axis is taken for filters."


def _smoothness(found: Smoothness) -> str:
    if abs(found.value) <= SURE * found.spread:
        verdict = "like noise"
    elif found.value > 0:
        verdict = "smoother than noise"
    else:
        verdict = "neighbours differ more than in noise"
    return f"Smoothness {found.words}: {verdict}."


def _alike(found: Likeness, every: int) -> str:
    told = []
    if found.pairs:
        pairs = ", ".join(f"{one} and {other}" for one, other, _ in found.closest[:PAIRS])
        more = ", …" if found.pairs > PAIRS else ""
        equal = f"; {found.equal:,} equal to the last bit" if found.equal else ""
        told.append(
            f"{found.filters:,} of {count(every, 'filter')}, in {count(found.pairs, 'pair')} ({pairs}{more}){equal}"
        )
    if found.opposite:
        told.append(f"{count(found.opposite, 'pair')} of opposite sign")
    return f"Near-duplicates (cosine of {ALIKE} or more): {'; '.join(told)}."


def _share(which: Sequence[int], every: int) -> str:
    shown = ", ".join(map(str, which[:NAMED])) + (", …" if len(which) > NAMED else "")
    share = f", {percent(len(which) / every)}" if len(which) > NAMED else ""
    return f"{len(which):,} of {count(every, 'filter')}{share} ({shown})"


def _times(sides: Sequence[int]) -> str:
    return "×".join(map(str, sides))
