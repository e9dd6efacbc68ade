"""The maps of one image on one scale: scores of each, and of references, out of one series of perturbed copies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cnnexplain.commands._copies import class_values
from cnnexplain.commands._laid import again_on_cells, on_cells, on_input
from cnnexplain.commands._road import road
from cnnexplain.core.results import Detail
from cnnexplain.core.results.comparison import (
    CENTRE,
    EDGES,
    RANDOM,
    ComparedMap,
    CurveScores,
    MethodComparison,
)
from cnnexplain.core.words import number, percent
from cnnexplain.formulas.faithfulness import advantage, area, coarse, masks, order
from cnnexplain.formulas.infidelity import infidelity
from cnnexplain.formulas.perturbation import averaged, blurred, replaced
from cnnexplain.formulas.ranks import rank_correlation
from cnnexplain.formulas.references import centred, edges

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.commands._noisy import NoisyCopies
    from cnnexplain.commands._randomised import Maps
    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.prediction import Prediction
    from cnnexplain.core.results.map import Heatmap
    from cnnexplain.engine.model import Model

VARIES = 1e-6  # of a map's largest value: one that varies less puts no cell before another
LITTLE = 0.05  # of probability: areas say little where replacing everything costs less


def compared(
    model: Model,
    image: Batch,
    maps: Sequence[Heatmap],
    index: Tensor,
    prediction: Prediction,
    *,
    score: str,
    cells: int,
    steps: int,
    orders: int,
    redrawn: Sequence[Maps] = (),
    noisy: Iterator[list[Maps]] | None = None,
    copies: NoisyCopies | None = None,
    with_road: bool = False,
    cascaded: Sequence[tuple[int, Maps]] = (),
) -> MethodComparison:
    """The maps of one class of an image, each with its scores, beside the references.

    Args:
        model: The model. Called inside `borrowed()`.
        image: The image, as a batch of one.
        maps: All maps of the image; those of other classes are left out.
        index: The class (1,).
        prediction: The same for people.
        score: What falls and rises, `probability` or `logit`.
        cells: Cells along each side that are deleted at once.
        steps: Points of a curve between its ends.
        orders: Random orders.
        redrawn: The same maps after the classifier was drawn anew, once for each draw.
        noisy: The same maps of noisy copies of the image, some at a time.
        copies: How many of these are enough.
        cascaded: The same maps while more and more layers are drawn anew, with how many there are.
        with_road: Whether cells are also removed without a trace, as ROAD does.

    Raises:
        ImageError: A score of a perturbed copy is not finite.
    """
    import torch

    maps = [one for one in maps if not one.of_class or one.target.index == prediction.index]
    laid = [on_input(heatmap, image) for heatmap in maps]
    grids = [on_cells(values, cells) for values in laid]
    why = [_unusable(grid) for grid in grids]
    edge_grid = coarse(edges(image.inputs.cpu()), cells)[0]
    shape = (edge_grid.shape[0], edge_grid.shape[1])
    candidates = {EDGES: edge_grid, CENTRE: centred(*shape)}
    for place, (values, grid) in enumerate(zip(laid, grids, strict=True)):
        if values is not None and grid is not None and not why[place]:
            candidates[f"map {place}"] = grid
            candidates[f"blurred {place}"] = coarse(blurred(values[None, None])[0], cells)[0]
    shares = tuple((step + 1) / (steps + 1) for step in range(steps))

    generator = torch.Generator().manual_seed(model.seed)
    marked = [order(grid[None])[0] for grid in candidates.values()]
    marked += [torch.randperm(shape[0] * shape[1], generator=generator) for _ in range(orders)]
    both_ways = [*marked, *(cells_in_order.flip(0) for cells_in_order in marked)]
    curves = _curves(model, image, both_ways, shape, shares, index, score)
    deleted, inserted = curves[: len(marked)], curves[len(marked) :].flip(1)
    # An order backwards is as random as the order.
    random = torch.cat((deleted[len(candidates) :], inserted[len(candidates) :].flip(1)))
    chance = [*both_ways[len(candidates) : len(marked)], *both_ways[len(marked) + len(candidates) :]]
    taken, drops = _beyond_the_mean(chance, random, shape, shares)
    scores = {
        name: replace(
            _scores(deleted[place], inserted[place], random.mean(0), shares),
            infidelity=_finite(infidelity(taken, grid.flatten(), drops, scaled=True)),
        )
        for place, (name, grid) in enumerate(candidates.items())
    }
    if with_road:
        of_each = road(model, image, marked[: len(candidates)], shape, shares, index, score)
        scores = {
            name: replace(scores[name], road=value) for name, value in zip(candidates, of_each, strict=True)
        }
    flat = [torch.zeros(shape) if grid is None else grid for grid in grids]
    noise = [] if noisy is None or copies is None else copies.scores(maps, flat, noisy, image, cells)
    detail = _detail(curves[0], score, shape, orders)
    if copies is not None and noise:
        detail = replace(detail, remarks=(*detail.remarks, copies.remark(noise)))
    return MethodComparison(
        target=prediction,
        score=score,
        cells=shape,
        shares=(0.0, *shares, 1.0),
        maps=tuple(
            ComparedMap(
                heatmap,
                scores.get(f"map {place}"),
                scores.get(f"blurred {place}"),
                rank_correlation(flat[place].numpy(), edge_grid.numpy()),
                why[place],
                _randomised(heatmap, flat[place], redrawn, image, cells),
                noise[place] if noise else None,
                tuple(
                    (count, _alike(heatmap, flat[place], other, image, cells)) for count, other in cascaded
                ),
            )
            for place, heatmap in enumerate(maps)
        ),
        references={RANDOM: _of_random(random, shares), EDGES: scores[EDGES], CENTRE: scores[CENTRE]},
        agreement=torch.tensor(
            [[rank_correlation(a.numpy(), b.numpy()) for b in flat] for a in flat], dtype=torch.float64
        ).numpy(),
        grids=torch.stack(flat).numpy(),
        random=(tuple(random.amin(0).tolist()), tuple(random.amax(0).tolist())),
        detail=detail,
    )


def _beyond_the_mean(
    orders: Sequence[Tensor], curves: Tensor, shape: tuple[int, int], shares: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Which cells are deleted in random orders (copies, cells), and the score's drops (copies,).

    Both less their mean over the copies with as many cells deleted: that more deleted cells cost more, any map knows.
    """
    import torch

    taken = torch.stack(
        [masks(cells, shape, shares).flatten(1) for cells in orders]
    )  # (orders, shares, cells)
    drops = curves[:, :1] - curves[:, 1:-1]
    return (taken - taken.mean(0)).flatten(0, 1), (drops - drops.mean(0)).flatten()


