"""Every check of the bundled model with eight photographs: its seconds, beside importing torch and running it once."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import skimage.data
from inspecting import MINIMAL
from PIL import Image
from sklearn.datasets import load_sample_images
from timing import in_turns

SECONDS = Path(__file__).parents[1] / "docs" / "checks" / "seconds.json"
ASKED = 60  # seconds at most for the whole, on two cores
EIGHT = MINIMAL.replace("torch.zeros(1,", "torch.zeros(8,")


def photographs(folder: Path) -> None:
    """Eight of them, as scikit-image and scikit-learn have them."""
    found: dict[str, Any] = {
        name: getattr(skimage.data, name)() for name in ("chelsea", "coffee", "astronaut")
    }
    found |= {name: getattr(skimage.data, name)() for name in ("rocket", "camera", "retina")}
    china, flower = load_sample_images().images
    found |= {"china": china, "flower": flower}
    for name, pixels in found.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")


def main(turns: int = 3) -> None:
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        photographs(Path(folder))
        call = [sys.executable, "-m", "cnnexplain", "check", "bundled:efficientnet_lite0", folder]
        base = str(Path(folder, "base.json"))
        subprocess.run(
            [*call, "--only", "finite", "--update-baseline", base], check=True, capture_output=True
        )

        def check() -> None:
            done = subprocess.run([*call, "--baseline", base, "--json"], capture_output=True, text=True)
            assert done.returncode in (0, 1), done.stderr
            records.append(json.loads(done.stdout))

        found = in_turns(
            {
                "import, build, run once": lambda: subprocess.run([sys.executable, "-c", EIGHT], check=True),
                "cnnexplain check": check,
            },
            turns,
            warmup=0,
        )
    # What hinders a machine only ever adds time.
    columns = zip(*(one["checks"] for one in records), strict=True)
    seconds = {column[0]["id"]: min(one["seconds"] for one in column) for column in columns}
    print("\nChecking the bundled model with eight photographs")
    for name, value in seconds.items():
        print(f"  {name:24s} {value:6.2f} s")
    for one in found.values():
        print(f"  {one.name:24s} {min(one.seconds):6.2f} s")
    whole = min(found["cnnexplain check"].seconds)
    print(f"  asked: at most {ASKED} s{'' if whole <= ASKED else ', MISSED'}")
    if "--write" in sys.argv:
        plain = min(found["import, build, run once"].seconds)
        said = {"import, build, run once": round(plain, 1), "whole": round(whole, 1), "seconds": seconds}
        SECONDS.write_text(json.dumps(said, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
