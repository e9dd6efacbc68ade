"""Batches that several threads compute: the same bytes in the same order, whatever fails, stops, or remembers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.engine.model import Model
from cnnexplain.engine.streams import Streams

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 24, 3, stride=2)
        self.depth = nn.Conv2d(24, 24, 5, groups=24)
        self.head = nn.Linear(24, 6)

    def forward(self, x):
        self.kept = self.conv(x).relu()  # read again after other threads had their turn
        deep = self.depth(self.kept).relu()
        if float(x.mean()) > 2:
            raise ValueError("too bright for me")
        return self.head(self.kept.mean((2, 3)) + deep.mean((2, 3)))
"""


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def photos(folder: Path, count: int, bright: tuple[int, ...] = ()) -> None:
    folder.mkdir()
    torch.manual_seed(1)
    for number in range(count):
        noise = torch.randint(0, 256, (40, 48 + number, 3), dtype=torch.uint8).numpy()
        picture = Image.new("RGB", (40, 40), "white") if number in bright else Image.fromarray(noise)
        picture.save(folder / f"{number:02d}.png")


def explained(folder: Path, out: str, threads: int, *more: str) -> tuple[str, dict[str, Any]]:
    """The records of a run in which torch has so many threads, and what run.json says of its work."""
    words = ("gradcam", "net.py:Net", "photos", "-o", out, "--input-size", "64", "--no-pictures", *more)
    start = (
        f"import sys, torch; torch.set_num_threads({threads}); from cnnexplain.cli.start import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", start, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / out / "results.jsonl").read_text(), json.loads((folder / out / "run.json").read_text())[
        "work"
    ]


def test_the_records_are_the_same_bytes_with_one_stream_two_and_three(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    photos(tmp_path / "photos", 41, bright=(7, 30))
    allowed = ("--max-failures", "2", "-m", "gradcam,layercam,ablationcam")
    one, work = explained(tmp_path, "one", 1, *allowed)
    assert work["streams"] == 1
    records = [json.loads(line) for line in one.splitlines()]
    assert [place for place, record in enumerate(records) if record["status"] == "error"] == [7, 30]
    assert "too bright for me" in records[7]["error"]["message"]
    for count in (2, 3):
        several, work = explained(tmp_path, f"streams{count}", count, *allowed)
        assert work["streams"] == count
        assert several == one
    # Continued: what is left fills other batches, of the same size.
    out = tmp_path / "streams2"
    (out / "results.jsonl").write_text("".join(f"{line}\n" for line in one.splitlines()[:13]))
    again, _ = explained(tmp_path, "streams2", 2, *allowed)
    assert again == one


def test_one_picture_or_few_are_computed_without_waiting_for_a_full_batch(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    photos(tmp_path / "photos", 5)
    assert explained(tmp_path, "five", 2)[1]["streams"] == 2
    assert explained(tmp_path, "single", 2, "--limit", "1")[1]["streams"] == 1


def small() -> Model:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    model = cnnexplain.load(network, input_size="32").model
    GradCAM().bind(model)
    return model


@pytest.mark.usefixtures("threads")
def test_answers_come_in_order_from_threads_that_each_compute_alone() -> None:
    model, streams = small(), Streams()
    met = threading.Barrier(3, timeout=20)
    seen: set[tuple[str, int]] = set()

    def work(own: Model, batch: int, threads: int) -> tuple[int, Tensor]:
        seen.add((threading.current_thread().name, torch.get_num_threads()))
        assert own is not model
        assert threads == 0
        if batch < 3:
            met.wait()  # all three are under way at once
        time.sleep(0.02 * (batch % 3 == 0))
        return batch, own.forward(torch.full((1, 3, 32, 32), float(batch)))

    with model.borrowed():
        streams.settle(model, 9)
        assert streams.count == 3
        answers = list(streams.answers(model, work, range(9)))
        assert [number for number, _ in answers] == list(range(9))
        for number, scores in answers:
            assert torch.equal(scores, model.forward(torch.full((1, 3, 32, 32), float(number))))
    assert len(seen) == 3
    assert {count for _, count in seen} == {1}
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("threads")
def test_a_batch_that_nobody_waits_for_ends_before_its_next_chunk_and_the_streams_work_again() -> None:
    model, streams = small(), Streams()
    begun = threading.Event()
    chunks: list[int] = []

    def work(own: Model, batch: int, _threads: int) -> int:
        if batch == 0:
            begun.wait(20)
            return 0

        def wait(rows: range) -> None:
            chunks.append(rows.start)
            begun.set()
            time.sleep(0.01)

        for _ in own.chunks.over(100_000, model.device, wait):
            pass
        return batch

    with model.borrowed():
        streams.settle(model, 4)
        answers = streams.answers(model, work, range(4))
        assert next(answers) == 0
        answers.close()
        assert len(chunks) < 1000
        assert list(streams.answers(model, lambda _model, batch, _threads: batch, range(5))) == list(range(5))


@pytest.mark.usefixtures("threads")
def test_what_a_batch_raises_is_raised_in_its_place() -> None:
    model, streams = small(), Streams()

    def work(_model: Model, batch: int, _threads: int) -> int:
        if batch == 4:
            raise OSError("the disk is gone")
        return batch

    done = []
    with model.borrowed():
        streams.settle(model, 9)
        answers = streams.answers(model, work, range(9))
        with pytest.raises(OSError, match="the disk is gone"):
            done.extend(answers)
    assert done == [0, 1, 2, 3]


def test_one_batch_has_all_threads() -> None:
    model, streams = small(), Streams()
    with model.borrowed():
        streams.settle(model, 1)
        assert list(
            streams.answers(model, lambda own, batch, threads: (own is model, batch, threads), "a")
        ) == [(True, "a", torch.get_num_threads())]
    assert (streams.count, streams.reason) == (1, "")
