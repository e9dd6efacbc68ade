"""Weights, buffers, layers' outputs and scores that are numbers, in half precision too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, EvidenceTable, Level, Measurement, Need

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, dtype

    from cnnexplain.checks.suite.subject import Subject
    from cnnexplain.engine.overflow import Overflow

__all__ = ["Finite"]

SMALLER = (
    "float16 ends at 65504: scale down the weights of the first such layer, or use bf16, which reaches as far as "
    "float32, or --precision fp32"
)
SMALL = (
    "float16 holds no number between 0 and 6e-8, so that a small epsilon or divisor becomes zero: use a larger "
    "epsilon, as 1e-4, or bf16, which reaches as far as float32, or --precision fp32"
)
NO_NUMBER = (
    "look for a division by zero, a logarithm of zero or a root of what is negative in the code that is named"
)
TOO_LARGE = "look for weights that are too large, or for a scale that is missing, in the layer that is named"
# Words for the first place, by its cause.
DOES: dict[str, str] = {
    "divides": " (a division by zero)",
    "logarithm": " (a logarithm of zero or less)",
    "undefined": " (a result that is no number)",
    "within": " (no room for what it computes within)",
}


@dataclass(frozen=True)
class Finite:
    """All weights, outputs and scores are finite, and half precision answers as float32 does."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "One NaN in a weight makes every answer NaN, and code that only takes the largest score never notices. Values "
        "that overflow in half precision may be hidden by a later ReLU6, and change the answer without a trace."
    )
    needs: ClassVar[tuple[Need, ...]] = ()

    changed: Annotated[
        float,
        Param(
            "With --precision fp16 or bf16: largest share of the pictures whose best class may be another than in "
            "float32, but for those whose two classes are within `near` of each other there.",
            min=0,
            max=1,
        ),
    ] = 0.0
    near: Annotated[
        float,
        Param(
            "Difference of two classes' probabilities in float32 below which they count as equal: bfloat16 moves the "
            "probabilities of the bundled model by up to 0.03.",
            min=0,
            max=1,
        ),
    ] = 0.05
    cast: Annotated[
        bool,
        Param(
            "With --precision fp16 or bf16: also try the model with all weights and inputs cast, as module.half() "
            "does, beside autocast, which keeps sums and normalisations in float32."
        ),
    ] = True

    def measure(self, subject: Subject) -> Measurement:
        """Count non-finite weights, buffers (masks may be infinite), outputs of layers, and scores.

        In half precision also how the answers differ from those in float32: with autocast, and with weights cast.
        """
        from cnnexplain.core import words
        from cnnexplain.engine.borrow import PRECISIONS

        bad, total_text = subject.broken, words.count(subject.tensors, "tensor")
        if bad:
            return Measurement(
                good=False,
                says=f"{len(bad)} of {total_text} hold NaN or infinite values, first {bad[0]}",
                value=len(bad),
                do="train or export the model again; a checkpoint from before the loss became NaN may do",
                table=EvidenceTable(("tensor",), tuple((name,) for name in bad)),
            )
        all_of = total_text if subject.tensors == 1 else f"all {total_text}"
        are = "is" if subject.tensors == 1 else "are"
        result = Measurement(good=True, says=f"{all_of} {are} finite", value=0)
        if subject.examples:
            scores, places = subject.first_pass
            if places:
                return _overflowing(places, subject, PRECISIONS[subject.model.precision])
            pictures = words.count(len(scores), "picture")
            result = replace(result, says=f"{all_of} and all that is made of {pictures} are finite")
            if subject.model.precision != "fp32":
                result = self._as_in_float32(subject, result, scores, "autocast")
        return self._weights_cast(subject, result) if self.cast and result.good else result

    def _weights_cast(self, subject: Subject, autocast: Measurement) -> Measurement:
        """Test the model with weights and inputs cast to half precision; `autocast` is the result so far."""
        from cnnexplain.engine.borrow import PRECISIONS
        from cnnexplain.engine.overflow import beyond, cast
        from cnnexplain.errors import ModelError

        model = subject.model
        half = PRECISIONS[model.precision]
        if half is None:
            return autocast
        call = "module.half()" if model.precision == "fp16" else "module.bfloat16()"
        if overflowed := beyond(model, half):
            return Measurement(
                good=False,
                says=f"{autocast.says}; {call} makes {overflowed[0]!r} infinite"
                + (f" and {len(overflowed) - 1} more" if len(overflowed) > 1 else ""),
                value=len(overflowed),
                do=SMALLER,
                table=EvidenceTable(("tensor",), tuple((name,) for name in overflowed[:ROWS])),
            )
        if not subject.examples:
            return autocast
        with cast(model, half):
            plain = replace(model, precision="fp32")  # no autocast: the weights say the type
            try:
                scores, places = subject.observed(plain)
            except ModelError as error:
                says = f"{autocast.says}; with {call} it could not be tried: {error.problem}"
                return replace(autocast, says=says)
        if places:
            overflowing = _overflowing(places, subject, half)
            return replace(overflowing, says=f"{autocast.says}; with {call}: {overflowing.says}")
        return self._as_in_float32(subject, autocast, scores, call)

    def _as_in_float32(self, subject: Subject, result: Measurement, scores: Tensor, call: str) -> Measurement:
        """Compare the scores (N, K) of half precision with those of float32; `result` is the result so far."""
        from cnnexplain.checks.suite.repeated import apart

        exact = subject.exact
        before, after = map(subject.model.probabilities, (exact, scores))
        if before is None or after is None:
            return result  # which class comes first says nothing of scores that are no probabilities
        was, now = before.argmax(1), after.argmax(1)
        lead = before.gather(1, was[:, None]) - before.gather(1, now[:, None])
        changed = (lead[:, 0] > self.near).nonzero()[:, 0].tolist()
        count, labels = len(exact), subject.model.labels
        largest = float(apart(exact, scores, exact).max())
        says = (
            f"{result.says}; {call} against float32: another class for {int((was != now).sum())} of {count}, scores "
            f"differ by at most {largest:.2g} of their size"
        )
        if len(changed) <= self.changed * count:
            return replace(result, says=says)
        rows = tuple(
            (
                subject.examples[row].name,
                labels[int(was[row])],
                f"{float(before[row, was[row]]):.3f}",
                labels[int(now[row])],
                f"{float(after[row, now[row]]):.3f}",
            )
            for row in changed[:ROWS]
        )
        return Measurement(
            good=False,
            says=says,
            value=len(changed) / count,
            do="compare layer by layer where the two part (cnnexplain activations), or use fp32 or bf16",
            table=EvidenceTable(("picture", "in float32", "probability", call, "probability of that"), rows),
        )


