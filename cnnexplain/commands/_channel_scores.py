"""Class activation maps that ask the model for scores, one for every channel: Ablation-CAM and Score-CAM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnexplain.commands._asked import Asked, Changed
from cnnexplain.commands._runs import joined
from cnnexplain.commands._scorecam import masked, scorecam_detail, scorecam_maps
from cnnexplain.core.results import Detail
from cnnexplain.core.words import number
from cnnexplain.errors import ImageError, LayerError
from cnnexplain.formulas.channels import ablation_scale, ablationcam

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model


def _ablated(asked: Asked) -> Changed:
    from cnnexplain.engine.perturb.channels import without_channels

    shape = asked.a.shape[0], asked.a.shape[1], asked.a.shape[2]
    return Changed(asked.of_classes(without_channels(asked.perturbed, asked.run, shape, asked.logits[0])))


def _of_ablation(asked: Asked, score: Tensor, changed: Changed, rank: int) -> Detail:
    scale = float(ablation_scale(score[None], changed.scores[rank, None]))
    facts: dict[str, Any] = {"score": float(score), "divided_by": scale}
    remarks = []
    if scale > abs(facts["score"]):
        remarks.append(f"The score is near zero: the drops are divided by {number(scale)} in its place.")
    elif facts["score"] < 0:
        remarks.append("The score is negative: the drops are divided by its size.")
    if asked.perturbed.reason:
        facts["why_whole"] = asked.perturbed.reason
    return Detail({"ablationcam": facts}, tuple(remarks))


@dataclass(frozen=True)
class Scored:
    """A formula of maps and scores.

    Attributes:
        formula: From maps (N, C, h, w), scores (N,) of the class, and scores (N, C) of changed images to (N, h, w).
        ask: Gives those scores of a picture, for R classes.
        detail: What is recorded and said, of a score (), those of changed images, and the class's place among the R.
        placed: Whether it has to be known where on the image the map lies.
    """

    formula: Callable[[Tensor, Tensor, Tensor], Tensor]
    ask: Callable[[Asked], Changed]
    detail: Callable[[Asked, Tensor, Changed, int], Detail]
    placed: bool = False


SCORED = {
    "ablationcam": Scored(ablationcam, _ablated, _of_ablation),
    "scorecam": Scored(scorecam_maps, masked, scorecam_detail, placed=True),
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
                    said = [
                        SCORED[name].detail(asked, score, changed, rank) for rank, score in enumerate(scores)
                    ]
                    of_row[name, run] = changed.scores, said
        except ImageError as error:
            problems[row] = error
        rows.append(None if row in problems else of_row)
    return ChannelScores(rows, problems)
