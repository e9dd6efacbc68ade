"""From what a user typed to a `Model` on its device."""

from __future__ import annotations

import torch
from torch import nn

from cnnexplain.core.choice import Choice
from cnnexplain.core.loading import Loaded, ModelOptions
from cnnexplain.engine.borrow import unwrapped
from cnnexplain.engine.model import Model
from cnnexplain.errors import OptionError, first_line
from cnnexplain.runner.options import DeviceOptions
from cnnexplain.sources import load


def build(
    reference: str, options: ModelOptions, where: DeviceOptions
) -> tuple[Model, Loaded, tuple[Choice, ...]]:
    """Load a model and put it where it will run; also what was chosen on the way."""
    device, choices = pick_device(where.device)
    loaded = load(reference, options)
    try:
        module = _channels_last(unwrapped(loaded.module).to(device))
    except RuntimeError as error:
        raise OptionError(
            f"{loaded.name} cannot be put on {device}: {first_line(error)}", "use --device cpu"
        ) from error
    model = Model(
        module,
        loaded.name,
        loaded.preprocess,
        loaded.labels,
        where.precision,
        options.seed,
        source=loaded.source,
    )
    return model, loaded, (*loaded.choices, *choices)


def _channels_last(module: nn.Module) -> nn.Module:
    """The module with the weights of its 2-D convolutions laid out as processors like them best."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.layout is torch.strided and not tensor.is_nested and tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return module


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
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        found = f"{torch.cuda.device_count()} CUDA devices" if device.type == "cuda" else "no such device"
        raise OptionError(f"--device {wanted} is not to be had: {found} found", "use --device auto or cpu")
    return device, ()
