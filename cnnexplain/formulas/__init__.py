"""Formulas of explanations: tensors in, tensors out. Public; each says its paper and its shapes, and has an example.

Public is what a file of this folder names in its `__all__`, and it is imported from here, on first use. No formula
needs a model, and none loads torch before it is called.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from cnnexplain.core import registry

if TYPE_CHECKING:  # the same, for readers who do not run the code
    from cnnexplain.formulas.ascent import *  # noqa: F403
    from cnnexplain.formulas.calibration import *  # noqa: F403
    from cnnexplain.formulas.cam import *  # noqa: F403
    from cnnexplain.formulas.channels import *  # noqa: F403
    from cnnexplain.formulas.faithfulness import *  # noqa: F403
    from cnnexplain.formulas.full_gradient import *  # noqa: F403
    from cnnexplain.formulas.gradients import *  # noqa: F403
    from cnnexplain.formulas.groups import *  # noqa: F403
    from cnnexplain.formulas.hiding import *  # noqa: F403
    from cnnexplain.formulas.imputation import *  # noqa: F403
    from cnnexplain.formulas.infidelity import *  # noqa: F403
    from cnnexplain.formulas.integrated import *  # noqa: F403
    from cnnexplain.formulas.layers import *  # noqa: F403
    from cnnexplain.formulas.noise import *  # noqa: F403
    from cnnexplain.formulas.objectives import *  # noqa: F403
    from cnnexplain.formulas.pairs import *  # noqa: F403
    from cnnexplain.formulas.perturbation import *  # noqa: F403
    from cnnexplain.formulas.ranks import *  # noqa: F403
    from cnnexplain.formulas.references import *  # noqa: F403
    from cnnexplain.formulas.regression import *  # noqa: F403
    from cnnexplain.formulas.representations import *  # noqa: F403
    from cnnexplain.formulas.sampling import *  # noqa: F403
    from cnnexplain.formulas.synthesis import *  # noqa: F403


@cache
def _public() -> dict[str, Any]:
    names = registry.own_names(sys.modules[__name__])
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {name: getattr(module, name) for module in modules for name in module.__all__}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(_public())
    if name.startswith("__") or name not in _public():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _public()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_public()})
