"""From what a user typed to a `Model` on its device."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from cnnexplain.core.choice import Choice
from cnnexplain.core.loading import UNFLATTEN, Loaded, ModelOptions
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.engine.borrow import unwrapped
from cnnexplain.engine.layout import MemoryLayout
from cnnexplain.engine.model import Model
from cnnexplain.errors import OptionError, first_line
from cnnexplain.runner.options import DeviceOptions
from cnnexplain.sources import adopt, load


def build(
    reference: str, options: ModelOptions, where: DeviceOptions, settled: Preprocess | None = None
) -> tuple[Model, Loaded, tuple[Choice, ...]]:
    """Load a model and put it where it will run; also what was chosen on the way.

    `settled` is what another process found that the model is fed: no size is looked for.
    """
    _require_precision(where.precision)
    device, choices = pick_device(where.device)
    loaded = load(reference, options)
    try:
        module = unwrapped(loaded.module).to(device)
        layout = MemoryLayout(owns_weights=True)
        layout.use(module, channels_last=True)
    except RuntimeError as error:
        raise OptionError(
            f"{loaded.name} cannot be put on {device}: {first_line(error)}", "use --device cpu"
        ) from error
    model = Model(
        module,
        loaded.name,
        settled or loaded.preprocess,
        loaded.labels,
        where.precision,
        options.seed,
        source=loaded.source,
        layout=layout,
        activation=options.activation,
        output=options.model_output,
    )
    if settled is None and not loaded.sized:
        from cnnexplain.engine.input_size import with_size  # most models say themselves what they are fed

        model, size = with_size(model, options.crop_pct or 1.0)
        choices = (*size, *choices)
    return model, loaded, (*loaded.choices, *choices)


def own_model(
    module: nn.Module, options: ModelOptions, precision: str, preprocess: Preprocess | None
) -> tuple[Model, tuple[Choice, ...]]:
    """A `Model` of a module that Python code has made, where and as it is; also what was chosen on the way.

    `preprocess` says what it is fed; None leaves it to the module's configuration, and to its code.
    """
    _require_precision(precision)
    loaded = adopt(unwrapped(module), options)
    model = Model(
        loaded.module,
        loaded.name,
        preprocess or loaded.preprocess,
        loaded.labels,
        precision,
        options.seed,
        source=loaded.source,
        activation=options.activation,
        output=options.model_output,
    )
    if preprocess is not None:
        return model, ()
    if loaded.sized:
        return model, loaded.choices
    from cnnexplain.engine.input_size import with_size  # most models say themselves what they are fed

    model, size = with_size(model, options.crop_pct or 1.0)
    return model, (*loaded.choices, *size)


def _require_precision(precision: str) -> None:
    if precision == "auto":
        raise OptionError(
            "--precision auto is chosen by the maps of a run's first images, and none are made here",
            "give --precision fp32, bf16 or fp16",
        )


def pick_device(wanted: str) -> tuple[torch.device, tuple[Choice, ...]]:
    """The device that a user named, or the fastest there is."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda"), (Choice("device", "cuda", "a GPU was found"),)
        if torch.backends.mps.is_available():
            return torch.device("mps"), (Choice("device", "mps", "Apple's GPU was found"),)
        return torch.device("cpu"), (Choice("device", "cpu", "no GPU was found"),)
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise OptionError(
            f"--device {wanted!r} is not a device", "use auto, cpu, cuda, cuda:0 or mps"
        ) from error
    there = {
        "cpu": True,
        # As written: torch keeps a number in eight bits, where 256 is 0.
        "cuda": int(wanted.partition(":")[2] or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        available = f"{torch.cuda.device_count()} CUDA devices" if device.type == "cuda" else "no such device"
        raise OptionError(
            f"--device {wanted} is not available: {available} found", "use --device auto or cpu"
        )
    return device, ()


def require_loadable(model: object, device: str | None, options: Collection[str]) -> None:
    """Refuse what is no model, and of a module of the user's own what only means something for names.

    Args:
        model: What `load` was given.
        device: Where it was asked to run, if that was said.
        options: The names of the others that were given.

    Raises:
        OptionError: It is neither a name nor a module, or an option has no meaning for it.
    """
    if not isinstance(model, (str, nn.Module)):
        kind = type(model).__name__
        hint = "give a name, as on the command line, or an nn.Module"
        raise OptionError(f"a {kind} is no model", UNFLATTEN if kind == "ExportedProgram" else hint)
    if isinstance(model, str):
        return
    if device is not None:
        raise OptionError("a module of your own stays on its device", "move it first: module.to(device)")
    if useless := sorted({"weights", "arch", "weights_key", "pretrained", "strict"}.intersection(options)):
        raise OptionError(
            f"{useless[0]} means nothing for a module that is made already",
            "load the weights yourself: module.load_state_dict(...)",
        )
