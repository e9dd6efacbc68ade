"""What is done to a process that is our own, as that of a command is."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from multiprocessing import parent_process

from cnnexplain.sources.kit.libraries import imported_lightly

BEHIND = 10  # of the 19 steps that a thread can stand back
# From glibc's malloc.h; sizes in bytes. The largest threshold that it takes is 32 MiB. One arena for all
# threads: the others give back what is freed whatever the thresholds say.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, ARENA_MAX = -1, -2, -3, -8
KEPT = {TRIM_THRESHOLD: 2**31 - 2**12, TOP_PAD: 2**28, MMAP_THRESHOLD: 2**25, ARENA_MAX: 1}


def make_own() -> None:
    """Settle what makes a process start and run faster, and is not to be done to one of somebody else."""
    imported_lightly()
    keep_freed()


def keep_freed() -> None:
    """Tell glibc to keep what is freed for the next batch, where it would give it back and ask for it anew.

    The tensors of every batch are as large as those of the one before, and each page that comes anew from the kernel
    must be cleared: up to half of the time of a pass. For processes of our own only. Elsewhere than on glibc nothing
    is changed.
    """
    if not sys.platform.startswith("linux"):
        return
    set_parameter = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_parameter is not None:
        for parameter, value in KEPT.items():
            set_parameter(parameter, value)


def print_aside() -> None:
    """Have what a model's own code prints go to stderr, in a process that has no data to write itself."""
    sys.stdout = sys.stderr


def leave_signals() -> None:
    """Let the process that began this one decide: Ctrl-C, and a terminal that is closed, reach all of them."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def end_with_parent() -> None:
    """End this process, begun by multiprocessing, when the one that began it has: nobody waits for its answers."""
    threading.Thread(target=_end_after_parent, daemon=True).start()


def _end_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def step_back() -> None:
    """Let this thread have the processors when those that compute leave them, as far as a system knows of that.

    The threads of one batch wait for the slowest of them. One that has to share its processor with a thread that
    decodes or draws keeps all others waiting: a fifth of a run's time on two processors.
    """
    if sys.platform.startswith("linux"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
