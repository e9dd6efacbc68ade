"""timm's models, and the preprocessing and class names of their configurations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cnnexplain.core.loading import CROP_MODES
from cnnexplain.core.preprocess import INTERPOLATIONS, Preprocess
from cnnexplain.sources._preprocess import LARGEST_SIDE
from cnnexplain.sources._source import Built, Variant
from cnnexplain.sources.kit.libraries import library


def create(name: str, variant: Variant) -> Any:
    """timm's model called `name`, as `variant` wants it."""
    create_model = library("timm").create_model
    shape = {"num_classes": variant.classes, "in_chans": variant.channels}
    if variant.size is not None:
        try:
            # Vision transformers and their kin are built for a fixed size of input.
            return create_model(name, variant.trained, img_size=variant.size, **shape)
        except TypeError:
            pass  # This architecture has no img_size: it takes any.
    return create_model(name, variant.trained, **shape)


def described(module: Any, name: str, code: str, weights: str | None, variant: Variant) -> Built:
    """timm's `module` with the preprocessing and labels of its configuration."""
    preprocess, crop_pct = preprocess_of(module.pretrained_cfg, variant.channels)
    return Built(
        module=module,
        name=name,
        code=code,
        weights=weights,
        preprocess=preprocess,
        crop_pct=crop_pct,
        labels=labels_of(module.pretrained_cfg, module.num_classes),
    )


def preprocess_of(config: Mapping[str, Any], channels: int | None = None) -> tuple[Preprocess, float]:
    """The preprocessing that timm's own evaluation transform has, and its crop proportion.

    Raises whatever a configuration of wrong types makes timm raise, and `ValueError` for wrong values.
    """
    data = library("timm.data").resolve_data_config(pretrained_cfg=dict(config))
    configured, height, width = (int(side) for side in data["input_size"])
    crop_pct = float(data["crop_pct"])
    if data["interpolation"] not in INTERPOLATIONS:
        raise ValueError(f"unknown interpolation {data['interpolation']!r:.99}")
    if data["crop_mode"] not in CROP_MODES:
        raise ValueError(f"unknown crop mode {data['crop_mode']!r:.99}")
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE and 0 < configured <= LARGEST_SIDE):
        raise ValueError(f"input size {data['input_size']!r:.99}")
    if not 0 < crop_pct <= 1:
        raise ValueError(f"crop_pct {crop_pct}")
    for name in ("mean", "std"):
        if not all(math.isfinite(number) for number in data[name]) or len(data[name]) not in (
            1,
            3,
            channels or configured,
        ):
            raise ValueError(f"{name} {data[name]!r:.99}")
    if not all(number > 0 for number in data["std"]):
        raise ValueError(f"std {data['std']!r:.99}")
    preprocess = Preprocess(
        input_size=(height, width),
        channels=channels or configured,
        resize=(math.floor(height / crop_pct), math.floor(width / crop_pct)),
        crop_mode=data["crop_mode"],
        interpolation=data["interpolation"],
        mean=tuple(map(float, data["mean"])),
        std=tuple(map(float, data["std"])),
    )
    return preprocess, crop_pct


def labels_of(config: Mapping[str, Any], classes: int) -> Sequence[str] | None:
    """A name for each class where the configuration, or ImageNet with as many classes, has them; else None."""
    names = config.get("label_names") or ()
    if isinstance(names, Mapping):
        names = [names.get(str(index), names.get(index, "")) for index in range(classes)]
    if len(names) == classes:
        descriptions = config.get("label_descriptions")
        by_name = descriptions if isinstance(descriptions, Mapping) else {}
        return [str(by_name.get(name, name)) for name in names]
    data = library("timm.data")
    subset = data.infer_imagenet_subset({"num_classes": classes})
    return None if subset is None else list(data.ImageNetInfo(subset).label_descriptions())
