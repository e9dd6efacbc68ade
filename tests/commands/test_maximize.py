"""Synthesised pictures: known ones of linear units, planted units, rectifiers that are off, batches, sizes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import as_model
from torch import Tensor, nn

from cnnexplain.commands import bound
from cnnexplain.commands.maximize import Maximize
from cnnexplain.core.results.synthesis import ALONE, Synthesis
from cnnexplain.engine.model import Model
from cnnexplain.errors import CnnexplainError, LayerError, OptionError
from cnnexplain.formulas import diversity_objective, in_ball, moved_view, steepest_step

SIZE = (12, 10)


def made(
    model: Model | nn.Module, of: tuple[int, int] = SIZE, channels: int = 3, **options: Any
) -> list[Synthesis]:
    """The pictures of a command with these options."""
    model = model if isinstance(model, Model) else as_model(model, of, channels)
    for name in ("layer", "channel", "target"):
        if isinstance(options.get(name), str):
            options[name] = tuple(options[name].split(","))
    command, _ = bound(Maximize(**options), model)
    results = list(command.inspect(model))
    assert all(isinstance(result, Synthesis) for result in results)
    return results  # type: ignore[return-value]


class Linear(nn.Module):
    """Units that are linear functions of the whole picture."""

    def __init__(self, units: int = 3, size: tuple[int, int] = SIZE, channels: int = 3) -> None:
        super().__init__()
        self.units = nn.Linear(channels * size[0] * size[1], units)
        torch.manual_seed(1)
        nn.init.normal_(self.units.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.units(x.flatten(1))


class Planted(nn.Module):
    """Channels: red, an edge, a copy of red; then a rectifier and a head."""

    def __init__(self, rectifier: nn.Module | None = None, bias: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        nn.init.zeros_(self.conv.weight)
        nn.init.constant_(self.conv.bias, bias)
        with torch.no_grad():
            self.conv.weight[0, :, 1, 1] = torch.tensor([1.0, -1.0, -1.0])
            self.conv.weight[1, :, :, 0], self.conv.weight[1, :, :, 2] = -0.3, 0.3
            self.conv.weight[2] = self.conv.weight[0]
            self.conv.weight[3, :, 1, 1] = torch.tensor([-1.0, 1.0, -1.0])
        self.act = rectifier or nn.Identity()
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.conv(x)).mean((2, 3)))


def test_a_linear_unit_on_a_ball_is_its_weights_on_the_surface() -> None:
    """truth.md: r w / |w|, here in the normalised input."""
    network, radius = Linear(), 2.5
    model = as_model(network, SIZE)
    mean, std = (torch.tensor(one)[:, None, None] for one in (model.preprocess.mean, model.preprocess.std))
    for channel, result in enumerate(
        made(model, layer="units", channel="0,2", parametrization="pixel", norm=radius, steps=400)
    ):
        weights = network.units.weight[[0, 2][channel]].detach().reshape(3, *SIZE)
        inputs = (torch.from_numpy(result.values) - mean) / std
        torch.testing.assert_close(inputs, radius * weights / weights.norm(), atol=2e-6, rtol=1e-5)
        bias = float(network.units.bias.detach()[[0, 2][channel]])
        assert result.activation == pytest.approx(radius * float(weights.norm()) + bias, rel=1e-5)


def test_a_linear_unit_in_a_box_is_white_where_its_weights_are_positive() -> None:
    network = Linear()
    (result,) = made(network, layer="units", channel="1", parametrization="pixel")
    weights = network.units.weight[1].detach().reshape(3, *SIZE)
    assert (torch.from_numpy(result.values) == (weights > 0).float()).all()
    (against,) = made(network, layer="units", channel=("-1",), parametrization="pixel")
    assert (torch.from_numpy(against.values) == (weights < 0).float()).all()
    assert (against.subject, against.channel, result.channel) == ("against channel 1", None, 1)


@pytest.mark.parametrize("kind", ["pixel", "regularised", "fourier", "maco"])
def test_planted_units_are_recovered(kind: str) -> None:
    """Red is red, its copy is as well, and green is green."""
    red, edge, copy, green = made(
        Planted(), (64, 64), layer="conv", channel="all", parametrization=kind, steps=48
    )
    for result in (red, edge, copy, green):
        assert result.activation > result.grey + 0.5
    if kind != "maco":  # whose picture is as light and as grey as photographs, all in all
        assert red.values.mean((1, 2)).argmax() == copy.values.mean((1, 2)).argmax() == 0
        assert green.values.mean((1, 2)).argmax() == 1
        assert red.values[0].mean() - red.values[1:].mean() > 0.05


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.ReLU6(), nn.SiLU(), nn.ReLU(inplace=True)])
@pytest.mark.parametrize("kind", ["pixel", "fourier"])
def test_a_unit_behind_a_rectifier_that_is_off_comes_to_life(rectifier: nn.Module, kind: str) -> None:
    """Grey and all pictures near it give nothing, and no gradient either."""
    network = Planted(rectifier, bias=-2.0)
    (result,) = made(network, (64, 64), layer="act", channel="0", parametrization=kind, steps=128)
    assert result.grey <= 0
    assert result.activation > 0.5


def test_a_rectifier_at_its_ceiling_is_left_alone_where_more_is_wanted_and_left_where_less_is() -> None:
    network = Planted(nn.ReLU6(), bias=9.0)
    (down,) = made(network, (64, 64), layer="act", channel=("-0",), steps=64)
    assert down.grey == -6
    assert down.activation > -6


def test_a_picture_is_the_same_whatever_others_are_made_with_it() -> None:
    options = {"layer": "conv", "steps": 24}
    together = made(Planted(nn.ReLU()), (64, 64), channel="0,1,2,3", **options)
    (alone,) = made(Planted(nn.ReLU()), (64, 64), channel="1", **options)
    assert (alone.values == together[1].values).all()
    assert alone.activation == together[1].activation
    assert not (together[0].values == together[2].values).all(), "copies begin with other noise"
    other = as_model(Planted(nn.ReLU()), (64, 64), seed=7)
    assert not (made(other, channel="1", **options)[0].values == alone.values).all()


def test_only_the_head_runs_and_the_module_is_given_back_as_it_was() -> None:
    network = Planted(nn.ReLU()).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    model = as_model(network, (64, 64))
    command, _ = bound(Maximize(layer=("conv",), channel=("0",), steps=3), model)
    calls: list[str] = []
    handle = network.act.register_forward_hook(lambda *_: calls.append("act"))
    list(command.inspect(model))
    handle.remove()
    assert calls == []
    assert network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert all((before[name] == tensor).all() for name, tensor in network.state_dict().items())
    assert not network.conv._forward_hooks


@pytest.mark.parametrize(
    ("size", "channels"), [((28, 28), 1), ((64, 96), 1), ((40, 64), 5), ((65, 71), 3), ((64, 64), 2)]
)
def test_sizes_and_channels(size: tuple[int, int], channels: int) -> None:
    network = nn.Sequential(
        nn.Conv2d(channels, 2, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)
    )
    model = as_model(network, size, channels)
    command, choices = bound(Maximize(layer=("0",), channel=("1",), steps=4), model)
    assert command.parametrization == ("fourier" if min(size) >= 64 else "regularised")
    assert any(choice.setting == "parametrization" for choice in choices)
    (result,) = command.inspect(model)
    assert result.arrays()["values"].shape == (channels, *size)
    for kind in ("pixel", "fourier", "maco"):
        command, choices = bound(Maximize(layer=("0",), channel=("1",), steps=2, parametrization=kind), model)
        falls_back = kind != "pixel" and min(size) < 64
        assert command.parametrization == ("regularised" if falls_back else kind)
        assert bool(choices) == falls_back
        assert len(list(command.inspect(model))) == 1


def test_another_size_than_the_models_own() -> None:
    (result,) = made(Planted(), (64, 64), layer="conv", channel="0", steps=2, size="96x80")
    assert result.values.shape == (3, 96, 80)


def test_a_class_and_its_logit() -> None:
    network = Planted()
    (result,) = made(network, (64, 64), target="3", steps=32)
    assert (result.layer, result.subject, result.channel) == ("", "class 3", None)
    with torch.no_grad():
        inputs = as_model(network, (64, 64)).inputs(
            [(result.values.transpose(1, 2, 0) * 255).round().astype("uint8")]
        )
        assert float(network(inputs)[0, 3]) == pytest.approx(result.activation, rel=1e-5)
    assert result.activation > result.grey
    assert "logit" in result.summary()


def test_sums_of_channels_and_pictures_that_differ() -> None:
    (both,) = made(Planted(), (64, 64), layer="conv", channel=("0+3",), steps=16)
    assert both.channel is None
    pair = made(Planted(nn.ReLU()), (64, 64), layer="act", channel="1", diverse=2, steps=16)
    assert [one.variant for one in pair] == [0, 1]
    assert not (pair[0].values == pair[1].values).all()
    maps = torch.randn(4, 5, 3, 3)
    assert (diversity_objective(maps, 1) == 0).all()
    assert (diversity_objective(maps[:2].repeat_interleave(2, 0), 2) < -0.999).all()


def test_the_unit_in_the_middle() -> None:
    channel, unit = (
        made(Planted(), (64, 64), layer="conv", channel="0", steps=24, objective=objective)[0]
        for objective in ("channel", "unit")
    )
    assert unit.mean < channel.mean


def test_a_dead_unit_is_said_to_be() -> None:
    network = Planted(nn.ReLU())
    nn.init.zeros_(network.conv.weight)
    (result,) = made(network, (64, 64), layer="act", channel="0", steps=4)
    assert any("may be dead" in remark for remark in result.detail.remarks)


def test_what_real_pictures_reach_stands_beside(tmp_path: Path) -> None:
    unit = {"kind": "unit", "layer": "conv", "channel": 0, "top": [{"image": "cat.jpg", "activation": 0.1}]}
    (tmp_path / "results.jsonl").write_text(json.dumps(unit) + "\n")
    model = as_model(Planted(), (64, 64), 3)
    run = {"model": {"reference": "planted", "weights_sha256": model.weights_sha256}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    compared, alone = made(model, layer="conv", channel="0,1", steps=16, units=str(tmp_path))
    assert compared.record()["highest"] == {"activation": 0.1, "image": "cat.jpg"}
    assert "cat.jpg" in " ".join(compared.detail.remarks)
    assert ALONE not in compared.detail.remarks
    assert alone.record()["highest"] is None
    assert ALONE in alone.detail.remarks


class Detached(Planted):
    """No gradient leads back to the picture."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "nothing to maximise"),
        ({"channel": "3"}, "of which layer"),
        ({"layer": "conv", "channel": "4"}, "is not in conv, which has 4"),
        ({"layer": "conv", "channel": "red"}, "names no channel"),
        ({"layer": "conv", "channel": "1", "size": "big"}, "is no size"),
        ({"layer": "conv", "channel": "1", "size": "0"}, "is no size"),
        ({"layer": "conf", "channel": "1"}, "conf"),
        ({"target": "5"}, "5"),
        ({"layer": "conv", "channel": "1", "norm": 2.0}, "only pixel uses it"),
        (
            {"layer": "conv", "channel": "1", "decay": 0.1, "parametrization": "maco"},
            "only regularised uses it",
        ),
        ({"layer": "conv", "channel": "1", "units": "/nowhere"}, "has no run.json"),
    ],
)
def test_bad_input_is_refused_in_words(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(CnnexplainError, match=problem) as refused:
        made(Planted(), (64, 64), **options)
    assert refused.value.hint


def test_a_size_that_the_model_cannot_take_and_a_layer_without_values() -> None:
    deep = nn.Sequential(nn.Conv2d(3, 2, 9), nn.Flatten(), nn.Linear(2 * 56 * 56, 3))
    with pytest.raises(OptionError, match="--size 8 is none that"):
        made(deep, (64, 64), layer="0", channel="0", size="8")

    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair, self.net = Pair(), Planted()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(self.pair(x)[0])

    with pytest.raises(LayerError, match="pair"):
        made(Odd(), (64, 64), layer="pair", channel="0")


def test_a_model_without_gradients_is_refused() -> None:
    with pytest.raises(CnnexplainError, match="gradient"):
        made(Detached(), (64, 64), layer="conv", channel="0")


def test_steps_and_views_of_formulas() -> None:
    gradients = torch.randn(2, 3, 4, 5)
    steps = steepest_step(gradients, 0.7)
    torch.testing.assert_close(steps.flatten(1).norm(dim=1), torch.full((2,), 0.7))
    torch.testing.assert_close(in_ball(gradients, 0.1).flatten(1).norm(dim=1), torch.full((2,), 0.1))
    assert (in_ball(gradients, 1e3) == gradients).all()
    torch.testing.assert_close(moved_view(gradients), gradients, atol=1e-5, rtol=1e-5)
    square = torch.randn(1, 2, 6, 6)
    torch.testing.assert_close(moved_view(square, degrees=90), square.rot90(1, (2, 3)), atol=1e-5, rtol=1e-5)
    turned = moved_view(gradients, degrees=180)
    torch.testing.assert_close(turned, gradients.flip(2, 3), atol=1e-4, rtol=1e-4)


def test_a_bound_command_can_be_bound_again() -> None:
    model = as_model(Planted(), (64, 64))
    command, _ = bound(Maximize(layer=("conv",), channel=("0",), steps=2), model)
    again, choices = bound(replace(command, aims=(), sized=None), model)
    assert again.subjects() == command.subjects()
    assert choices == ()
