"""What is said of backward rules: how many rectifiers obeyed them, and what not to believe."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cnnexplain.core.results import Detail
from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.backward.rectifiers import Rectifiers
    from cnnexplain.engine.model import Model

GUIDED_IS_BLIND = (
    "It hardly depends on the class: with the last layers' weights drawn anew it looks much the same "
    "(Adebayo et al. 2018)."
)
DECONV_IS_BLIND = (
    "It hardly depends on the class (Nie et al. 2018), and without max-pooling hardly on the picture "
    "(Springenberg et al. 2014)."
)
FINE_BUT_BLIND = (
    "Only the coarse Grad-CAM in it depends on the class; the fine lines hardly do (Adebayo et al. 2018)."
)
UNIT_IS_BLIND = (
    "A rule redraws edges of the picture; in deep layers different units look alike (Nie et al. 2018)."
)
FEW_SWITCHES = (
    "With so little max-pooling the deconv rule hardly depends on the picture (Springenberg et al. 2014)."
)
ENOUGH_SWITCHES = 2  # max-poolings that lead a deconvnet back to the picture


def require_rectifiers(model: Model, rule: str, instead: str) -> None:
    """Raise `ModelError` for a network in which a rule would find nothing to rule."""
    if not model.nonlinearities.rectifiers:
        raise ModelError(
            f"no rectifier (ReLU or a similar function) was found in {model.name} for {rule} to override",
            f"it would be the plain gradient under another name; use {instead}",
        )


def obeyed(rectifiers: Rectifiers | None, *remarks: str) -> Detail:
    """How many rectifiers the signal met on its way back, in data and in words."""
    if rectifiers is None or rectifiers.rule == "gradient":
        return Detail(remarks=remarks)
    kinds = rectifiers.passed()
    facts = {"rule": rectifiers.rule, "count": kinds.total(), "kinds": dict(kinds.most_common())}
    if kinds:
        remark = f"The {rectifiers.rule} rule held at {_counted(kinds)}."
    else:
        remark = (
            f"No rectifier lies on the way to the picture: the {rectifiers.rule} rule had nothing to change."
        )
    return Detail({"rectifiers": facts}, (remark, *remarks))


def blindness(rule: str, switches: int) -> tuple[str, ...]:
    """What not to believe of a unit's picture, after so many max-poolings."""
    if rule == "gradient":
        return ()
    return (
        (UNIT_IS_BLIND, FEW_SWITCHES) if rule == "deconv" and switches < ENOUGH_SWITCHES else (UNIT_IS_BLIND,)
    )


def silence(rule: str, activation: float, patch: Tensor) -> tuple[str, ...]:
    """Why there is nothing to see of a unit where there is nothing."""
    if not activation > 0:
        return ("A unit that is not positive has nothing to project.",)
    if bool(patch.any()):
        return ()
    if rule == "gradient":
        return ("Where the gradient is zero, a rectifier stands at its floor or ceiling, as ReLU6 at 6.",)
    return (f"Where nothing came back, the {rule} rule let nothing positive through.",)


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
