"""Receptive fields: figures known from elsewhere, networks worked by hand, and what broken pixels reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from architectures import architecture, size_of
from networks import as_model
from torch import Tensor, nn

from cnnexplain.engine.capture import map_layout
from cnnexplain.engine.fields import rules as _field_rules
from cnnexplain.engine.fields.field import AxisField, ReceptiveField, receptive_fields

EXACT = """
tv:alexnet@90x72 tv:squeezenet1_1@75x64 tv:shufflenet_v2_x0_5@96x64 tv:googlenet@64 timm:resnet10t@64
timm:mobilenetv2_050@96x64 timm:regnetx_002@64x96 timm:convnext_atto@96x64 timm:tf_efficientnet_lite0@75x64
timm:hrnet_w18_small@64 timm:dla34@64
""".split()
SQUEEZING = [
    "timm:mobilenetv3_small_050@64"
]  # their later cells see the whole input: pooled values gate the maps


class Works(nn.Module):
    """`work` as a layer, so that what it gives has a name: `here`."""

    def __init__(self, work: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.work = work
        self.here = nn.Identity()

    def forward(self, x: Tensor) -> Any:
        return self.here(self.work(x, *self.parts))


def conv(size: int = 3, stride: int = 1, padding: Any = 0, dilation: int = 1, width: int = 2) -> nn.Conv2d:
    return nn.Conv2d(width, width, size, stride, padding, dilation)


def field(module: nn.Module, size: tuple[int, int] = (24, 24), name: str = "here") -> ReceptiveField:
    return receptive_fields(module.eval(), torch.zeros(1, 2, *size), module)[name]


def rows(work: Callable[..., Any], *parts: nn.Module, size: tuple[int, int] = (24, 24)) -> Any:
    """(stride, low, high) of the rows; "whole" where the cells see everything in both directions."""
    found = field(Works(work, *parts), size)
    return "whole" if found.whole else (found.rows.stride, found.rows.low, found.rows.high)


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [
        ("tv:vgg16", "features", 212),
        ("tv:alexnet", "features", 195),
        ("tv:resnet18", "layer4", 435),
        ("tv:resnet34", "layer4", 899),
        ("tv:resnet50", "layer4", 427),
        ("tv:resnet101", "layer4", 971),
    ],
)
def test_fields_have_the_sizes_that_are_known(name: str, layer: str, size: int) -> None:
    module = architecture(name)
    found = receptive_fields(module, torch.zeros(1, 3, 64, 64), module)[layer]
    assert (found.rows.size, found.columns.size, found.rows.stride) == (size, size, 32)


@pytest.mark.parametrize(
    ("work", "parts", "expected"),
    [
        (lambda x, a: a(x), [conv()], (1, 0, 2)),
        (lambda x, a: a(x), [conv(5, 2, 1)], (2, -1, 3)),
        (lambda x, a: a(x), [conv(4, padding="same", dilation=3)], (1, -4, 5)),
        (lambda x, a: a(x), [conv(3, padding="valid", dilation=2)], (1, 0, 4)),
        (lambda x, a: a(a(x)), [conv(3, 2, 1)], (4, -3, 3)),  # one module, twice
        (lambda x, a: F.conv2d(x, a.weight, stride=2, padding=(1, 0)), [conv(3)], (2, -1, 1)),
        (lambda x, a, b: b(a(x)), [nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2)], (4, -1, 3)),
        (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], [], (2, 0, 1)),
        (lambda x, a: a(x), [nn.LPPool2d(2, 3, 2, ceil_mode=True)], (2, 0, 2)),
        (lambda x, a: F.relu(x + a(x)), [conv(3, padding=1)], (1, -1, 1)),
        (lambda x, a: x.mul_(2).add_(a(x)), [conv(3, padding=1)], (1, -1, 1)),
        (lambda x, a: x[..., 2:, 2:] - a(x), [conv()], (1, 0, 2)),
        (lambda x, a, b: torch.cat([a(x), b(x), x], 1)[:, 1:5], [conv(5, padding=2), conv(7, padding=3)], (1, -3, 3)),
        (lambda x: x[:, :, 1::2, ::2], [], (2, 1, 1)),
        (lambda x: x[:, [1, 0], 3:, None, 3:].squeeze(3), [], (1, 3, 3)),
        (lambda x: x.narrow(2, 4, 10).narrow(-1, 4, 10), [], (1, 4, 4)),
        (lambda x: torch.cat(x.chunk(2, dim=1)[::-1], 1) * torch.stack(x.unbind(1), 1), [], (1, 0, 0)),
        (lambda x: F.pad(x, (3, 3, 2, 4)), [], (1, -2, -2)),
        (lambda x, a: a(x), [nn.Conv2d(2, 2, 5, padding=2, padding_mode="reflect")], (1, -2, 2)),
        (lambda x, a: a(x), [nn.Conv2d(2, 2, 5, padding=2, padding_mode="circular")], (1, -2, 2)),
        (lambda x, a: a(x), [nn.ConvTranspose2d(2, 2, 4, 2, 1)], (0.5, -1, 0.5)),
        (lambda x, a, b: b(a(x)), [conv(2, 2), nn.ConvTranspose2d(2, 2, 2, 2)], (1, -1, 1)),
        (lambda x: F.interpolate(x, scale_factor=3), [], (1 / 3, -2 / 3, 0)),
        (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), [], (0.5, -1, 0.5)),
        (lambda x: F.interpolate(x, (8, 8), mode="nearest"), [], (3, 0, 0)),
        (lambda x: F.pixel_unshuffle(x, 4), [], (4, 0, 3)),
        (lambda x: F.pixel_shuffle(x.repeat(1, 2, 1, 1), 2), [], (0.5, -0.5, 0)),
        (lambda x: F.adaptive_avg_pool2d(x, 24) + F.adaptive_max_pool2d(x, 24), [], (1, 0, 0)),
        (lambda x: F.adaptive_avg_pool2d(x, 8), [], (3, 0, 2)),
        (lambda x, a, b: b(a(x.permute(0, 2, 3, 1))).movedim(-1, 1), [nn.LayerNorm(2), nn.Linear(2, 5)], (1, 0, 0)),
        (lambda x: (x.transpose(1, 3) @ torch.ones(2, 2)).mT.contiguous().mT.transpose(3, -3), [], (1, 0, 0)),
        (lambda x: x.softmax(1) * x.mean(1, keepdim=True) + F.local_response_norm(x, 2), [], (1, 0, 0)),
        (lambda x: x.view(1, 2, 6, 4, 6, 4).permute(0, 3, 5, 1, 2, 4).reshape(1, 32, 6, 6), [], (4, 0, 3)),
        (lambda x: x.view(1, 1, 2, 24, 24).transpose(1, 2).flatten(1, 2), [], (1, 0, 0)),
        (lambda x, a: a(x.detach()), [conv()], (1, 0, 2)),
        (lambda x: x.where(x.to(torch.float64) > 0, 1 - x) ** 2 / 3, [], (1, 0, 0)),
        (lambda x, a: a(x), [nn.BatchNorm2d(2)], (1, 0, 0)),
        (lambda x: x * torch.arange(24.0) + x.new_ones(24, 1), [], (1, 0, 0)),
        (lambda x: x + torch.zeros_like(x.mean((2, 3), keepdim=True)).view_as(x[..., :1, :1]), [], (1, 0, 0)),
        (lambda x, a: a(x) * a.weight.mean().item() + int(torch.tensor(x.shape).max()), [conv()], (1, 0, 2)),
        (lambda x: x if x.max() > 1 else x * 2, [], (1, 0, 0)),  # what a value decides is not followed
    ],
)  # fmt: skip
def test_a_network_worked_by_hand(work: Any, parts: list[nn.Module], expected: Any) -> None:
    assert rows(work, *parts) == pytest.approx(expected)


class Unseen(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy() * 2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient * 2


@torch.jit.script
def scripted(x: Tensor) -> Tensor:
    return x + x.mean()


@torch.jit.script
def scripted_writing(x: Tensor, canvas: Tensor) -> Tensor:
    canvas.transpose(2, 3).add_(x)
    return x


@torch.no_grad()
def written_by_a_script(x: Tensor) -> Tensor:
    canvas = torch.zeros(1, 2, 24, 24)
    scripted_writing(x, canvas)
    return x + canvas


def put_in_place_of_its_data(x: Tensor) -> Tensor:
    y = torch.zeros(1, 2, 24, 24)
    y.data = x.detach().flip(2, 3)
    return x + y


def summed_into_a_gradient(x: Tensor) -> Tensor:
    y = torch.ones(1, 2, 1, 1, requires_grad=True)
    (y * x.detach()).sum().backward()
    return x * y.grad


@torch.library.custom_op("cnnexplain_tests::add_turned", mutates_args=["target"])
def add_turned(target: Tensor, x: Tensor) -> Tensor:
    target.add_(x.flip(2, 3))
    return torch.zeros(())


@torch.no_grad()
def written_where_the_result_is_another(x: Tensor) -> Tensor:
    target = torch.zeros(1, 2, 24, 24)
    add_turned(target, x)
    return x + target


@torch.inference_mode()
def written_where_writing_is_not_counted(x: Tensor) -> Tensor:
    return written_where_the_result_is_another(x)


@torch.no_grad()
def read_through_a_view_from_before(x: Tensor) -> Tensor:
    canvas = torch.zeros(1, 2, 24, 24)
    view = canvas[:, :, :]
    canvas.copy_(x.flip(2, 3))
    return x + view


@torch.no_grad()
def written_through_a_view(x: Tensor) -> Tensor:
    canvas = torch.zeros(1, 2, 24, 24)
    canvas[:, :, 3:].copy_(x[:, :, :-3])
    return canvas + x


def read_through_an_older_view(x: Tensor) -> Tensor:
    view = x[:, :, 1:]
    x += x.flip(2, 3)
    return view


def written_over(x: Tensor) -> Tensor:
    x[:, :, :5, :5] = x[:, :, 5:10, 5:10]
    return x


@pytest.mark.parametrize(
    ("work", "parts"),
    [
        (lambda x, a: x * torch.sigmoid(a(x.mean((2, 3), keepdim=True))), [conv(1)]),  # squeeze and excitation
        (lambda x: x * F.adaptive_avg_pool2d(x, 1), []),
        (lambda x: F.adaptive_avg_pool2d(x, 1), []),
        (lambda x: F.interpolate(x, (8, 8), mode="bilinear", antialias=True), []),
        (lambda x, a: a(x.flatten(1)).view(1, 2, 12, 12), [nn.Linear(1152, 288)]),
        (lambda x, a: a(x), [nn.GroupNorm(2, 2)]),
        (lambda x, a: a(x), [nn.InstanceNorm2d(2)]),
        (lambda x, a: a(x), [nn.BatchNorm2d(2, track_running_stats=False)]),
        (lambda x, a: a(x), [nn.LayerNorm((2, 24, 24))]),
        (lambda x: x.flip(2, 3), []),
        (lambda x: x.roll((3, 3), (2, 3)), []),
        (lambda x: x.flatten(2).softmax(-1).view_as(x), []),
        (lambda x: x @ x.mT, []),
        (lambda x: x[True][0] + x.median(), []),
        (lambda x: x[:, :, torch.arange(24)][..., list(range(24))], []),
        (lambda x: torch.einsum("nchw,ncvw->nchv", x, x).mT + x, []),
        (lambda x: F.scaled_dot_product_attention(x, x, x), []),
        (lambda x: torch.cat([torch.cat([x, x], 2)] * 2, 3), []),
        (lambda x: x.transpose(2, 3) + x, []),
        (lambda x: torch.fft.fft2(x).real, []),
        (lambda x: x + Unseen.apply(x), []),
        (lambda x: x + scripted(x), []),
        (lambda x, a: a(x.permute(0, 2, 3, 1)), [nn.Linear(2, 24)]),  # reads both ways, and is taken for (N, C, h, w)
        (written_through_a_view, []),
        (read_through_an_older_view, []),
        (written_over, []),
        (lambda x: x / (1 + x.max().item()), []),
        (lambda x: x * float(x.detach().mean()), []),
        (lambda x: x + (range(int(x.sum()) + 2)[x.sum().long()]), []),
        (lambda x: x + torch.tensor(x.mean((0, 2, 3)).tolist()).view(2, 1, 1), []),
        (lambda x: x + torch.from_numpy(x.detach().numpy()[:, :, ::-1].copy()), []),
        (lambda x: x + torch.full_like(x, x.mean().item()), []),
        (lambda x: x + torch.full_like(x, x.mean().detach()), []),
        (lambda x: x + x.new_full(x.shape, fill_value=x.detach().mean()), []),
        (lambda x: x[:, :, : 24 + x.sum().long()] + x[..., x.sum().long() :], []),
        (lambda x: F.conv2d(x, x, padding=12), []),
        (put_in_place_of_its_data, []),
        (summed_into_a_gradient, []),
        (lambda x: x + scripted(x.detach()), []),
        (written_by_a_script, []),
        (written_where_the_result_is_another, []),
        (written_where_writing_is_not_counted, []),
        (read_through_a_view_from_before, []),
    ],
)  # fmt: skip
def test_what_mixes_all_places_or_is_not_known_sees_the_whole_input(
    work: Any, parts: list[nn.Module]
) -> None:
    found = field(Works(work, *parts))
    assert found.whole
    assert found.box((2, 2), (24, 24)) == (0, 0, 24, 24)
    assert (found.rows.size, found.columns.size) == (None, None)


def test_directions_are_told_apart() -> None:
    module = Works(lambda x, a: a(x) * x.mean(3, keepdim=True), nn.Conv2d(2, 2, (3, 1), padding=(1, 0)))
    found = field(module, (20, 30))
    assert (found.rows.size, found.columns.size, found.whole) == (3, None, False)
    assert found.box((0, 7), (20, 30)) == (0, 0, 30, 2)
    turned = field(Works(lambda x, a: a(x), nn.Conv2d(2, 2, (5, 1), padding=(2, 0))), (20, 40))
    assert turned.box((3, 4), (20, 40)) == (4, 1, 5, 6)
    for work in (nn.Linear(24, 24), lambda x: x @ torch.ones(24, 24)):
        mixed = field(Works(work))
        assert (mixed.rows.size, mixed.columns.size, mixed.whole) == (1, None, False)
    mixed = field(Works(lambda x, a: a(x.permute(0, 2, 3, 1)), nn.Conv2d(24, 24, (3, 1), padding=(1, 0))))
    # It takes rows for channels, and columns for rows: what it returns is a map with columns for rows.
    assert (mixed.rows.size, mixed.columns.size) == (None, None)


def test_channels_are_shuffled_where_they_are_taken_to_be() -> None:
    shuffle = nn.ChannelShuffle(2)
    assert rows(shuffle) == (1, 0, 0)
    turned = field(Works(lambda x: shuffle(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)))  # rows for channels
    assert (turned.rows.size, turned.columns.size) == (None, 1)


@pytest.mark.parametrize(("mode", "more"), [("bilinear", 0), ("bicubic", 1)])
@pytest.mark.parametrize(("size", "corners"), [(37, False), (26, False), (53, True), (117, False)])
def test_resizing_in_single_precision_reads_the_neighbours_too(
    mode: str, more: int, size: int, corners: bool
) -> None:
    module = Works(lambda x: F.interpolate(x, (size, size), mode=mode, align_corners=corners))
    lines = torch.eye(39).view(39, 1, 39, 1).repeat(1, 8, 1, 39).to(memory_format=torch.channels_last)
    rows = receptive_fields(module, torch.zeros(1, 8, 39, 39), module)["here"].rows
    for cell, (first, end) in spans(module(lines)[:, 0, :, 0] != 0).items():
        low, high = rows.span(cell, 39)
        assert low <= first < end <= high <= low + 3 + 2 * more
    if size == 37:  # hit in the middle, but 39/37 has no exact place among binary numbers
        assert rows.span(18, 39) == (18 - more, 21 + more)


def test_arithmetic_that_fails_makes_an_operation_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def divide(_call: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(_field_rules.RULES, "glu", (divide, "input dim"))
    assert rows(lambda x: F.glu(x, 1)) == "whole"


def test_a_box_is_clipped_to_the_input_and_to_what_any_cell_sees() -> None:
    """Cells 0 to 3 of the first layer see pixels 0, 3, 6 and 9 of 12: none sees the last two."""
    module = nn.Sequential(conv(1, 3), conv(3, padding=1))
    last = field(module, (12, 12), "1")
    assert [last.rows.span(i, 12) for i in range(4)] == [(0, 4), (0, 7), (3, 10), (6, 10)]
    assert last.rows == AxisField(3, -3, 3)
    assert last.box((0, 3), (12, 12)) == (6, 0, 10, 4)
    padding = field(nn.Sequential(nn.ZeroPad2d(2)), (12, 12), "0")
    assert [padding.rows.span(i, 12) for i in (0, 1, 2, 3, 15)] == [(0, 1), (0, 1), (0, 1), (1, 2), (11, 12)]


def test_an_axis_without_a_network() -> None:
    axis = AxisField(4, -3, 7)
    assert axis.size == 11
    assert [axis.span(i, 30) for i in (0, 2, 7, 9)] == [(0, 8), (5, 16), (25, 30), (29, 30)]
    assert AxisField(1, -float("inf"), float("inf")).span(3, 30) == (0, 30)


def test_a_module_run_twice_has_the_field_of_its_last_map() -> None:
    shared = conv(3, padding=1)
    module = nn.Sequential(shared, nn.ReLU(), shared, nn.AdaptiveAvgPool2d(1), shared)
    found = receptive_fields(module, torch.zeros(1, 2, 8, 8), module)
    assert found["0"].rows.size == found["2"].rows.size == found["4"].rows.size == 5


def test_frozen_and_trainable_weights_and_no_gradients_make_no_difference() -> None:
    def standardised(x: Tensor, a: nn.Conv2d) -> Tensor:
        with torch.no_grad():
            x = x.relu()
        return F.conv2d(x, (a.weight - a.weight.mean()) / a.weight.std(), padding=1)

    module = Works(standardised, conv())
    with torch.no_grad():
        assert field(module).rows.size == 3
        assert field(Works(lambda x: x + Unseen.apply(x))).whole
    assert field(module.requires_grad_(False)).rows.size == 3


def test_nothing_is_left_behind_also_after_an_error() -> None:
    def stumble(x: Tensor, _part: nn.Module) -> Tensor:
        raise RuntimeError("stumbled")

    for work in (stumble, lambda x, a: a(x)):
        module = Works(work, conv())
        inputs = torch.zeros(1, 2, 8, 8)
        try:
            receptive_fields(module, inputs, module)
        except RuntimeError as error:
            assert "stumbled" in str(error)  # noqa: PT017
        assert not any(child._forward_hooks for child in module.modules())
        assert torch.overrides._get_current_function_mode() is None
        assert not inputs.requires_grad
        assert not inputs.any()


@pytest.mark.parametrize(
    ("work", "parts"),
    [
        (lambda x, a: a(x), [nn.Conv2d(2, 2, 5, 2, padding=4, dilation=2, padding_mode="reflect")]),
        (lambda x, a: a(x), [nn.Conv2d(2, 2, 5, padding=2, padding_mode="circular")]),
        (lambda x, a: a(x), [nn.Conv2d(2, 2, 5, padding=2, padding_mode="replicate")]),
        (lambda x: F.pad(x, (3, 4, 3, 4), mode="reflect"), []),
        (lambda x: F.pad(x, (3, 4, 3, 4), mode="replicate"), []),
        (lambda x, a: a(x), [conv(3, padding=3, dilation=3)]),
        (lambda x, a: a(x), [conv(4, padding="same", dilation=2)]),
        (lambda x, a: a(x), [nn.ConvTranspose2d(2, 2, 5, 3, 2, output_padding=1, dilation=2)]),
        (lambda x, a, b: b(a(x)), [conv(3, 2, 1), nn.ConvTranspose2d(2, 2, 3, 2, 1, 1)]),
        (lambda x, a: F.pad(a(x), (1, -2, -2, 1)), [conv()]),
        (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), []),
        (lambda x: x[:, :, 5:6, 7:8].expand(1, 2, 24, 24), []),
        (lambda x: F.adaptive_avg_pool2d(x, 7), []),
        (lambda x: F.adaptive_avg_pool2d(F.adaptive_avg_pool2d(x, 5), 12), []),
        (lambda x, a: a(F.interpolate(x, (40, 40))), [conv(3, padding=1)]),
        (lambda x: F.interpolate(x, (17, 17), mode="nearest-exact"), []),
        (lambda x: F.interpolate(x, (16, 16), mode="area"), []),
        (lambda x, a: a(F.interpolate(x, scale_factor=2, mode="bilinear")), [conv(2, 2)]),
        (lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear"), []),
        (lambda x: F.interpolate(x, (8, 8), mode="bilinear"), []),
        (lambda x: F.interpolate(x, (33, 33), mode="bilinear", align_corners=True), []),
        (lambda x: F.interpolate(x, (60, 60), mode="bicubic"), []),
        (lambda x, a: F.interpolate(F.avg_pool2d(x, 5), (24, 24)) + a(x), [conv(3, padding=1)]),
        (lambda x: x[:, :, 2:-3, 3:-2] + x[..., 1:20, :19] + x[:, 1:, 5:, 5:], []),
        (lambda x, a: F.pixel_shuffle(a(F.pixel_unshuffle(x, 4)), 2), [conv(1, width=32)]),
        (lambda x: x.narrow(2, -20, 16)[..., 5:21].reshape(1, 2, 4, 4, 4, 4).mean((3, 5)), []),
        (lambda x: (x.permute(0, 2, 3, 1) @ torch.ones(2, 3).double()).unflatten(1, (12, 2)).sum(2)[:, :, 5:17], []),
    ],
)  # fmt: skip
def test_edges_see_what_changed_pixels_show(work: Any, parts: list[nn.Module]) -> None:
    torch.manual_seed(0)
    module = Works(work, *parts).double()
    inputs = torch.rand(1, 2, 24, 24, dtype=torch.float64)
    outputs: list[Tensor] = []
    found = receptive_fields(module, inputs, lambda x: outputs.append(module(x)) or outputs[0])["here"]
    first = 1 if outputs[0].shape[3] == 3 else 2
    for direction, axis in enumerate((found.rows, found.columns)):
        reached = []
        for line in range(24):
            changed = inputs.clone()
            changed.select(2 + direction, line).mul_(torch.rand(24, dtype=torch.float64))
            with torch.no_grad():
                difference = module(changed) != outputs[0]
            reached.append(difference.any(tuple({0, 1, 2, 3} - {first + direction})))
        expected = spans(torch.stack(reached))
        assert {i: axis.span(i, 24) for i in expected} == expected
        assert all(0 <= low < high <= 24 for low, high in (axis.span(i, 24) for i in range(len(reached[0]))))


def broken_pixels(module: nn.Module, size: tuple[int, int], direction: int) -> dict[str, Tensor]:
    """Whether NaN in line l of the input (rows: `direction` 0) reaches line i of a layer's map: (lines, cells).

    Nothing stops it: not a rectifier, not a maximum, not a weight of zero.
    """
    found: dict[str, list[Tensor]] = {}
    reached: dict[str, Tensor] = {}

    def noting(name: str) -> Any:
        def note(layer: nn.Module, _arguments: Any, output: Any) -> None:
            layout = map_layout((1, *output.shape[1:]), size, layer) if isinstance(output, Tensor) else None
            if layout is not None:
                kept = (2 if layout == "NCHW" else 1) + direction
                reached[name] = output.isnan().any(tuple({1, 2, 3} - {kept}))

        return note

    for name, child in module.named_modules():
        if name:
            child.register_forward_hook(noting(name))
    module.double()
    for lines in torch.arange(size[direction]).split(16):
        inputs = torch.zeros(len(lines), 3, *size, dtype=torch.float64)
        for picture, line in zip(inputs, lines.tolist(), strict=True):
            picture.select(1 + direction, line).fill_(float("nan"))
        with torch.no_grad():
            module(inputs)
        for name, reach in reached.items():
            found.setdefault(name, []).append(reach)
    return {name: torch.cat(parts) for name, parts in found.items()}


def spans(reached: Tensor) -> dict[int, tuple[int, int]]:
    """The first line that each cell sees, and the one past the last; not of cells that see nothing but padding."""
    lines = {cell: seen.nonzero().flatten().tolist() for cell, seen in enumerate(reached.T)}
    return {cell: (seen[0], seen[-1] + 1) for cell, seen in lines.items() if seen}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT + SQUEEZING)
def test_every_cell_of_every_layer_sees_what_broken_pixels_show(name: str) -> None:
    size = size_of(name)
    module = architecture(name)
    found = receptive_fields(module, torch.zeros(1, 3, *size), module)
    smaller = 0
    for direction in (0, 1):
        measured = broken_pixels(architecture(name), size, direction)
        assert set(measured) == set(found)
        for layer, reached in measured.items():
            axis = (found[layer].rows, found[layer].columns)[direction]
            expected = spans(reached)
            assert {i: axis.span(i, size[direction]) for i in expected} == expected, layer
            assert len(expected) == reached.shape[1]
            smaller += (0, size[direction]) not in expected.values()
    assert smaller > 4
    if name in SQUEEZING:
        assert sum(one.whole for one in found.values()) > len(found) / 2
    else:
        pooled = [one for layer, one in found.items() if one.whole]
        assert len(pooled) < 6


# By how many pixels the field's centre lies right and down of the middle of the cell, as docs/gradcam.md has it.
CENTRES = {
    "resnet18": -15.5,
    "resnetaa50": -0.5,
    "densenet121": -1.5,
    "tf_efficientnet_lite0": 15.5,
    "vgg11": 0,
}


@pytest.mark.parametrize("name", CENTRES)
def test_fields_have_the_centres_that_the_documentation_gives(name: str) -> None:
    model = as_model(architecture(f"timm:{name}@224"), (224, 224))
    for axis in (
        model.field(model.choose_layer().value).rows,
        model.field(model.choose_layer().value).columns,
    ):
        assert (axis.low + axis.high) / 2 + 0.5 - axis.stride / 2 == CENTRES[name]


def test_a_patch_is_cut_out_around_the_centre_of_the_field() -> None:
    """Where 2x2 means shift what a cell looks at, the patch goes with it; the cell's middle stays."""
    for pools, centre in ((nn.MaxPool2d(3, 2, 1), 12), (nn.AvgPool2d(2), 13)):
        module = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), pools, nn.Conv2d(4, 4, 3, padding=1))
        box = as_model(module.eval(), (64, 64)).field("2").box((3, 3), (64, 64))
        assert (box[0] + box[2] - 1) / 2 == (box[1] + box[3] - 1) / 2 == centre


