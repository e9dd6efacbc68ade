"""A folder explained on a quiet machine, and beside a program that keeps one processor busy, in turns with a peer.

Four networks, Grad-CAM without pictures, pictures a second after loading. The peer is pytorch-grad-cam in batches of
eight, with all processors, as its users write it; its pictures are prepared before its clock starts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import folder

NETWORKS = {
    "EfficientNet-Lite0": ("tf_efficientnet_lite0", "bn2", 1.0),
    "MobileNetV3-Small": ("mobilenetv3_small_100", "blocks[-1]", 1.0),
    "ResNet-50": ("resnet50", "layer4", 0.25),
    "VGG-16": ("vgg16", "features[29]", 0.125),
}
BUSY = "while True: pass"
PEER = """
import sys, time, pathlib
import timm, torch
from PIL import Image
from pytorch_grad_cam import GradCAM
model = timm.create_model(sys.argv[1]).eval()
prepare = timm.data.create_transform(**timm.data.resolve_data_config(model=model))
paths = sorted(pathlib.Path(sys.argv[3]).iterdir())[: int(sys.argv[4])]
inputs = torch.stack([prepare(Image.open(path).convert("RGB")) for path in paths])
started = time.perf_counter()
with GradCAM(model, [eval("model." + sys.argv[2])]) as cam:
    for batch in inputs.split(8):
        cam(batch, None)
print(time.perf_counter() - started)
"""


@contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """Another program that keeps a processor busy during the block, where it is wanted."""
    other = subprocess.Popen([sys.executable, "-c", BUSY]) if wanted else None
    try:
        yield
    finally:
        if other is not None:
            other.kill()
            other.wait()


def ours(name: str, photos: Path, count: int, out: Path) -> float:
    words = ["gradcam", f"timm:{name}", str(photos), "-o", str(out), "--no-pictures", "--limit", str(count)]
    words += ["--overwrite", "--no-pretrained", "-q"]
    subprocess.run([sys.executable, "-m", "cnnexplain", *words], check=True, capture_output=True)
    return float(json.loads((out / "run.json").read_text())["work"]["whole"])


def peer(name: str, layer: str, photos: Path, count: int) -> float:
    words = [sys.executable, "-c", PEER, name, layer, str(photos), str(count)]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--network", choices=NETWORKS, action="append")
    asked = parser.parse_args([] if __name__ != "__main__" else None)
    with tempfile.TemporaryDirectory() as place:
        photos = Path(place) / "photos"
        photos.mkdir()
        folder.make(photos, asked.count)
        print(
            f"\nGrad-CAM over a folder, pictures a second after loading; median (least, most) of {asked.turns} turns"
        )
        for network in asked.network or NETWORKS:
            name, layer, share = NETWORKS[network]
            count = max(16, round(asked.count * share))
            for beside in (False, True):
                turns: list[tuple[float, float]] = []
                for _ in range(asked.turns):
                    with busy(beside):
                        mine = count / ours(name, photos, count, Path(place) / "out")
                        turns.append((mine, count / peer(name, layer, photos, count)))
                speeds, others = zip(*turns, strict=True)
                ratio = median(mine / other for mine, other in turns)
                where = "beside a busy program" if beside else "quiet"
                print(
                    f"  {network:20s} {where:22s} {median(speeds):7.1f} ({min(speeds):.1f}, {max(speeds):.1f}); "
                    f"pytorch-grad-cam {median(others):6.1f}: {ratio:5.1f} times"
                )


if __name__ == "__main__":
    main()
