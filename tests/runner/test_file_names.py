"""What files are called: safe everywhere, the same every time, never shared by two."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Collection, Sequence

import numpy as np
import pytest

from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Geometry
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.results.unit import Reconstruction
from cnnexplain.core.results.winners import Winners
from cnnexplain.images.find import ImagePath
from cnnexplain.runner.output.names import result_names, safe, stems

SAFE = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*")
EVERYTHING = frozenset({"method", "layer", "target"})


def heatmap(method: str = "gradcam", layer: str = "layer4", index: int = 3) -> Heatmap:
    target = Prediction(index, "cat", 0.5, 1.0)
    return Heatmap(method, layer, target, np.zeros((1, 1), np.float32), Geometry((1, 1), (0, 0, 1, 1)))


def unit(layer: str) -> Reconstruction:
    patch, geometry = np.zeros((1, 1, 1), np.float32), Geometry((1, 1), (0, 0, 1, 1))
    return Reconstruction("deconv", layer, 0, (0, 0), (1, 1), 1.0, (0, 0, 1, 1), patch, (1, 1), geometry)


def map_names(stem: str, command: str, heatmaps: Sequence[Heatmap], asked: Collection[str]) -> list[str]:
    """The names of the files of maps, in their order."""
    return result_names(stem, command, heatmaps, asked)


def sheet_names(layers: Sequence[str], asked: Collection[str]) -> dict[str, str]:
    """The names of the sheets of units of these layers, by layer."""
    return dict(zip(layers, result_names("cat.jpg", "deconv", [*map(unit, layers)], asked), strict=True))


@pytest.mark.parametrize(
    ("path", "folder", "stem"),
    [
        ("cat.jpg", "", "cat.jpg"),
        ("/abs/photos/cat.jpg", "", "cat.jpg"),
        ("photos/sub/cat.jpg", "sub", "sub/cat.jpg"),
        ("photos/a/b/IMG_0+1-x.JPG", os.path.join("a", "b"), "a/b/IMG_0+1-x.JPG"),
    ],
)
def test_a_harmless_name_stays_as_it_is(path: str, folder: str, stem: str) -> None:
    assert stems([ImagePath(path, folder)]) == [stem]


@pytest.mark.parametrize(
    "name",
    ["two words.jpg", ".hidden.jpg", "..", ".", "-rf.jpg", "a\nb.jpg", "é.jpg", "\udcff.jpg", "a:b.jpg", "<&>.jpg",
     "x" * 255, "漢" * 80 + ".jpg", "../../etc/passwd", "a\\b.jpg", "\0"],
)  # fmt: skip
def test_a_dangerous_name_is_made_safe_and_marked_with_a_hash(name: str) -> None:
    clean = safe(name)
    assert SAFE.fullmatch(clean)
    assert len(clean) <= 110
    assert re.search(r"-[0-9a-f]{8}$", clean)
    assert safe(name) == clean


def test_the_hash_is_the_same_in_every_process_and_release() -> None:
    assert safe("two words.jpg") == "two_words.jpg-bb83c02f"


def test_no_two_pictures_share_a_name_and_case_does_not_tell_them_apart() -> None:
    chance = random.Random(0)
    letters = ["a", "A", "b", " ", ".", "é", "_", "-"]
    word = lambda: "".join(chance.choices(letters, k=chance.randint(1, 3)))  # noqa: E731
    for _ in range(60):
        sources = []
        for _ in range(60):
            below = "/".join(word() for _ in range(chance.randint(0, 2)))
            sources.append(ImagePath(os.path.join(f"p{chance.randint(0, 9)}", below, word()), below))
        sources = list(dict.fromkeys(sources))
        found = stems(sources)
        assert len({one.casefold() for one in found}) == len(sources)
        assert found == stems(sources), "the same from run to run"
        for stem in found:
            assert all(SAFE.fullmatch(part) for part in stem.split("/"))


def test_the_first_keeps_its_name_and_the_order_is_kept() -> None:
    sources = [
        ImagePath("a/cat.jpg", ""),
        ImagePath("b/cat.jpg", ""),
        ImagePath("c/CAT.jpg", ""),
        ImagePath("c/dog.jpg", ""),
    ]
    first, second, third, fourth = stems(sources)
    assert (first, fourth) == ("cat.jpg", "dog.jpg")
    assert second.startswith("cat.jpg-")
    assert third.startswith("CAT.jpg-")


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ((), "cat.jpg.gradcam"),
        (("method",), "cat.jpg.gradcam.layercam"),
        (("target",), "cat.jpg.gradcam.7"),
        (("method", "layer", "target"), "cat.jpg.gradcam.layercam.features.3.7"),
    ],
)
def test_what_was_asked_for_is_part_of_the_name(asked: tuple[str, ...], name: str) -> None:
    assert map_names("cat.jpg", "gradcam", [heatmap("layercam", "features.3", 7)], asked) == [name]


def test_no_name_is_too_long_for_a_file_system() -> None:
    """255 bytes, with an ending to come."""
    longest = "漢字" * 60
    sources = [ImagePath(f"{place}/{longest}", longest) for place in "abc"]
    layers = [".".join(["a_very_long_block_name"] * 12) + str(number) for number in range(2)]
    heatmaps = [heatmap("eigengradcam", layer, 999_999) for layer in layers]
    for stem in stems(sources):
        names = map_names(stem, "guided-backpropagation", heatmaps, EVERYTHING)
        assert len(set(names)) == 2
        assert all(len(part.encode()) <= 250 for name in names for part in name.split("/"))


def test_a_layer_cannot_lead_out_of_the_folder() -> None:
    (name,) = map_names("sub/cat.jpg", "gradcam", [heatmap(layer="../../../etc/x y")], EVERYTHING)
    assert name.startswith("sub/cat.jpg.gradcam.gradcam._")
    assert name.count("/") == 1


@pytest.mark.parametrize(
    ("layers", "asked", "names"),
    [
        (["blocks.2"], (), {"blocks.2": "cat.jpg.deconv"}),
        (["blocks.2"] * 6, (), {"blocks.2": "cat.jpg.deconv"}),
        (["blocks.2"], ("layer",), {"blocks.2": "cat.jpg.deconv.blocks.2"}),
        (["a", "b", "a"], (), {"a": "cat.jpg.deconv.a", "b": "cat.jpg.deconv.b"}),
        ([], ("layer",), {}),
    ],
)
def test_a_sheet_is_named_after_its_layer_where_that_tells_something(
    layers: list[str], asked: tuple[str, ...], names: dict[str, str]
) -> None:
    assert sheet_names(layers, asked) == names


def test_layers_that_would_be_named_alike_still_differ() -> None:
    spaced = safe("a b")
    layers = ["a b", spaced, "A", "a", "", "x" * 99, "x" * 98]
    names = sheet_names(layers, ())
    assert names["a b"] == f"cat.jpg.deconv.{spaced}"
    assert len({one.casefold() for one in (*names.values(), "cat.jpg.deconv")}) == len(layers) + 1
    assert names == sheet_names(layers, ()), "the same from run to run"
    maps = map_names("cat.jpg", "gradcam", [heatmap(layer=one) for one in layers], {"layer"})
    assert [one.removeprefix("cat.jpg.gradcam") for one in maps] == [
        one.removeprefix("cat.jpg.deconv") for one in names.values()
    ]


def test_methods_that_nobody_named_are_told_apart() -> None:
    several = [heatmap("gradcam"), heatmap("gradcam", index=4), heatmap("sliding", "input")]
    assert map_names("cat.jpg", "compare", several, ()) == [
        "cat.jpg.compare.gradcam",
        "cat.jpg.compare.gradcam.4",
        "cat.jpg.compare.sliding",
    ]
    grid = Winners("sliding", "input", np.zeros((1, 1), np.int64), ("cat",), (0,), heatmap().geometry)
    assert result_names("cat.jpg", "occlusion", [heatmap("sliding", "input"), grid], ()) == [
        "cat.jpg.occlusion",
        "cat.jpg.occlusion.sliding-winners",
    ]
