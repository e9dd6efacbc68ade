"""Whose code raised an error: the user's, wherever it lies, a library's, or ours."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable

import pytest

from cnnexplain.cli import strangers
from cnnexplain.engine import forward


def raised(file: str) -> BaseException:
    """An error that a function in the file of this name raised."""
    names: dict[str, Callable[[], None]] = {}
    exec(compile("def work():\n    raise ValueError('no')\n", file, "exec"), names)  # noqa: S102
    with pytest.raises(ValueError, match="no") as caught:
        names["work"]()
    # Without the frame of this file.
    return caught.value.with_traceback(caught.value.__traceback__ and caught.value.__traceback__.tb_next)


@pytest.mark.parametrize(
    "folder",
    [
        os.path.join(sys.base_prefix, "src", "app"),
        sys.prefix,
        sysconfig.get_path("scripts"),
        "/home/me/project",
    ],
)
def test_what_lies_beside_python_is_the_users(folder: str) -> None:
    assert strangers.place_in_own_code(raised(os.path.join(folder, "mine.py"))) == "mine.py:2"


@pytest.mark.parametrize(
    "folder",
    [sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "/usr/lib/python3/dist-packages/torch",
     "/home/me/.local/lib/python3.12/site-packages/timm"],
)  # fmt: skip
def test_what_is_installed_is_of_whoever_called_it(folder: str) -> None:
    assert strangers.place_in_own_code(raised(os.path.join(folder, "theirs.py"))) is None


@pytest.mark.parametrize(
    ("name", "place"),
    [("torch", ""), ("torchvision", "net.py:2"), ("torchmetrics", "net.py:2"), ("torch_mine", "net.py:2")],
)
def test_a_forward_of_what_is_called_like_torch_has_a_place(name: str, place: str) -> None:
    packages = os.path.dirname(os.path.dirname(forward.torch.__file__))
    assert forward._place(raised(os.path.join(packages, name, "net.py")))[0] == place
