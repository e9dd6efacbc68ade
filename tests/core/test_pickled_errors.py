"""An error reaches the process that waits for it as it was raised."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from cnnexplain.errors import CnnexplainError, InterruptedRunError, SeveralOutputsError, Terminated


def kinds(cls: type[CnnexplainError] = CnnexplainError) -> Iterator[type[CnnexplainError]]:
    yield cls
    for one in cls.__subclasses__():
        yield from kinds(one)


MORE = {SeveralOutputsError: (("a", "b"),), InterruptedRunError: (Terminated(),)}


@pytest.mark.parametrize("kind", [one for one in kinds() if one.__module__ == "cnnexplain.errors"])
def test_every_error_survives_the_way_to_another_process(kind: type[CnnexplainError]) -> None:
    error = kind("what was wrong", "what to type", *MORE.get(kind, ()))
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is kind
    assert str(found) == "what was wrong"
    assert (found.problem, found.hint, found.exit_code) == ("what was wrong", "what to type", error.exit_code)
    assert getattr(found, "names", None) == getattr(error, "names", None)
