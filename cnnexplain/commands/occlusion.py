"""Maps of what the score loses where a part of the image is hidden: no gradient needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.commands import ImageCommand
from cnnexplain.commands._fills import fill, require_fill
from cnnexplain.commands._maps import predicted, unlikely
from cnnexplain.commands._options import TargetOption, VerdictOption, settled_target
from cnnexplain.commands._verdict import judge_of
from cnnexplain.core.choice import Choice
from cnnexplain.core.explanation import Answer
from cnnexplain.core.params import Param
from cnnexplain.core.target import settled
from cnnexplain.engine.capabilities import Capability
from cnnexplain.errors import ForwardError, ImageError, ImageModelError, OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.commands._hiding import Wanted
    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.results import Result
    from cnnexplain.engine.model import Model

__all__ = ["Occlusion"]
SLIDING, RISE = ("sliding",), ("rise",)
USUAL_WINDOW, USUAL_STRIDE, USUAL_SIDE = 15, 8, 224  # pixels; for other sizes in proportion


@dataclass(frozen=True)
class Occlusion(ImageCommand):
    """Map of what the score loses where a part of the image is hidden: sliding windows, or random masks (RISE).

    Needs no gradient, so it works for models without one. Of `sliding` a map has, for every pixel, the mean drop of
    the score over the windows that hide it, and a second picture shows which class is the best one with the window at
    each place. Of `rise` it has how much higher the score is where the pixel is kept than on the whole, with the
    standard error of every pixel. Only what a window changes is computed anew, which is exact.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SCORES})
    image_by_image: ClassVar[bool] = True
    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain occlusion bundled:efficientnet_lite0 cat.jpg",
        "cnnexplain occlusion resnet50 photos/ --window 31 --stride 16 --fill blur -o out",
        "cnnexplain occlusion resnet50 cat.jpg -m rise --masks 4000 --max-error 0.05",
    )

    method: Annotated[
        tuple[str, ...],
        Param("Way of hiding.", ("-m", "--method"), metavar="NAME", choices=("sliding", "rise"), split=True),
    ] = ("sliding",)
    target: TargetOption = "top"
    score: Annotated[
        str,
        Param("What is compared: the class's score, or its probability.", choices=("logit", "probability")),
    ] = "logit"
    window: Annotated[
        int | None,
        Param(
            "Side of the sliding window in pixels of the model's input; 15 of 224.",
            min=1,
            metavar="PX",
            of=SLIDING,
        ),
    ] = None
    stride: Annotated[
        int | None,
        Param(
            "Pixels from one window to the next, at most a window; 8 of 224.", min=1, metavar="PX", of=SLIDING
        ),
    ] = None
    fill: Annotated[
        str,
        Param("What hides: grey, mean, blur, black, or a colour such as #ff8000.", metavar="FILL"),
    ] = "grey"
    masks: Annotated[int, Param("Masks of rise, at most.", min=2, max=1_000_000, metavar="N", of=RISE)] = 2000
    max_error: Annotated[
        float,
        Param(
            "Standard error, as a share of the map's range, below which rise stops before --masks; 0 takes them all.",
            min=0,
            max=1,
            metavar="SHARE",
            of=RISE,
        ),
    ] = 0.05
    grid: Annotated[int, Param("Cells of a mask along each side.", min=2, max=64, metavar="N", of=RISE)] = 7
    probability: Annotated[
        float, Param("Chance that a cell of a mask is kept.", min=0.01, max=0.99, metavar="SHARE", of=RISE)
    ] = 0.5
    verdict: VerdictOption = False

    @property
    def seeded(self) -> bool:
        """Whether masks are drawn, or what a verdict holds maps against."""
        return self.verdict or "rise" in self.method

    def bind(self, model: Model) -> tuple[Occlusion, tuple[Choice, ...]]:
        """Check the class, settle window and stride, and see that the windows cover the image."""
        target, choices = settled_target(model, self.target)
        require_fill(self.fill, model)
        if self.score == "probability" and model.scoring.activation == "none":
            raise OptionError(
                "--score probability asks for probabilities, and there are none of this model's scores",
                "leave --score out, or say what makes them: --activation softmax",
            )
        if "sliding" not in self.method:
            return replace(self, target=target.words), choices
        shorter = min(model.preprocess.input_size)
        window = self.window or min(shorter, max(2, round(USUAL_WINDOW * shorter / USUAL_SIDE)))
        stride = self.stride or max(1, round(window * USUAL_STRIDE / USUAL_WINDOW))
        if window > shorter:
            raise OptionError(
                f"--window {window} is larger than what the model sees, {_size(model)}",
                f"give --window {max(1, shorter // 8)}, or any up to {shorter}",
            )
        if stride > window:
            size = f"--window {window}" if self.window else f"the window of {window} pixels"
            larger = "" if self.window else f"--window {stride} as well, or "
            raise OptionError(
                f"--stride {stride} is more than {size}: pixels between the windows would never be hidden",
                f"give {larger}--stride {max(1, window // 2)}, or any up to {window}",
            )
        if self.window is None:
            reason = f"{USUAL_WINDOW}/{USUAL_STRIDE} at {USUAL_SIDE}, for {_size(model)} in proportion"
            choices += (Choice("window", f"{window}, stride {stride}", reason),)
        elif self.stride is None:
            choices += (Choice("stride", str(stride), "about half of a window"),)
        return replace(self, target=target.words, window=window, stride=stride), choices

    def explain(self, model: Model, batch: Batch) -> Answer:
        """The scores of the pictures as they are, and of each with its parts hidden."""
        import torch

        judge = judge_of(model, wanted=self.verdict, in_image=True)
        with torch.no_grad():
            logits = (judge or model).forward(batch.inputs.clone())
        targets = model.targets(settled(self.target), logits, batch.expected)
        classes = predicted(model, logits, targets)
        notes = unlikely(model, logits, targets)
        if judge is not None:
            targets, classes = judge.with_mixture(targets, classes, logits)
        filled = fill(self.fill, model, batch.inputs)
        results: list[tuple[Result, ...]] = []
        problems: dict[int, ImageError] = {}
        for row in range(len(batch) - batch.copies):
            here = slice(row, row + 1)
            wanted = [
                (target.part(here), prediction)
                for target, names in zip(targets, classes, strict=True)
                if (prediction := names[row]) is not None
            ]
            try:
                image = batch.part(range(row, row + 1))
                results.append(tuple(self._results(model, image, filled[here], logits[here], wanted)))
            except ImageError as error:
                results.append(())
                problems[row] = error
            except ForwardError as error:  # it took the image as it is
                results.append(())
                problems[row] = ImageModelError(
                    f"with a part of the image hidden, {error.problem}",
                    "choose another --fill; --max-failures N allows some to fail",
                )
        results += [()] * batch.copies
        if judge is not None:
            results = judge.judged(batch, logits, results)
        return Answer(logits.cpu(), tuple(results), problems, notes)

    def _results(
        self, model: Model, image: Batch, filled: Tensor, logits: Tensor, wanted: Sequence[Wanted]
    ) -> Iterator[Result]:
        """The results of one image: method by method, class by class."""
        from cnnexplain.commands._hiding import Hiding
        from cnnexplain.commands._rise import rise
        from cnnexplain.commands._sliding import sliding
        from cnnexplain.engine.perturb.scores import Perturbed

        perturbed = Perturbed(model, model.layout.of(image.inputs))
        hiding = Hiding(perturbed, image, filled, self.fill, logits, wanted, self.score)
        for name in self.method:
            if name == "sliding":
                yield from sliding(hiding, self.window or 1, self.stride or 1)
            else:
                yield from rise(hiding, self.masks, self.max_error, self.grid, self.probability)


def _size(model: Model) -> str:
    height, width = model.preprocess.input_size
    return f"{height}x{width}"
