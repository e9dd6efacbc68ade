"""timm models that anyone has put on the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cnnexplain.errors import ModelError
from cnnexplain.sources._network import hub_download
from cnnexplain.sources._source import Built, Variant
from cnnexplain.sources._timm import create, described
from cnnexplain.sources.kit.libraries import library

PREFIX = "hf-hub"
HELP = "hf-hub:owner/name: a timm model on the Hugging Face hub"
NEEDS_HUB = (
    "even without weights this needs its config.json; without a network use bundled:efficientnet_lite0, or an "
    "architecture by its own name, as in timm:resnet50 --weights FILE"
)
EXAMPLE = "hf-hub:timm/resnet18.a1_in1k"


def names() -> Iterable[str]:
    """No names: the hub cannot be listed."""
    return ()


def build(name: str, variant: Variant) -> Built:
    """The model that the repository's config.json describes. Even without weights, that file is needed."""
    reference = f"hf-hub:{name}"
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?", name):
        raise ModelError(
            f"{reference} names no repository", f"write hf-hub:owner/name, for example {EXAMPLE}"
        )
    library("timm")
    with hub_download(reference, hint=NEEDS_HUB):
        try:
            module = create(reference, variant)
        except KeyError as error:
            raise ModelError(
                f"{reference} is not a timm model: its config.json has no {error}",
                f"choose a repository whose page says timm, for example {EXAMPLE}",
            ) from error
        weights = "weights from the Hugging Face hub" if variant.trained else None
        architecture = module.pretrained_cfg.get("architecture") or name
        return described(module, architecture, f"timm model {reference}", weights, variant)
