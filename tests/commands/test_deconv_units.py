"""What single units saw, projected back: networks worked by hand, which units are shown, and what is said of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from architectures import architecture, size_of
from networks import ChannelsLast, Column, Columns, Readout, as_model, explained, pooled, settle
from torch import Tensor, nn

from cnnexplain.commands.deconv import RULES, Deconv
from cnnexplain.core.explanation import Batch
from cnnexplain.core.preprocess import Geometry
from cnnexplain.engine.model import Model
from cnnexplain.errors import LayerError, ModelError, OptionError

PICTURE = [[1.0, 5, 2, 0], [3, 4, 8, 6], [7, 0, 1, 2], [9, 3, 4, 5]]


def units(module: nn.Module | Model, inputs: Any, layer: Any, **options: Any) -> tuple[LaidOut, ...]:
    inputs = torch.as_tensor(inputs)
    layers = (layer,) if isinstance(layer, str) else layer
    found = explained(Deconv(layer=layers, **options), module, inputs).units
    return tuple(LaidOut(one, laid_out(one, inputs)) for one in found)


class LaidOut(Column):
    """Units of which the values are on the whole input."""

    values: Any = None

    def __init__(self, column: Column, values: Tensor) -> None:
        super().__init__(column.results)
        self.values = values


def laid_out(one: Column, inputs: Tensor) -> Tensor:
    """Every patch at its place in an input that is zero elsewhere, (N, C, H, W)."""
    canvas = torch.zeros(inputs.shape)
    for row, (left, top, right, bottom) in enumerate(one.sees.tolist()):
        canvas[row, :, top:bottom, left:right] = one.values[row]
    return canvas


def fixed(weight: Any, stride: int = 1) -> nn.Conv2d:
    """A convolution with these weights and no bias."""
    weight = torch.tensor(weight)
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]), stride, bias=False)
    conv.weight.data.copy_(weight)
    return conv


def classifier(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def small(poolings: int) -> nn.Sequential:
    """Three stages, with so many max-poolings between them."""
    torch.manual_seed(0)
    between = [nn.MaxPool2d(2) if number < poolings else nn.AvgPool2d(2) for number in range(2)]
    conv = [nn.Conv2d(inside, out, 3, padding=1) for inside, out in ((3, 4), (4, 5), (5, 6))]
    stages = (conv[0], nn.ReLU(), between[0], conv[1], nn.ReLU(inplace=True), between[1], conv[2], nn.ReLU())
    return classifier(*stages).append(nn.Linear(6, 3))


def maps(values: Any) -> tuple[nn.Module, Tensor]:
    """A network whose layer `maps` holds just these, (C, h, w), and its input."""
    inputs = torch.tensor(values)[None]
    return Readout(torch.ones(2, *inputs.shape[1:])), inputs


def shown(values: Any, **options: Any) -> list[tuple[int, tuple[int, int] | None, float]]:
    """Channel, place and activation of every unit that is shown of these maps."""
    network, inputs = maps(values)
    found = units(network, inputs, "maps", rule=("gradient",), **options)
    return [
        (int(one.channel), None if one.cell is None else tuple(one.cell[0].tolist()), float(one.activation))
        for one in found
    ]


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(4, 3, 16, 16)


# Worked by hand.


@pytest.mark.parametrize("rule", RULES)
def test_unpooling_puts_the_activation_where_the_maximum_was(rule: str) -> None:
    """Maxima 5, 8, 9, 5 of the four quarters; the second channel sees the picture's negative, nothing."""
    network = classifier(fixed([[[[1.0]]], [[[-1.0]]]]), nn.ReLU(), nn.MaxPool2d(2))
    (one,) = units(network, [[PICTURE]], "2", top=1, rule=(rule,))
    assert (one.rule, one.layer) == (rule, "2")
    assert (one.channel.tolist(), one.cell.tolist(), one.activation.tolist()) == ([0], [[1, 0]], [9])
    assert one.sees.tolist() == [[0, 2, 2, 4]]
    assert one.values.tolist() == [[[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [9, 0, 0, 0]]]]
    (whole,) = units(network, [[PICTURE]], "2", channel=(0,), whole=True, rule=(rule,))
    assert whole.cell is None
    assert (whole.activation.tolist(), whole.sees.tolist()) == ([9], [[0, 0, 4, 4]])
    assert whole.values.tolist() == [[[[0, 5, 0, 0], [0, 0, 8, 0], [0, 0, 0, 0], [9, 0, 0, 5]]]]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # 4*1 + 0*2 - 2*1 + 0*3 = 2 comes down as 2, 4, -2, 6; the second and fourth place are closed.
        ("gradient", [[2, 0], [-2, 0]]),
        ("guided", [[2, 0], [0, 0]]),
        ("deconv", [[2, 4], [0, 6]]),
    ],
)
def test_rules_differ_where_a_signal_is_negative_or_a_unit_closed(rule: str, expected: Any) -> None:
    network = classifier(fixed([[[[1.0]]]]), nn.ReLU(), fixed([[[[1.0, 2], [-1, 3]]]], stride=2), nn.ReLU())
    (one,) = units(network, [[[[4.0, -1], [2, -3]]]], "3", rule=(rule,))
    assert one.activation.tolist() == [2]
    assert one.values[0, 0].tolist() == expected
    kinds = one.details[0].facts.get("rectifiers")
    assert kinds == (None if rule == "gradient" else {"rule": rule, "count": 2, "kinds": {"ReLU": 2}})


