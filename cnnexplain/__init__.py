"""Shows what a convolutional network looked at. Names are loaded on first use: importing costs nothing."""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing's own: whose import takes longer than all else before signals are watched
if TYPE_CHECKING:
    from typing import Any

    from cnnexplain.api import Explainer, load
    from cnnexplain.core.explanation import Explanation
    from cnnexplain.core.prediction import Prediction
    from cnnexplain.core.preprocess import Preprocess
    from cnnexplain.core.results.channels import FeatureMaps
    from cnnexplain.core.results.kernels import Kernels
    from cnnexplain.core.results.map import Heatmap
    from cnnexplain.core.results.summary import LayerTable
    from cnnexplain.core.verdict import Verdict
    from cnnexplain.errors import CnnexplainError

_HOMES = {
    "Explainer": "cnnexplain.api",
    "load": "cnnexplain.api",
    "Explanation": "cnnexplain.core.explanation",
    "Heatmap": "cnnexplain.core.explanation",
    "FeatureMaps": "cnnexplain.core.results.channels",
    "Kernels": "cnnexplain.core.results.kernels",
    "LayerTable": "cnnexplain.core.results.summary",
    "Prediction": "cnnexplain.core.explanation",
    "Preprocess": "cnnexplain.core.preprocess",
    "Verdict": "cnnexplain.core.verdict",
    "CnnexplainError": "cnnexplain.errors",
}
__all__ = [
    "CnnexplainError",
    "Explainer",
    "Explanation",
    "FeatureMaps",
    "Heatmap",
    "Kernels",
    "LayerTable",
    "Prediction",
    "Preprocess",
    "Verdict",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
