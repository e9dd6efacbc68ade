"""Files of models and labels from strangers: two lines, exit code 2, nothing runs, memory stays small."""
# ruff: noqa: E501 - a table reads best a case a line

from __future__ import annotations

import io
import json
import os
import pickle
import re
import struct
import subprocess
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from shell import TINY, environment, spot_picture

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's, about what is made here
HIGHEST = 400  # megabytes that a refusal may take beside torch itself; the bombs ask for 8,000 and more
PLENTY = 8_000_000_000

# Runs every case in one process whose address space is limited, and notes what each has said and taken.
JUDGE = """
import json, os, re, resource, sys, time
from cnnexplain.cli.app import run

def memory(key):
    with open("/proc/self/status") as status:
        return int(re.search(rf"{key}:\\s+(\\d+)", status.read())[1]) // 1024

resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + 2000 << 20,) * 2)
found = {}
for case, words in json.load(open("cases.json")).items():
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before, started, kept = memory("VmRSS"), time.monotonic(), [os.dup(1), os.dup(2)]
    with open("told", "w+b") as told, open("data", "w+b") as data:
        os.dup2(data.fileno(), 1)
        os.dup2(told.fileno(), 2)
        sys.argv = ["cnnexplain", *words]
        code = run(words)
        for number, stream in enumerate(kept, 1):
            os.dup2(stream, number)
            os.close(stream)
        told.seek(0)
        data.seek(0)
        found[case] = (code, data.read().decode(), told.read().decode(), memory("VmHWM") - before, time.monotonic() - started)
json.dump(found, open("found.json", "w"))
"""


class Canary:
    """A pickle that makes a folder when it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("canary",)


class Rebuilt:
    """What pickles as a call of a function that torch lets any file call, and attributes of what that returns."""

    def __init__(self, call: Callable[..., Any], *arguments: Any, **attributes: Any) -> None:
        self.called = (call, arguments, attributes) if attributes else (call, arguments)

    def __reduce__(self) -> Any:
        return self.called


REBUILD = torch._utils._rebuild_tensor_v2


def saved(data: Any, *, zipped: bool = True) -> bytes:
    """What torch.save writes."""
    stream = io.BytesIO()
    torch.save(data, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def holding(entry: str, content: bytes, packing: int = zipfile.ZIP_STORED) -> bytes:
    """A checkpoint with that in one of its entries."""
    stream = io.BytesIO()
    whole = zipfile.ZipFile(io.BytesIO(saved({"a": torch.zeros(9)})))
    with zipfile.ZipFile(stream, "w", packing, compresslevel=1) as changed:
        for name in whole.namelist():
            changed.writestr(name, content if name.endswith(entry) else whole.read(name))
    return stream.getvalue()


def bomb(entry: str) -> bytes:
    """A checkpoint of two megabytes that unpacks to five hundred."""
    return holding(entry, bytes(500_000_000), zipfile.ZIP_DEFLATED)


def lying(size: int) -> bytes:
    """A checkpoint whose directory says that its tensor is that large."""
    data = bytearray(saved({"a": torch.zeros(9)}))
    place = data.rfind(b"PK\x01\x02", 0, data.rfind(b"data/0"))
    struct.pack_into("<II", data, place + 20, size, size)
    return bytes(data)


def safetensors(header: object, data: bytes = b"", *, says: int | None = None) -> bytes:
    """A file of safetensors, whose header says how long it is, or says something else."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if says is None else says) + text + data


