"""Maps that mark what the answer hangs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, Curves, EvidenceTable, Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.checks.suite.subject import Subject

__all__ = ["Faithful"]
LOST = 0.05  # of probability: a picture must lose as much when it is blurred, or is left out
MOST = 8  # pictures
ENOUGH = 4  # pictures, for a mean and its error


@dataclass(frozen=True)
class Faithful:
    """What Grad-CAM marks is what the answer hangs on: taking it away hurts most."""

    level: ClassVar[Level] = "warn"
    why: ClassVar[str] = (
        "People believe a heat map; one that marks places which the answer does not hang on misleads them."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    gain: Annotated[
        float,
        Param(
            "Smallest mean advantage over random orders, in probability averaged over how much is replaced: the "
            "bundled model has 0.07, maps moved by half a picture -0.14; none is 0.",
            min=-1,
            max=1,
        ),
    ] = 0.0
    orders: Annotated[int, Param("How many random orders there are for each picture.", min=1, max=100)] = 3

    def measure(self, subject: Subject) -> Measurement:
        """Delete cells, and insert them into a blurred picture, in the map's order and in random ones."""
        import torch

        from cnnexplain.checks.suite import explained as _explained
        from cnnexplain.core.words import count as counted
        from cnnexplain.formulas.faithfulness import coarse, faithfulness_curves
        from cnnexplain.formulas.perturbation import averaged

        subject = _explained.at_most(subject, MOST)
        maps = _explained.maps(subject)
        inputs = subject.inputs()
        blurred = averaged(inputs)
        unmasked = subject.chances.gather(1, subject.best[:, None])[:, 0]
        empty = _chance(subject, blurred, subject.best)
        varied, falls = _explained.varied(maps), unmasked - empty > LOST
        usable = (varied & falls).nonzero()[:, 0]
        if len(usable) < ENOUGH:
            raise Skipped(
                f"{len(usable)} of {counted(len(maps), 'picture')} can be judged, and {ENOUGH} are needed; "
                f"with a map that is the same everywhere: {int((~varied).sum())}, "
                f"with a class that loses less than {LOST:.0%} of probability when all is blurred: "
                f"{int((~falls).sum())}"
            )
        grid = coarse(maps)
        generator = torch.Generator().manual_seed(subject.model.seed)
        count = grid[0].numel()
        curves = []
        for place in usable.tolist():
            index = subject.best[place]

            def chance(images: Tensor, index: Tensor = index) -> Tensor:
                return _chance(subject, images, index.expand(len(images)))

            orders = [torch.randperm(count, generator=generator) for _ in range(self.orders)]
            ends = torch.stack((unmasked[place], empty[place]))
            curves.append(
                faithfulness_curves(chance, inputs[place], blurred[place], grid[place], orders, ends)
            )
        names = [subject.examples[place].name for place in usable.tolist()]
        return _explained.limited(self._verdict(names, *map(torch.stack, zip(*curves, strict=True))), subject)

    def _verdict(self, names: list[str], deleted: Tensor, inserted: Tensor, random: Tensor) -> Measurement:
        from cnnexplain.formulas.faithfulness import STEPS, advantage

        worse, better = advantage(deleted, inserted, random)
        gains = (worse + better) / 2
        value, error = float(gains.mean()), float(gains.std()) / len(gains) ** 0.5
        if value <= self.gain < value + error:
            raise Skipped(
                f"its advantage over random orders is {value:+.3f} with a standard error of {error:.3f}: more pictures "
                "are needed to tell"
            )
        order = gains.argsort().tolist()
        rows = tuple(
            (names[place], f"{float(worse[place]):+.3f}", f"{float(better[place]):+.3f}")
            for place in order[:ROWS]
        )
        series = {
            "deleted, most marked first": deleted,
            "deleted at random": random,
            "inserted, most marked first": inserted,
            "inserted at random": random.flip(1),
        }
        return Measurement(
            good=value > self.gain,
            says=f"deleting and inserting what the map marks moves the class's probability by {value:+.3f} more than "
            f"random orders do, over {len(names)} pictures; more than {self.gain:g} is asked for",
            value=value,
            do="do not rely on this model's heat maps: compare other layers and formulas (-m hirescam), and look for "
            "layers that move things about, such as flatten and linear layers behind the map",
            table=EvidenceTable(("picture", "deletion", "insertion"), rows),
            drawing=Curves(
                "Probability of the class while cells are deleted and inserted",
                (0.0, *STEPS, 1.0),
                {name: tuple(curve.mean(0).tolist()) for name, curve in series.items()},
                "share of cells",
                "mean probability",
            ),
        )


def _chance(subject: Subject, inputs: Tensor, index: Tensor) -> Tensor:
    """The probability (N,) of the classes `index` (N,) for each of `inputs`."""
    import torch

    from cnnexplain.checks.suite.subject import same_width

    with torch.no_grad():
        parts = subject.in_parts(len(inputs), lambda part: subject.model.forward(inputs[part].clone()).cpu())
        logits = torch.cat(same_width(list(parts)))
    return subject.chances_of(logits).gather(1, index[:, None])[:, 0]