def test_layer_before_its_rectifier_shows_what_the_next_would() -> None:
    """At the second convolution the same unit, before the rectifier on top: the signal meets one less."""
    network = classifier(fixed([[[[1.0]]]]), nn.ReLU(), fixed([[[[1.0, 2], [-1, 3]]]], stride=2), nn.ReLU())
    (one,) = units(network, [[[[4.0, -1], [2, -3]]]], "2", rule=("deconv",))
    assert one.values[0, 0].tolist() == [[2, 4], [0, 6]]
    assert one.details[0].facts["rectifiers"]["count"] == 1


def test_convolutions_are_undone_by_their_transposes() -> None:
    """A unit of 2 spreads its kernel, twice as large, over its window, for each channel of the picture."""
    kernel = [[[[1.0, -2], [0, 3]], [[5, 0], [-1, 1]]]]
    picture = torch.zeros(1, 2, 4, 4)
    picture[0, 0, 1, 2] = 2  # under the kernel's 1 at (1, 2)
    network = classifier(fixed(kernel), nn.ReLU())
    (one,) = units(network, picture, "0", channel=(0,), at=None)
    assert one.cell.tolist() == [[1, 2]] or one.activation.tolist() == [6]
    row, column = one.cell[0].tolist()
    expected = torch.zeros(2, 4, 4)
    expected[:, row : row + 2, column : column + 2] = one.activation * torch.tensor(kernel[0])
    assert torch.equal(one.values[0], expected)
    assert one.sees.tolist() == [[column, row, column + 2, row + 2]]


def test_seed_is_the_activation() -> None:
    """Where nothing lies between a layer and the picture, the unit comes back as it is, alone."""
    network, inputs = maps([PICTURE, [[-1.0] * 4] * 4])
    (one,) = units(network, inputs, "maps", channel=(0,), rule=("gradient",))
    expected = torch.zeros(1, 2, 4, 4)
    expected[0, 0, 3, 0] = 9
    assert torch.equal(one.values, expected)


# Which units.


def test_strongest_channels_first_each_at_its_own_place() -> None:
    values = [[[1.0, 2]], [[9, 0]], [[0, 5]], [[-1, -2]]]
    every = [(1, (0, 0), 9), (2, (0, 1), 5), (0, (0, 1), 2), (3, (0, 0), -1)]
    assert shown(values, top=2) == every[:2]
    assert shown(values, top=4) == shown(values, top=99) == every


def test_of_equally_strong_channels_those_that_are_so_in_more_places_come_first() -> None:
    values = [[[6.0, 0, 0]], [[6, 6, 6]], [[0, 6, 6]], [[5, 5, 5]]]
    assert [one[0] for one in shown(values, top=4)] == [1, 2, 0, 3]


