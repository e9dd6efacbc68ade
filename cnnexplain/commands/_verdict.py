"""Whether a map can be believed: does it mark what the score hangs on, and does it depend on the class?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cnnexplain.commands._belief import ROUNDING, Places, belief
from cnnexplain.commands._laid import on_input
from cnnexplain.core.choice import Choice
from cnnexplain.core.results.map import PIXELS, SIGNLESS, Heatmap
from cnnexplain.errors import ForwardError
from cnnexplain.formulas.faithfulness import coarse, masks, order
from cnnexplain.formulas.perturbation import averaged, replaced
from cnnexplain.formulas.ranks import rank_correlation
from cnnexplain.formulas.references import edges

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.prediction import Prediction
    from cnnexplain.core.results import Result
    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model
    from cnnexplain.engine.tail import Tail

CELLS = 8  # along each side that are deleted at once, at most
FEWEST = 9  # cells of a layer's map; where there are fewer, parts of the image are deleted
SHARES = (0.25, 0.5)  # of the cells
ORDERS = 6  # random ones
COMPARED = 28  # cells along each side on which two maps are compared, at most
UNDECIDED = 0.98  # of the largest entropy: the model prefers no class
MIXED = -2  # the index of the mixture, which is no class

Classes = tuple["Prediction | None", ...]  # of every image, for people


@dataclass(eq=False)
class Judge:
    """Judges the maps of one batch. Use it inside `borrowed()`.

    Attributes:
        model: The model.
        tail: What follows the last map before pooling; None where parts of the image itself are deleted.
        maps: That map (N, C, h, w), once a forward was watched.
    """

    model: Model
    tail: Tail | None
    maps: Tensor | None = None
    _random: dict[tuple[int, int], Tensor] = field(
        default_factory=dict
    )  # what random orders delete, by shape

    def forward(self, inputs: Tensor, *, to_input: bool = False) -> Tensor:
        """The scores (N, K) of a batch as `Model.forward` gives them, whose last map is kept."""
        if self.tail is None:
            return self.model.forward(inputs, to_input=to_input)
        with self.tail.watched() as maps:
            logits = self.model.forward(inputs, to_input=to_input)
        if len(maps) == 1 and maps[0].shape[2:].numel() >= FEWEST:
            (self.maps,) = maps
        return logits

    def with_mixture(
        self, targets: Sequence[Target], classes: Sequence[Classes], logits: Tensor
    ) -> tuple[list[Target], list[Classes]]:
        """The targets, and behind them the mixture that stands for a randomised classifier, where there is one.

        Beside them what they are for people; `judged` knows the maps of the mixture by the index `MIXED`.
        """
        from cnnexplain.engine.scoring.scores import mixture

        if (mixed := mixture(logits, targets, self.model.seed)) is None:
            return list(targets), list(classes)
        names = tuple(one and replace(one, index=MIXED) for one in classes[0])
        return [*targets, mixed], [*classes, names]

    def judged(
        self,
        batch: Batch,
        logits: Tensor,
        results: Sequence[Sequence[Result]],
        alike: Mapping[tuple[int, str, int], Heatmap] = {},
    ) -> list[tuple[Result, ...]]:
        """The results without the maps of the mixture, each other map with a verdict.

        Args:
            batch: The images.
            logits: Their scores (N, K).
            results: Those of every image.
            alike: By row, method and class what was made as the mixture's map was made, where that is not the map.
        """
        judged: list[tuple[Result, ...]] = []
        for row, of_image in enumerate(results):
            every = [one for one in of_image if isinstance(one, Heatmap)]
            mixed = {(one.method, one.layer): one for one in every if one.target.index == MIXED}
            maps = [one for one in every if one.target.index != MIXED]
            if row < len(batch) - batch.copies and bool(logits[row].isfinite().all()):
                places = self._places(batch.part(range(row, row + 1)), row, maps)
                undecided = self._undecided(logits[row : row + 1].detach())
                verdicts = [
                    belief(
                        place,
                        self._likeness(
                            one,
                            alike.get((row, one.method, one.target.index), one),
                            mixed.get((one.method, one.layer)),
                        ),
                        undecided,
                    )
                    for one, place in zip(maps, places, strict=True)
                ]
                maps = [replace(one, verdict=said) for one, said in zip(maps, verdicts, strict=True)]
            left = iter(maps)
            judged.append(
                tuple(
                    next(left) if isinstance(one, Heatmap) else one
                    for one in of_image
                    if not (isinstance(one, Heatmap) and one.target.index == MIXED)
                )
            )
        return judged

    def _places(self, image: Batch, row: int, maps: Sequence[Heatmap]) -> list[Places | str]:
        """Of each map how the score falls without what it marks; or in words why that is not known."""
        import torch

        size = (CELLS, CELLS) if self.maps is None else self.maps.shape[2:]
        shape = min(CELLS, size[0]), min(CELLS, size[1])
        grids = [_on_cells(heatmap, image, (int(size[0]), int(size[1])), shape) for heatmap in maps]
        why = [_unusable(grid) for grid in grids]
        usable = [grid for grid, reason in zip(grids, why, strict=True) if grid is not None and not reason]
        if not usable:
            return list(why)
        if shape not in self._random:
            generator = torch.Generator().manual_seed(self.model.seed)
            chance = [torch.randperm(shape[0] * shape[1], generator=generator) for _ in range(ORDERS)]
            self._random[shape] = _both_ways(chance, shape)
        of_edges = _pooled(edges(image.inputs.cpu())[0], shape)
        marked = _both_ways(order(torch.stack((of_edges, *usable))), shape)
        deleted = torch.cat((marked, self._random[shape]))
        try:
            scores = self._without(image, row, deleted)
        except ForwardError as error:  # it took the image as it is
            return [
                reason or f"without parts of the image the model fails: {error.problem}" for reason in why
            ]
        values: list[Places | str] = []
        place = 0
        for heatmap, reason in zip(maps, why, strict=True):
            if reason:
                values.append(reason)
                continue
            place += 1
            # Of a function there is one score: what speaks for it has the index 1, and a map without a class none.
            explained = heatmap.target.index if self.model.function is None else 1
            index = torch.tensor([explained], device=scores.device)
            of_class = self.model.score(scores, index.expand(len(scores))).float().cpu()
            most, least = of_class.reshape(-1, 2, len(SHARES)).mean(2).T
            falls = (least - most) / 2
            spread = float(falls[len(usable) + 1 :].square().mean().sqrt())
            where = PIXELS if self.tail is None or self.maps is None else self.tail.name
            own, score = where in (PIXELS, heatmap.layer), heatmap.target.logit
            values.append(Places(float(falls[place]), float(falls[0]), spread, score, where, own))
        return values

    def _without(self, image: Batch, row: int, deleted: Tensor) -> Tensor:
        """The scores (n, K) of an image without some of its cells (n, h, w)."""
        import torch
        import torch.nn.functional as F

        from cnnexplain.engine.streams import over

        model, device = self.model, image.inputs.device
        deleted = deleted.to(device)
        if self.tail is None or self.maps is None:
            other = averaged(image.inputs)

            def scores(own: Model, rows: range) -> Tensor:
                copies = replaced(image.inputs[0], other[0], deleted[rows.start : rows.stop])
                with torch.no_grad():
                    return own.forward(own.layout.of(copies))

            size = image.inputs.shape[2] * image.inputs.shape[3] / 224**2
            return torch.cat([part for _, part in over(model, len(deleted), scores, size)])
        own = self.maps[row : row + 1]

        def maps(rows: range) -> Tensor:
            gone = deleted[rows.start : rows.stop, None].to(own)
            kept = 1 - F.interpolate(gone, own.shape[2:], mode="nearest")
            mean = kept.flatten(1) @ own[0].flatten(1).T / kept.sum((2, 3))
            return torch.lerp(mean[:, :, None, None], own, kept)

        return self.tail.scores(model, len(deleted), maps, own.numel())

    def _likeness(self, heatmap: Heatmap, alike: Heatmap, mixed: Heatmap | None) -> tuple[str, float | None]:
        """How alike the map and that of the mixture are; or in words why that is not known."""
        if not heatmap.of_class:
            return "no class enters it", None
        if self.model.function is not None:
            return "a target that is no class has no classifier to randomise", None
        if mixed is None:
            return "there are too few classes to randomise the classifier", None
        value = rank_correlation(_compared(alike), _compared(mixed))
        if math.isnan(value):
            return "with the classifier randomised there is no map to compare", None
        return "", value

    def _undecided(self, logits: Tensor) -> bool:
        """Whether the model hardly prefers one class to others."""
        chances = None if self.model.function is not None else self.model.probabilities(logits)
        if chances is None or (logits.shape[1] > 1 and self.model.scoring.activation != "softmax"):
            return False
        entropy = -(chances * chances.clamp(min=1e-30).log()).sum()
        return float(entropy) >= UNDECIDED * math.log(chances.shape[1])


def _on_cells(heatmap: Heatmap, image: Batch, size: tuple[int, int], shape: tuple[int, int]) -> Tensor | None:
    """A map on the cells; None where its place is not known. One that has the size of the layer's as it is."""
    import torch

    if heatmap.values.shape == size and heatmap.geometry == image.geometry(0) and heatmap.placed:
        values = torch.from_numpy(heatmap.values).float()
        return _pooled(values.abs() if heatmap.scale in SIGNLESS else values, shape)
    laid = on_input(heatmap, image)
    return None if laid is None else _pooled(laid, shape)


