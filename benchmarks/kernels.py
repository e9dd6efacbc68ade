"""`cnnexplain filters -l all` on ResNet-50: seconds and memory of the whole command, and of importing alone.

In processes of their own, float32, one thread each; the second figure is the most memory that a process held.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

MODEL = "torchvision:resnet50"
IMPORTS = "import torch, torchvision, timm"
COMMAND = ["-m", "cnnexplain", "filters", MODEL, "--no-pretrained", "-q", "-o"]
MOST = 15.0  # seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(f"\nfilters of {MODEL}: seconds, GB")
        _print("importing torch, torchvision and timm", measured(["-c", IMPORTS]))
        _print("the first layer", measured([*COMMAND, os.path.join(folder, "first")]))
        found = measured([*COMMAND, os.path.join(folder, "all"), "-l", "all"])
        _print("all 54 layers", found)
        print("as asked" if found[0] <= MOST else f"SLOWER than {MOST:.0f} s")


def measured(words: list[str]) -> tuple[float, float]:
    """Seconds of processor time, which other processes do not lengthen, and GB, of one Python process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def _print(what: str, found: tuple[float, float]) -> None:
    print(f"{what:40} {found[0]:6.1f} {found[1]:6.2f}")


if __name__ == "__main__":
    main()
