"""Runs of 1,000, 10,000 and 100,000 small pictures: whether time is linear, and memory flat.

The pictures are links to a few small photographs, and the network is tiny, so that what is measured is all that is done
beside computing: finding, decoding, drawing, writing, records and the report.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NETWORK = """
from torch import nn
def tiny():
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--command", choices=("gradcam", "units"), default="gradcam")
    parser.add_argument("--no-pictures", action="store_true")
    asked = parser.parse_args()
    print(f"\nLarge runs of {asked.command}{', without pictures' if asked.no_pictures else ''}")
    with tempfile.TemporaryDirectory() as place:
        for count in asked.counts:
            seconds, work, megabytes, disk = run(
                Path(place), count, asked.command, drawing=not asked.no_pictures
            )
            each = f"{seconds / count * 1000:5.1f} ms an image ({work / count * 1000:.1f} of processors)"
            found = f"{megabytes:6.0f} MB of memory, first page {disk:.0f} kB"
            print(f"  {count:7,} images {seconds:8.1f} s, {each}, {found}", flush=True)


def run(place: Path, count: int, command: str, *, drawing: bool) -> tuple[float, float, float, float]:
    """Of one run: seconds, those of all processors, the largest memory in MB, and the report's first page in kB."""
    from skimage import data
    from skimage.io import imsave

    (place / "net.py").write_text(NETWORK)
    originals = []
    for number, name in enumerate(("astronaut", "coffee", "chelsea")):
        originals.append(place / f"{number}.jpg")
        imsave(originals[-1], getattr(data, name)()[:256:4, :256:4])
    folder = place / f"photos-{count}"
    folder.mkdir()
    for number in range(count):
        below = folder / f"{number // 1000:03d}"
        below.mkdir(exist_ok=True)
        os.link(originals[number % len(originals)], below / f"{number:06d}.jpg")
    out = place / f"out-{count}"
    words = [
        sys.executable,
        "-m",
        "cnnexplain",
        command,
        f"{place / 'net.py'}:tiny",
        str(folder),
        "-o",
        str(out),
    ]
    words += ["-q", "--input-size", "32", "--batch-size", "64"]
    words += ["--max-side", "64"] if command == "gradcam" else []
    words += [] if drawing else ["--no-pictures"]
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the run ended with {os.waitstatus_to_exitcode(status)}")
    seconds = time.perf_counter() - started
    return (
        seconds,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss / 1024,
        (out / "index.html").stat().st_size / 1000,
    )


if __name__ == "__main__":
    main()
