"""Signals wait where a lock is being taken: nobody is left waiting for it."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cnnexplain.cli.signals import CODES
from cnnexplain.core.interrupts import Held, held, interrupt
from cnnexplain.engine.pool import closing, result, submit
from cnnexplain.errors import ExitCode

# The signal comes when the pool's own lock has just been taken, before the block that would give it back.
WITHIN = """
import os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from cnnexplain.cli.signals import at_work, watch
from cnnexplain.engine.pool import closing
from cnnexplain.engine.pipeline import ahead

class Unlucky:
    def __init__(self, lock):
        self.lock, self.times = lock, 0
    def acquire(self, *arguments):
        taken = self.lock.acquire(*arguments)
        self.times += 1
        if threading.current_thread() is threading.main_thread() and self.times > 3:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)  # it is handled here
        return taken
    def release(self):
        self.lock.release()
    __enter__ = acquire
    def __exit__(self, *_):
        self.lock.release()

watch()
at_work()
pool = ThreadPoolExecutor(2)
pool._idle_semaphore._cond = threading.Condition(Unlucky(threading.Lock()))
try:
    with closing(pool):
        for _ in ahead(pool, lambda item: time.sleep(0.01), range(100), 4):
            pass
except KeyboardInterrupt:
    print("interrupted")
sys.stdout.flush()
os._exit(0)
"""


def test_a_signal_while_a_pool_takes_its_lock_leaves_nobody_waiting() -> None:
    done = subprocess.run([sys.executable, "-c", WITHIN], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_what_comes_within_a_block_is_raised_at_its_end() -> None:
    steps = []

    def block() -> None:
        with held, Held():
            interrupt(KeyboardInterrupt)
            steps.append("inner")
        steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        block()
    with held:
        steps.append("nothing is left of it")
    assert steps == ["inner", "nothing is left of it"]
    with pytest.raises(KeyboardInterrupt):
        interrupt(KeyboardInterrupt)


def test_what_work_raises_is_raised_where_its_result_is_asked_for() -> None:
    with closing(ThreadPoolExecutor(1)) as pool:
        late, broken = submit(pool, time.sleep, 0.25), submit(pool, int, "x")
        assert result(late) is None
        with pytest.raises(ValueError, match="invalid literal"):
            result(broken)


def test_what_is_not_begun_is_given_up_and_the_rest_is_waited_for() -> None:
    done = []

    def work(number: int) -> None:
        time.sleep(0.2)
        done.append(number)

    with closing(ThreadPoolExecutor(1)) as pool:
        every = [submit(pool, work, number) for number in range(3)]
        time.sleep(0.05)
    assert done == [0]
    assert [future.cancelled() for future in every] == [False, True, True]


def test_signals_are_watched_before_anything_is_imported() -> None:
    code = (
        "import sys; import cnnexplain.cli.start; "
        "print(sorted(one for one in sys.modules if one.split('.')[0] in ('cnnexplain', 'typing', 'difflib')))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True)
    names = ["cnnexplain", "cnnexplain.cli", "cnnexplain.cli.signals", "cnnexplain.cli.start"]
    assert done.stdout == f"{names}\n"
    assert (ExitCode.INTERRUPTED, ExitCode.TERMINATED) == CODES
