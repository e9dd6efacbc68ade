"""Recognises files and folders that hold no weights of PyTorch, by their first bytes and names."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

HEAD = 512
WEIGHTS = "where the model is in PyTorch, save its weights: torch.save(model.state_dict(), 'weights.pth')"
KERAS = (
    "build the network in PyTorch and copy the weights; or, where Keras 3 runs on torch, return "
    "keras.models.load_model(...) from a function of your own: net.py:make"
)
ONNX = (
    "give the PyTorch model that it was exported from; or convert it in a function of your own, "
    "onnx2torch.convert('model.onnx'), and name that: net.py:make"
)
TENSORFLOW = (
    "build the network in PyTorch, copy the weights into it, and save those: "
    "torch.save(model.state_dict(), 'weights.pth')"
)
JAX = f"timm reads the .npz files of some networks' authors: {WEIGHTS}"
LANGUAGE = "cnnexplain explains networks that classify pictures, for example bundled:efficientnet_lite0"
JOIN = (
    "join the parts: whole = {}; for each part whole.update(safetensors.torch.load_file(part)); "
    "safetensors.torch.save_file(whole, 'whole.safetensors')"
)
UNPACK = "unpack it, and name the file in it"


@dataclass(frozen=True)
class ForeignFile:
    """The kind of a file or folder, in words, and a hint on how to get a model from it."""

    kind: str
    hint: str


# By the first bytes: their place, the bytes, and the kind of file.
MAGIC: tuple[tuple[int, bytes, ForeignFile], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", ForeignFile("an HDF5 file, as Keras writes", KERAS)),
    (4, b"TFL3", ForeignFile("a TensorFlow Lite model", TENSORFLOW)),
    (0, b"\x93NUMPY", ForeignFile("an array of NumPy", WEIGHTS)),
    (0, b"GGUF", ForeignFile("a language model for llama.cpp (GGUF)", LANGUAGE)),
    (
        0,
        b"ftrt",
        ForeignFile("an engine of TensorRT", f"give the PyTorch model that it was made from: {WEIGHTS}"),
    ),
    (
        4,
        b"ET12",
        ForeignFile("a program of ExecuTorch", f"give the PyTorch model that it was made from: {WEIGHTS}"),
    ),
    (0, b"MATLAB 5.0 MAT-file", ForeignFile("a file of MATLAB", WEIGHTS)),
    (
        0,
        b"\xff\xd8\xff",
        ForeignFile("a picture (JPEG)", "the model comes first: cnnexplain gradcam MODEL PICTURES"),
    ),
    (
        0,
        b"\x89PNG\r\n",
        ForeignFile("a picture (PNG)", "the model comes first: cnnexplain gradcam MODEL PICTURES"),
    ),
    (0, b"\x1f\x8b", ForeignFile("packed with gzip", UNPACK)),
    (0, b"BZh", ForeignFile("packed with bzip2", UNPACK)),
    (0, b"\xfd7zXZ\0", ForeignFile("packed with xz", UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", ForeignFile("packed with Zstandard", UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", ForeignFile("a 7z archive", UNPACK)),
    (0, b"Rar!", ForeignFile("a RAR archive", UNPACK)),
    (257, b"ustar", ForeignFile("a tar archive", UNPACK)),
)
TABLE = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"  # at the end of TensorFlow's index of a checkpoint
# By the end of the name, where the first bytes do not settle the kind.
SUFFIXES: dict[str, ForeignFile] = {
    ".onnx": ForeignFile("an ONNX model", ONNX),
    ".ort": ForeignFile("a model of ONNX Runtime", ONNX),
    ".keras": ForeignFile("a Keras model", KERAS),
    ".h5": ForeignFile("an HDF5 file, as Keras writes", KERAS),
    ".hdf5": ForeignFile("an HDF5 file, as Keras writes", KERAS),
    ".tflite": ForeignFile("a TensorFlow Lite model", TENSORFLOW),
    ".pb": ForeignFile("a graph of TensorFlow", TENSORFLOW),
    ".pbtxt": ForeignFile("a graph of TensorFlow", TENSORFLOW),
    ".index": ForeignFile("part of a checkpoint of TensorFlow", TENSORFLOW),
    ".meta": ForeignFile("part of a checkpoint of TensorFlow", TENSORFLOW),
    ".mlmodel": ForeignFile(
        "a Core ML model", f"give the PyTorch model that it was converted from: {WEIGHTS}"
    ),
    ".mlpackage": ForeignFile(
        "a Core ML model", f"give the PyTorch model that it was converted from: {WEIGHTS}"
    ),
    ".engine": ForeignFile(
        "an engine of TensorRT", f"give the PyTorch model that it was made from: {WEIGHTS}"
    ),
    ".plan": ForeignFile("an engine of TensorRT", f"give the PyTorch model that it was made from: {WEIGHTS}"),
    ".trt": ForeignFile("an engine of TensorRT", f"give the PyTorch model that it was made from: {WEIGHTS}"),
    ".pte": ForeignFile(
        "a program of ExecuTorch", f"give the PyTorch model that it was made from: {WEIGHTS}"
    ),
    ".pdparams": ForeignFile("a file of weights of PaddlePaddle", TENSORFLOW),
    ".pdmodel": ForeignFile("a model of PaddlePaddle", TENSORFLOW),
    ".pdiparams": ForeignFile("a file of weights of PaddlePaddle", TENSORFLOW),
    ".caffemodel": ForeignFile("a model of Caffe", TENSORFLOW),
    ".prototxt": ForeignFile("a description of a network for Caffe", TENSORFLOW),
    ".params": ForeignFile("a file of weights of MXNet", TENSORFLOW),
    ".msgpack": ForeignFile("a file of weights of Flax", TENSORFLOW),
    ".npz": ForeignFile("a file of NumPy arrays (.npz), as JAX and Flax write", JAX),
    ".npy": ForeignFile("an array of NumPy", WEIGHTS),
    ".gguf": ForeignFile("a language model for llama.cpp (GGUF)", LANGUAGE),
    ".mat": ForeignFile("a file of MATLAB", WEIGHTS),
    ".xml": ForeignFile(
        "a text of XML, as OpenVINO describes networks", f"give the PyTorch model: {WEIGHTS}"
    ),
    ".joblib": ForeignFile("a pickle of joblib, as scikit-learn's models are saved", LANGUAGE),
    ".index.json": ForeignFile("the list of a checkpoint's parts", JOIN),
}
PICKLE = ForeignFile("a pickle that torch.save did not write", WEIGHTS)
ZIPPED = {  # by an entry of the archive
    "model.weights.h5": ForeignFile("a Keras model", KERAS),
    ".npy": ForeignFile("a file of NumPy arrays (.npz), as JAX and Flax write", JAX),
    "saved_model.pb": ForeignFile("a packed model of TensorFlow", TENSORFLOW),
}
TORCH = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".pth.tar")
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.(safetensors|bin)$")


def foreign_file(path: Path) -> ForeignFile | None:
    """The kind of a file that is no checkpoint of PyTorch; None where it may be a checkpoint."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(max(0, path.stat().st_size - len(TABLE)))
        tail = file.read(len(TABLE))
    if shard := SHARD.search(path.name):
        return ForeignFile(f"part {int(shard[1])} of {int(shard[2])} of a checkpoint", JOIN)
    for place, magic, foreign in MAGIC:
        if head[place : place + len(magic)] == magic:
            return foreign
    if tail == TABLE or ".ckpt.data-" in path.name.lower():
        return ForeignFile("part of a checkpoint of TensorFlow", TENSORFLOW)
    name = path.name.lower()
    if head.startswith(b"PK"):
        return _zipped(path)
    if name.endswith((".pkl", ".pickle")) and head.startswith(b"\x80") and not _is_torch(head):
        return PICKLE
    return next((foreign for suffix, foreign in SUFFIXES.items() if name.endswith(suffix)), None)


