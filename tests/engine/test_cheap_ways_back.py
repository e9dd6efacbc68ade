"""What makes gradients cheaper changes no gradient: batch normalisation by fixed statistics, memory that is kept."""

from __future__ import annotations

import contextlib
import copy
import platform
import resource
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cnnexplain
from cnnexplain.engine.backward.norms import FixedNorms, _Fixed

SHAPES = {nn.BatchNorm1d: (4, 3, 5), nn.BatchNorm2d: (2, 3, 4, 5), nn.BatchNorm3d: (2, 3, 2, 3, 4)}


def with_statistics(norm: nn.Module) -> nn.Module:
    """Statistics and weights such as training leaves behind, of both signs."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in norm.state_dict().items():
        if tensor.is_floating_point():
            values = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            tensor.copy_(values.abs() + 0.1 if name == "running_var" else values)
    return norm.requires_grad_(False).eval()


def ways_back(norm: nn.Module, x: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], bool]:
    """(output, gradient) by torch and under the mode, and whether the mode's own way back was taken."""
    weighting = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=x.dtype)
    found = []
    for mode in (False, True):
        given = x.clone().requires_grad_()
        if mode:
            with FixedNorms():  # type: ignore[no-untyped-call]
                y = norm(given)
        else:
            y = norm(given)
        found.append((y.detach(), torch.autograd.grad((y * weighting).sum(), given)[0]))
        ours = _Fixed.__name__ in type(y.grad_fn).__name__
    return found[0], found[1], ours


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", SHAPES)
def test_the_gradient_is_the_one_that_torch_finds(
    kind: type[nn.Module], dtype: torch.dtype, affine: bool
) -> None:
    norm = with_statistics(kind(3, affine=affine).to(dtype))
    torchs, ours, taken = ways_back(norm, torch.randn(SHAPES[kind], dtype=dtype))
    assert taken
    assert torch.equal(torchs[0], ours[0])
    torch.testing.assert_close(ours[1], torchs[1], rtol=1e-6, atol=1e-6)


def test_pictures_of_a_batch_that_are_normalised_by_one_another_keep_torchs_way_back() -> None:
    norm = nn.BatchNorm2d(3, track_running_stats=False).requires_grad_(False).eval()
    torchs, ours, taken = ways_back(norm, torch.randn(2, 3, 4, 4))
    assert not taken
    assert torch.equal(torchs[1], ours[1])


def test_weights_that_want_a_gradient_get_it() -> None:
    norm = with_statistics(nn.BatchNorm2d(3)).requires_grad_(True)
    with FixedNorms():  # type: ignore[no-untyped-call]
        norm(torch.randn(2, 3, 4, 4, requires_grad=True)).sum().backward()
    assert norm.weight.grad is not None
    assert norm.bias.grad is not None


