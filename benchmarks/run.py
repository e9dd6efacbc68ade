"""All benchmarks, one after another."""

from __future__ import annotations

import platform

import beside
import checking
import explaining
import folder
import hiding
import inspecting
import judging
import kernels
import pixels
import sampling
import scale
import starting
import timm
import torch
import units


def main() -> None:
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}, {platform.machine()}"
    )
    starting.main()
    explaining.main()
    pixels.main()
    sampling.main()
    hiding.main()
    judging.main()
    inspecting.main()
    kernels.main()
    checking.main()
    folder.main()
    beside.main()
    scale.main()
    units.main()


if __name__ == "__main__":
    main()
