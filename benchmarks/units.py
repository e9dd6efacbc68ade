"""Scanning all units of five layers over a folder, beside plain inference over it: seconds of processor."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from cnnexplain.commands import bound
from cnnexplain.commands.units import UnitAtlas
from cnnexplain.core.explanation import Batch
from cnnexplain.core.loading import ModelOptions
from cnnexplain.images.decode import read
from cnnexplain.runner.explain import prepared
from cnnexplain.runner.model import build
from cnnexplain.runner.options import DeviceOptions

ASKED = 1.2  # times plain inference, at most
PICTURES, BATCH, SIDE = 256, 8, 320


def crops(folder: Path) -> list[str]:
    """Crops of scikit-learn's two photographs, all different."""
    draw = np.random.default_rng(0)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    paths = []
    for number in range(PICTURES):
        photograph = photographs[number % 2]
        left = int(draw.integers(0, photograph.width - SIDE))
        top = int(draw.integers(0, photograph.height - SIDE))
        paths.append(str(folder / f"{number:03}.jpg"))
        photograph.crop((left, top, left + SIDE, top + SIDE)).save(paths[-1], quality=90)
    return paths


def main() -> None:
    """Measure with one thread, batch by batch in turns, so that a busy machine delays both alike."""
    torch.set_num_threads(1)
    model, _, _ = build("bundled:efficientnet_lite0", ModelOptions(), DeviceOptions())
    command, choices = bound(UnitAtlas(), model)
    print(choices[0].value)
    with tempfile.TemporaryDirectory() as folder, model.borrowed():
        paths = crops(Path(folder))

        def inputs(start: int) -> torch.Tensor:
            pictures = [prepared(path, read(path), model.preprocess) for path in paths[start : start + BATCH]]
            return model.inputs([picture.pixels for picture in pictures])

        def plain(start: int) -> None:
            with torch.no_grad():
                model.forward(inputs(start))

        def scan(start: int) -> None:
            places = tuple(range(start, start + BATCH))
            answer = command.explain(model, Batch(inputs(start), places=places))
            for scans in answer.results:
                for each in scans:
                    each.record()

        def seconds(work: Callable[[int], None], start: int) -> float:
            begun = time.process_time()
            work(start)
            return time.process_time() - begun

        plain(0)
        spent = np.array(
            [[seconds(work, start) for work in (plain, scan)] for start in range(0, PICTURES, BATCH)]
        )
    inference, scanning = spent.sum(0)
    print(
        f"inference {1000 * inference / PICTURES:.1f} ms a picture, scan {1000 * scanning / PICTURES:.1f} ms"
    )
    print(f"{scanning / inference:.2f} times plain inference; asked for: at most {ASKED}")


if __name__ == "__main__":
    main()
