"""Pictures normalised as the model was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import EvidenceTable, Level, Measurement, Need, Profile, Skipped

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.checks.suite.paired import Outcome, Performance
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["Normalisation"]

# Mean and standard deviation of values in 0..1, in the order in which they are most often meant.
USUAL = {
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "-1..1": ((0.5,), (0.5,)),
    "0..1": ((0.0,), (1.0,)),
    "0..255": ((0.0,), (1 / 255,)),
}
HINTS = {
    "ImageNet": "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
    "-1..1": "--mean 0.5 --std 0.5",
    "0..1": "--mean 0 --std 1",
    "0..255": "--mean 0 --std 0.00392157",
}
PER_PICTURE = "each picture's own"
LOUDER = 4.0  # times the contrast


@dataclass(frozen=True)
class Normalisation:
    """The model does no better on pictures that are normalised in another usual way."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "A model that is fed other numbers than it was trained with still answers, only worse, and nothing complains."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    gain: Annotated[
        float,
        Param(
            "What another normalisation must add to be held against the model: to the share of pictures recognised, "
            "or without labels to the mean certainty. One picture in twenty: less is of no matter.",
            min=0,
            max=1,
        ),
    ] = 0.05
    chance: Annotated[
        float,
        Param(
            "How likely a better one may be by accident, of all that are tried together: each has its part of it. At "
            "0.02 it takes eight pictures that all agree.",
            min=1e-9,
            max=0.5,
        ),
    ] = 0.02

    def measure(self, subject: Subject) -> Measurement:
        """Normalise all pictures in each usual way, and compare the answers picture by picture."""
        from cnnexplain.checks.suite import paired as _paired

        names = _fed_otherwise(subject)
        _paired.require_enough(len(subject.examples), self.chance / len(names))
        own = _paired.answers(subject, subject.logits)
        others = {name: _paired.answers(subject, _logits(subject, name)) for name in names}
        _paired.require_seeing((own, *others.values()), self.chance)
        outcomes = self._outcomes(subject, own, others)
        measure = _paired.measured_by(subject)
        table, drawing = _evidence(own, others, outcomes, measure)
        better = [name for name in others if outcomes[name] == "better"]
        best = max(
            better or others, key=lambda name: (others[name].value, float(own.gains(others[name]).mean()))
        )
        improvement = others[best].value - own.value
        figures = f"{measure} {own.words} as fed and {others[best].words} with {_called(best)}{own.guesses}"
        if better:
            fix = f": {HINTS[best]}" if best in HINTS else ""
            return Measurement(
                good=False,
                says=f"the model does better with another normalisation: {figures}",
                value=improvement,
                do=f"look up how pictures were normalised in training; {_called(best)} would fit best{fix}",
                table=table,
                drawing=drawing,
            )
        unknown = [_called(name) for name in others if outcomes[name] == "cannot tell"]
        if unknown:
            hint = "" if subject.labelled else ", and labels would say more"
            raise Skipped(
                f"cannot tell from {len(subject.examples)} pictures whether {' or '.join(unknown)} would do better: "
                f"{figures}{hint}"
            )
        return Measurement(
            good=True,
            says=f"no other does better: {figures}",
            value=improvement,
            table=table,
            drawing=drawing,
        )

    def _outcomes(
        self, subject: Subject, own: Performance, others: dict[str, Performance]
    ) -> dict[str, Outcome]:
        """How every other normalisation does; where only certainty was measured, as far as it says anything."""
        outcomes = {name: own.against(other, self.gain, self.chance) for name, other in others.items()}
        # The best of several is likelier to be better by accident than a single one: each has its part of the chance.
        # That none is better is as likely by accident as that any single one is not.
        for name, outcome in outcomes.items():
            part = self.chance / len(others)
            if outcome == "better" and own.against(others[name], self.gain, part) != "better":
                outcomes[name] = "cannot tell"
        if subject.labelled:
            return outcomes
        for name, outcome in outcomes.items():
            if outcome == "better" and not self._peaks(others[name], subject, name):
                outcomes[name] = "cannot tell"
        # The model's own is surely right only if no other is as good and contrast alone does not explain it.
        if set(outcomes.values()) == {"worse"} and not self._peaks(own, subject, ""):
            return dict.fromkeys(outcomes, "cannot tell")
        return outcomes

    def _peaks(self, answers: Performance, subject: Subject, name: str) -> bool:
        """Whether a model fed in this way becomes less certain when the contrast is raised on top of it.

        Many networks become ever more certain as their input's numbers grow, whatever the picture. Of those
        certainty does not say how they should be fed.
        """
        from cnnexplain.checks.suite import paired as _paired

        louder = _paired.answers(subject, _logits(subject, name, LOUDER))
        return answers.against(louder, self.gain, self.chance) == "worse"


def _called(name: str) -> str:
    return {
        "ImageNet": "ImageNet's mean and deviation",
        PER_PICTURE: "each picture's own mean and deviation",
    }.get(name, f"values in {name}")


def _fed_otherwise(subject: Subject) -> list[str]:
    """Every usual normalisation but the model's own."""
    import numpy as np

    own = subject.model.preprocess
    names = []
    for name, (mean, std) in USUAL.items():
        fed = subject.fed(mean, std).preprocess
        if not np.allclose((*fed.mean, *fed.std), (*own.mean, *own.std), rtol=1e-3, atol=1e-4):
            names.append(name)
    return [*names, PER_PICTURE]


def _logits(subject: Subject, name: str, louder: float = 1.0) -> Tensor:
    """The logits of all pictures, normalised in a usual way, or as they are fed where the name is none of them."""
    import torch

    from cnnexplain.checks.suite.subject import same_width

    if name in USUAL:
        mean, std = USUAL[name]
        model = subject.fed(mean, [value / louder for value in std])
    elif name == PER_PICTURE:
        model = subject.fed((0.0,), (1.0,))
    else:
        own = subject.model.preprocess
        model = subject.fed(own.mean, [value / louder for value in own.std])
    if name != PER_PICTURE:
        return subject.scored([example.pixels for example in subject.examples], model)

    def work(part: slice) -> Tensor:
        inputs, places = subject.inputs(part, model), (1, 2, 3)
        deviation = inputs.std(places, keepdim=True).clamp_min(1 / 255)
        standard = (inputs - inputs.mean(places, keepdim=True)) / deviation
        return subject.model.forward(standard * louder).cpu()

    with torch.no_grad():
        return torch.cat(same_width(list(subject.in_parts(len(subject.examples), work))))


def _evidence(
    own: Performance, others: dict[str, Performance], outcomes: dict[str, Outcome], measure: str
) -> tuple[EvidenceTable, Profile]:
    """Every normalisation, the best first; and the same as a drawing, in which the better ones are marked."""
    order = sorted(others, key=lambda name: (-others[name].value, -float(own.gains(others[name]).mean())))
    rows = [
        (_called(name), others[name].words, f"{float(own.gains(others[name]).mean()):+.2f}", outcomes[name])
        for name in order
    ]
    unit = "share" if own.labels is not None else "mean certainty"
    drawing = Profile(
        f"{measure} by normalisation",
        ("as fed", *order),
        (own.value, *(others[name].value for name in order)),
        unit,
        limits=(own.value,),
        marked=frozenset(place for place, name in enumerate(order, 1) if outcomes[name] == "better"),
    )
    return EvidenceTable(
        ("normalisation", measure, "log-probability", "against as fed"), tuple(rows)
    ), drawing
