"""What the files of a picture are called: safe everywhere, the same every time, never shared by two."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Sequence

from cnnexplain.core.explanation import Heatmap
from cnnexplain.images.find import Source

# Of a file name's 255 bytes, leaving room for hashes, command, method and class.
LONGEST = 100
LONGEST_LAYER = 60
NAMED = frozenset({"method", "layer", "target"})  # part of the name where the user gave them


def stems(sources: Iterable[Source]) -> list[str]:
    """A path below OUT for every source, with forward slashes: its folder, its file name, safe letters only.

    A name that had to be changed, or that another picture took first, carries a hash of the picture's path.
    """
    taken: set[str] = set()
    found = []
    for source in sources:
        folder = "/".join(safe(part) for part in source.folder.split(os.sep) if part)
        name = safe(os.path.basename(source.path))
        stem = f"{folder}/{name}" if folder else name
        while stem.casefold() in taken:
            stem = f"{stem}-{_hash(source.path + str(len(stem)))}"
        taken.add(stem.casefold())
        found.append(stem)
    return found


def safe(name: str, longest: int = LONGEST) -> str:
    """A file name of letters, digits, dot, dash, underscore and plus; changed ones end in a hash of the old."""
    clean = re.sub(r"[^A-Za-z0-9._+-]", "_", name)
    clean = re.sub(r"^[.-]", "_", clean)[:longest]
    return clean if clean == name else f"{clean}-{_hash(name)}"


def picture_names(stem: str, command: str, heatmaps: Sequence[Heatmap], asked: Collection[str]) -> list[str]:
    """The path below OUT, without its ending, of every heat map of one picture.

    `asked` lists what the user gave, of which `NAMED` is part of the name; so is the layer where a method has maps of
    several that nobody named, as of parallel branches. So is the class of a second map, of what the picture should be.
    """
    names: list[str] = []
    of_layer = _parts(heatmap.layer for heatmap in heatmaps)
    layers: dict[str, set[str]] = {}  # of every method
    for heatmap in heatmaps:
        layers.setdefault(heatmap.method, set()).add(heatmap.layer)
    several = any(len(one) > 1 for one in layers.values())
    for heatmap in heatmaps:
        parts = [stem, command]
        if "method" in asked:
            parts.append(heatmap.method)
        if "layer" in asked or several:
            parts.append(of_layer[heatmap.layer])
        if heatmap.of_class and ("target" in asked or ".".join(parts) in names):
            parts.append(str(heatmap.target.index))
        names.append(".".join(parts))
    return names


def sheet_names(stem: str, command: str, layers: Iterable[str], asked: Collection[str]) -> dict[str, str]:
    """The path below OUT, without its ending, of the sheet of every layer of one picture, by layer.

    The layer is part of the name where it was asked for, and where there are several: the name without one
    is then the overview's.
    """
    of_layer = _parts(layers)
    named = "layer" in asked or len(of_layer) > 1
    return {
        layer: f"{stem}.{command}.{part}" if named else f"{stem}.{command}"
        for layer, part in of_layer.items()
    }


def _parts(layers: Iterable[str]) -> dict[str, str]:
    """What stands for each layer in file names: never the same for two, not even but for the case."""
    taken: set[str] = set()
    return {layer: part_of(layer, taken) for layer in dict.fromkeys(layers)}


def part_of(layer: str, taken: set[str]) -> str:
    """What stands for a layer in file names, added to those that are `taken`."""
    part = safe(layer, LONGEST_LAYER)
    while part.casefold() in taken:
        part = f"{part}-{_hash(layer + str(len(part)))}"
    taken.add(part.casefold())
    return part


def _hash(text: str) -> str:
    try:
        content = os.fsencode(text)  # names of files, whatever bytes they are
    except UnicodeEncodeError:  # names of layers may hold what no file's can
        content = text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:8]