def _is_torch(head: bytes) -> bool:
    """Whether a pickle begins with the number that torch.save has always written first."""
    return b"\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19" in head[:16]


def _zipped(path: Path) -> ForeignFile | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # noqa: BLE001 - a damaged archive raises anything, and is reported elsewhere
        return None
    if any(name.endswith("data.pkl") for name in names):
        return None
    return next(
        (foreign for end, foreign in ZIPPED.items() if any(name.endswith(end) for name in names)), None
    )


def foreign_folder(path: Path) -> ForeignFile:
    """The kind of a folder that is no repository of a model, and a hint on what to name instead."""
    if (path / "saved_model.pb").exists():
        return ForeignFile("a model of TensorFlow (SavedModel)", TENSORFLOW)
    if (path / "Manifest.json").exists() and (path / "Data").is_dir():
        return SUFFIXES[".mlpackage"]
    names = sorted(entry.name for entry in path.iterdir() if entry.name.lower().endswith((".py", *TORCH)))
    if not names:
        return ForeignFile(
            "a folder without a model", "name a file of weights with --arch, or the name of a model"
        )
    first = path / names[0]
    return ForeignFile(
        "a folder, not a model",
        f"name the file in it: {first}{':NAME' if first.suffix == '.py' else ' --arch NAME'}",
    )
