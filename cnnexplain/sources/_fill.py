"""A checkpoint into a model: the part of the file, the library's network, the number of classes, and the choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexplain.core.choice import Choice
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.words import printable
from cnnexplain.errors import ModelError
from cnnexplain.sources._checkpoint import (
    LONGEST,
    NESTS,
    StateDict,
    is_honest,
    read_checkpoint,
    require_honest,
)
from cnnexplain.sources._fit import Misfit, channels_of, head_sizes, put
from cnnexplain.sources._keys import Reading, is_averaged, read
from cnnexplain.sources._registry import is_library, second_reading
from cnnexplain.sources._source import Built, Variant

if TYPE_CHECKING:
    from torch import nn

LANGUAGE = ("embed_tokens", "lm_head", "q_proj.weight", "word_embeddings")  # in keys of language models
Build = Callable[[str, Variant], Built]


@dataclass(frozen=True)
class FilledModel:
    """A model with the fitting tensors of a checkpoint in it."""

    built: Built
    part: StateDict
    rivals: tuple[StateDict, ...]  # other parts of the file that fit as well
    refused: tuple[StateDict, ...]  # those that say they are larger than their data
    reading: Reading
    misfit: Misfit
    variant: Variant

    @property
    def share(self) -> float:
        """How much of the model has its weights from the file."""
        return self.misfit.fitting / max(1, self.misfit.total)


def filled(
    checkpoint: Path, architecture: str, variant: Variant, options: ModelOptions, build: Build
) -> Built:
    """The model in the shape that the checkpoint has, with its tensors in it."""
    parts = _parts_named(read_checkpoint(checkpoint), options.weights_key, checkpoint)
    best = _filled(checkpoint, parts, architecture, variant, build)
    if best.misfit.anything and (second := second_reading(architecture)):
        other = _filled(checkpoint, parts, second, variant, build)
        if not other.misfit.anything or other.share > best.share:
            reason = f"the checkpoint fits it, and not timm's {best.built.name}"
            choice = Choice("model source", second, reason)
            best = replace(other, built=replace(other.built, choices=(choice, *other.built.choices)))
    misfit = best.misfit
    if misfit.everything or (misfit.anything and options.strict):
        raise _misfit(best, checkpoint)
    choices = (*best.built.choices, *_choices(best, variant, options))
    part = f", {printable(options.weights_key[:LONGEST])}" if options.weights_key is not None else ""
    return replace(best.built, weights=f"weights from {checkpoint}{part}", choices=choices)


def _filled(
    checkpoint: Path, parts: tuple[StateDict, ...], architecture: str, variant: Variant, build: Build
) -> FilledModel:
    """The part of the file that fits an architecture best, in a model with its numbers of classes and channels."""
    built = build(architecture, variant)
    honest: list[StateDict] = []
    refused: list[StateDict] = []
    for part in parts:
        (honest if is_honest(part) else refused).append(part)
    # Before anything is computed with tensors, as readings do: an expanded tensor takes a few bytes of the file.
    if not honest:
        require_honest(parts[0].state, checkpoint)
    readings = [(part, read(part.state, built.module)) for part in honest]

    def order(candidate: tuple[StateDict, Reading]) -> tuple[int, bool, int]:
        part, reading = candidate
        return -reading.score, is_averaged(part.name), 0 if reading.score else -len(part.state)

    (part, first), *runners_up = sorted(readings, key=order)
    reading = first
    if not first.score and refused:  # a refused part could have fitted
        require_honest(refused[0].state, checkpoint)
    classes = head_sizes(
        reading.placed, built.module, lambda number: _probe(architecture, number, variant, build)
    )
    channels = channels_of(reading.placed, built.module) or variant.channels
    shaped = variant
    for settings in [
        replace(variant, classes=count, channels=channels) for count in classes or (variant.classes,)
    ]:
        if settings == variant:
            continue
        network = build(architecture, settings)
        again = read(part.state, network.module)
        if again.score > reading.score:
            built, reading, shaped = network, again, settings
    return FilledModel(
        built,
        part,
        rivals=tuple(rival for rival, other in runners_up if first.score and other.score == first.score),
        refused=tuple(refused),
        reading=reading,
        misfit=put(reading, built.module, built.unused),
        variant=shaped,
    )


def _probe(architecture: str, classes: int, variant: Variant, build: Build) -> nn.Module:
    """The network for another number of classes, to read its shapes."""
    import torch

    settings = replace(variant, classes=classes)
    if is_library(architecture):
        try:
            with torch.device("meta"):
                return build(architecture, settings).module
        except (RuntimeError, ModelError):
            pass  # a few, such as torchvision's RegNets, compute with values while they are built
    return build(architecture, settings).module


def _parts_named(parts: tuple[StateDict, ...], key: str | None, path: Path) -> tuple[StateDict, ...]:
    """The part that `--weights-key` names, a map of the file or the keys under a prefix; without the option all."""
    exact = [part for part in parts if key in (None, part.name)]
    if exact:
        return tuple(exact)
    nested = []
    for part in parts:
        prefix = f"{key}.".removeprefix(f"{part.name}.") if part.name else f"{key}."
        state = {
            name[len(prefix) :]: tensor for name, tensor in part.state.items() if name.startswith(prefix)
        }
        if state:
            nested.append(StateDict(str(key), state))
    if nested:
        return (max(nested, key=lambda part: len(part.state)),)
    largest = max(parts, key=lambda part: len(part.state)).state
    names = dict.fromkeys(part.name for part in parts if part.name) or dict.fromkeys(
        name.partition(".")[0] for name in largest if "." in name
    )
    raise ModelError(
        f"{path} has no part called {key!r}",
        f"write --weights-key with one of {', '.join(map(_printed, list(names)[:8]))}"
        if names
        else "leave it out",
    )


def _choices(filling: FilledModel, variant: Variant, options: ModelOptions) -> list[Choice]:
    """The choices made while the checkpoint was fitted, with reasons."""
    part, reading, misfit, built = filling.part, filling.reading, filling.misfit, filling.built
    choices = []
    if filling.rivals:
        names = ", ".join(_printed(rival.name) for rival in filling.rivals)
        choices.append(
            Choice(
                "checkpoint part",
                _printed(part.name),
                f"the file also holds {names}, which would fit as well; --weights-key NAME takes another",
            )
        )
    elif filling.refused:
        names = ", ".join(_printed(refused.name) or "the file itself" for refused in filling.refused)
        reason = f"{names} says that it is larger than its data, and was not read"
        choices.append(Choice("checkpoint part", _printed(part.name) or "the file itself", reason))
    elif part.name not in ("", *NESTS) and options.weights_key is None:
        choices.append(Choice("checkpoint part", _printed(part.name), "what fits of the file"))
    if reading.copies:
        names = ", ".join(_printed(prefix.rstrip(".")) or "keys without one" for prefix in reading.copies)
        choices.append(
            Choice(
                "checkpoint part",
                f"keys under {_printed(reading.prefix.rstrip('.'))}"
                if reading.prefix
                else "keys without a prefix",
                f"the file has the same under {names}; --weights-key NAME takes another",
            )
        )
    if reading.changes:
        choices.append(Choice("checkpoint keys", "; ".join(reading.changes), "so that they fit the model's"))
    if filling.variant.classes != variant.classes:
        choices.append(Choice("classes", str(filling.variant.classes), "read off the head in the checkpoint"))
    if filling.variant.channels != variant.channels and built.preprocess.channels == filling.variant.channels:
        channels = str(filling.variant.channels)
        choices.append(Choice("input channels", channels, "read off the checkpoint's first convolution"))
    if misfit.anything:
        choices.append(Choice("checkpoint", "what fits of it", str(misfit)))
    elif misfit.unexpected:
        reason = f"no layers, and nothing that the model has a place for: {misfit.left_out}"
        choices.append(Choice("checkpoint", f"without {len(misfit.unexpected)} of its keys", reason))
    if misfit.unneeded:
        reason = f"the file has none, and only training needs them: {misfit.left_as_made}"
        choices.append(
            Choice("checkpoint", f"no values for {len(misfit.unneeded)} of the model's keys", reason)
        )
    if built.labels is not None and options.labels is None:
        choices.append(Choice("labels", f"those of {built.code}", "there are as many; --labels names others"))
    return choices


def _misfit(filling: FilledModel, checkpoint: Path) -> ModelError:
    misfit, built = filling.misfit, filling.built
    names = [name for name in filling.reading.left if any(word in name for word in LANGUAGE)]
    if names and misfit.fitting < len(names):
        return ModelError(
            f"{checkpoint} holds the weights of a language model ({_printed(names[0])}), not of {built.name}",
            "cnnexplain explains networks that classify pictures, for example bundled:efficientnet_lite0",
        )
    right = "name the architecture that it was trained with"
    return ModelError(
        f"{checkpoint} does not fit {built.name}: {'; '.join((str(misfit), *filling.reading.failed))}",
        right if misfit.everything else f"{right}, or load what fits with --no-strict",
    )


def _printed(name: str) -> str:
    return printable(name[:LONGEST])