def floats(begin: int, end: int, *shape: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def tensor(shape: tuple[int, ...]) -> Rebuilt:
    """A tensor of that shape over the data of two numbers."""
    return Rebuilt(
        REBUILD, torch.zeros(2)._typed_storage(), 0, shape, (1,) * len(shape), False, OrderedDict()
    )


def weight(tensor: object) -> dict[str, object]:
    return {"head.weight": tensor}


def normed(step: int) -> dict[str, object]:
    """500 layers with weight norm in one storage of 2.4 MB: the same place of it, or each a little further."""
    numbers = torch.ones(600_000)
    state = {}
    for layer in range(500):
        state[f"l{layer}.weight_v"] = numbers.as_strided((599, 1000), (1000, 1), layer * step)
        state[f"l{layer}.weight_g"] = numbers[:599].view(599, 1)
    return state


MANY = 10_000_000  # classes
NAME = "\x1b]0;owned\x07\x1b[2J[bold]<img src=x onerror=alert(1)>\n\u202e"
NESTED = b"[" * 2000 + b"]" * 2000

# name of the file: its content, and what is said of it.
MODELS: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "code.pth": (lambda: saved(weight(Canary())), "would load posix.mkdir"),
    "code-old.pth": (lambda: saved(weight(Canary()), zipped=False), "would load posix.mkdir"),
    "code.bin": (lambda: pickle.dumps(Canary()), "is damaged, or is not a checkpoint"),
    "code.safetensors": (lambda: pickle.dumps(Canary()), "cannot be read as safetensors"),
    "bomb-of-data.pth": (lambda: bomb("data/0"), "unpacks to"),
    "bomb-of-pickle.pth": (lambda: bomb("data.pkl"), "unpacks to"),
    "directory-lies.pth": (lambda: lying(2_000_000_000), "unpacks to|damaged"),
    "half.pth": (lambda: saved(weight(torch.zeros(99)))[:-400], "cut short or damaged"),
    "half-old.pth": (lambda: saved(weight(torch.zeros(99)), zipped=False)[:-40], "damaged"),
    "empty.pth": (b"", "is empty"),
    "text.pth": (b"hello \nworld", "is text, not a checkpoint"),
    "escapes.pth": (b"\x1b]0;owned\x07\x1b[2J <b>", "damaged"),
    "long-header.safetensors": (safetensors({}, says=2**63), "cannot be read as safetensors"),
    "large-header.safetensors": (safetensors(b"{" + b" " * 999, says=99_999_999), "cannot be read as safetensors"),
    "negative-header.safetensors": (safetensors({}, says=2**64 - 1), "cannot be read as safetensors"),
    "not-json.safetensors": (safetensors(b'{"a": '), "cannot be read as safetensors"),
    "deep.safetensors": (safetensors(b'{"a":' + NESTED + b"}"), "cannot be read as safetensors"),
    "overlapping.safetensors": (safetensors({"a": floats(0, 8, 2), "b": floats(4, 12, 2)}, bytes(12)), "cannot be read as safetensors"),
    "hole.safetensors": (safetensors({"a": floats(0, 4, 1), "b": floats(8, 12, 1)}, bytes(12)), "cannot be read as safetensors"),
    "backwards.safetensors": (safetensors({"a": floats(8, 0, 2)}, bytes(8)), "cannot be read as safetensors"),
    "wrong-kind.safetensors": (safetensors({"a": floats(0, 8, 2, dtype="F64")}, bytes(8)), "cannot be read as safetensors"),
    "no-such-kind.safetensors": (safetensors({"a": floats(0, 8, 2, dtype=NAME)}, bytes(8)), "cannot be read as safetensors"),
    "oversize.safetensors": (safetensors({"a": floats(0, 8, 2**40, 2**40)}, bytes(8)), "cannot be read as safetensors"),
    "nothing-in-it.safetensors": (safetensors({"a": floats(0, 0, 2**60, 0)}), "does not fit"),
    "names.safetensors": (safetensors({NAME: floats(0, 8, 2)}, bytes(8)), r"1 unexpected \(\]0;owned\[2J\[bold\]<img"),
    "names.pth": (lambda: saved({NAME * 99: torch.zeros(1)}), r"1 unexpected \(\]0;owned\[2J\[bold\]<img"),
    "names-of-something.pth": (lambda: saved({NAME * 99_999: 1}), r"holds no state dict, but a map of '\\x1b\]0;owned"),
    "deep-name.pth": (lambda: holding("data.pkl", b"\x80\2})" + b"\x85" * 5000 + b"K\1s."), "holds no state dict, but a map of tuple"),
    "program.pt2": (lambda: saved(weight(torch.zeros(2))), "is an exported program"),
    "many-classes.pth": (lambda: saved({"head.weight": torch.zeros(1, 1).expand(MANY, 2)}), "'head.weight' that says it is larger than its data"),
    "sparse.pth": (lambda: saved(weight(torch.sparse_coo_tensor(size=(MANY, 2)))), "'head.weight'"),
    "meta.pth": (lambda: saved(weight(torch.zeros(MANY, 2, device="meta"))), "'head.weight'"),
    "one-bias.pth": (lambda: saved({"head.weight": torch.zeros(3, 2), "head.bias": torch.zeros(MANY)}), "does not fit"),
    "only-a-bias.pth": (lambda: saved({"fc.bias": torch.zeros(MANY, dtype=torch.int8)}), "does not fit"),
    "beyond-its-data.pth": (lambda: saved(weight(tensor((9, 9)))), "damaged"),
    "a-negative-size.pth": (lambda: saved(weight(tensor((-9, 9)))), "damaged"),
    "masked-dict.pth": (lambda: saved(Rebuilt(OrderedDict, [("head.weight", torch.zeros(3))], get="?", items=3, keys=[])), "does not fit"),
    "masked-tensor.pth": (lambda: saved(weight(Rebuilt(torch._tensor._rebuild_from_type_v2, REBUILD, torch.Tensor, tensor((2,)).called[1], {"is_floating_point": 1, "detach": 2}))), "does not fit"),
    "one-storage.pth": (lambda: saved(normed(0)), "1,?000 unexpected"),
    "overlapping.pth": (lambda: saved(normed(1)), "its tensors overlap"),
    "of-arguments.pth": (lambda: saved(Namespace(state_dict=weight(torch.zeros(2)))), "holds no state dict, but Namespace"),
}  # fmt: skip

