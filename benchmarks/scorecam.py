"""Score-CAM of all channels, and of as many as it takes, against pytorch-grad-cam's.

Seconds of the processor, one thread, in turns, at the last map. pytorch-grad-cam asks for every channel, those that are
the same everywhere included, 16 at a time in the model's own layout; it is timed with some channels, since each of them
costs it as much. All of ours counts: finding the layer's map, and estimating the scores of channels not asked for.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"

import numpy as np
import timm
import torch
from pytorch_grad_cam import ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from timing import in_turns, verdict

import cnnexplain

PICTURE = Path(__file__).parents[1] / "docs" / "photos" / "chelsea.png"
BUNDLED = "bundled:efficientnet_lite0"
ROUNDS, WARM_UP = 1, 1  # rounds take minutes each
SOME = 32  # of the channels, those that pytorch-grad-cam is timed with
# At least so many times faster: as many channels as it takes, all channels.
ASKED = {
    BUNDLED: (15.0, 3.0),
    "tf_efficientnet_lite0": (15.0, 3.0),
    "resnet50": (10.0, 1.5),
    "vgg16": (8.0, 1.3),
}


def compare(name: str, enough_asked: float, all_asked: float) -> None:
    """Print one table."""
    torch.manual_seed(0)
    model = name if name == BUNDLED else timm.create_model(name).eval()
    explainer = cnnexplain.load(copy.deepcopy(model))
    module = explainer.model.module if isinstance(model, str) else model
    plain = copy.deepcopy(module).to(memory_format=torch.contiguous_format)
    layer = explainer.model.choose_layer().value
    maps: list[torch.Tensor] = []
    handle = plain.get_submodule(layer).register_forward_hook(lambda _module, _args, out: maps.append(out))
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        target = int(plain(image)[0].argmax())
    handle.remove()
    a = maps[0].numpy()
    peer = ScoreCAM(plain, [plain.get_submodule(layer)])
    found: dict[str, np.ndarray] = {}
    asked: dict[str, int] = {}

    def ours(channels: str) -> None:
        (result,) = explainer.explain(PICTURE, "gradcam", method="scorecam", channels=channels).results
        found[channels] = result.values.ravel()
        asked[channels] = result.detail.facts["scorecam"]["channels"]

    def theirs() -> None:
        with torch.no_grad():
            peer.get_cam_weights(image, layer, [ClassifierOutputTarget(target)], a[:, :SOME], None)

    timed = in_turns(
        {"enough": lambda: ours("energy"), "all": lambda: ours("all"), "peer": theirs},
        ROUNDS,
        WARM_UP,
        clock=time.process_time,
    )
    share = a.shape[1] / SOME
    all_ratio = timed["peer"].ratio(timed["all"]) * share
    enough_ratio = timed["peer"].ratio(timed["enough"]) * share
    print(f"\n{name}, {layer}: {a.shape[1]} channels, {asked['all']} of them with a mask")
    print(f"  pytorch-grad-cam {timed['peer'].median * share:7.1f} s, {SOME} channels scaled")
    print(
        f"  all channels     {timed['all'].median:7.1f} s, {verdict(all_ratio, all_asked, least=True)} times faster"
    )
    print(
        f"  {asked['energy']:4d} channels    {timed['enough'].median:7.1f} s, "
        f"{verdict(enough_ratio, enough_asked, least=True)} times faster; "
        f"correlation with all {np.corrcoef(found['energy'], found['all'])[0, 1]:.4f}"
    )


def main() -> None:
    """Print all tables, or those of the models that are named."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or ASKED:
        compare(name, *ASKED[name])


if __name__ == "__main__":
    main()