def test_in_place_changes_of_the_output_are_followed() -> None:
    norm = with_statistics(nn.BatchNorm2d(3))
    network = nn.Sequential(nn.Conv2d(3, 3, 3), norm, nn.ReLU6(inplace=True), nn.Conv2d(3, 2, 3))
    plain = copy.deepcopy(network)
    plain[2] = nn.ReLU6()
    x = torch.randn(2, 3, 9, 9)
    gradients = []
    for one in (network, plain):
        given = x.clone().requires_grad_()
        with FixedNorms():  # type: ignore[no-untyped-call]
            gradients.append(torch.autograd.grad(one(given).sum(), given)[0])
    assert gradients[0].abs().max() > 0
    assert torch.equal(*gradients)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_kept_memory_is_used_again_without_asking_the_kernel() -> None:
    count = """
import resource, torch
from cnnexplain.runner.workers.process import keep_freed
keep_freed()
torch.set_num_threads(1)
def use():
    held = [torch.ones(5_000_000) for _ in range(8)]
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", count], capture_output=True, text=True, check=True)
    used = 20 * 8 * 5_000_000 * 4 / resource.getpagesize()
    # Without it glibc keeps some or none, as its own thresholds happen to have moved.
    assert int(done.stdout) < used / 10


def between(change: str, y: Tensor) -> tuple[Tensor, Tensor | None]:
    """What goes into the batch norm, and what is added to its output, where code does something between the two."""
    if change == "in place":
        y.mul_(2)
    if change == "watched":
        y.register_hook(lambda gradient: gradient * 3)  # type: ignore[no-untyped-call]
    if change == "copied":
        return y.clone(), None
    return y, y.sin() if change == "used twice" else None


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("change", ["", "used twice", "in place", "watched", "copied"])
@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({"kernel_size": 1}, True),
        ({"kernel_size": 1, "stride": 2, "bias": True}, True),
        ({"kernel_size": 1, "padding": 1}, True),
        ({"kernel_size": (3, 5), "stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}, True),
        ({"kernel_size": 3, "groups": 6}, True),
        ({"kernel_size": 1, "groups": 2}, True),
        ({"kernel_size": 3, "padding": "same"}, False),
        ({"kernel_size": 3, "padding": 1, "padding_mode": "reflect"}, True),
    ],
)
def test_the_factor_of_a_batch_norm_goes_into_the_convolution_before_it(
    options: dict[str, object], taken: bool, change: str, layout: torch.memory_format
) -> None:
    torch.manual_seed(3)
    conv = nn.Conv2d(6, 6, **{"bias": False, **options}).double().requires_grad_(False)  # type: ignore[arg-type]
    norm = with_statistics(nn.BatchNorm2d(6).double())
    x = torch.randn(2, 6, 9, 11, dtype=torch.float64).contiguous(memory_format=layout)
    outputs, gradients, names = [], [], []
    for mode in (None, FixedNorms(), FixedNorms(to_input=True)):
        leaf = x.clone().requires_grad_()
        with mode or contextlib.nullcontext():
            y, more = between(change, conv(leaf))
            z = norm(y)
            names.append(type(z.grad_fn).__name__)
            z = z if more is None else z + more
        outputs.append(z.detach())
        gradients.append(torch.autograd.grad((z * z.detach().cos()).sum(), leaf)[0])
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients[2], gradients[0], rtol=1e-12, atol=1e-12)
    assert (names[2] == "_FixedAfterConvolutionBackward") == (taken and change in ("", "used twice"))
    assert names[1] == "_FixedBackward"


@pytest.mark.parametrize("options", [{"kernel_size": 3, "padding": 1}, {"kernel_size": 1, "stride": (2, 3)}])
def test_maps_that_are_smaller_than_the_weights_have_the_same_gradient(options: dict[str, Any]) -> None:
    torch.manual_seed(4)
    conv = nn.Conv2d(8, 40, **options).double().requires_grad_(False)
    norm = with_statistics(nn.BatchNorm2d(40).double())
    x = torch.randn(1, 8, 2, 3, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    gradients = []
    for mode in (contextlib.nullcontext(), FixedNorms(to_input=True)):
        leaf = x.clone().requires_grad_()
        with mode:
            z = norm(conv(leaf))
        gradients.append(torch.autograd.grad((z * z.detach().cos()).sum(), leaf)[0])
    assert z[0].numel() < conv.weight.numel()
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=1e-12)


def test_a_map_that_is_captured_between_the_two_has_its_gradient() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        with_statistics(nn.BatchNorm2d(4)),
        nn.ReLU6(inplace=True),
        nn.Flatten(),
        nn.Linear(784, 2),
    )
    model = cnnexplain.load(network, input_size="16").model
    x, gradients = torch.rand(2, 3, 16, 16), []
    for to_input in (False, True):
        leaf = x.clone().requires_grad_()
        with model.borrowed(), model.capture("0") as maps:
            scores = model.forward(leaf.clone(), to_input=to_input)
        gradients.append(torch.autograd.grad(scores[:, 1].sum(), [leaf, maps["0"]]))
    assert gradients[0][1].abs().max() > 0
    for ours, usual in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(ours, usual, rtol=1e-5, atol=1e-7)
