"""Files from strangers: nothing in them runs, and every one is refused in two lines."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import ModelError
from cnnexplain.sources import load

MINE = ModelOptions(arch="net.py:Net")
pytestmark = pytest.mark.filterwarnings("error")  # a warning would be a third line


class Evil:
    """Creates a file when it is unpickled."""

    def __reduce__(self):
        return (os.system, ("touch pwned",))


def refused(path: str, problem: str, hint: str = "") -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(path, MINE)
    assert problem in caught.value.problem
    assert hint in caught.value.hint
    assert "\n" not in caught.value.problem + caught.value.hint
    assert "weights_only" not in caught.value.problem  # never an invitation to switch it off
    assert not Path("pwned").exists()
    return caught.value


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("environment", [None, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"])
def test_a_pickle_that_runs_code(net, monkeypatch, zipped, environment):
    if environment:
        monkeypatch.setenv(environment, "1")
    torch.save({"state_dict": {"conv.weight": Evil()}}, "evil.pth", _use_new_zipfile_serialization=zipped)
    torch.load("evil.pth", weights_only=False)  # the file is dangerous
    assert Path("pwned").exists()
    Path("pwned").unlink()
    refused("evil.pth", "posix.system", "torch.save(model.state_dict()")


def test_a_plain_pickle(net):
    Path("evil.bin").write_bytes(pickle.dumps(Evil()))
    refused("evil.bin", "damaged, or is not a checkpoint", "torch.save")


def test_a_whole_module(net):
    torch.save(load("net.py:Net", ModelOptions()).module, "whole.pth")
    refused("whole.pth", "would load cnnexplain_own_net.Net", "state_dict()")


def test_a_numpy_scalar(net):
    torch.save({"state_dict": {}, "best": np.float64(0.7)}, "np.ckpt")
    refused("np.ckpt", "numpy._core.multiarray.scalar", "torch.save")


def test_torchscript(net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scripting is on its way out, its files are not
        torch.jit.trace(load("net.py:Net", ModelOptions()).module, torch.zeros(1, 3, 16, 16)).save("net.pt")
    refused("net.pt", "TorchScript", "state_dict()")
    with pytest.raises(ModelError, match="TorchScript"):  # said before an architecture is asked for
        load("net.pt", ModelOptions())


@pytest.mark.parametrize("name", ["net.pt2", "net.pth"])
def test_exported_programs(net, name):
    module = load("net.py:Net", ModelOptions()).module
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(module, (torch.zeros(2, 3, 16, 16),)), buffer)
    Path(name).write_bytes(buffer.getvalue())
    refused(name, "exported program", "state_dict()")


def test_any_file_called_pt2(net):
    torch.save({"a": torch.zeros(1)}, "net.pt2")
    refused("net.pt2", "exported program")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_truncated_at_any_place(net, zipped, share):
    torch.save(
        load("net.py:Net", ModelOptions()).module.state_dict(),
        "net.pth",
        _use_new_zipfile_serialization=zipped,
    )
    whole = Path("net.pth").read_bytes()
    Path("cut.pth").write_bytes(whole[: int(len(whole) * share)])
    refused("cut.pth", "damaged", "download it again")


def test_flipped_bytes_never_escape(net):
    """Damage at random places: an error in words, or tensors, but never anything else."""
    torch.save(load("net.py:Net", ModelOptions()).module.state_dict(), "net.pth")
    whole = Path("net.pth").read_bytes()
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(0, 1600, 8):
            damaged[place] = random.integers(0, 256)
        Path("bad.pth").write_bytes(damaged)
        with suppress(ModelError):
            load("bad.pth", MINE)


@pytest.mark.parametrize(
    ("content", "problem", "hint"),
    [
        (b"", "is empty", "download"),
        (b"<!DOCTYPE html>\n<html><body>Sign in", "is text, not a checkpoint", "web page"),
        (b"just words\n", "is text, not a checkpoint", "download"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS", "git lfs pull"),
        (b"\x00\x01\x02\x03" * 50, "damaged", "download"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5 file, as Keras writes", "keras.models.load_model"),
        (b"PK\x03\x04 not a zip", "cut short or damaged", "download"),
    ],
)
def test_files_that_are_something_else(net, content, problem, hint):
    Path("net.pth").write_bytes(content)
    refused("net.pth", problem, hint)


def test_other_zip_archives(net):
    with zipfile.ZipFile("net.pth", "w") as archive:
        archive.writestr("model.weights.h5", b"keras")
    refused("net.pth", "is a Keras model", "keras.models.load_model")
    with zipfile.ZipFile("net.pth", "w") as archive:
        archive.writestr("notes.txt", b"words")
    refused("net.pth", "zip archive", "torch.save")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"epoch": 3, "lr": 0.1}, "a map of 'epoch', 'lr'"),
        ([1, 2], "list"),
        (torch.zeros(2), "Tensor"),
        ({"state_dict": {}}, "a map of"),
        ({"model": {"state_dict": {1: torch.zeros(1)}}}, "a map of 1"),
    ],
)
def test_checkpoints_without_a_state_dict(net, data, found):
    torch.save(data, "net.pth")
    refused("net.pth", f"holds no state dict, but {found}", "state_dict()")


def safetensors_of(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"short",
        struct.pack("<Q", 2**60) + b'{"a":1}',
        safetensors_of(b"{not json"),
        safetensors_of(b"[]"),
        safetensors_of(json.dumps({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}).encode()),
        safetensors_of(
            json.dumps({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}).encode(), bytes(4)
        ),
        safetensors_of(
            json.dumps({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}).encode(), bytes(4)
        ),
        safetensors_of(
            json.dumps({"a": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 4]}}).encode(),
            bytes(4),
        ),
    ],
)
def test_malformed_safetensors(net, content):
    Path("net.safetensors").write_bytes(content)
    refused("net.safetensors", "cannot be read as safetensors", "download it again")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(net):
    Path("net.pth").write_bytes(b"x")
    Path("net.pth").chmod(0)
    refused("net.pth", "cannot be read: PermissionError")


def test_a_pipe_is_not_waited_for(net):
    os.mkfifo("net.pth")
    refused("net.pth", "not a regular file")


def test_a_name_that_is_too_long(net):
    refused("x" * 5000 + ".pth", "cannot be read")
