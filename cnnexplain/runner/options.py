"""How a run is carried out. What is here changes no explanation, only how and where it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cnnexplain.core.params import Param
from cnnexplain.errors import OptionError


@dataclass(frozen=True)
class DeviceOptions:
    """Where the model runs."""

    device: Annotated[str, Param("auto, cpu, cuda, cuda:N or mps.", metavar="NAME")] = "auto"
    precision: Annotated[
        str,
        Param("Arithmetic of the model: fp32 is exact, the others faster.", choices=("fp32", "bf16", "fp16")),
    ] = "fp32"


@dataclass(frozen=True)
class OutputOptions:
    """Where results go; those of looking into a model perhaps nowhere."""

    output: Annotated[
        Path | None, Param("Folder for the results; made where it is missing.", ("-o", "--output"), "DIR")
    ] = None
    save_raw: Annotated[bool, Param("Also write the signed values, float32, as .npz files.")] = False
    overwrite: Annotated[
        bool,
        Param(
            "Start anew in a folder that holds another run; without it a run is continued.",
            ("--overwrite/--resume",),
        ),
    ] = False
    tensorboard: Annotated[
        Path | None,
        Param(
            "Also put pictures, numbers, histograms and the model's graph into this folder, for TensorBoard.",
            metavar="DIR",
        ),
    ] = None


@dataclass(frozen=True)
class RunOptions(OutputOptions):
    """Where the results of explaining pictures go, which is to be said, and how much is done at once."""

    output: Annotated[
        Path, Param("Folder for the results; made where it is missing.", ("-o", "--output"), "DIR")
    ] = field()
    batch_size: Annotated[
        int, Param("Pictures that go through the model at once.", min=1, max=65536, metavar="N")
    ] = 8
    workers: Annotated[
        int | None,
        Param("Threads that decode and draw; as many as there are cores when left out.", min=1, metavar="N"),
    ] = None
    max_failures: Annotated[
        str, Param("How many images may fail before the exit code says so: N or N%.", metavar="N|N%")
    ] = "0"

    def allowed_failures(self, images: int) -> float:
        """`max_failures` as a number of images."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", self.max_failures.strip())
        if match is None or (not match[2] and "." in match[1]) or (match[2] and float(match[1]) > 100):
            raise OptionError(
                f"--max-failures {self.max_failures!r} is neither a number nor a percentage",
                "for example --max-failures 10 or --max-failures 1%",
            )
        return float(match[1]) * images / 100 if match[2] else float(match[1])
