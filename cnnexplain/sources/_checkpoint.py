"""Reads the tensors out of a checkpoint. Nothing in the file is ever run."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickletools
import re
import shlex
import warnings
import zipfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain.core.words import printable
from cnnexplain.errors import ModelError, first_line
from cnnexplain.sources._files import existing_file
from cnnexplain.sources._foreign import TENSORFLOW, TORCH, foreign_file
from cnnexplain.sources._renames import State

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (*TORCH, ".pt2")
NESTS = ("state_dict", "model", "model_state_dict", "net", "ema", "state_dict_ema", "model_ema")
RESAVE = (
    "where the model was made, save its tensors alone: torch.save(model.state_dict(), 'weights.pth'), "
    "or as .safetensors"
)
LONGEST = 99  # letters of a name in a message
DEEPEST = 4  # nests within nests
MOST_PARTS = 64
MOST_KEYS = 100_000
MOST_PICKLED = 16_000_000  # bytes of a pickle that are examined for its contents


def is_checkpoint(reference: str) -> bool:
    """Whether a MODEL is written as a checkpoint: by its suffix."""
    return reference.lower().endswith(SUFFIXES)


@dataclass(frozen=True)
class StateDict:
    """A map of tensors in a file, and its name there: `` for the file itself, or `ema.model`."""

    name: str
    state: State


def read_checkpoint(path: Path) -> tuple[StateDict, ...]:
    """The maps of tensors in a file."""
    refuse_foreign(path)
    if _is_safetensors(path):
        return (StateDict("", _read_safetensors(path)),)
    return _parts(_read_pickle(path), path)


def refuse_foreign(path: Path) -> None:
    """Raise `ModelError` with the kind of a file that is no checkpoint; nothing in it is loaded."""
    if os.path.isfile(f"{path}.index") and not os.path.exists(path):
        raise ModelError(f"{path} is a checkpoint of TensorFlow", TENSORFLOW)
    head = _head(existing_file(path, "checkpoint"))
    if not head:
        raise ModelError(f"{path} is empty", "copy or download it again")
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"{path} is a pointer of Git LFS, not the weights", "run git lfs pull in its repository"
        )
    if foreign := foreign_file(path):
        raise ModelError(f"{path} is {foreign.kind}, which cannot be loaded as a model", foreign.hint)
    if _is_safetensors(path):
        return
    if head.lstrip()[:1] == b"<" or (head.isascii() and head.decode("ascii").replace("\n", "").isprintable()):
        raise ModelError(
            f"{path} is text, not a checkpoint: it begins with {head[:30].decode('latin-1')!r}",
            "download it again; a web page may have been saved in its place",
        )
    if head.startswith(b"PK"):
        _refuse_archive(path)


def _refuse_archive(path: Path) -> None:
    """Raise `ModelError` for a zip archive that torch.save did not write, or that unpacks to more than its size."""
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
    if unpacked > path.stat().st_size:  # torch.save packs nothing; a packed archive may be a bomb
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
        if name := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise _needs_code(path, name[1]) from error
        # Not quoted: torch's message asks people to switch the protection off.
        raise ModelError(
            f"{path} is damaged, or is not a checkpoint that torch.save writes",
            f"copy or download it again; or, {RESAVE}",
        ) from error


def _needs_code(path: Path, name: str) -> ModelError:
    """The error for a pickle that would load `name`: a whole module, or something beside the tensors."""
    reading = f"reading it would load {name}, which can run code"
    entry = _entry_of_module(path, name)
    if entry is None:
        return ModelError(f"{path} holds more than tensors: {reading}", RESAVE)
    code = (
        f"import torch; m = torch.load({json.dumps(path.name)}, weights_only=False){entry}; "
        'torch.save(m.state_dict(), "weights.pth")'
    )
    return ModelError(
        f"{path} holds a whole pickled module, not a state dict: {reading}",
        f"{RESAVE}. If you trust whoever made it, and where its code can be imported: "
        f"python -c {shlex.quote(code)}",
    )


def _entry_of_module(path: Path, name: str) -> str | None:
    """How to get at the module that a pickle holds: `["model"]`, or nothing where it is the whole; None if none is.

    The pickle is not loaded, only read as the list of instructions that it is.
    """
    try:
        pickled, before = _pickled(path)
        if not all(word in pickled for word in (b"_modules", b"_parameters", b"_buffers")):
            return None
        stream = io.BytesIO(pickled)
        for _ in range(before):
            deque(pickletools.genops(stream), maxlen=0)
        entry = ""
        for instruction, argument, _ in pickletools.genops(stream):
            if instruction.name == "GLOBAL" and str(argument).replace(" ", ".") == name:
                return entry
            if "UNICODE" in instruction.name and not (
                before and argument == "module"
            ):  # the old format's mark
                entry = f"[{json.dumps(argument)}]"
    except Exception:  # noqa: BLE001 - an unreadable pickle counts as holding more than tensors, and is refused too
        return None
    return None


def _pickled(path: Path) -> tuple[bytes, int]:
    """The pickle in a file of torch.save, and how many others stand before it."""
    if not _head(path).startswith(b"PK"):
        with path.open("rb") as file:
            return file.read(MOST_PICKLED), 3  # a number, the version, and the system's
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        with archive.open(name) as file:
            return file.read(MOST_PICKLED), 0


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


def _parts(data: Any, path: Path) -> tuple[StateDict, ...]:
    """Every map of tensors in a file, whatever it is called: those of `NESTS` first, then as they stand."""
    parts: list[StateDict] = []
    states: dict[int, State] = {}  # by map: a map may stand in several places, and in itself
    level = [("", data)]
    for _ in range(DEEPEST + 1):
        below = []
        for name, entry_map in level:
            if id(entry_map) not in states:
                entries = {key: value for key, value in _entries(entry_map).items() if isinstance(key, str)}
                states[id(entry_map)] = _tensors(entries, path)
                below += [
                    (f"{name}.{key}" if name else key, value)
                    for key, value in entries.items()
                    if isinstance(value, dict)
                ]
            if states[id(entry_map)] and len(parts) < MOST_PARTS:
                parts.append(StateDict(name, states[id(entry_map)]))
        level = below
    if not parts:
        raise ModelError(f"{path} holds no state dict, but {_description(data)}", RESAVE)
    order = {name: place for place, name in enumerate(NESTS)}
    return tuple(sorted(parts, key=lambda part: order.get(part.name, len(order))))


def _description(data: Any) -> str:
    """The contents, in words, of a file that holds no state dict."""
    for _ in range(DEEPEST):
        nested = [value for value in _entries(data).values() if isinstance(value, dict)]
        if not nested:
            break
        data = nested[0]
    if not isinstance(data, dict):
        return type(data).__name__
    return f"a map of {', '.join(map(_printed, list(_entries(data))[:6]))}"


def _printed(name: object) -> str:
    """A key of a map, of whatever kind; tuples in tuples without end could not be written out."""
    return repr(name)[:LONGEST] if isinstance(name, (str, int, float)) else type(name).__name__


def _entries(data: Any) -> dict[Any, Any]:
    """The entries of a map. A file can give its maps attributes, so that their own methods cannot be relied on."""
    return dict(dict.items(data)) if isinstance(data, dict) else {}


def _tensors(entries: dict[str, Any], path: Path) -> State:
    """The tensors among the entries of a map, as plain ones."""
    from torch import Tensor

    if len(entries) > MOST_KEYS:
        raise ModelError(f"{path} holds {len(entries):,} names in one map, more than any network has", RESAVE)
    tensors = {name: value for name, value in entries.items() if isinstance(value, Tensor)}
    state = {name: Tensor.detach(value) for name, value in tensors.items()}
    # Without a shape.
    require_honest({name: tensor for name, tensor in state.items() if tensor.is_nested}, path)
    return state


def require_honest(state: State, path: Path) -> None:
    """Raise where a tensor has more numbers than the file: a model made to fit it could fill the memory."""
    for name, tensor in state.items():
        if _claims_too_much(tensor):
            raise ModelError(
                f"{path} holds a tensor {printable(name[:LONGEST])!r} that says it is larger than its data",
                RESAVE,
            )


def is_honest(part: StateDict) -> bool:
    """Whether no tensor of a part has more numbers than the file, so that its tensors can be computed with."""
    return not any(map(_claims_too_much, part.state.values()))


def _claims_too_much(tensor: Tensor) -> bool:
    import torch

    if tensor.is_nested or tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return True
    return tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()
