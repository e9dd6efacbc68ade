"""Class activation maps that ask the model for scores, one for every channel: Ablation-CAM and Score-CAM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnexplain.commands._runs import joined
from cnnexplain.core.results import Detail
from cnnexplain.core.words import number, percent
from cnnexplain.errors import ImageError, LayerError
from cnnexplain.formulas.channels import (
    ablation_scale,
    ablationcam,
    channel_masks,
    scorecam,
    scorecam_bound,
)

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model
    from cnnexplain.engine.perturb.scores import Perturbed

AT_ONCE = 32  # channels of scorecam, between which it is asked whether they suffice
LEFT = 0.05  # of the map's range: what the channels that scorecam leaves out may change


@dataclass(frozen=True, eq=False)
class Asked:
    """One image and one run of a layer, for whose channels scores are asked.

    Attributes:
        perturbed: The model, which is asked for variants of the image.
        run: The run of the layer.
        a: Its map (C, h, w).
        logits: The scores (1, K) of the image as it is.
        targets: What is explained of the batch.
        row: The image's row in it.
        every: Whether every channel is to be asked for.
    """

    perturbed: Perturbed
    run: str
    a: Tensor
    logits: Tensor
    targets: Sequence[Target]
    row: int
    every: bool

    def of_classes(self, scores: Tensor) -> Tensor:
        """The scores (R, n) of the classes, of those of all classes (n, K)."""
        import torch

        from cnnexplain.engine.scoring.scores import score_of

        broken = (~scores.isfinite()).any(1)
        if bool(broken.any()):
            raise ImageError(
                f"with {self.run} changed, the model's scores are not finite for {int(broken.sum())} of its channels",
                "look for the layer with cnnexplain check MODEL --only finite, or leave scorecam and ablationcam out",
            )
        scores = self.perturbed.model.require_count(scores)
        rows = torch.full((len(scores),), self.row, device=scores.device)
        return torch.stack([score_of(scores, target, rows) for target in self.targets]).cpu()


def _ablated(asked: Asked) -> Tensor:
    from cnnexplain.engine.perturb.channels import without_channels

    shape = asked.a.shape[0], asked.a.shape[1], asked.a.shape[2]
    return asked.of_classes(without_channels(asked.perturbed, asked.run, shape, asked.logits[0]))


def _masked(asked: Asked) -> Tensor:
    """The scores (R, C) under the channels' masks, the strongest first; minus infinity for those left out."""
    import torch

    image, a = asked.perturbed.image, asked.a
    laying = asked.perturbed.model.runs.laying(asked.run)
    uneven = (a.amax((1, 2)) > a.amin((1, 2))).cpu()
    order = a.flatten(1).norm(dim=1).cpu().argsort(descending=True, stable=True)
    order = order[uneven[order]]
    scores = torch.full((len(asked.targets), len(a)), -torch.inf)
    shown = [target.weights is None for target in asked.targets]  # what is judged must not change a map
    for part in order.split(AT_ONCE) if len(order) else ():
        masks = _laid(laying.upright(a[part.to(a.device)]), laying.box(), image.shape[2:])
        scores[:, part] = asked.of_classes(asked.perturbed.blends(torch.zeros_like(image), masks))
        if not asked.every and bool((_bounds(a, scores[shown]) <= LEFT).all()):
            break
    return scores


def _laid(a: Tensor, box: tuple[float, float, float, float], size: Sequence[int]) -> Tensor:
    """The masks (C, H, W) of channels (C, h, w) that lie on a part of the image, or beyond it; zero around that."""
    height, width = size
    left, top, right, bottom = (
        round(edge * side) for edge, side in zip(box, (width, height) * 2, strict=True)
    )
    made = channel_masks(a, (max(1, bottom - top), max(1, right - left)))
    if (left, top, right, bottom) == (0, 0, width, height):
        return made
    whole = made.new_zeros((len(made), height, width))
    within = made[:, max(0, -top) : height - top, max(0, -left) : width - left]
    top, left = max(0, top), max(0, left)
    whole[:, top : top + within.shape[1], left : left + within.shape[2]] = within
    return whole


def _bounds(a: Tensor, scores: Tensor) -> Tensor:
    """What the channels that were left out may change, (R,), as a share of the range of each map."""
    return scorecam_bound(a.cpu().expand(len(scores), *a.shape), scores)


def _scorecam(a: Tensor, _score: Tensor, scores: Tensor) -> Tensor:
    without_any = scores.isneginf().all(1)[:, None, None]
    return scorecam(a, scores).masked_fill(without_any, 0)


def _of_ablation(asked: Asked, score: Tensor, changed: Tensor) -> Detail:
    scale = float(ablation_scale(score[None], changed[None]))
    facts: dict[str, Any] = {"score": float(score), "divided_by": scale}
    remarks = []
    if scale > abs(facts["score"]):
        remarks.append(f"The score is near zero: the drops are divided by {number(scale)} in its place.")
    elif facts["score"] < 0:
        remarks.append("The score is negative: the drops are divided by its size.")
    if asked.perturbed.reason:
        facts["why_whole"] = asked.perturbed.reason
    return Detail({"ablationcam": facts}, tuple(remarks))


