"""Maps of any methods side by side, each with scores, and with those of maps that know nothing of the model."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.commands import ImageCommand
from cnnexplain.commands._maps import predicted, unlikely
from cnnexplain.commands._methods import bound_commands, command_of
from cnnexplain.commands._noisy import MOST, TOLERANCE, NoisyCopies, noisy
from cnnexplain.commands._options import TargetOption, settled_target
from cnnexplain.core.choice import Choice
from cnnexplain.core.explanation import Answer
from cnnexplain.core.method_means import MethodMeans
from cnnexplain.core.params import Param
from cnnexplain.core.reduce import Reducer
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.target import settled
from cnnexplain.errors import ImageError, OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.prediction import Prediction
    from cnnexplain.core.results import Result
    from cnnexplain.core.results.comparison import MethodComparison
    from cnnexplain.engine.model import Model

__all__ = ["Compare"]


@dataclass(frozen=True)
class Compare(ImageCommand):
    """Maps of any methods side by side, each with scores, and beside them those of maps that know nothing.

    Of every map of the first class it is measured how soon the score falls when what it marks is deleted, and how soon
    it is back when that is inserted. The same is done for random orders, an edge detector, the centre, and a blurred
    copy of each map: a map that is no better than those says nothing of the model.
    """

    seeded: ClassVar[bool] = True
    image_by_image: ClassVar[bool] = True
    reducers: ClassVar[tuple[type[Reducer], ...]] = (MethodMeans,)
    unused: ClassVar[frozenset[str]] = frozenset({"scale"})
    worded: ClassVar[bool] = True
    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain compare bundled:efficientnet_lite0 cat.jpg",
        "cnnexplain compare resnet50 photos/ -m gradcam,layercam,integrated-gradients,guided-backprop -o out",
        "cnnexplain compare resnet50 cat.jpg -m gradcam,sliding --score logit --cells 14",
    )

    method: Annotated[
        tuple[str, ...],
        Param(
            "Methods of gradcam, saliency, occlusion or any other command that makes maps; "
            "COMMAND:METHOD where several have one of that name.",
            ("-m", "--method"),
            metavar="NAME",
            split=True,
        ),
    ] = ("gradcam", "integrated-gradients", "sliding")
    target: TargetOption = "top"
    layer: Annotated[
        tuple[str, ...],
        Param(
            "Layer, for the methods that explain one; may be repeated. Left out, each command chooses.",
            ("-l", "--layer"),
            metavar="NAME",
        ),
    ] = ()
    score: Annotated[
        str | None,
        Param(
            "What falls and rises: the class's probability, or its score. Left out, the probability where there is "
            "one.",
            choices=("probability", "logit"),
        ),
    ] = None
    scores: Annotated[
        tuple[str, ...],
        Param(
            "Scores beside the curves: randomisation of the classifier (each method is carried out twice more), layers "
            "(of more and more layers until all are drawn anew, five times more), noise (eight times more, or "
            "more often), road (cells are removed without a trace); curves for those alone.",
            choices=("curves", "randomisation", "layers", "noise", "road"),
            metavar="NAME",
            split=True,
        ),
    ] = ("curves", "randomisation")
    cells: Annotated[
        int, Param("Cells along each side of the image that are deleted at once.", min=2, max=64, metavar="N")
    ] = 8
    points: Annotated[int, Param("Points of a curve, both ends left out.", min=1, max=200, metavar="N")] = 9
    orders: Annotated[
        int, Param("Random orders of the cells that maps are held against.", min=2, max=100, metavar="N")
    ] = 8
    samples: Annotated[
        int | None,
        Param(
            f"Noisy copies for the score noise; with --tolerance, at most so many. Left out, at most {MOST}.",
            min=2,
            max=10_000,
            metavar="N",
        ),
    ] = None
    tolerance: Annotated[
        str | None,
        Param(
            "Standard error of a map's mean change by noise at which copies suffice, as a share of it; "
            f"{TOLERANCE} where --samples is left out as well.",
            metavar="PERCENT",
        ),
    ] = None
    commands: tuple[ImageCommand, ...] = ()  # that carry the methods out, bound

    def __post_init__(self) -> None:
        """See that every method is one, before a model is loaded.

        Raises:
            OptionError: A method is not known, or has to be told from another command's; or copies are counted that
                nobody makes.
        """
        for method in self.method:
            command_of(method)
        NoisyCopies.of(self.samples, self.tolerance)
        counted = (
            "--samples" if self.samples is not None else "--tolerance" if self.tolerance is not None else ""
        )
        if counted and "noise" not in self.scores:
            raise OptionError(
                f"{counted} has no use here: only the score noise takes copies",
                f"leave {counted} out, or add --scores curves,noise",
            )

    def bind(self, model: Model) -> tuple[Compare, tuple[Choice, ...]]:
        """Settle the class and what is compared, and bind the commands that have the methods."""
        target, choices = settled_target(model, self.target)
        no_chances = model.function is not None or model.scoring.activation == "none"
        if self.score == "probability" and no_chances:
            raise OptionError(
                "--score probability asks for probabilities, and there are none here",
                "leave --score out, or give --score logit",
            )
        score = self.score or ("logit" if no_chances else "probability")
        commands, chosen = bound_commands(model, self.method, self.layer, self.target)
        choices += tuple(choice for choice in chosen if choice not in choices)
        return replace(self, target=target.words, score=score, commands=commands), choices

    def explain(self, model: Model, batch: Batch) -> Answer:
        """The maps of all methods, and of each image the comparison before them."""
        answers, seconds = self._answers(model, batch)
        logits = answers[0].logits
        targets = model.targets(settled(self.target), logits, batch.expected)
        classes = predicted(model, logits, targets)[0]
        problems: dict[int, ImageError] = {}
        for answer in reversed(answers):
            problems |= answer.problems
        results: list[tuple[Result, ...]] = []
        for row, prediction in enumerate(classes[: len(batch) - batch.copies]):
            maps = self._in_order(
                [
                    result
                    for answer in answers
                    for result in answer.results[row]
                    if isinstance(result, Heatmap)
                ]
            )
            if row in problems or prediction is None or not bool(logits[row].isfinite().all()):
                results.append(tuple(maps))
                continue
            try:
                image, index = batch.part(range(row, row + 1)), targets[0].index[row : row + 1]
                results.append((self._compared(model, image, maps, index, prediction), *maps))
            except ImageError as error:
                results.append(())
                problems[row] = error
        results += [()] * batch.copies
        return Answer(logits, tuple(results), problems, unlikely(model, logits, targets), seconds)

    def _answers(self, model: Model, batch: Batch) -> tuple[list[Answer], dict[str, float]]:
        """What each command says, and the seconds that it took; methods of one command share their passes."""
        answers, seconds = [], {}
        for command in self.commands:
            started = time.perf_counter()
            answers.append(command.explain(model, batch))
            methods = ",".join(getattr(command, "method", ()))
            seconds[f"{command_of(methods.partition(',')[0])[0]} -m {methods}"] = (
                time.perf_counter() - started
            )
        return answers, seconds

    def _compared(
        self, model: Model, image: Batch, maps: list[Heatmap], index: Tensor, prediction: Prediction
    ) -> MethodComparison:
        """The comparison of the maps of one image."""
        from cnnexplain.commands._comparing import compared
        from cnnexplain.commands._randomised import cascade, redrawn

        copies = NoisyCopies.of(self.samples, self.tolerance)
        about = model, image, self.commands, prediction.index
        return compared(
            model,
            image,
            maps,
            index,
            prediction,
            score=self.score or "logit",
            cells=self.cells,
            steps=self.points,
            orders=self.orders,
            redrawn=redrawn(*about) if "randomisation" in self.scores else (),
            noisy=noisy(*about, copies.samples) if "noise" in self.scores else None,
            copies=copies,
            with_road="road" in self.scores,
            cascaded=cascade(*about) if "layers" in self.scores else (),
        )

    def _in_order(self, maps: list[Heatmap]) -> list[Heatmap]:
        """The maps in the order of the methods that were asked for; those of a method stay as they are."""
        place = {command_of(method)[1]: number for number, method in enumerate(self.method)}
        return sorted(maps, key=lambda heatmap: place.get(heatmap.method, len(place)))