def _randomised(
    heatmap: Heatmap, grid: Tensor, redrawn: Sequence[Maps], image: Batch, cells: int
) -> float | None:
    """The mean rank correlation with the maps after the classifier was drawn anew; NaN where there is none."""
    if not redrawn:
        return None
    alike = [_alike(heatmap, grid, maps, image, cells) for maps in redrawn]
    known = [value for value in alike if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _alike(heatmap: Heatmap, grid: Tensor, maps: Maps, image: Batch, cells: int) -> float:
    """The rank correlation with what another run made of a map; NaN where it made nothing, or nothing that varies."""
    other = again_on_cells(heatmap, maps, image, cells)
    return math.nan if other is None else rank_correlation(grid.numpy(), other.numpy())


def _finite(value: Tensor) -> float | None:
    return float(value) if bool(value.isfinite()) else None


def _unusable(grid: Tensor | None) -> str:
    """Why a map on the cells cannot be scored; empty where it can."""
    if grid is None:
        return "not laid back on the image"
    spread = float(grid.max() - grid.min())
    return "" if spread > VARIES * float(grid.abs().max()) else "the same everywhere"


def _curves(
    model: Model,
    image: Batch,
    orders: Sequence[Tensor],
    shape: tuple[int, int],
    shares: Sequence[float],
    index: Tensor,
    score: str,
) -> Tensor:
    """The score while cells are replaced in each of the orders, (K, shares + 2), on the CPU; both ends included."""
    import torch

    inputs = image.inputs
    other = averaged(inputs)
    deleted = torch.cat([masks(cells, shape, shares) for cells in orders])
    whole = torch.stack((torch.zeros(shape), torch.ones(shape)))
    deleted = torch.cat((whole, deleted)).to(inputs.device)

    values = class_values(
        model,
        inputs,
        len(deleted),
        lambda rows: replaced(inputs[0], other[0], deleted[rows.start : rows.stop]),
        index,
        score,
    )
    between = values[2:].reshape(len(orders), len(shares))
    return torch.cat((values[:1].expand(len(orders), 1), between, values[1:2].expand(len(orders), 1)), 1)


def _scores(deleted: Tensor, inserted: Tensor, random: Tensor, shares: Sequence[float]) -> CurveScores:
    worse, better = advantage(deleted, inserted, random, shares)
    return CurveScores(
        tuple(deleted.tolist()),
        tuple(inserted.tolist()),
        float(area(deleted, shares)),
        float(area(inserted, shares)),
        float((worse + better) / 2),
    )


def _of_random(random: Tensor, shares: Sequence[float]) -> CurveScores:
    """The mean and the spread of random orders (K, points), of which the second half are the first ones backwards."""
    mean, areas = random.mean(0), area(random, shares)
    once, backwards = areas.chunk(2)
    middle = float(areas.mean())
    # What an order inserts is what its opposite leaves when it deletes.
    spread = float(((backwards - once) / 2).std())
    return CurveScores(tuple(mean.tolist()), tuple(mean.flip(0).tolist()), middle, middle, 0.0, spread)


def _detail(curve: Tensor, score: str, shape: tuple[int, int], orders: int) -> Detail:
    whole, empty = float(curve[0]), float(curve[-1])
    amount = percent if score == "probability" else number
    remarks = [
        f"{shape[0]}×{shape[1]} cells are replaced by what is left of the image when all but the means of 4×4 cells is "
        f"taken away: the {score} falls from {amount(whole)} to {amount(empty)}. Random: {orders} orders."
    ]
    if score == "probability" and whole - empty < LITTLE:
        remarks.append(
            "Replacing everything hardly lowers the probability: these areas say little of this image."
        )
    return Detail(remarks=tuple(remarks))
