"""The inputs made of one picture, in streams: the same bytes with any number of threads, and nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cnnexplain
from cnnexplain.engine.model import Model
from cnnexplain.engine.streams import over
from cnnexplain.engine.weights.reinitialised import reinitialised


class Network(nn.Module):
    """Two rectified layers with a batch normalisation, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 24, 3, stride=2)
        self.norm = nn.BatchNorm2d(24)
        self.deep = nn.Conv2d(24, 96, 3, padding=1)
        self.head = nn.Linear(96, 6)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.deep(self.norm(self.conv(x)).relu()).relu()
        return self.head(maps.mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def maps(network: nn.Module, command: str, threads: int, **options: Any) -> list[bytes]:
    torch.set_num_threads(threads)
    explanation = cnnexplain.load(network, input_size="64").explain(PICTURE, command, **options)
    return [heatmap.values.tobytes() for heatmap in explanation.heatmaps]


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("saliency", {"method": "integrated-gradients"}),
        ("saliency", {"method": "integrated-gradients", "steps": 21, "quadrature": "gauss-legendre"}),
        ("saliency", {"method": "smoothgrad,vargrad", "samples": 39}),
        ("occlusion", {"method": "sliding,rise", "masks": 130}),
        ("gradcam", {"method": "scorecam,ablationcam", "layer": "deep"}),
    ],
)
def test_maps_are_the_same_bytes_with_any_number_of_threads(command: str, options: dict[str, Any]) -> None:
    network = Network()
    single = maps(network, command, 1, **options)
    assert single
    for threads in (2, 3):
        assert maps(network, command, threads, **options) == single


def test_several_pictures_are_the_same_bytes_with_any_number_of_threads() -> None:
    explainer, pictures = (
        cnnexplain.load(Network(), input_size="64"),
        [PICTURE, PICTURE[::-1], PICTURE[:, ::-1]],
    )
    made: list[list[bytes]] = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        explanations = explainer.explain(pictures, batch_size=1)
        made.append([explanation.heatmaps[0].values.tobytes() for explanation in explanations])
    assert len(set(made[0])) == 3
    assert made[0] == made[1] == made[2]


def borrowed(network: nn.Module) -> Model:
    model = cnnexplain.load(network, input_size="64").model
    _ = model.trace, model.labels, model.runs
    return model


def scores(model: Model, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        found = over(
            model, len(inputs), lambda own, rows: own.forward(inputs[rows.start : rows.stop]), most=2
        )
        return torch.cat([part for _, part in found])


def test_streams_know_weights_that_were_drawn_anew_and_a_model_that_changed_between_calls() -> None:
    network, inputs = Network(), torch.rand(8, 3, 64, 64)
    model = borrowed(network)
    with model.borrowed():
        before = scores(model, inputs)
        with reinitialised(0) as reinitialise:
            reinitialise(network.head.weight)
            drawn = scores(model, inputs)
            torch.testing.assert_close(drawn, model.forward(inputs))
        assert torch.equal(scores(model, inputs), before)
    assert not torch.allclose(drawn, before)
    network.norm.running_mean.add_(1)
    network.head = nn.Linear(96, 6)
    with model.borrowed():
        torch.testing.assert_close(scores(model, inputs), model.forward(inputs))


def test_what_is_hooked_or_watched_meanwhile_goes_through_the_model_itself() -> None:
    model, inputs, seen = borrowed(Network()), torch.rand(8, 3, 64, 64), []
    with model.borrowed():
        scores(model, inputs)
        with model.module.conv.register_forward_hook(lambda *_: seen.append(threading.current_thread())):
            scores(model, inputs)
    assert set(seen) == {threading.main_thread()}
    assert len(seen) == 4
    assert torch.get_num_threads() == 3


def test_little_memory_means_fewer_streams_and_the_same_answer() -> None:
    model, inputs = borrowed(Network()), torch.rand(9, 3, 64, 64)
    done: list[int] = []

    def work(own: Model, rows: range) -> Tensor:
        if own is not model and rows.start >= 4:
            raise torch.OutOfMemoryError("no room for several")
        done.extend(rows)
        with torch.no_grad():
            return own.forward(inputs[rows.start : rows.stop])

    with model.borrowed():
        found = list(over(model, len(inputs), work, most=2))
        torch.testing.assert_close(torch.cat([part for _, part in found]), model.forward(inputs))
        assert sorted(done) == list(range(9))
        assert model.streams.count == 1
    assert [row for rows, _ in found for row in rows] == list(range(9))


def test_rows_that_nobody_waits_for_are_given_up_and_errors_are_raised_in_their_place() -> None:
    model = borrowed(Network())
    begun: list[int] = []

    def work(own: Model, rows: range) -> int:
        begun.extend(rows)
        if 6 in rows:
            raise ValueError("not this one")
        return rows.start

    with model.borrowed():
        parts = over(model, 1000, work, most=1)
        assert next(parts) == (range(1), 0)
        parts.close()
        assert len(begun) < 20
        with pytest.raises(ValueError, match="not this one"):
            list(over(model, 1000, work, most=1))
        assert torch.get_num_threads() == 3
