"""Occlusion against Captum's, and against computing all of every variant; masks and channels against plain loops.

Float32, on the CPU, the same image and masks for all. Captum is used as its page shows, one window after another, on
the model in its own (contiguous) layout; it is timed with some of the windows, since each of them costs it as much.
"""

from __future__ import annotations

import copy
import sys

import timm
import torch
from captum.attr import Occlusion
from timing import in_turns, verdict

import cnnexplain
from cnnexplain.engine.perturb.channels import without_channels
from cnnexplain.engine.perturb.scores import Perturbed
from cnnexplain.formulas.hiding import rise_masks, window_starts

WINDOW, STRIDE, SIDE, TARGET = 15, 8, 224, 281
ROUNDS, PLAIN = 3, 49  # rounds; of the windows, those that Captum is timed with
MASKS, PLAIN_MASKS = 256, 64
PLAIN_CHANNELS = 64
# At least so many times faster: windows, masks, channels.
ASKED = {
    "tf_efficientnet_lite0": (10.0, 3.0, 60.0),
    "resnet50": (2.5, 1.3, 100.0),
    "vgg16": (5.0, 1.2, 60.0),
}


def compare(name: str, windows_asked: float, masks_asked: float, channels_asked: float) -> None:
    """Print one table."""
    torch.manual_seed(0)
    plain = timm.create_model(name).eval()
    image = torch.randn(1, 3, SIDE, SIDE)
    model = cnnexplain.load(copy.deepcopy(plain).to(memory_format=torch.channels_last)).model
    starts = window_starts(SIDE, WINDOW, STRIDE)
    top = torch.tensor(starts).repeat_interleave(len(starts))
    left = torch.tensor(starts).repeat(len(starts))
    hidden = torch.zeros(1, 3, WINDOW, WINDOW)
    masks = rise_masks(MASKS, (SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    captum = Occlusion(plain)

    def windows(reason: str, count: int) -> torch.Tensor:
        with model.borrowed():
            perturbed = Perturbed(model, model.layout.of(image), reason)
            return perturbed.windows(
                lambda rows: hidden.expand(len(rows), -1, -1, -1), top[:count], left[:count]
            )

    def captums() -> None:
        with torch.no_grad():
            captum.attribute(
                image, (3, SIDE // 7, SIDE // 7), strides=(3, SIDE // 7, SIDE // 7), target=TARGET
            )

    def blends() -> None:
        with model.borrowed():
            Perturbed(model, model.layout.of(image)).blends(torch.zeros_like(image), masks)

    def plain_masks() -> None:
        with torch.no_grad():
            for start in range(0, PLAIN_MASKS, 32):
                plain(image * masks[start : start + 32, None])

    layer = model.choose_layer().value
    theirs_layer = plain.get_submodule(layer)
    with model.borrowed(), torch.no_grad(), model.capture(layer) as maps:
        scores = model.forward(image)[0]
    shape = maps[layer].shape[1:]

    def ablated() -> None:
        with model.borrowed():
            without_channels(Perturbed(model, model.layout.of(image)), layer, tuple(shape), scores)

    def plain_ablated() -> None:  # as pytorch-grad-cam: the whole model for every channel, 32 at once
        with torch.no_grad():
            for start in range(0, PLAIN_CHANNELS, 32):

                def zeroed(_module: object, _args: object, output: torch.Tensor, start: int = start) -> None:
                    output[torch.arange(32), torch.arange(start, start + 32)] = 0

                handle = theirs_layer.register_forward_hook(zeroed)
                plain(image.repeat(32, 1, 1, 1))
                handle.remove()

    every = len(top)
    found = in_turns(
        {
            "changes": lambda: windows("", every),
            "whole": lambda: windows("to compare", PLAIN),
            "captum": captums,
            "rise": blends,
            "plain": plain_masks,
            "ablated": ablated,
            "plain ablated": plain_ablated,
        },
        ROUNDS,
    )
    sliding, whole, theirs = found["changes"], found["whole"], found["captum"]
    share, masked = every / PLAIN, MASKS / PLAIN_MASKS
    print(f"\n{name}, {torch.get_num_threads()} threads, {every} windows of {WINDOW}, {MASKS} masks")
    print(
        f"  what changes {sliding.median:7.2f} s   all of each {whole.median * share:7.2f} s   "
        f"Captum {theirs.median * share:7.2f} s"
    )
    print(f"  times faster than Captum {verdict(theirs.ratio(sliding) * share, windows_asked, least=True)}")
    print(
        f"  masks {found['rise'].median:7.2f} s   plain loop {found['plain'].median * masked:7.2f} s, "
        f"{verdict(found['plain'].ratio(found['rise']) * masked, masks_asked, least=True)} times faster"
    )
    channels = shape[0] / PLAIN_CHANNELS
    print(
        f"  {shape[0]} channels {found['ablated'].median:7.2f} s   plain loop "
        f"{found['plain ablated'].median * channels:7.2f} s, "
        f"{verdict(found['plain ablated'].ratio(found['ablated']) * channels, channels_asked, least=True)} times faster"
    )


def main() -> None:
    """Print all tables, or those of the models that are named."""
    for name in sys.argv[1:] or ASKED:
        compare(name, *ASKED[name])


if __name__ == "__main__":
    main()
