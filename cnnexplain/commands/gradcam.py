"""Heat maps of where a class was found: Grad-CAM and its relatives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.commands import ImageCommand
from cnnexplain.commands._cams import CAMS, CLASS_FREE, FINER, GRADIENT_FREE, cam_detail, is_component
from cnnexplain.commands._channel_scores import SCORED, ChannelScores, channel_scores, require_placed
from cnnexplain.commands._finer import finer, require_classes
from cnnexplain.commands._fullgrad import FULLGRAD, fullgrad_maps, require_whole_maps
from cnnexplain.commands._maps import heatmaps, predicted, unlikely
from cnnexplain.commands._options import TargetOption, VerdictOption, settled_target
from cnnexplain.commands._runs import choices_of, detail_of, joined, with_unseen
from cnnexplain.commands._verdict import judge_of, verdict_choices
from cnnexplain.core.explanation import Answer
from cnnexplain.core.params import Param
from cnnexplain.core.target import TargetSpec, settled
from cnnexplain.engine.capabilities import Capability
from cnnexplain.errors import OptionError
from cnnexplain.formulas.layers import branch_shares

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.choice import Choice
    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.prediction import Prediction
    from cnnexplain.core.results import Detail, Result
    from cnnexplain.core.results.map import Heatmap
    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model

__all__ = ["GradCAM"]

# Of every map the gradient (N, C, h, w), None where nothing depends on it, and its share among branches (N,).
Way = tuple[Sequence["Tensor | None"], "Sequence[Tensor] | None"]


@dataclass(frozen=True)
class GradCAM(ImageCommand):
    """Heat map of where the chosen class was found (Grad-CAM, Selvaraju et al. 2017, and its relatives).

    The maps are signed: what is positive speaks for the class, what is negative against it. The papers'
    final rectification is left to the picture. Those of eigencam and eigengradcam have a sign that is arbitrary.
    finercam explains what sets the class apart from the three whose scores are the nearest. fullgrad is of no layer but
    of the picture and all biases, and has no sign.

    ablationcam and scorecam need no gradient, and ask the model once for every channel of the layer: ablationcam with
    the channel set to zero, scorecam with the channel as a mask of the picture.
    """

    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain gradcam bundled:efficientnet_lite0 cat.jpg",
        "cnnexplain gradcam resnet50 photos/ --target top3 -o out",
        "cnnexplain gradcam net.pth --arch resnet18 --labels names.txt photos/ -m gradcam,layercam",
    )

    method: Annotated[
        tuple[str, ...],
        Param(
            "Formula; several share one pass through the model.",
            ("-m", "--method"),
            metavar="NAME",
            choices=(*CAMS, *SCORED, FULLGRAD),
            split=True,
        ),
    ] = ("gradcam",)
    layer: Annotated[
        tuple[str, ...],
        Param(
            "Layer to explain; may be repeated. Of one that runs several times every run, or with `NAME #2` that one. "
            "Left out, the last map before pooling is taken, or that of every branch where only they together decide.",
            ("-l", "--layer"),
            metavar="NAME",
        ),
    ] = ()
    target: TargetOption = "top"
    channels: Annotated[
        str,
        Param(
            "Channels that scorecam asks for: until estimates of the rest could hardly turn the map, or all.",
            metavar="WHICH",
            choices=("energy", "all"),
            of=("scorecam",),
        ),
    ] = "energy"
    verdict: VerdictOption = False
    branches: bool = (
        False  # whether the layers are the ends of parallel branches, chosen since none was named
    )

    @property
    def seeded(self) -> bool:
        """Whether anything is drawn: what a verdict holds maps against."""
        return self.verdict

    @property
    def needs(self) -> frozenset[Capability]:
        """Scores, and layers and gradients where a formula has them."""
        needs = frozenset({Capability.SCORES}) | ({Capability.LAYERS} if self._of_layers else frozenset())
        return needs if GRADIENT_FREE.issuperset(self.method) else needs | {Capability.GRADIENTS}

    @property
    def _of_layers(self) -> bool:
        return self.method != (FULLGRAD,)

    def bind(self, model: Model) -> tuple[GradCAM, tuple[Choice, ...]]:
        """Settle the layers and check the class."""
        target, choices = settled_target(model, self.target)
        if self.layer and not self._of_layers:
            raise OptionError(
                f"--layer {', '.join(self.layer)} has no use here: fullgrad explains pixels, not a layer",
                "leave --layer out (or the setting of that name), or add -m gradcam",
            )
        layer = tuple(dict.fromkeys(map(model.find_layer, self.layer)))
        model.runs.require_maps(layer)
        branches = False
        if not layer and self._of_layers:
            layer, choice = model.runs.choose()
            choices += (choice,)
            branches = len(layer) > 1
        choices += tuple(choices_of(model, layer))
        require_placed(model, self.method, layer)
        if FINER in self.method:
            require_classes(model)
        if FULLGRAD in self.method:
            require_whole_maps(model, self.method)
        choices += verdict_choices(model, wanted=self.verdict)
        return replace(self, layer=layer, target=target.words, branches=branches), choices

    def explain(self, model: Model, batch: Batch) -> Answer:
        """One forward for all, and one backward per class, whatever the number of formulas and layers.

        Formulas that ask for scores have forwards of their own, and so has FullGrad, which is of no layer.
        """
        judge = judge_of(model, wanted=self.verdict)
        with model.capture(*self.layer) as captured:
            logits = (judge or model).forward(batch.inputs.clone())
        targets = model.targets(settled(self.target), logits, batch.expected)
        classes = predicted(model, logits, targets)
        notes = {} if CLASS_FREE.issuperset(self.method) else unlikely(model, logits, targets)
        if judge is not None:
            targets, classes = judge.with_mixture(targets, classes, logits)
        changed = channel_scores(
            model, batch, self.method, captured, targets, logits, every=self.channels == "all"
        )
        results = self._results(model, batch, logits, captured, targets, classes, changed)
        if FULLGRAD in self.method:
            for row, rank, heatmap in fullgrad_maps(model, batch, self.target, judge):
                results[row].append((_place(rank, None), heatmap))
        shown: Sequence[Sequence[Result]] = [
            [heatmap for _, heatmap in sorted(of_picture, key=lambda pair: pair[0])]
            if row not in changed.problems
            else []
            for row, of_picture in enumerate(results)
        ]
        if judge is not None:
            shown = judge.judged(batch, logits, shown)
        return Answer(logits.detach().cpu(), tuple(map(tuple, shown)), changed.problems, notes)

    def _results(
        self,
        model: Model,
        batch: Batch,
        logits: Tensor,
        captured: Mapping[str, Tensor],
        targets: Sequence[Target],
        classes: Sequence[tuple[Prediction | None, ...]],
        changed: ChannelScores,
    ) -> list[list[tuple[tuple[float, ...], Heatmap]]]:
        """The maps of the layers of every picture, each with its place among them."""
        best: Sequence[Prediction | None] = ()
        if not CLASS_FREE.isdisjoint(self.method):
            (best,) = predicted(model, logits, model.targets(TargetSpec(), logits))
        unseen = model.runs.unseen_of(self.layer)
        details = {run: detail_of(model, run) for run in captured}
        goal = "the class" if model.function is None else "the target"
        results: list[list[tuple[tuple[float, ...], Heatmap]]] = [[] for _ in range(len(batch))]
        for rank, target in enumerate(targets):
            formulas = [
                name for name in self.method if name != FULLGRAD and (rank == 0 or name not in CLASS_FREE)
            ]
            ways, finer_details = self._ways(
                model, logits, target, captured, formulas, last=rank == len(targets) - 1
            )
            for place, (run, a) in enumerate(captured.items()):
                for name in formulas:
                    gradients, shares = ways[name]
                    if (g := gradients[place]) is None:
                        continue  # a run that the classes do not depend on
                    of_class = name not in CLASS_FREE
                    share = _each(None if shares is None else shares[place], len(a))
                    map_details = [cam_detail(details[run], name, part, goal) for part in share]
                    if name == FINER:
                        map_details = list(map(joined, map_details, finer_details))
                    if name in SCORED:
                        map_details = changed.details(name, run, rank, map_details)
                        values = changed.maps(name, run, rank, a.detach().float(), target.score)
                    else:
                        values = CAMS[name].formula(a.detach().float(), g)
                    if name not in GRADIENT_FREE and unseen:
                        map_details = [
                            with_unseen(detail, index in unseen, goal)
                            for detail, index in zip(map_details, target.index.tolist(), strict=True)
                        ]
                    maps_of_run = heatmaps(
                        batch,
                        name,
                        run,
                        classes[rank] if of_class else _class_beside(classes[rank], best),
                        values.float().cpu(),
                        of_class=of_class,
                        scale="component" if is_component(name) else "evidence",
                        details=map_details,
                        laying=model.runs.laying(run),
                    )
                    for of_picture, part, heatmap in zip(results, share, maps_of_run, strict=True):
                        if heatmap is not None:
                            of_picture.append((_place(rank, part), heatmap))
        return results

    def _ways(
        self,
        model: Model,
        logits: Tensor,
        target: Target,
        captured: Mapping[str, Tensor],
        formulas: Sequence[str],
        *,
        last: bool,
    ) -> tuple[dict[str, Way], Sequence[Detail]]:
        """What each formula is given beside the maps; and what is to be said of Finer-CAM's."""
        maps = list(captured.values())
        ways: dict[str, Way] = dict.fromkeys(formulas, (maps, None))  # those without a gradient use none
        details: Sequence[Detail] = ()
        scores: list[tuple[list[str], Tensor]] = []
        if plain := [name for name in formulas if name not in GRADIENT_FREE and name != FINER]:
            scores.append((plain, target.score))
        if FINER in formulas:
            score, details = finer(model, logits, target)
            scores.append(([FINER], score))
        for left, (names, score) in zip(reversed(range(len(scores))), scores, strict=True):
            gradients = self._gradients(model, score, captured, last=last and not left)
            shares = branch_shares(maps, gradients) if self.branches else None
            ways |= dict.fromkeys(names, (gradients, shares))
        return ways, details

    def _gradients(
        self, model: Model, score: Tensor, captured: Mapping[str, Tensor], *, last: bool
    ) -> list[Tensor | None]:
        """The gradient of every map; None for a run that the class does not depend on, if its layer has others."""
        gradients = model.gradients(score, list(captured.values()), keep_graph=not last)
        dependent = {
            run.partition(" #")[0]
            for run, gradient in zip(captured, gradients, strict=True)
            if gradient is not None
        }
        if any(run.partition(" #")[0] not in dependent for run in captured):
            raise model.runs.independent()
        return gradients


def _class_beside(
    classes: Sequence[Prediction | None], best: Sequence[Prediction | None]
) -> list[Prediction | None]:
    """For a map that no class enters: the class that is explained beside it, or else the best one."""
    return [
        best_class if target is None else target for target, best_class in zip(classes, best, strict=True)
    ]


def _place(rank: int, share: float | None) -> tuple[float, ...]:
    """Where a map stands among those of its picture: of parallel branches what counts most comes first."""
    # Rounded: of equal branches the order must not hang on the last digits.
    return rank, 0.0 if share is None or math.isnan(share) else -round(share, 2)


def _each(share: Tensor | None, pictures: int) -> Sequence[float | None]:
    return [None] * pictures if share is None else share.tolist()
