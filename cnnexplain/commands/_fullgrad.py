"""FullGrad: the gradients of a class with respect to the picture and to all biases, as one map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cnnexplain.commands._maps import heatmaps, predicted
from cnnexplain.core.results import Detail
from cnnexplain.core.results.map import PIXELS
from cnnexplain.core.target import settled
from cnnexplain.core.words import number, run_name
from cnnexplain.errors import LayerError
from cnnexplain.formulas.full_gradient import full_gradient_sum, fullgrad

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.commands._verdict import Judge
    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.results.map import Heatmap
    from cnnexplain.core.target import TargetSpec
    from cnnexplain.engine.model import Model

FULLGRAD = "fullgrad"
APART = 1e-3  # of the score: more than rounding


def require_whole_maps(model: Model, methods: Sequence[str]) -> None:
    """Raise `LayerError` where the model moves or cuts the picture, on which the maps of all layers are laid."""
    if not model.trace.moves.moved:
        return
    for layer in model.trace.layers:
        run = run_name(layer.name, layer.run)
        if layer.map and not model.runs.laying(run).plain:
            raise LayerError(
                f"fullgrad lays the maps of all layers on the whole picture, and that of {run} lies otherwise",
                f"leave fullgrad out: -m {','.join(others)}"
                if (others := [name for name in methods if name != FULLGRAD])
                else "use a formula of one layer, such as -m gradcam or -m hirescam",
            )


def fullgrad_maps(
    model: Model, batch: Batch, target: str, judge: Judge | None
) -> Iterator[tuple[int, int, Heatmap]]:
    """Yield row, rank and map of every picture and class; a forward of its own, and one backward for each class.

    For a judge also the maps of the mixture that stands for a randomised classifier, behind the others.
    """
    from cnnexplain.engine.streams import of_pictures

    def work(own: Model, rows: range) -> list[list[Heatmap | None]]:
        return list(_of_part(own, batch.part(rows), settled(target), judge))

    size = batch.inputs.shape[2] * batch.inputs.shape[3] / 224**2
    for rows, made in of_pictures(model, len(batch), work, size):
        for rank, of_class in enumerate(made):
            for row, heatmap in zip(rows, of_class, strict=True):
                if heatmap is not None:
                    yield row, rank, heatmap


def _of_part(
    model: Model, batch: Batch, spec: TargetSpec, judge: Judge | None
) -> Iterator[list[Heatmap | None]]:
    """The maps of every class, best first."""
    from cnnexplain.engine.backward.biases import Biases

    pixels = batch.inputs.detach().requires_grad_()
    with Biases() as noted:
        logits = model.plain_forward(pixels.clone())
    targets = model.targets(spec, logits, batch.expected)
    outputs = [returned for returned, _ in noted.added]
    every_class = predicted(model, logits, targets)
    if judge is not None:
        targets, every_class = judge.with_mixture(targets, every_class, logits)
    for rank, (target, classes) in enumerate(zip(targets, every_class, strict=True)):
        first, *others = model.gradients(target.score, [pixels, *outputs], keep_graph=rank < len(targets) - 1)
        if first is None:
            raise model.runs.independent()
        parts = [pixels.detach().float() * first]
        for (_, bias), gradient in zip(noted.added, others, strict=True):
            if gradient is not None:
                parts.extend(_part(bias.float() * gradient, len(batch), last=bias.dim() == 1))
        maps = [part for part in parts if part.dim() == 4]
        details = _details(
            target.score.detach().float(), full_gradient_sum(parts), len(parts) - 1, len(maps) - 1
        )
        values = fullgrad(maps, (pixels.shape[2], pixels.shape[3])).cpu()
        yield list(heatmaps(batch, FULLGRAD, PIXELS, classes, values, scale="magnitude", details=details))


def _part(part: Tensor, pictures: int, *, last: bool) -> Iterator[Tensor]:
    """A bias times its gradient, by picture (N, ...), channels second; nothing where pictures cannot be told apart."""
    if len(part) == pictures:
        yield part.movedim(-1, 1) if last else part
    elif len(part) % pictures == 0:  # windows or tokens, picture by picture
        yield part.reshape(pictures, -1)


def _details(scores: Tensor, sums: Tensor, biases: int, shown: int) -> Sequence[Detail]:
    details = []
    for score, total in zip(scores.tolist(), sums.tolist(), strict=True):
        facts = {"score": score, "sum": total, "biases": biases, "shown": shown}
        remark = f"The picture and the biases of {shown} layers: how much, not for or against."
        if abs(score - total) > APART * max(1.0, abs(score)):
            remark += (
                f" They add up to {number(total)}, and the score is {number(score)}: what is neither linear nor a ReLU "
                "makes the rest, which is not shown."
            )
        details.append(Detail({"fullgrad": facts}, (remark,)))
    return details
