"""As many rows at once as memory allows, and what happens when it does not."""

from __future__ import annotations

import pytest
import torch
from networks import as_model, explained, pooled, settle
from torch import Tensor, nn

from cnnexplain.commands._pixel_maps import MAPS
from cnnexplain.commands.saliency import Saliency
from cnnexplain.engine.chunks import ROWS, Chunks
from cnnexplain.errors import ForwardError, is_out_of_memory

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _eight_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough to be halved three times."""
    monkeypatch.setitem(ROWS, "cpu", 8)


class Work:
    """Rows done, in chunks; more than `room` rows at once do not fit."""

    def __init__(self, room: int = 10**6, error: Exception | None = None) -> None:
        self.room = room
        self.error = error or torch.OutOfMemoryError("no room")
        self.tried: list[int] = []
        self.done: list[int] = []

    def __call__(self, rows: range) -> None:
        self.tried.append(len(rows))
        if len(rows) > self.room:
            raise self.error
        self.done += rows


@pytest.mark.parametrize("device", ROWS)
@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 200])
def test_every_row_is_worked_on_once_in_order(device: str, rows: int) -> None:
    work = Work()
    list(Chunks().over(rows, torch.device(device), work))
    assert work.done == list(range(rows))
    fewest = 2 if device == "cpu" else 1  # which streams share
    assert len(work.tried) == min(rows, max(fewest, -(-rows // ROWS[device])))
    assert max(work.tried, default=0) - min(work.tried, default=0) <= len(work.tried)


@pytest.mark.parametrize("room", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("rows", [1, 6, 21])
def test_chunks_are_halved_until_they_fit(room: int, rows: int) -> None:
    work = Work(room)
    list(Chunks().over(rows, CPU, work))
    assert work.done == list(range(rows))
    assert sum(size > room for size in work.tried) <= 3  # from eight to one


def test_memory_for_more_does_not_make_it_more_than_wanted() -> None:
    chunks, work = Chunks(), Work()
    chunks.limit = 4
    list(chunks.over(3, CPU, work, most=1))
    assert work.tried == [1, 1, 1]


def test_what_memory_allowed_is_remembered() -> None:
    chunks, work = Chunks(), Work(room=3)
    assert chunks.limit is None
    list(chunks.over(20, CPU, work))
    assert work.tried == [7, 3, 3, 1, 3, 3, 1, 3, 3]
    assert chunks.limit == 3
    work.tried.clear()
    list(chunks.over(8, CPU, work))
    assert work.tried == [3, 1, 3, 1]
    assert chunks.limit == 3, "a small rest says nothing of memory"


def test_a_model_that_fails_on_several_gets_one_at_a_time() -> None:
    work, chunks = Work(1, ForwardError("it takes one picture", "give it one")), Chunks()
    assert [list(rows) for rows, _ in chunks.over(10, CPU, work)] == [[row] for row in range(10)]
    assert work.tried == [5, *[1] * 10]
    assert list(chunks.over(2, CPU, work)) != []
    assert work.tried[11:] == [1, 1], "which is remembered"
    assert "it takes one picture" in chunks.choices[0].reason
    fails = Work(0, ForwardError("it takes none", "give it up"))
    with pytest.raises(ForwardError, match="none"):
        list(Chunks().over(10, CPU, fails))
    assert fails.tried == [5, 1]


def test_a_single_input_that_fails_is_not_taken_for_a_model_that_takes_one() -> None:
    def work(rows: range) -> None:
        if 5 in rows:
            raise ForwardError("not this one", "leave it out")

    chunks = Chunks()
    with pytest.raises(ForwardError):
        list(chunks.over(10, CPU, work))
    assert chunks.choices == ()


def test_short_rest_that_does_not_fit_is_halved_from_its_own_size() -> None:
    chunks, work = Chunks(), Work(room=2)
    list(chunks.over(6, CPU, work))
    assert work.tried == [3, *[1] * 6]
    assert chunks.limit == 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("could not create a primitive"),
        RuntimeError("std::bad_alloc"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_no_memory_for_a_single_row_is_raised(error: Exception) -> None:
    assert is_out_of_memory(error)
    work = Work(room=0, error=error)
    with pytest.raises(type(error)) as caught:
        list(Chunks().over(8, CPU, work))
    assert caught.value is error
    assert work.tried == [4, 2, 1]


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("no"), KeyError("x")])
def test_other_errors_pass_through_at_once(error: Exception) -> None:
    assert not is_out_of_memory(error)
    chunks, work = Chunks(), Work(room=0, error=error)
    with pytest.raises(type(error)) as caught:
        list(chunks.over(8, CPU, work))
    assert caught.value is error
    assert work.tried == [4]
    assert chunks.limit is None


class Cramped(nn.Module):
    """A network that has room for so many pictures at once; forwards or backwards."""

    def __init__(self, inner: nn.Module, room: int, backwards: bool) -> None:
        super().__init__()
        self.inner, self.room, self.backwards = inner, room, backwards
        self.refused = 0

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.room:
            if not self.backwards:
                self.fail(x)
            x.register_hook(self.fail)
        logits: Tensor = self.inner(x)
        return logits

    def fail(self, _: Tensor) -> None:
        self.refused += 1
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("quadrature", ["adaptive", "gauss-legendre"])
def test_maps_do_not_suffer_from_little_memory(quadrature: str, backwards: bool) -> None:
    """Two pictures fit at once, and three rows; steps and noisy copies come eight at a time at first."""
    torch.manual_seed(0)
    network = settle(pooled(), (16, 16))
    inputs = torch.randn(2, 3, 16, 16)
    asked = Saliency(method=tuple(MAPS), quadrature=quadrature, steps=11, samples=5)
    plenty = explained(asked, network, inputs)
    cramped = as_model(Cramped(network, 3, backwards), (16, 16))
    little = explained(Saliency(**{**vars(asked), "layer": "inner.features"}), cramped, inputs)
    for one, other in zip(little.maps, plenty.maps, strict=True):
        torch.testing.assert_close(one.values, other.values, rtol=1e-4, atol=1e-6)
    assert cramped.chunks.limit in (2, 3)
    assert cramped.module.refused <= 2, "found out once, not for every method"


def test_error_of_a_single_picture_is_raised_and_the_module_given_back() -> None:
    network = settle(pooled(), (16, 16))
    cramped = Cramped(network, 1, backwards=False).train()
    model = as_model(cramped, (16, 16))
    explained(Saliency(method=("gradient",)), model, torch.randn(2, 3, 16, 16))  # one at a time
    cramped.room = 0
    with pytest.raises(torch.OutOfMemoryError):
        explained(Saliency(method=("gradient",)), model, torch.randn(2, 3, 16, 16))
    cramped.room = 1
    assert cramped.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    explained(Saliency(method=("gradient", "smoothgrad"), samples=3), model, torch.randn(1, 3, 16, 16))
    assert model.chunks.limit == 1
