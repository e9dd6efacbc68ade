"""What all tests share: threads that do not wait for each other, and the command ready to run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

# Small networks run fastest on one thread, above all where other tests run beside them, in this process or another:
# several threads on a busy machine wait for each other far longer than these models take.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests rewrite code of a model's own within the same second, for which Python would take its bytecode from before.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.dont_write_bytecode = True
# In the background of a shell, or under nohup, tests ignore Ctrl-C or a closed terminal, and so would the commands that
# they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
PRELOADED = Path(__file__).with_name("preloaded.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with the most slow tests first: one begun last would be alone at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    torch = sys.modules.get("torch")  # those that only run the command have no use for it
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """A folder with `cnnexplain` and `preloaded-python` in it: programs as any other, but for the time of imports."""
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path: a socket's address must be short
        address = os.path.join(folder, "s")
        server = subprocess.Popen([sys.executable, PRELOADED, address], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            for name, program in (("cnnexplain", "cnnexplain"), ("preloaded-python", "python")):
                file = Path(folder, name)
                file.write_text(
                    f'#!/bin/sh\nexec "{sys.executable}" -IS "{PRELOADED}" "{address}" {program} "$@"\n'
                )
                file.chmod(0o755)
            yield Path(folder)
        finally:
            server.kill()
            server.communicate()
