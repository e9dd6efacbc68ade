"""The story of loading: the meaning of the reference, the model, a checkpoint in it, labels, preprocessing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexplain.core.loading import Loaded, ModelOptions
from cnnexplain.core.words import printable
from cnnexplain.errors import ModelError, OptionError, first_line
from cnnexplain.sources._checkpoint import is_checkpoint, refuse_foreign
from cnnexplain.sources._labels import read_labels
from cnnexplain.sources._preprocess import Overrides, fed
from cnnexplain.sources._registry import build, has_prefix
from cnnexplain.sources._repository import repository
from cnnexplain.sources._source import Built, Variant

if TYPE_CHECKING:
    from torch import nn

ARCH_HINT = "name the architecture, as in --arch resnet50 or --arch mynet.py:Net"


def load(reference: str, options: ModelOptions) -> Loaded:
    """The model that `reference` means, ready to be run: in eval mode, in float32, on the CPU."""
    repository_files = repository(reference, arch=options.arch)
    if repository_files is None:
        architecture, checkpoint = _architecture_and_checkpoint(reference, options)
    else:
        architecture = f"timm:{repository_files.architecture}"
        checkpoint = options.weights or (repository_files.weights if options.pretrained else None)
    if checkpoint is None and options.weights_key is not None:
        raise OptionError(
            f"--weights-key {options.weights_key} names a part of a checkpoint, and {reference!r} is none",
            "add --weights FILE, or leave it out",
        )
    overrides = Overrides.of(options)
    size = overrides.size
    labels = read_labels(options.labels) if options.labels is not None else None
    variant = Variant(
        trained=options.pretrained and checkpoint is None,
        channels=size.channels if size else None,
        size=(size.height, size.width) if size else None,
    )
    start = os.getcwd()

    def make(name: str, settings: Variant) -> Built:
        os.chdir(start)  # the user's own code may have gone elsewhere, and `name` is a path seen from there
        return _build(name, settings, options.seed)

    if checkpoint is None:
        built = make(architecture, variant)
    else:
        from cnnexplain.sources._fill import filled  # most models come with their weights

        built = filled(checkpoint, architecture, variant, options, make)
    if repository_files is not None:
        built = repository_files.describe(built)
    if size and size.channels not in (None, built.preprocess.channels):
        raise OptionError(
            f"--input-size {options.input_size} asks for {size.channels} channels, but {built.name} takes "
            f"{built.preprocess.channels}",
            f"write --input-size {built.preprocess.channels}x{size.height}x{size.width}",
        )
    preprocess = overrides.apply(built.preprocess, built.crop_pct)
    return Loaded(
        module=_ready(built),
        reference=reference,
        name=built.name,
        source=f"{built.code}, {built.weights or f'random weights (seed {options.seed})'}",
        preprocess=preprocess,
        labels=_labels(built) if labels is None else labels,
        choices=(*overrides.settled(built.choices), *fed(preprocess)),
        sized=built.sized or size is not None,
    )


def _ready(built: Built) -> nn.Module:
    from torch.fx import Graph

    try:
        module = built.module.float().cpu()
        if isinstance(
            getattr(module, "graph", None), Graph
        ):  # torch.export's have a single mode, and refuse eval()
            for child in module.modules():
                child.training = False
            return module
        return module.eval()
    except Exception as error:  # whatever a stranger's module raises
        raise ModelError(
            f"{built.name} cannot be put into evaluation mode, in float32 on the CPU: {first_line(error)}",
            "give an ordinary nn.Module whose weights have values",
        ) from error


def adopt(module: nn.Module, options: ModelOptions) -> Loaded:
    """A module that the caller made, as it is: where it is, in the mode that it is in."""
    from cnnexplain.sources.own_code import described

    overrides = Overrides.of(options)
    labels = read_labels(options.labels) if options.labels is not None else None
    built = described(
        module, type(module).__name__, Variant(channels=overrides.size.channels if overrides.size else None)
    )
    preprocess = overrides.apply(built.preprocess, built.crop_pct)
    return Loaded(
        module=module,
        reference=built.name,
        name=built.name,
        source="a module of your own",
        preprocess=preprocess,
        labels=_labels(built) if labels is None else labels,
        choices=(*overrides.settled(built.choices), *fed(preprocess)),
        sized=built.sized or overrides.size is not None,
    )


def _architecture_and_checkpoint(reference: str, options: ModelOptions) -> tuple[str, Path | None]:
    """The architecture, and the checkpoint that goes into it."""
    a_file = options.arch is not None and os.path.isfile(reference)  # whatever its name, as in --weights
    if has_prefix(reference) or not (is_checkpoint(reference) or a_file):
        if options.arch is not None:
            raise OptionError(
                f"--arch {options.arch} goes with a checkpoint as MODEL, and {reference!r} is none",
                f"leave --arch out; or write {options.arch} --weights FILE",
            )
        return reference, options.weights
    refuse_foreign(Path(reference))
    if options.weights is not None:
        raise OptionError(
            f"--weights {options.weights} is a second checkpoint beside {reference}",
            f"write {reference} --arch NAME, or the name of a model with --weights",
        )
    if options.arch is None:
        raise ModelError(
            f"{reference} holds weights, but not the architecture that they belong to", ARCH_HINT
        )
    if not has_prefix(options.arch) and is_checkpoint(options.arch):
        raise OptionError(f"--arch {options.arch} is a checkpoint, not an architecture", ARCH_HINT)
    return options.arch, Path(reference)


def _build(architecture: str, variant: Variant, seed: int) -> Built:
    with _seeded(seed), redirect_stdout(sys.stderr):  # stdout is for data; libraries and user code may print
        return build(architecture, variant)


def _labels(built: Built) -> tuple[str, ...] | None:
    """The names that came with the model; None where there are none."""
    return None if built.labels is None else tuple(map(printable, built.labels))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw random weights from `seed`, and leave the caller's random numbers as they were."""
    import torch

    with torch.random.fork_rng(devices=[]):  # no devices: models are built on the CPU
        torch.default_generator.manual_seed(seed)
        yield