def test_channels_that_are_alike_keep_their_order() -> None:
    assert [one[0] for one in shown([[[1.0, 0]], [[3, 0]], [[0, 1]], [[3, 0]]] * 8, top=99)] == [
        *range(1, 32, 2),
        *range(0, 32, 2),
    ]


def test_of_equally_strong_places_the_one_with_the_strongest_surroundings() -> None:
    values = torch.zeros(1, 7, 7)
    values[0, 1, 1] = values[0, 4, 4] = values[0, 0, 6] = 6
    values[0, 4, 5] = values[0, 5, 4] = 2
    values[0, 1, 2] = 3
    assert shown(values.tolist())[0][1] == (4, 4)
    values[0, 2, 2] = 3
    assert shown(values.tolist())[0][1] == (1, 1)
    values[0, 5, 5] = 2
    assert shown(values.tolist())[0][1] == (1, 1), "of two that are still alike the first"


def test_channels_that_are_named_are_shown_in_that_order() -> None:
    values = [[[1.0, 2]], [[9, 0]], [[0, 5]]]
    assert shown(values, channel=(2, 0)) == [(2, (0, 1), 5), (0, (0, 1), 2)]
    assert shown(values, channel=(1,), whole=True) == [(1, None, 9)]


def test_each_picture_has_its_own_units(inputs: Tensor) -> None:
    found = units(small(2), inputs, "4", top=2)
    assert len(found) == 2
    assert len({tuple(one) for one in torch.stack([found[0].channel, *found[0].cell.T], 1).tolist()}) > 1


def test_by_layer_then_by_unit_then_by_rule(inputs: Tensor) -> None:
    found = units(small(2), inputs[:1], ("4", "0", "4"), channel=(3, 1), rule=("gradient", "deconv"))
    assert [(one.layer, int(one.channel), one.rule) for one in found] == [
        (layer, channel, rule) for layer in "40" for channel in (3, 1) for rule in ("gradient", "deconv")
    ]


# A place of the user's.


def at(module: nn.Module, inputs: Tensor, geometries: list[Geometry], **options: Any) -> Columns:
    model = as_model(module, tuple(inputs.shape[2:]), inputs.shape[1])
    bound, _ = Deconv(**options).bind(model)
    with model.borrowed():
        return Columns(bound.explain(model, Batch(inputs, geometries=tuple(geometries))))


@pytest.mark.parametrize(
    ("place", "cell"), [("0,0", (0, 0)), ("79,39", (3, 3)), ("20,0", (0, 1)), (" 19 , 30 ", (3, 0))]
)
def test_place_is_given_in_the_pictures_pixels(place: str, cell: tuple[int, int]) -> None:
    """A picture of 80 x 40 behind an input of 4 x 4 that holds all of it."""
    network, inputs = maps([PICTURE])
    answer = at(
        network, inputs, [Geometry((80, 40), (0, 0, 80, 40))], layer=("maps",), at=place, rule=("gradient",)
    )
    (one,) = answer.units
    assert tuple(one.cell[0].tolist()) == cell
    assert one.activation.tolist() == [PICTURE[cell[0]][cell[1]]]
    assert one.sees.tolist() == [[cell[1], cell[0], cell[1] + 1, cell[0] + 1]]
    assert not answer.problems


def test_picture_of_which_the_place_was_cut_off_is_a_problem_and_the_others_are_not() -> None:
    network, inputs = maps([PICTURE])
    geometries = [Geometry((80, 40), (20, 0, 60, 40)), Geometry((80, 40), (0, 0, 80, 40))]
    for place, expected in (
        ("19,5", {0}),
        ("20,5", set()),
        ("60,5", {0}),
        ("80,5", {0, 1}),
        ("70,40", {0, 1}),
    ):
        answer = at(
            network, inputs.repeat(2, 1, 1, 1), geometries, layer=("maps",), at=place, rule=("gradient",)
        )
        assert set(answer.problems) == expected, place
    told = answer.problems[0]
    assert told.problem == "the model does not see x 70, y 40"
    assert "x 20 to 60 and y 0 to 40" in told.hint


