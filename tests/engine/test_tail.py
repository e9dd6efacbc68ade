"""The part of a model after a layer: the same scores as the whole, and nothing left on the module."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from networks import as_model, pooled
from torch import Tensor, nn

from cnnexplain.engine.model import Model
from cnnexplain.engine.tail import Tail, tail_of


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def agrees(model: Model, inputs: Tensor) -> None:
    tail = tail_of(model)
    assert isinstance(tail, Tail), tail
    modules = [dict(vars(module)) for module in model.module.modules()]
    with model.borrowed():
        with tail.watched() as watched:
            whole = model.forward(inputs)
        (maps,) = watched
        scores = tail.scores(model, len(maps), lambda rows: maps[rows.start : rows.stop], maps[0].numel())
        nothing = tail.scores(
            model, 3, lambda rows: torch.zeros_like(maps[:1]).expand(len(rows), -1, -1, -1), 1
        )
    torch.testing.assert_close(scores, whole.detach(), rtol=1e-4, atol=1e-5 * float(whole.abs().max()))
    assert not torch.equal(nothing[0], whole[0])
    assert [dict(vars(module)) for module in model.module.modules()] == modules


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_lite0", "resnet18", "densenet121", "convnext_atto", "vgg11"]
)
def test_what_follows_the_last_map_gives_the_scores_of_the_whole(name: str) -> None:
    agrees(as_model(timm.create_model(name), (64, 64)), noise(2, 3, 64, 64))


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2", "inception_v3"])
def test_torchvisions_networks_too(name: str) -> None:
    module = torchvision.models.get_model(name, weights=None)
    agrees(as_model(module, (96, 96)), noise(2, 3, 96, 96))


class Functional(nn.Module):
    """Functions between its modules, one of which writes into its operand."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x)) * 2
        x = self.second(x).relu_()
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize("module", [Functional(), pooled()], ids=lambda module: type(module).__name__)
def test_functions_between_modules(module: nn.Module) -> None:
    agrees(as_model(module, (16, 16)), noise(2, 3, 16, 16))


class Ended(nn.Sequential):
    """Ends in softmax."""

    def __init__(self) -> None:
        super().__init__(pooled(), nn.Softmax(1))


class Single(nn.Module):
    """Takes one image at once."""

    def __init__(self) -> None:
        super().__init__()
        self.net = pooled()

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            raise ValueError("one image only")
        return self.net(x)


def test_a_network_that_ends_in_softmax_and_one_that_takes_single_images() -> None:
    agrees(as_model(Ended(), (16, 16)), noise(2, 3, 16, 16))
    agrees(as_model(Single(), (16, 16)), noise(1, 3, 16, 16))


class Past(nn.Module):
    """The scores depend on the image past the last map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(11, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.cat((self.conv(x).relu().mean((2, 3)), x.mean((2, 3))), 1))


class Twice(nn.Module):
    """Sees the image and its mirror image."""

    def __init__(self) -> None:
        super().__init__()
        self.net = pooled()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + self.net(x.flip(3))


@pytest.mark.parametrize(("module", "why"), [(Past(), "more than the map"), (Twice(), "several maps")])
def test_where_one_map_is_not_all_it_is_said_why(module: nn.Module, why: str) -> None:
    tail = tail_of(as_model(module, (16, 16)))
    assert isinstance(tail, str)
    assert why in tail


def test_an_error_on_the_way_leaves_the_module_as_it_was() -> None:
    model = as_model(Functional(), (16, 16))
    tail = tail_of(model)
    assert isinstance(tail, Tail)

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    handle = model.module.fc.register_forward_hook(fail)  # type: ignore[union-attr]
    with model.borrowed(), pytest.raises(Exception, match="broken"):
        tail.scores(model, 1, lambda _: torch.zeros(1, 8, 4, 4), 128)
    handle.remove()
    assert not any("forward" in vars(module) for module in model.module.modules())
