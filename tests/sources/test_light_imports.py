"""timm and torchvision without torch's compiler, which takes as long to import as the two of them."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from cnnexplain.sources.kit.libraries import imported_lightly, library

imported_lightly()
library("timm"), library("torchvision.models")
assert not {"torch._dynamo", "sympy"} & set(sys.modules), "it was imported all the same"

import torch

print(sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu") in (True, False))
assert hasattr(sys.modules["torch._dynamo"], "__file__"), "the real one by now"
marked = sys.modules["timm.models.naflexvit"].NaFlexRopeIterator.__next__
print(callable(marked), torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item())
"""
STAND_IN = """
import sys
from cnnexplain.sources.kit.compiler import left_out

with left_out():
    import torch

    @torch.compiler.disable
    def plain(x):
        return x + 1

    @torch.compiler.disable(recursive=False)
    def inner(x):
        return x + 2

assert "torch._dynamo" not in sys.modules
print(plain(1), inner(1), plain.__name__)
import torch._dynamo

print(plain(torch.ones(1)).item(), torch.compile(lambda x: plain(x) * 2, backend="eager")(torch.ones(1)).item())
"""


def printed(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_process_of_our_own_does_without_the_compiler_until_somebody_wants_it() -> None:
    assert printed(SCRIPT) == ["True", "True", "2.0"]


def test_what_is_not_to_be_compiled_is_heeded_once_there_is_a_compiler() -> None:
    assert printed(STAND_IN) == ["2", "3", "plain", "2.0", "4.0"]