def _overflowing(places: Sequence[Overflow], subject: Subject, half: dtype | None) -> Measurement:
    """Where values stop being finite, the first place first; `half`: the precision that was tried, None for float32."""
    from cnnexplain.core import words

    first = places[0]
    share = (first.infinite + first.nan) / first.total
    kind = "NaN" if not first.infinite else "infinite" if not first.nan else "infinite or NaN"
    following = f", and {words.count(len(places) - 1, 'place')} after it" if len(places) > 1 else ""
    pictures = words.count(len(subject.examples), "picture")
    too_large = first.cause == "overflow" or (not first.cause and first.infinite > 0)
    problem = "values overflow on the way" if too_large else "not all values on the way are"
    problem += DOES.get(first.cause, "")
    return Measurement(
        good=False,
        says=f"weights are finite, but {problem}: first at {first.name}, where {words.percent(share)} "
        f"of the values are {kind} in {first.pictures} of {pictures}{following}",
        value=len(places),
        do=_remedy(first, half, too_large=too_large),
        table=EvidenceTable(
            ("layer", "infinite", "NaN", "of values", "pictures"),
            tuple(
                (place.name, str(place.infinite), str(place.nan), str(place.total), str(place.pictures))
                for place in places[:ROWS]
            ),
        ),
    )


def _remedy(first: Overflow, half: dtype | None, *, too_large: bool) -> str:
    """Advice on the first place whose values are not finite."""
    import torch

    if half is None:
        return TOO_LARGE if first.cause == "overflow" else NO_NUMBER
    if too_large:
        return SMALLER if half is torch.float16 else TOO_LARGE
    if half is not torch.float16:  # as small as those of float32
        return f"{NO_NUMBER}, or try --precision fp32"
    return SMALL