@pytest.mark.parametrize(
    ("layers", "size", "wanted"),
    [
        (  # lines of text: halved twice in both directions, and then in height alone
            [
                *(nn.Conv2d(1, 4, 3, 1, 1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, 1, 1), nn.MaxPool2d((2, 1))),
                *(nn.Conv2d(4, 4, (3, 1), (2, 1), (1, 0)), nn.BatchNorm2d(4), nn.GELU()),
            ],
            (32, 96),
            [(8, -7, 10), (2, -3, 4)],
        ),
        (  # spectrograms: time and frequency apart
            [nn.Conv2d(1, 4, (1, 7), (1, 4), (0, 3)), nn.Conv2d(4, 4, (5, 1), (3, 1)), nn.AvgPool2d((1, 2)), nn.SiLU()],
            (65, 256),
            [(3, 0, 4), (8, -3, 7)],
        ),
    ],
)  # fmt: skip
def test_strides_that_differ_by_direction(
    layers: list[nn.Module], size: tuple[int, int], wanted: Any
) -> None:
    module = nn.Sequential(*layers).eval()
    found = receptive_fields(module, torch.zeros(1, 1, *size), module)[str(len(layers) - 1)]
    assert [(one.stride, one.low, one.high) for one in (found.rows, found.columns)] == wanted
