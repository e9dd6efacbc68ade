"""Synthesising pictures for 64 channels: beside the loop of Lucid's settings, one channel at a time, as lucent runs it.

In turns, processor time, one thread. Ours makes whole pictures, with all that a run does besides. The plain loop does
what torch-lucent 0.1.8 does for `render_vis`: a spectrum of 128x128 pixels with independent colours, padded, moved,
enlarged, turned, moved again, enlarged to the 224 pixels that lucent sends through every model, the whole model
forward, the way back with gradients of all weights. Only some of its steps are timed: every one costs the same.
"""

from __future__ import annotations

import time

import numpy as np
import torch
import torch.nn.functional as F
from timing import in_turns, verdict
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands import bound
from cnnexplain.commands.maximize import Maximize
from cnnexplain.engine.model import Model
from cnnexplain.formulas import fourier_picture

MODELS = (("bundled:efficientnet_lite0", "blocks.4", True), ("timm:resnet50", "layer3", False))
CHANNELS, SIDE, UPSAMPLED = 16, 128, 224  # one batch of channels stands for 64
STEPS = {SIDE: 128, UPSAMPLED: 32}  # the rest of the larger one costs the same
PLAIN_STEPS = 8
FASTER = 5.0


def main() -> None:
    torch.set_num_threads(1)
    for name, layer, pretrained in MODELS:
        model = cnnexplain.load(name, **({} if pretrained else {"pretrained": False})).model
        _ = model.trace
        print(f"\nmaximize {name} {layer}: ms of processor time for a step of a channel")
        sizes = {
            f"{SIDE} pixels, as lucent's picture": SIDE,
            f"{UPSAMPLED} pixels, as lucent's network": UPSAMPLED,
        }
        contestants = {
            "plain loop": lambda model=model, layer=layer: plain(model.module, layer, PLAIN_STEPS),
            **{
                text: lambda model=model, layer=layer, size=size: ours(model, layer, size)
                for text, size in sizes.items()
            },
        }
        times = in_turns(contestants, 1, warmup=0, clock=time.process_time)
        steps = {"plain loop": PLAIN_STEPS} | {text: STEPS[size] * CHANNELS for text, size in sizes.items()}
        costs = {text: timed.median / steps[text] * 1e3 for text, timed in times.items()}
        for text, cost in costs.items():
            print(f"{text:34} {cost:8.1f}")
        for text in sizes:
            print(f"faster at {text:26}", verdict(costs["plain loop"] / costs[text], FASTER, least=True))


def ours(model: Model, layer: str, size: int) -> None:
    """Some steps for one batch of channels."""
    channels = tuple(map(str, range(CHANNELS)))
    command, _ = bound(Maximize(layer=(layer,), channel=channels, steps=STEPS[size], size=str(size)), model)
    assert len(list(command.inspect(model))) == CHANNELS


def plain(module: nn.Module, layer: str, steps: int) -> None:
    """Steps for one channel."""
    reached: list[Tensor] = []
    module.eval().requires_grad_()
    handle = module.get_submodule(layer).register_forward_hook(lambda *call: reached.append(call[2]))
    spectrum = (0.01 * torch.randn(1, 3, SIDE, SIDE // 2 + 1, 2)).requires_grad_()
    adam, rng = torch.optim.Adam([spectrum], lr=0.05), np.random.default_rng(0)
    mean, std = (torch.tensor(one)[:, None, None] for one in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for _ in range(steps):
        adam.zero_grad()
        picture = F.pad(fourier_picture(spectrum, SIDE, SIDE), [12] * 4, value=0.5)
        picture = picture.roll(tuple(rng.integers(0, 8, 2).tolist()), (2, 3))
        side = int(picture.shape[2] * rng.choice(1 + np.arange(-5, 6) / 50))
        picture = F.interpolate(picture, size=(side, side), mode="bilinear", align_corners=True)
        angle = float(np.radians(rng.integers(-10, 11)))
        turn = torch.tensor([[[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]]).float()
        picture = F.grid_sample(picture, F.affine_grid(turn, list(picture.shape), False), align_corners=False)
        picture = picture.roll(tuple(rng.integers(0, 4, 2).tolist()), (2, 3))
        inputs = F.interpolate(
            ((picture - mean) / std), size=(UPSAMPLED,) * 2, mode="bilinear", align_corners=True
        )
        module(inputs)
        (-reached.pop()[:, 3].mean()).backward()
        adam.step()
    handle.remove()
    module.zero_grad(set_to_none=True)


if __name__ == "__main__":
    main()
