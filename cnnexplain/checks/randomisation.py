"""Maps that depend on what the model has learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import Curves, EvidenceTable, Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cnnexplain.checks.suite.subject import Subject

__all__ = ["Randomisation"]
STAGES = 5  # so many times some more layers are drawn anew
PASSES = 8  # pictures times draws: of fewer pictures there are more draws
MOST = 8  # pictures


@dataclass(frozen=True)
class Randomisation:
    """Heat maps change when the model's weights are drawn anew."""

    level: ClassVar[Level] = "warn"
    why: ClassVar[str] = (
        "A map that stays as it is when the model forgets all that it learnt shows the picture, or the architecture, "
        "and explains nothing (Adebayo et al. 2018, arXiv:1810.03292)."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    correlation: Annotated[
        float,
        Param(
            "Largest mean rank correlation between the maps before and after: trained networks were found between "
            "-0.1 and 0.2, one whose maps no weight can change at 1.",
            min=-1,
            max=1,
        ),
    ] = 0.5

    def measure(self, subject: Subject) -> Measurement:
        """Draw layers again, from the last to the first, and compare the maps of the same classes after each step."""
        import torch

        from cnnexplain.checks.suite import explained as _explained
        from cnnexplain.engine.weights.reinitialised import backwards, reinitialised

        subject = _explained.at_most(subject, MOST)
        before = _explained.maps(subject)
        varied = _explained.varied(before)
        if not bool(varied.any()):
            raise Skipped("its maps are the same everywhere, so that nothing in them could change")
        trace_order = [layer.name for layer in subject.model.trace.layers]
        stages = _stages(
            backwards(subject.model, trace_order), trace_order, subject.map_layer.partition(" #")[0]
        )
        if not stages:
            raise Skipped("it has no weights")
        draws = -(-PASSES // int(varied.sum()))
        correlations = torch.empty(draws, len(stages), int(varied.sum()))
        for draw in range(draws):
            with reinitialised(subject.model.seed + draw) as reinitialise:
                for place, (_, parameters) in enumerate(stages):
                    for parameter in parameters:
                        reinitialise(parameter)
                    correlations[draw, place] = _alike(before[varied], subject.maps_of(subject.best)[varied])
        return _explained.limited(self._verdict(correlations, [layers for layers, _ in stages]), subject)

    def _verdict(self, alike: Tensor, layers: list[list[str]]) -> Measurement:
        from cnnexplain.core import words

        steps = alike.mean((0, 2))  # (stages,)
        value = float(steps.mean())
        counts = [0]
        for names in layers:
            counts.append(counts[-1] + len(names))
        series = {"mean": steps}
        if alike.shape[2] > 1:
            series["picture that changes least"] = alike.mean(0).amax(1)
            series["picture that changes most"] = alike.mean(0).amin(1)
        rows = tuple(
            (_span(names), str(count), f"{correlation:.2f}")
            for names, count, correlation in zip(layers, counts[1:], steps.tolist(), strict=True)
        )
        return Measurement(
            good=value <= self.correlation,
            says=f"maps before and after weights are drawn anew have a rank correlation of {value:.2f} over "
            f"{words.count(len(layers), 'step')}; the limit is {self.correlation:g}",
            value=value,
            do="do not rely on this model's heat maps; compare another layer or formula, and see whether layers before "
            "and after the explained one were trained at all",
            table=EvidenceTable(("layers drawn anew", "so far", "rank correlation"), rows),
            drawing=Curves(
                "Maps while more and more layers are drawn anew, from the last to the first",
                tuple(float(count) for count in counts),
                {name: (1.0, *values.tolist()) for name, values in series.items()},
                "layers drawn anew",
                "rank correlation with the map before",
            ),
        )


def _stages(
    layers: list[tuple[str, list[nn.Parameter]]], trace_order: list[str], explained: str
) -> list[tuple[list[str], list[nn.Parameter]]]:
    """First the layers behind the explained layer, which only weigh its map; then the others, in equal parts."""
    last = {name: number for number, name in enumerate(trace_order)}
    downstream = [layer for layer in layers if last.get(layer[0], -1) > last[explained]]
    upstream = layers[len(downstream) :]
    size = max(1, -(-len(upstream) // (STAGES - 1)))
    groups = [downstream, *(upstream[start : start + size] for start in range(0, len(upstream), size))]
    return [
        (
            [name or "the model's own" for name, _ in group],
            [parameter for _, some in group for parameter in some],
        )
        for group in groups
        if group
    ]


def _alike(before: Tensor, after: Tensor) -> Tensor:
    """The rank correlation of each map with the map before; 0 where the new map is the same everywhere."""
    import torch

    from cnnexplain.checks.suite import explained as _explained
    from cnnexplain.formulas.ranks import rank_correlation

    pairs = zip(before, after, _explained.varied(after).tolist(), strict=True)
    return torch.tensor([rank_correlation(a.numpy(), b.numpy()) if fine else 0.0 for a, b, fine in pairs])


def _span(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
