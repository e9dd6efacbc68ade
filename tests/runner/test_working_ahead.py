"""Work is done ahead of time, in order, and never more than so much of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cnnexplain.engine.pipeline import ahead, batched

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("depth", [1, 2, 16, 99])
def test_results_come_in_the_order_of_the_items(workers: int, depth: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))  # later ones are often ready first
        return item * item

    with ThreadPoolExecutor(workers) as pool:
        assert list(ahead(pool, work, range(30), depth)) == [item * item for item in range(30)]


def test_no_more_than_the_depth_is_begun_ahead() -> None:
    begun = []

    def items() -> Iterator[int]:
        for item in range(50):
            begun.append(item)
            yield item

    with ThreadPoolExecutor(4) as pool:
        results = ahead(pool, lambda item: item, items(), 5)
        for used in range(1, 20):
            next(results)
            time.sleep(0.001)
            assert len(begun) <= used + 5
        assert len(begun) > 20, "but it does work ahead"
        results.close()


def test_several_are_worked_on_at_once() -> None:
    together = threading.Barrier(3, timeout=10)
    with ThreadPoolExecutor(3) as pool:
        assert len(list(ahead(pool, lambda _: together.wait(), range(6), 3))) == 6


@pytest.mark.parametrize("bad", [0, 3, 9])
def test_an_exception_comes_at_its_place(bad: int) -> None:
    def work(item: int) -> int:
        if item == bad:
            raise ValueError(item)
        return item

    found = []
    with ThreadPoolExecutor(2) as pool:
        results = ahead(pool, work, range(10), 4)
        found.extend(next(results) for _ in range(bad))
        with pytest.raises(ValueError, match=str(bad)):
            next(results)
    assert found == list(range(bad))


def test_an_exception_of_the_items_comes_through() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("source")

    with ThreadPoolExecutor(2) as pool, pytest.raises(KeyError, match="source"):
        list(ahead(pool, lambda item: item, items(), 1))


def test_closing_early_gives_up_what_has_not_begun() -> None:
    done, go = [], threading.Event()

    def work(item: int) -> int:
        if item:
            go.wait(10)
        done.append(item)
        return item

    with ThreadPoolExecutor(1) as pool:
        results = ahead(pool, work, range(100), 10)
        assert next(results) == 0
        results.close()
        go.set()
    assert len(done) <= 2, "one was under way"


def test_nothing_gives_nothing() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert list(ahead(pool, str, [], 3)) == []
    assert list(batched([], 3)) == []


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_batches_are_full_but_for_the_last(count: int) -> None:
    batches = list(batched(iter(range(count)), 3))
    assert [item for batch in batches for item in batch] == list(range(count))
    assert all(len(batch) == 3 for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= 3
