"""The names of the files of a picture: safe everywhere, the same every time, never shared by two pictures."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from cnnexplain.core.results import Result
from cnnexplain.images.find import ImagePath

# Of a file name's 255 bytes, leaving room for hashes, command, method and class.
LONGEST = 100
LONGEST_LAYER = 60
NAMED = frozenset({"method", "layer", "target"})  # part of the name where the user gave them


def stems(sources: Iterable[ImagePath]) -> list[str]:
    """A path below OUT for every source, with forward slashes: its folder, its file name, safe letters only.

    A name that had to be changed, or that another picture took first, carries a hash of the picture's path.
    """
    taken: set[str] = set()
    chosen = []
    for source in sources:
        folder = "/".join(safe(part) for part in source.folder.split(os.sep) if part)
        name = safe(os.path.basename(source.path))
        stem = f"{folder}/{name}" if folder else name
        while stem.casefold() in taken:
            stem = f"{stem}-{_hash(source.path + str(len(stem)))}"
        taken.add(stem.casefold())
        chosen.append(stem)
    return chosen


def safe(name: str, longest: int = LONGEST) -> str:
    """A file name of letters, digits, dot, dash, underscore and plus; changed ones end in a hash of the old."""
    clean = re.sub(r"[^A-Za-z0-9._+-]", "_", name)
    clean = re.sub(r"^[.-]", "_", clean)[:longest]
    return clean if clean == name else f"{clean}-{_hash(name)}"


def result_names(stem: str, command: str, results: Sequence[Result], named: Collection[str]) -> list[str]:
    """The path below OUT, without its ending, of the files of every result of one picture, in their order.

    `named` lists the options that the user gave: method, layer and target are part of a name where they are among
    them. So is the method where several, that nobody named, have results of a kind, or it is not that of the first; the
    layer where several layers, that nobody named, have results that are alike otherwise, as those of
    parallel branches; and the class of a second map, of what the picture should be. Results of which a kind says
    nothing more (`Result.name_parts`), as the units of a layer, have one name together.
    """
    methods: dict[str, set[str | None]] = {}  # of each kind
    for result in results:
        methods.setdefault(result.kind, set()).add(result.name_parts().get("method"))
    unnamed = {kind for kind, of_kind in methods.items() if len(of_kind) > 1}
    names: list[str] = []
    taken: dict[str, Mapping[str, str]] = {}  # what each name stands for
    of_layer = _parts(result.layer for result in results)
    layers: dict[tuple[str, str | None], set[str]] = {}  # of what is alike otherwise
    for result in results:
        layers.setdefault((result.kind, result.name_parts().get("method")), set()).add(result.layer)
    several = {kind for (kind, _), names_of in layers.items() if len(names_of) > 1}
    for result in results:
        parts = result.name_parts()
        name = [stem, command]
        other = result.kind in unnamed or parts.get("method") != results[0].name_parts().get("method")
        if "method" in parts and ("method" in named or other):
            name.append(parts["method"])
        if "layer" in named or result.kind in several:
            name.append(of_layer[result.layer])
        if "target" in parts and ("target" in named or taken.get(".".join(name), parts) != parts):
            name.append(parts["target"])
        names.append(".".join(name))
        taken.setdefault(names[-1], parts)
    return names


def _parts(layers: Iterable[str]) -> dict[str, str]:
    """What stands for each layer in file names: never the same for two, not even but for the case."""
    taken: set[str] = set()
    return {layer: part_of(layer, taken) for layer in dict.fromkeys(layers)}


def part_of(layer: str, taken: set[str]) -> str:
    """The part of a file name that stands for a layer; it is added to those that are `taken`."""
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
