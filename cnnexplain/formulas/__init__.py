"""Formulas of explanations: tensors in, tensors out. Public; each says its paper and its shapes, and has an example.

What is public is imported from here, on first use: no formula needs a model, and none loads torch before it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnexplain.formulas.cam import (
        CAMS,
        Cam,
        cams,
        eigencam,
        eigengradcam,
        gradcam,
        gradcam_pp,
        hirescam,
        layercam,
        xgradcam,
    )
    from cnnexplain.formulas.faithfulness import (
        advantage,
        area,
        coarse,
        deletion_curves,
        faithfulness_curves,
        masks,
        order,
    )
    from cnnexplain.formulas.gradients import (
        evaluator,
        guided_gradcam,
        input_x_gradient,
        largest,
        summed,
    )
    from cnnexplain.formulas.integrated import integrated_gradients
    from cnnexplain.formulas.layers import branch_shares, enlarged
    from cnnexplain.formulas.noise import Moments, noisy_gradients, standard_normal
    from cnnexplain.formulas.perturbation import averaged, blurred, mean_colour, replaced
    from cnnexplain.formulas.ranks import rank_correlation

_HOMES = {
    "CAMS": "cam",
    "Cam": "cam",
    "branch_shares": "layers",
    "cams": "cam",
    "eigencam": "cam",
    "eigengradcam": "cam",
    "enlarged": "layers",
    "gradcam": "cam",
    "gradcam_pp": "cam",
    "hirescam": "cam",
    "layercam": "cam",
    "xgradcam": "cam",
    "advantage": "faithfulness",
    "area": "faithfulness",
    "coarse": "faithfulness",
    "deletion_curves": "faithfulness",
    "faithfulness_curves": "faithfulness",
    "masks": "faithfulness",
    "order": "faithfulness",
    "evaluator": "gradients",
    "guided_gradcam": "gradients",
    "input_x_gradient": "gradients",
    "largest": "gradients",
    "summed": "gradients",
    "integrated_gradients": "integrated",
    "Moments": "noise",
    "noisy_gradients": "noise",
    "standard_normal": "noise",
    "averaged": "perturbation",
    "blurred": "perturbation",
    "mean_colour": "perturbation",
    "replaced": "perturbation",
    "rank_correlation": "ranks",
}
__all__ = [
    "CAMS",
    "Cam",
    "Moments",
    "advantage",
    "area",
    "averaged",
    "blurred",
    "branch_shares",
    "cams",
    "coarse",
    "deletion_curves",
    "eigencam",
    "eigengradcam",
    "enlarged",
    "evaluator",
    "faithfulness_curves",
    "gradcam",
    "gradcam_pp",
    "guided_gradcam",
    "hirescam",
    "input_x_gradient",
    "integrated_gradients",
    "largest",
    "layercam",
    "masks",
    "mean_colour",
    "noisy_gradients",
    "order",
    "rank_correlation",
    "replaced",
    "standard_normal",
    "summed",
    "xgradcam",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