def _of_masks(asked: Asked, _score: Tensor, changed: Tensor) -> Detail:
    constant = int((asked.a.amax((1, 2)) <= asked.a.amin((1, 2))).sum())
    count, total = int((~changed.isneginf()).sum()), len(changed)
    facts: dict[str, Any] = {"channels": count, "of": total, "constant": constant}
    remarks = []
    if not count:
        return Detail({"scorecam": facts}, ("Every channel is the same everywhere, and masks nothing.",))
    if constant:
        remarks.append(
            f"{constant:,} of {total:,} channels are the same everywhere and make no mask; they are left out."
        )
    if count + constant < total:
        bound = float(_bounds(asked.a, changed[None])[0])
        facts["bound"] = bound
        remarks.append(
            f"{count:,} of {total:,} channels, the strongest; if none of the others scores higher than the best of "
            f"these, they change no cell by more than {percent(bound)} of the map's range."
        )
    return Detail({"scorecam": facts}, tuple(remarks))


@dataclass(frozen=True)
class Scored:
    """A formula of maps and scores.

    Attributes:
        formula: From maps (N, C, h, w), scores (N,) of the class, and scores (N, C) of changed images to (N, h, w).
        ask: Gives those scores of a picture, (R, C) for R classes.
        detail: What is recorded and said, of a score () and those of changed images (C,).
        placed: Whether it has to be known where on the image the map lies.
    """

    formula: Callable[[Tensor, Tensor, Tensor], Tensor]
    ask: Callable[[Asked], Tensor]
    detail: Callable[[Asked, Tensor, Tensor], Detail]
    placed: bool = False


SCORED = {
    "ablationcam": Scored(ablationcam, _ablated, _of_ablation),
    "scorecam": Scored(_scorecam, _masked, _of_masks, placed=True),
}


def require_placed(model: Model, methods: Sequence[str], layers: Sequence[str]) -> None:
    """Raise `LayerError` where a formula needs to know where a layer's map lies, and that is not known."""
    for name in methods:
        if name not in SCORED or not SCORED[name].placed:
            continue
        for run in (run for layer in layers for run in model.runs.with_maps(layer)):
            if lost := model.runs.laying(run).lost:
                others = ",".join(other for other in methods if other != name) or "ablationcam"
                raise LayerError(
                    f"{name} lays the channels of {run} on the picture, and where they lie is not known: {lost}",
                    f"name a layer before that, or leave {name} out: -m {others}",
                )


Answers = Mapping[
    tuple[str, str], tuple["Tensor", Sequence[Detail]]
]  # scores (R, C), and what is said by class


@dataclass(frozen=True, eq=False)
class ChannelScores:
    """What the formulas that ask for scores were answered.

    Attributes:
        rows: Of every picture the answers by formula and run; None where there are none.
        problems: By row, why there are none.
    """

    rows: Sequence[Answers | None]
    problems: Mapping[int, ImageError]

    def maps(self, name: str, run: str, rank: int, a: Tensor, score: Tensor) -> Tensor:
        """The maps (N, h, w) of a formula, of those of a run (N, C, h, w) and the scores (N,) of a class."""
        import torch

        none = torch.zeros(a.shape[1])
        changed = [none if row is None else row[name, run][0][rank] for row in self.rows]
        return SCORED[name].formula(a, score.detach().float(), torch.stack(changed).to(a.device))

    def details(self, name: str, run: str, rank: int, details: Sequence[Detail]) -> list[Detail]:
        """What is to be said of the maps, after what `details` say."""
        return [
            detail if row is None else joined(detail, row[name, run][1][rank])
            for row, detail in zip(self.rows, details, strict=True)
        ]


def channel_scores(
    model: Model,
    batch: Batch,
    methods: Sequence[str],
    captured: Mapping[str, Tensor],
    targets: Sequence[Target],
    logits: Tensor,
    *,
    every: bool,
) -> ChannelScores:
    """Ask the model for the scores of every picture with changed channels, as far as one of the formulas needs them."""
    from cnnexplain.engine.perturb.scores import Perturbed

    methods = [name for name in methods if name in SCORED]
    rows: list[Answers | None] = []
    problems: dict[int, ImageError] = {}
    for row in range(len(batch) if methods else 0):
        here = slice(row, row + 1)
        if row >= len(batch) - batch.copies or not bool(logits[row].isfinite().all()):
            rows.append(None)
            continue
        perturbed = Perturbed(model, model.layout.of(batch.inputs[here]))
        of_row: dict[tuple[str, str], tuple[Tensor, Sequence[Detail]]] = {}
        try:
            for run, maps in captured.items():
                asked = Asked(
                    perturbed, run, maps[row].detach().float(), logits[here].detach(), targets, row, every
                )
                for name in methods:
                    changed = SCORED[name].ask(asked)
                    scores = [target.score[row].detach().float().cpu() for target in targets]
                    said = [SCORED[name].detail(asked, *pair) for pair in zip(scores, changed, strict=True)]
                    of_row[name, run] = changed, said
        except ImageError as error:
            problems[row] = error
        rows.append(None if row in problems else of_row)
    return ChannelScores(rows, problems)