# What is named with --labels beside a model of two classes.
LABELS: dict[str, tuple[bytes, str]] = {
    "markup.txt": (f"{NAME}\n[red]x[/red]\n{NAME}".encode(), "there are [345] labels, but Net has 2 classes"),
    "huge.txt": (b"x" * 99 + b"\n" * PLENTY.bit_length() + b"y" * 40_000_000, "is too large"),
    "deep.json": (NESTED, "is not JSON that can be read"),
    "nearly-too-deep.json": (b"[" * 980 + b"]" * 980, r"where a name should be|is not JSON"),
    "large-number.json": (b"[" + b"9" * 9999 + b"]", "is not JSON that can be read"),
    "large-index.json": (b'{"' + b"9" * 9999 + b'": "cat"}', "is not JSON that can be read"),
    "half-a-letter.txt": (b"caf\xe9\nb\n", "is not text in UTF-8"),
    "null.txt": (bytes(99), "there are 1 labels, but Net has 2 classes"),
}


@pytest.fixture(scope="module")
def told(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command said of every file, by name."""
    place = tmp_path_factory.mktemp("strangers")
    (place / "tiny.py").write_text(TINY)
    (place / "judge.py").write_text(JUDGE)
    spot_picture().save(place / "a.png")
    common = ("a.png", "-o", "out", "--input-size", "64")
    cases = {}
    for name, (content, _) in {**MODELS, **LABELS}.items():
        (place / name).write_bytes(content() if callable(content) else content)
        if name in MODELS:
            arch = "resnet18" if name == "only-a-bias.pth" else "tiny.py:Net"
            cases[name] = ("gradcam", name, *common, "--arch", arch)
        else:
            cases[name] = ("gradcam", "tiny.py:Net", *common, "--labels", name)
    os.mkfifo(place / "pipe.pth")
    os.mkfifo(place / "pipe.json")
    (place / "folder.pth").mkdir()
    (place / "zeros.pth").symlink_to("/dev/zero")
    (place / "circle.pth").symlink_to("circle.pth")
    for name in ODD:
        flags = ("--arch", "tiny.py:Net") if name.endswith(".pth") else ("--labels", name)
        cases[name] = ("gradcam", name if name.endswith(".pth") else "tiny.py:Net", *common, *flags)
    (place / "cases.json").write_text(json.dumps(cases))
    done = subprocess.run(
        [programs / "preloaded-python", "judge.py"],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert not (place / "canary").exists()
    assert not (place / "out").exists()
    return dict(json.loads((place / "found.json").read_text()))


ODD = {
    "pipe.pth": "is not a regular file",
    "pipe.json": "is not a regular file",
    "folder.pth": "is a folder",
    "zeros.pth": "is not a regular file",
    "circle.pth": "cannot be read|there is no",
}
SAID = {**{name: said for name, (_, said) in {**MODELS, **LABELS}.items()}, **ODD}


@pytest.mark.parametrize("name", SAID)
def test_a_file_from_a_stranger_is_refused_in_two_lines(told: dict[str, Any], name: str) -> None:
    code, out, err, megabytes, seconds = told[name]
    assert code == 2, err
    assert out == ""
    assert re.fullmatch(r"error: [^\n]+\nhint: [^\n]+\n", err), err
    assert re.search(SAID[name], err), err
    assert err.replace("\n", "").isprintable(), err
    assert len(err) < 2000
    assert megabytes < HIGHEST
    assert seconds < 10
