"""Photographs, pictures of odd shapes, and small models of one's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

NET = '''
"""A small network, as a user would write it."""
from collections import OrderedDict
from torch import nn


class Net(nn.Sequential):
    def __init__(self, num_classes=10, in_chans=3):
        super().__init__(OrderedDict(
            conv=nn.Conv2d(in_chans, 4, 3), norm=nn.BatchNorm2d(4), act=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(4, num_classes)))


def fixed():
    return Net(7)


def broken():
    raise ValueError("no such luck")


def on_gpu():
    raise RuntimeError("Found no NVIDIA driver on your system.")


def needs(size):
    return Net(size)


def leaves():
    raise SystemExit(3)


def chatty():
    print("hello from your code")
    return Net()


def pair():
    return Net(), None


def grey():
    return Net(10, 1).half()


def lazy():
    return nn.Sequential(nn.LazyConv2d(4, 3))


instance = Net()
'''


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder with net.py in it, which is the working folder."""
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in ("net", "mypackage")]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def photo() -> Callable[[str], Image.Image]:
    """A photograph of scikit-image."""
    return lambda name: Image.fromarray(getattr(skimage.data, name)())


@pytest.fixture(scope="session")
def pictures(photo: Callable[[str], Image.Image]) -> list[Image.Image]:
    """Pictures of many sizes and shapes."""
    cat, coffee = photo("chelsea"), photo("coffee")
    shapes = [
        cat.resize((21, 17)),
        cat.resize((256, 256)),
        cat.crop((10, 20, 310, 171)),
        cat.crop((90, 0, 320, 300)),
    ]
    return [cat, coffee, *shapes]


@pytest.fixture(scope="session")
def assert_same_pixels() -> Callable[..., None]:
    """Whether two uint8 pictures are one. Pillow's rounding differs by a level or two with the order of its
    two passes, which it chooses by the shape that is asked for; a shift by one pixel differs by far more."""

    def check(ours: np.ndarray, theirs: np.ndarray, interpolation: str) -> None:
        assert ours.shape == theirs.shape
        difference = np.abs(ours.astype(int) - theirs.astype(int))
        if interpolation == "nearest":  # another pixel may be taken where two are equally near
            assert (difference == 0).mean() > 0.97
            return
        assert difference.max() <= 2
        assert (difference > 1).mean() < 0.001
        assert difference.mean() < 0.3

    return check