def _both_ways(orders: Iterable[Tensor], shape: tuple[int, int]) -> Tensor:
    """What is deleted at each share of the cells, in each order and in its opposite, (orders * 2 * shares, h, w)."""
    import torch

    return torch.cat([masks(cells, shape, SHARES) for ahead in orders for cells in (ahead, ahead.flip(0))])


def _pooled(values: Tensor, shape: tuple[int, int]) -> Tensor:
    import torch.nn.functional as F

    return F.adaptive_avg_pool2d(values[None], shape)[0]


def _unusable(grid: Tensor | None) -> str:
    """Why a map on the cells puts none before another; empty where it does."""
    if grid is None:
        return "where on the image it lies is not known"
    spread = float(grid.max() - grid.min())
    return "" if spread > ROUNDING * float(grid.abs().max()) else "it is the same everywhere"


def _compared(heatmap: Heatmap) -> NDArray[np.float32]:
    """The values of a map that are compared with those of another one."""
    import torch

    values = torch.from_numpy(heatmap.values).float()
    values = values.abs() if heatmap.scale in SIGNLESS else values
    compared: NDArray[np.float32] = coarse(values[None], COMPARED)[0].numpy()
    return compared


def judge_of(model: Model, *, wanted: bool, in_image: bool = False) -> Judge | None:
    """What judges the maps of a batch; None where no verdict is wanted, which then costs nothing.

    With `in_image` parts of the image are deleted whatever the model is, for maps that take many passes themselves.
    """
    if not wanted:
        return None
    from cnnexplain.engine.tail import tail_of

    tail = "" if in_image else tail_of(model)
    return Judge(model, None if isinstance(tail, str) else tail)


def verdict_choices(model: Model, *, wanted: bool) -> tuple[Choice, ...]:
    """What a verdict deletes of a model's images, and why there; nothing where none is wanted."""
    if not wanted:
        return ()
    from cnnexplain.engine.tail import tail_of

    tail = tail_of(model)
    if isinstance(tail, str):
        return (Choice("verdict", "parts of the image are deleted", f"which takes many passes: {tail}"),)
    return (Choice("verdict", f"cells of {tail.name} are deleted", "what follows the last map costs little"),)
