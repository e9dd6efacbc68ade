"""One process's work: batches are filled, every one is of the same size, and time is counted."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import cnnexplain
from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.core.explanation import Answer, Batch
from cnnexplain.images.decode import read
from cnnexplain.images.find import ImagePath
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.runner.explain import BatchSize
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.write import Job, Writer
from cnnexplain.runner.workers.process import BEHIND, step_back
from cnnexplain.runner.workers.timings import DECODING, EXPLAINING, WRITING, Stages
from cnnexplain.runner.workers.worker import Worker


class Counting:
    """Grad-CAM that notes the size of every batch, and has memory for so many pictures."""

    def __init__(self, bound: GradCAM, room: int) -> None:
        self.bound, self.room, self.sizes = bound, room, []

    def explain(self, model: Any, batch: Batch) -> Answer:
        self.sizes.append(len(batch.inputs))
        if len(batch.inputs) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self.bound.explain(model, batch)


def worked(
    tmp_path: Path, count: int, size: int, torn: tuple[int, ...] = (), room: int = 99
) -> tuple[Any, list[Any]]:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 3),
    )
    model = cnnexplain.load(network, input_size="32").model
    counting = Counting(GradCAM().bind(model)[0], room)
    jobs = []
    for number in range(count):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (40 + number, 50), (9 * number, 50, 90)).save(path)
        if number in torn:
            path.write_bytes(b"torn")
        jobs.append(Job(number, ImagePath(str(path), ""), path.name))
    folder = OutputFolder(tmp_path / "out")
    folder.open({}, overwrite=False)
    writer = Writer(folder, "gradcam", "net", frozenset(), RenderOptions(), save_raw=False)
    worker = Worker(model, counting, writer, BatchSize(size), 2, count)  # type: ignore[arg-type]
    with model.borrowed():
        done = list(worker.explained(jobs))
    folder.close()
    return (counting.sizes, worker), done


@pytest.mark.parametrize(
    ("count", "size", "torn", "sizes"),
    [
        (8, 4, (), [4, 4]),
        (9, 4, (), [4, 4, 4]),  # the last one is filled up
        (9, 4, (0, 1, 5), [4, 4]),  # those that fail leave no gap
        (3, 4, (), [3]),  # a run of three never has four
        (3, 4, (1,), [3]),
        (3, 4, (0, 1, 2), []),
        (1, 64, (), [1]),
    ],
)
def test_every_batch_of_a_run_has_the_same_size(
    tmp_path: Path, count: int, size: int, torn: tuple[int, ...], sizes: list[int]
) -> None:
    (found, _), done = worked(tmp_path, count, size, torn)
    assert found == sizes
    assert sorted(one.job.position for one in done) == list(range(count))
    assert {one.job.position for one in done if one.record["status"] == "error"} == set(torn)
    good = [one.job.position for one in done if one.record["status"] == "ok"]
    assert good == sorted(good), "in order but for those that failed"


def test_a_batch_for_which_memory_did_not_suffice_is_not_tried_again(tmp_path: Path) -> None:
    (sizes, worker), done = worked(tmp_path, 16, 8, room=3)
    assert {one.record["status"] for one in done} == {"ok"}
    assert sizes[:7] == [8, 4, 2, 2, 4, 2, 2], "halved once"
    assert set(sizes[7:]) == {2}, "and from then on"
    assert worker.batch.size == 2


def test_a_picture_that_changes_meanwhile_is_not_taken_for_the_one_that_was_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "0.png"

    def decode(path: str, *wanted: Any) -> Any:
        found = read(path, *wanted)
        if path == str(changed):
            changed.write_bytes(b"another")
        return found

    monkeypatch.setattr("cnnexplain.runner.workers.worker.read", decode)
    _, done = worked(tmp_path, 2, 2)
    sizes = {one.job.position: one.record["file"]["bytes"] for one in done}
    assert sizes[0] not in (len(b"another"), None)
    assert sizes[1] == (tmp_path / "1.png").stat().st_size


def test_the_seconds_of_every_stage_are_counted(tmp_path: Path) -> None:
    (_, worker), _ = worked(tmp_path, 6, 2)
    taken = worker.stages.taken()
    assert list(taken) == [DECODING, EXPLAINING, WRITING]
    assert all(0 < seconds < 60 for seconds in taken.values())
    assert set(worker.stages.taken().values()) == {0}, "counted anew from then on"
    stages, until = Stages(), time.thread_time() + 0.02
    with contextlib.suppress(KeyError), stages.spent(DECODING):
        while time.thread_time() < until:
            pass
        raise KeyError
    with stages.spent(EXPLAINING, 3), stages.spent(DECODING):
        time.sleep(0.02)
    stages.add({WRITING: 3.0})
    found = stages.taken()
    assert 0.02 <= found[DECODING] < 0.04, "a thread that sleeps does not work"
    assert found[EXPLAINING] >= 0.06
    assert found[WRITING] == 3.0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has priorities of threads")
def test_only_the_thread_that_asks_for_it_stands_back() -> None:
    import os

    found: list[int] = []

    def ask() -> None:
        step_back()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [max(before, BEHIND)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
