"""Reads the tensors out of a checkpoint. Nothing in the file is ever run."""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain.core.choice import Choice
from cnnexplain.errors import ModelError, first_line
from cnnexplain.sources._files import existing_file
from cnnexplain.sources._text import printable

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".pth.tar", ".pt2")
NESTS = ("state_dict", "model", "model_state_dict", "net", "ema", "state_dict_ema", "model_ema")
RESAVE = (
    "where the model was made, save its tensors alone: torch.save(model.state_dict(), 'weights.pth'), "
    "or as .safetensors"
)
LONGEST = 99  # letters of a name in a message
DEEPEST = 4  # nests within nests; a file may also hold itself

State = dict[str, "Tensor"]


def is_checkpoint(reference: str) -> bool:
    """Whether a MODEL is written as a checkpoint: by its suffix."""
    return reference.lower().endswith(SUFFIXES)


def read_checkpoint(path: Path) -> tuple[State, tuple[Choice, ...]]:
    """The tensors by name, and which part of the file was taken where it holds several."""
    refuse_foreign(path)
    if _is_safetensors(path):
        return _read_safetensors(path), ()
    return _unnested(_read_pickle(path), path)


def refuse_foreign(path: Path) -> None:
    """Say what a file is that is no checkpoint, from a look at it; nothing in it is loaded."""
    head = _head(existing_file(path, "checkpoint"))
    if not head:
        raise ModelError(f"{path} is empty", "copy or download it again")
    if _is_safetensors(path):
        return
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"{path} is a pointer of Git LFS, not the weights", "run git lfs pull in its repository"
        )
    if head.lstrip()[:1] == b"<" or (head.isascii() and head.decode("ascii").replace("\n", "").isprintable()):
        raise ModelError(
            f"{path} is text, not a checkpoint: it begins with {head[:30].decode('latin-1')!r}",
            "download it again; a web page may have been saved in its place",
        )
    if not head.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:  # a damaged archive may make the reader raise anything
        raise ModelError(f"{path} is cut short or damaged", "copy or download it again") from error
    if path.suffix.lower() == ".pt2" or any(
        name.endswith(("archive_format", "serialized_exported_program.json")) for name in names
    ):
        raise ModelError(f"{path} is an exported program (.pt2), which is code, not a checkpoint", RESAVE)
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise ModelError(f"{path} is a TorchScript archive, which is code, not a checkpoint", RESAVE)
    if not any(name.endswith("data.pkl") for name in names):
        raise ModelError(f"{path} is a zip archive, but not one that torch.save writes", RESAVE)
    if unpacked > path.stat().st_size:  # torch.save packs nothing; what is packed may be a bomb
        raise ModelError(f"{path} unpacks to more than it holds, {unpacked / 1e6:.0f} MB", RESAVE)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def _is_safetensors(path: Path) -> bool:
    return path.suffix.lower() == ".safetensors" or _head(path)[8:10] == b'{"'


def _read_pickle(path: Path) -> Any:
    import torch

    try:
        # timm's training script keeps its arguments beside the weights; a Namespace holds values and runs nothing.
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")  # they are for the file's author
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file from a stranger may make the reader raise anything
        if wanted := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ModelError(
                f"{path} holds more than tensors: reading it would load {wanted[1]}, which can run code",
                RESAVE,
            ) from error
        # Not quoted: torch's message asks people to switch the protection off.
        raise ModelError(
            f"{path} is damaged, or is not a checkpoint that torch.save writes",
            f"copy or download it again; or, {RESAVE}",
        ) from error


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path, device="cpu"))
    except (SafetensorError, ValueError, KeyError, RuntimeError, OSError) as error:
        raise ModelError(
            f"{path} cannot be read as safetensors: {first_line(error)}",
            "copy or download it again; it may be cut short",
        ) from error


def _unnested(data: Any, path: Path) -> tuple[State, tuple[Choice, ...]]:
    """The tensors of a state dict, wherever among `NESTS` it lies."""
    choices: tuple[Choice, ...] = ()
    for _ in range(DEEPEST):
        entries = _entries(data)
        nests = [name for name in NESTS if isinstance(entries.get(name), dict)]
        if not nests:
            break
        if len(nests) > 1:
            choices = (Choice("checkpoint part", nests[0], f"the file also holds {', '.join(nests[1:])}"),)
        data = entries[nests[0]]
    state = _tensors(_entries(data), path)
    if not state:
        found = (
            f"a map of {', '.join(map(_shown, list(_entries(data))[:6]))}"
            if isinstance(data, dict)
            else type(data).__name__
        )
        raise ModelError(f"{path} holds no state dict, but {found}", RESAVE)
    return state, choices


def _shown(name: object) -> str:
    """A key of a map, of whatever kind; tuples in tuples without end could not be written out."""
    return repr(name)[:LONGEST] if isinstance(name, (str, int, float)) else type(name).__name__


def _entries(data: Any) -> dict[Any, Any]:
    """What a map holds. A file can give its maps attributes, so that their own methods are not to be relied on."""
    return dict(dict.items(data)) if isinstance(data, dict) else {}


def _tensors(entries: dict[Any, Any], path: Path) -> State:
    """The tensors among the entries of a map, as plain ones."""
    from torch import Tensor

    named = {name: value for name, value in entries.items() if isinstance(name, str)}
    state = {name: Tensor.detach(value) for name, value in named.items() if isinstance(value, Tensor)}
    for name, tensor in state.items():
        if _claims_too_much(tensor):
            raise ModelError(
                f"{path} holds a tensor {printable(name[:LONGEST])!r} that says it is larger than its data",
                RESAVE,
            )
    return state


def _claims_too_much(tensor: Tensor) -> bool:
    """Whether a tensor has more numbers than the file: a model made to fit it could fill the memory."""
    import torch

    if tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return True
    return tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()
