"""Whatever a model does to the picture before a layer: its map lies where it belongs, or it is said that it may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import as_model
from torch import Tensor, nn

SIDE, CELL = 64, 8
SPOT = (6, 1)  # row and column of the bright cell: left below


class Means(nn.Module):
    """A map of the means of cells, behind something that is done to the picture."""

    def __init__(self, way: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.way, self.cells = way, nn.Conv2d(3, 3, CELL, CELL, bias=False)
        with torch.no_grad():
            self.cells.weight.copy_(torch.eye(3)[:, :, None, None].expand_as(self.cells.weight) / CELL**2)

    def forward(self, x: Tensor) -> Tensor:
        return self.cells(self.way(x)).mean((2, 3))


def in_place(name: str, *args: Any) -> Callable[[Tensor], Tensor]:
    def way(x: Tensor) -> Tensor:
        x = x.clone()
        getattr(x, name)(*args)
        return x

    return way


def written(shape: tuple[int, int], into: Callable[[Tensor, Tensor], Any]) -> Callable[[Tensor], Tensor]:
    def way(x: Tensor) -> Tensor:
        canvas = x.new_zeros(1, 3, *shape)
        into(canvas, x)
        return canvas

    return way


def shifted(x: Tensor) -> Tensor:
    x = x.clone()
    x[..., 32:] = x[..., :32].clone()
    return x


def masked(x: Tensor) -> Tensor:
    canvas = torch.zeros_like(x)
    canvas[torch.ones_like(x, dtype=torch.bool)] = x.flip(3).flatten()
    return canvas


def by_channels(canvas: Tensor, x: Tensor) -> None:
    for channel in range(3):
        canvas[0, channel] = x[0, channel]


def through_patches(order: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: F.fold(F.unfold(x, CELL, stride=CELL)[..., order], (SIDE, SIDE), CELL, stride=CELL)


class Flip(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return x.flip(3)

    @staticmethod
    def backward(_ctx: Any, slope: Tensor) -> Tensor:
        return slope.flip(3)


@torch.jit.script
def scripted(x: Tensor) -> Tensor:
    return torch.flip(x, [3])


BACK = torch.arange(SIDE - 1, -1, -1)
MIRROR = torch.eye(SIDE).flip(0)
MOVED = {
    "einsum": lambda x: torch.einsum("nchw->ncwh", x),
    "einsum with a mirror": lambda x: torch.einsum("nchw,wv->nchv", x, MIRROR),
    "transpose_": in_place("transpose_", 2, 3),
    "swapaxes_": in_place("swapaxes_", 2, 3),
    "swapdims_": in_place("swapdims_", 2, 3),
    "as_strided": lambda x: x.contiguous().as_strided((1, 3, SIDE, SIDE), (1, SIDE**2, 1, SIDE)),
    "T of a channel": lambda x: torch.stack([x[0, k].T for k in range(3)])[None],
    "t_ of a channel": lambda x: torch.stack([x[0, k].clone().t_() for k in range(3)])[None],
    "copy_ into a canvas": written((SIDE, 2 * SIDE), lambda canvas, x: canvas[..., SIDE:].copy_(x)),
    "copy_ into a narrow": written((2 * SIDE, SIDE), lambda canvas, x: canvas.narrow(2, SIDE, SIDE).copy_(x)),
    "setitem": written((SIDE, 2 * SIDE), lambda canvas, x: canvas.__setitem__((..., slice(SIDE, None)), x)),
    "setitem by a list": written((SIDE, SIDE), lambda canvas, x: canvas.__setitem__((..., BACK), x)),
    "setitem of itself": shifted,
    "setitem by a mask": masked,
    "index_copy": lambda x: torch.zeros_like(x).index_copy(3, BACK, x),
    "index_add": lambda x: torch.zeros_like(x).index_add(2, BACK, x),
    "masked_scatter": lambda x: torch.zeros_like(x).masked_scatter(
        torch.ones_like(x) > 0, x.flip(2).flatten()
    ),
    "cat of itself": lambda x: torch.cat([x, x], 3),
    "cat of halves": lambda x: torch.cat([x[..., 32:], x[..., :32]], 3),
    "hstack": lambda x: torch.cat([x[0], x[0]], 1)[None],
    "stack": lambda x: torch.stack([x, x], 3).flatten(2, 3).reshape(1, 3, 2 * SIDE, SIDE),
    "tile": lambda x: torch.tile(x, (1, 1, 2, 1)),
    "repeat": lambda x: x.repeat(1, 1, 1, 2),
    "where": lambda x: torch.where(torch.arange(SIDE) < 32, x, x.flip(3)),
    "unfold": lambda x: F.unfold(x, CELL, stride=CELL).reshape(1, 3, SIDE, SIDE),
    "fold": through_patches(torch.arange(63, -1, -1)),
    "unfold of a tensor": lambda x: x.unfold(3, CELL, CELL).transpose(3, 4).flatten(3),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 2).reshape(1, 3, SIDE, SIDE),
    "view": lambda x: x.flatten(2).mT.reshape(1, SIDE, SIDE, 3).permute(0, 3, 2, 1),
    "view as another shape": lambda x: x.reshape(1, 3, 32, 128),
    "view of permuted": lambda x: x.permute(0, 1, 3, 2).flatten(2).view(1, 3, SIDE, SIDE),
    "index_select": lambda x: x.index_select(3, BACK),
    "gather": lambda x: x.gather(3, BACK.expand_as(x)),
    "take_along_dim": lambda x: torch.take_along_dim(x, BACK[None, None, None], 3),
    "take": lambda x: x.take(torch.arange(x.numel()).view_as(x).flip(3)),
    "roll": lambda x: torch.roll(x, 24, 2),
    "roll of all": lambda x: x.roll((8, 8), (2, 3)),
    "matmul": lambda x: x @ MIRROR,
    "matmul from the left": lambda x: MIRROR @ x,
    "linear": lambda x: F.linear(x, MIRROR),
    "tensordot": lambda x: torch.tensordot(x, MIRROR, dims=([3], [0])),
    "bmm": lambda x: torch.bmm(MIRROR.expand(3, -1, -1), x[0])[None],
    "fft": lambda x: torch.fft.fft2(torch.fft.fft2(x)).real / SIDE**2,
    "fftshift": lambda x: torch.fft.fftshift(x, (2, 3)),
    "meshed": lambda x: x[:, :, BACK[:, None], BACK[None]],
    "a function of autograd's": Flip.apply,
    "a script": scripted,
    "values read out": lambda x: x + torch.tensor(x.detach().flip(3).tolist()),
    "detached": lambda x: x * 0 + x.detach().flip(3),
    "vmap": torch.vmap(lambda one: one.flip(2)),
    "upside down by steps": lambda x: torch.stack([x[:, :, SIDE - 1 - row] for row in range(SIDE)], 2),
    "cumsum of a frame": lambda x: torch.cat([x.new_zeros(1, 3, SIDE, SIDE), x], 3).cumsum(1),
    "chunks exchanged": lambda x: torch.cat(x.chunk(2, 3)[::-1], 3),
    "hsplit": lambda x: torch.cat(torch.tensor_split(x, 2, 3)[::-1], 3),
    "pad that wraps": lambda x: F.pad(x, (48, 0, 0, 0), mode="circular"),
    "flip and a flip of a view": lambda x: x.flip(3).view(1, 3, 1, SIDE, SIDE)[:, :, 0],
    "rows by rows": lambda x: torch.cat([x[:, :, row : row + 1] for row in range(SIDE)][::-1], 2),
}
STILL = {
    "einsum of channels": lambda x: torch.einsum("nchw,dc->ndhw", x, torch.ones(3, 3)),
    "space to depth": lambda x: F.pixel_shuffle(F.pixel_unshuffle(x, 4), 4),
    "a stem of YOLO": lambda x: torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2]], 1)[:, :3],
    "tokens": lambda x: x.flatten(2).transpose(1, 2).transpose(1, 2).view(1, 3, SIDE, SIDE),
    "windows": lambda x: x.view(1, 3, 8, 8, 8, 8).permute(0, 2, 4, 1, 3, 5).reshape(64, 3, 8, 8)
    .view(1, 8, 8, 3, 8, 8).permute(0, 3, 1, 4, 2, 5).reshape(1, 3, SIDE, SIDE),
    "patches": through_patches(torch.arange(64)),
    "fft": lambda x: torch.fft.ifft2(torch.fft.fft2(x)).real,
    "transpose_ twice": lambda x: in_place("transpose_", 2, 3)(in_place("transpose_", 2, 3)(x)),
    "another aspect": lambda x: F.interpolate(x, (32, 128), mode="bilinear", antialias=True),
    "area": lambda x: F.interpolate(x, (128, 32), mode="area"),
    "copy_": written((SIDE, SIDE), lambda canvas, x: canvas.copy_(x)),
    "setitem": written((SIDE, SIDE), lambda canvas, x: canvas.__setitem__(slice(None), x)),
    "channel by channel": written((SIDE, SIDE), by_channels),
    "attention": lambda x: x + F.scaled_dot_product_attention(*[x.flatten(2).mT] * 3).mT.view(1, 3, SIDE, SIDE),
    "expand": lambda x: x[:, :1].expand(-1, 3, -1, -1),
    "unsqueeze": lambda x: x.unsqueeze(2).squeeze(2),
    "gate": lambda x: x * x.mean((2, 3)).view(1, 3, 1, 1),
    "rolled back": lambda x: x.mT.relu().mT,
    "vmap": torch.vmap(lambda one: one * 2),
    "out": lambda x: x.unflatten(3, (8, 8)).flatten(3),
}  # fmt: skip


def bright() -> Tensor:
    x = torch.full((1, 3, SIDE, SIDE), 0.0)
    x[..., SPOT[0] * CELL : (SPOT[0] + 1) * CELL, SPOT[1] * CELL : (SPOT[1] + 1) * CELL] = 1
    return x


@pytest.mark.parametrize("way", [*MOVED, *(f"{name} (still)" for name in STILL)])
def test_the_peak_is_at_the_bright_cell_or_the_map_is_not_laid_back(way: str) -> None:
    still = way.endswith(" (still)")
    module = Means(STILL[way.removesuffix(" (still)")] if still else MOVED[way]).eval()
    model = as_model(module, (SIDE, SIDE))
    laying = model.runs.laying("cells")
    with torch.no_grad():
        values = module.cells(module.way(bright()))[0].sum(0)
    upright = laying.upright(values)
    left, top, right, below = laying.box()
    if still:
        assert laying.plain
    if laying.lost:
        assert any(words in laying.lost for words in ("before this layer", "lie in different places"))
        return
    peak = divmod(int(upright.argmax()), upright.shape[1])
    for cell, cells, low, high, spot in zip(
        peak, upright.shape, (top, left), (below, right), SPOT, strict=True
    ):
        first, past = (low + (high - low) * edge / cells for edge in (cell, cell + 1))
        assert first - 1e-6 <= (spot + 0.5) * CELL / SIDE <= past + 1e-6, (peak, laying)