def test_padding_around_a_picture_is_no_place_of_it() -> None:
    network, inputs = maps([PICTURE])
    geometry = Geometry((80, 40), (0, -20, 80, 60))
    options = {"layer": ("maps",), "rule": ("gradient",)}
    assert set(at(network, inputs, [geometry], at="5,45", **options).problems) == {0}
    answer = at(network, inputs, [geometry], at="5,1", **options)
    assert not answer.problems
    assert answer.units[0].cell.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("options", "problem", "hint"),
    [
        ({"whole": True}, "--whole needs to know which channel", "--channel C"),
        ({"whole": True, "channel": (0,), "at": "1,1"}, "--whole takes one place away from --at", "--whole"),
        ({"whole": True, "at": "1,1"}, "--whole", "--channel C"),
        ({"channel": (4,)}, "--channel 4 is not in 0, which has 4", "from 0 to 3"),
        ({"channel": (1, 99)}, "--channel 99 is not in 0", "from 0 to 3"),
        ({"at": "middle"}, "--at 'middle' is not a place", "--at 120,80"),
        ({"at": "3"}, "is not a place", "--at 120,80"),
        ({"at": "-1,2"}, "is not a place", "--at 120,80"),
        ({"at": "1.5,2"}, "is not a place", "--at 120,80"),
        ({"at": "1,2,3"}, "is not a place", "--at 120,80"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], problem: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        Deconv(layer=("0",), **options).bind(as_model(small(2), (16, 16)))
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_channel_must_be_in_every_layer() -> None:
    model = as_model(small(2), (16, 16))
    Deconv(layer=("3", "6"), channel=(4,)).bind(model)
    with pytest.raises(OptionError, match="--channel 4 is not in 0"):
        Deconv(layer=("3", "0"), channel=(4,)).bind(model)
    with pytest.raises(LayerError):
        Deconv(layer=("nowhere",)).bind(model)


# Nothing to see.


@pytest.mark.parametrize("rule", RULES)
def test_unit_that_is_not_positive_has_nothing_to_project(rule: str) -> None:
    """Before a rectifier, where it is negative; behind it, where it is zero; beside one that is active."""
    network = classifier(fixed([[[[1.0]]], [[[-1.0]]]]), nn.ReLU())
    for layer, activation in (("0", -1), ("1", 0)):
        active, inactive = units(network, [[[[1.0, 2], [3, 4]]]], layer, rule=(rule,))
        assert (active.activation.item(), inactive.activation.item()) == (4, activation)
        assert active.values.any()
        assert not inactive.values.any()
        assert "A unit that is not positive" in " ".join(inactive.details[0].remarks)
        assert "not positive" not in " ".join(active.details[0].remarks)
    (whole,) = units(network, [[[[1.0, 2], [3, 4]]]], "0", channel=(1,), whole=True, rule=(rule,))
    assert not whole.values.any()
    assert "A unit that is not positive" in " ".join(whole.details[0].remarks)


def test_whole_channel_leaves_its_negative_places_out() -> None:
    network = classifier(fixed([[[[1.0]]]]), nn.ReLU())
    (one,) = units(network, [[[[1.0, -2], [-3, 4]]]], "0", channel=(0,), whole=True)
    assert one.values.tolist() == [[[[1, 0], [0, 4]]]]


def test_unit_at_the_ceiling_of_relu6_has_no_gradient_but_obeys_the_rules() -> None:
    network = classifier(fixed([[[[1.0]]]]), nn.ReLU6())
    deconv, guided, gradient = units(network, [[[[10.0, 3], [2, 1]]]], "1", rule=RULES)
    assert [one.activation.item() for one in (deconv, guided, gradient)] == [6, 6, 6]
    assert deconv.values.tolist() == guided.values.tolist() == [[[[6, 0], [0, 0]]]]
    assert not gradient.values.any()
    assert "ceiling" in gradient.details[0].remarks[0]
    assert "ceiling" not in " ".join(guided.details[0].remarks)
    assert deconv.details[0].facts["rectifiers"] == {"rule": "deconv", "count": 1, "kinds": {"ReLU6": 1}}


def test_remarks_are_each_pictures_own() -> None:
    network = classifier(fixed([[[[1.0]]]]), nn.ReLU6())
    pictures = [[[[10.0]]], [[[3.0]]], [[[-3.0]]]]
    (one,) = units(network, pictures, "1", rule=("gradient",))
    assert one.activation.tolist() == [6, 3, 0]
    assert one.values.flatten().tolist() == [0, 3, 0]
    told = [" ".join(detail.remarks) for detail in one.details]
    assert "ceiling" in told[0]
    assert told[1] == ""
    assert "not positive" in told[2]


# Left out: the rule and the layers.


@pytest.mark.parametrize(
    ("poolings", "rule", "why"),
    [(2, "deconv", "2 max-poolings"), (1, "guided", "1 max-pooling"), (0, "guided", "no max-pooling")],
)
def test_rule_is_chosen_by_the_switches_that_there_are(poolings: int, rule: str, why: str) -> None:
    model = as_model(small(poolings), (16, 16))
    bound, choices = Deconv().bind(model)
    assert bound.rule == (rule,)
    (choice,) = [one for one in choices if one.value == rule]
    assert choice.reason.startswith(why)
    named, choices = Deconv(rule=("gradient",), layer=("0",)).bind(model)
    assert named.rule == ("gradient",)
    assert choices == ()


def test_layers_are_the_last_map_of_every_size_from_shallow_to_deep() -> None:
    bound, choices = Deconv().bind(as_model(small(1), (16, 16)))
    assert bound.layer == ("1", "4", "7")
    assert "16x16, 8x8, 4x4" in choices[-1].reason
    resnet, _ = Deconv().bind(as_model(architecture("tv:resnet18"), (96, 96)))
    assert resnet.layer == ("relu", "layer1", "layer2", "layer3", "layer4")


def test_layers_are_shown_once_each_by_their_full_names() -> None:
    bound, _ = Deconv(layer=("features.0", "features[0]", "features[-1]")).bind(as_model(pooled(), (16, 16)))
    assert bound.layer == ("features.0", "features.5")


# Whatever the network.


@pytest.mark.parametrize("options", [{"top": 3}, {"channel": (1,), "whole": True}, {"channel": (0, 2)}])
@pytest.mark.parametrize("poolings", [0, 2])
def test_picture_in_a_batch_is_the_picture_alone(
    inputs: Tensor, poolings: int, options: dict[str, Any]
) -> None:
    network = small(poolings)
    together = units(network, inputs, ("1", "4", "7"), rule=RULES, **options)
    for row in range(len(inputs)):
        alone = units(network, inputs[row : row + 1], ("1", "4", "7"), rule=RULES, **options)
        for one, all_ in zip(alone, together, strict=True):
            assert (one.rule, one.layer, one.channel[0]) == (all_.rule, all_.layer, all_.channel[row])
            torch.testing.assert_close(one.values[0], all_.values[row], rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(one.activation[0], all_.activation[row])
            assert torch.equal(one.sees[0], all_.sees[row])
            assert one.cell is None or torch.equal(one.cell[0], all_.cell[row])
            assert one.details[0] == all_.details[row]


def test_rectifiers_are_counted_from_each_layer_anew(inputs: Tensor) -> None:
    found = units(small(2), inputs, ("7", "0", "4", "1"), top=1, rule=("guided",))
    counts = [one.details[0].facts["rectifiers"]["count"] for one in found]
    assert counts == [3, 0, 2, 1]


def test_layers_and_rules_together_are_each_alone(inputs: Tensor) -> None:
    network = small(1)
    together = units(network, inputs, ("1", "4", "7"), top=2, rule=RULES)
    alone = [
        unit
        for layer in ("1", "4", "7")
        for pair in zip(*(units(network, inputs, layer, top=2, rule=(rule,)) for rule in RULES), strict=True)
        for unit in pair
    ]
    for one, other in zip(together, alone, strict=True):
        assert (one.rule, one.layer) == (other.rule, other.layer)
        torch.testing.assert_close(one.values, other.values, rtol=1e-5, atol=1e-7)
        assert one.details == other.details


def test_gradient_rule_is_autograds(inputs: Tensor) -> None:
    network = small(2)
    (one,) = units(network, inputs, "4", channel=(2,), rule=("gradient",))
    leaf = inputs.clone().requires_grad_()
    values = network[:5](leaf)[:, 2]
    (expected,) = torch.autograd.grad((values.flatten(1).amax(1) ** 2).sum() / 2, leaf)
    torch.testing.assert_close(one.values, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["tv:resnet18@96", "tv:squeezenet1_1@96", "timm:tf_efficientnet_lite0@64x96", "tv:densenet121@64"]
)
def test_nothing_lies_outside_of_what_a_unit_can_see(name: str) -> None:
    size = size_of(name)
    module = settle(architecture(name), size)
    torch.manual_seed(2)
    inputs = torch.randn(2, 3, *size)
    found = explained(Deconv(top=2, rule=RULES), module, inputs).units
    unbound = as_model(module, size)
    vars(unbound)["fields"] = {}  # with no field known all of the input is kept
    everything = explained(Deconv(top=2, rule=RULES), unbound, inputs).units
    smaller = lit = 0
    for one, all_ in zip(found, everything, strict=True):
        assert all_.values[0].shape == (3, *size)
        for (left, top, right, bottom), values in zip(one.sees.tolist(), all_.values, strict=True):
            outside = values.clone()
            outside[:, top:bottom, left:right] = 0
            assert not outside.any(), (one.layer, one.rule)
            smaller += (right - left, bottom - top) < (size[1], size[0])
            lit += bool(values.any())
    assert smaller > len(found) / 4, "some must see less than all"
    assert lit > len(found), "and most must show something"


class Thrice(nn.Module):
    """One convolution that is run three times, and a map that is written into after it was made."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.conv(x)
            x += 1
            x = x.relu_()
        return self.fc(x.mean((2, 3)))


def test_layer_that_is_run_several_times_is_its_last_run(inputs: Tensor) -> None:
    network = Thrice()
    (one,) = units(network, inputs, "conv", channel=(1,), rule=("gradient",))
    leaf = inputs.clone().requires_grad_()
    x = network.conv((network.conv((network.conv(leaf) + 1).relu()) + 1).relu())[:, 1]
    (expected,) = torch.autograd.grad((x.flatten(1).amax(1).clamp(min=0) ** 2).sum() / 2, leaf)
    torch.testing.assert_close(one.values, expected, rtol=1e-4, atol=1e-6)
    for (row, column), sees in zip(one.cell.tolist(), one.sees.tolist(), strict=True):
        assert sees == [max(column - 3, 0), max(row - 3, 0), min(column + 4, 16), min(row + 4, 16)]


@pytest.mark.parametrize("rule", RULES)
def test_channels_last_layer_has_the_units_of_its_twin(rule: str) -> None:
    torch.manual_seed(2)
    network, inputs = settle(pooled(), (24, 40)), torch.randn(2, 3, 24, 40)
    expected = units(network, inputs, "features", top=3, rule=(rule,))
    found = units(ChannelsLast(network).eval(), inputs, "last", top=3, rule=(rule,))
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.channel, other.channel)
        assert torch.equal(one.cell, other.cell)
        assert torch.equal(one.sees, other.sees)
        torch.testing.assert_close(one.values, other.values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_rough_precision_shows_nearly_the_same(precision: str, inputs: Tensor) -> None:
    """Of a whole channel: a single unit may stand elsewhere where two are nearly equal."""
    network = settle(pooled(), (16, 16))
    options = {"layer": ("features",), "channel": (1, 4), "whole": True, "rule": RULES}
    exact = explained(Deconv(**options), network, inputs).units
    rough = explained(Deconv(**options), network, inputs, precision=precision).units
    for one, other in zip(rough, exact, strict=True):
        assert one.values[0].dtype == one.activation.dtype == torch.float32
        both = torch.stack((one.values[0].flatten(), other.values[0].flatten()))
        assert torch.corrcoef(both)[0, 1] > 0.95


class Watched(nn.Module):
    """Fails when it is told to; on the way there, or on the way back."""

    fails = ""

    def forward(self, x: Tensor) -> Tensor:
        if self.fails == "forwards":
            raise ValueError("no such luck")
        if self.fails == "backwards":
            x.register_hook(self.back)
        return x

    def back(self, _: Tensor) -> None:
        raise ValueError("no such luck")


def state(module: nn.Module) -> list[Any]:
    hooks = [
        (name, key, list(value))
        for name, child in module.named_modules()
        for key, value in vars(child).items()
        if key.endswith("_hooks") and value is not None
    ]
    flags = [(one.requires_grad, one.grad, one._version, one.data_ptr()) for one in module.parameters()]
    modes = [child.training for child in module.modules()]
    stack = torch.overrides._get_current_function_mode_stack()
    return [hooks, flags, modes, stack, torch.is_grad_enabled()]


@pytest.mark.parametrize("fails", ["", "forwards", "backwards"])
def test_module_is_given_back_as_it_was(inputs: Tensor, fails: str) -> None:
    network = small(2)
    network.insert(1, Watched())
    network.train()
    network[4].eval()
    network[0].weight.requires_grad_(False)
    network[1].register_forward_hook(lambda *_: None)
    model = as_model(network, (16, 16))
    bound, _ = Deconv(top=2, rule=RULES).bind(model)
    before = state(network)
    network[1].fails = fails
    with model.borrowed():
        assert state(network) != before, "the check must be able to fail"
        if fails:
            with pytest.raises(ModelError, match="no such luck"):
                bound.explain(model, Batch(inputs))
        else:
            bound.explain(model, Batch(inputs))
    assert state(network) == before
    assert not inputs.requires_grad


def test_one_forward_and_one_backward_for_each_unit_and_rule(
    inputs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small(2)
    model = as_model(network, (16, 16))
    bound, _ = Deconv(layer=("1", "7"), top=3, rule=RULES).bind(model)
    _ = model.fields  # has a pass of its own, once
    counts = {"forward": 0, "backward": 0}
    gradient = torch.autograd.grad

    def backward(*arguments: Any, **options: Any) -> Any:
        counts["backward"] += 1
        return gradient(*arguments, **options)

    def forward(*_: Any) -> None:
        counts["forward"] += 1

    monkeypatch.setattr(torch.autograd, "grad", backward)
    network.register_forward_pre_hook(forward)
    with model.borrowed():
        found = Columns(bound.explain(model, Batch(inputs))).units
    assert len(found) == 2 * 3 * 3
    # Each rectifier that is not a plain ReLU takes one more, for its slopes; there is none here.
    assert counts == {"forward": 1, "backward": len(found)}


class Wayward(nn.Module):
    """Looks further in a picture than in a blank one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.near, self.far, self.head = nn.Conv2d(3, 2, 3, 1, 1), nn.Conv2d(2, 2, 9, 1, 4), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.near(x)
        if x.any():
            y = self.far(y)
        self.last = y
        return self.head((y * 1).mean((2, 3)))


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.maps = Wayward(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        self.inner(x)
        return self.inner.head(self.maps(self.inner.last).mean((2, 3)))


def test_nothing_is_cut_off_where_a_picture_takes_another_way() -> None:
    torch.manual_seed(1)
    inputs = torch.randn(1, 3, 24, 24)
    (one,) = explained(
        Deconv(layer=("maps",), channel=(0,), rule=("gradient",)), Named().eval(), inputs
    ).units
    leaf = inputs.clone().requires_grad_()
    network = Named().eval()
    network(leaf)
    values = network.inner.last[0, 0]
    (expected,) = torch.autograd.grad((values.amax() ** 2) / 2, leaf)
    torch.testing.assert_close(laid_out(one, inputs), expected, rtol=1e-4, atol=1e-6)


def test_two_modules_with_a_part_in_common_are_given_back_as_they_were() -> None:
    """Each thread would otherwise restore what the other had changed."""
    shared = settle(pooled(), (16, 16))
    other = nn.Sequential(*shared.children())
    shared.train()
    models = [as_model(one, (16, 16)) for one in (shared, other)]
    methods = [Deconv(layer=("features" if one is shared else "0",), top=1).bind(model)[0]
               for one, model in zip((shared, other), models, strict=True)]  # fmt: skip
    inputs = torch.randn(1, 3, 16, 16)

    def work(number: int) -> None:
        for _ in range(15):
            with models[number].borrowed():
                methods[number].explain(models[number], Batch(inputs))

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(child.training for child in shared.modules())
