"""How a run is carried out. What is here changes no explanation, only how and where it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.records import LISTED
from cnnexplain.errors import OptionError

BATCHES = {"cpu": 8, "cuda": 64, "mps": 16}  # on processors larger ones gain nothing
PORTIONS = (
    4  # at least so many batches are made of a run's images on processors, which each compute one at a time
)
LARGEST_BATCH = 65536


@dataclass(frozen=True)
class DeviceOptions:
    """Where the model runs."""

    device: Annotated[str, Param("auto, cpu, cuda, cuda:N or mps.", metavar="NAME", common=True)] = "auto"
    precision: Annotated[
        str,
        Param(
            "Arithmetic of the model: fp32 is exact, the others faster. auto takes bf16 where it is faster and maps of "
            "the first images stay within 1%.",
            choices=("fp32", "bf16", "fp16", "auto"),
        ),
    ] = "fp32"


@dataclass(frozen=True)
class OutputOptions:
    """Where results go; those of looking into a model perhaps nowhere."""

    output: Annotated[
        Path | None,
        Param("Folder for the results; made where it is missing.", ("-o", "--output"), "DIR", common=True),
    ] = None
    save_raw: Annotated[bool, Param("Also write the signed values, float32, as .npz files.")] = False
    overwrite: Annotated[
        bool,
        Param(
            "Start over in a folder that holds another run; without it a run is continued.",
            ("--overwrite/--resume",),
            common=True,
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
class FolderOptions(OutputOptions):
    """Where results go that are pictures, and therefore need a folder."""

    output: Annotated[
        Path | None,
        Param(
            "Folder for the results; made where it is missing. With --json and without -o nothing is written.",
            ("-o", "--output"),
            "DIR",
            common=True,
        ),
    ] = Path("cnnexplain-out")


@dataclass(frozen=True)
class RunOptions(FolderOptions):
    """Where the results of explaining pictures go, and how much is done at once."""

    pictures: Annotated[bool, Param("Draw pictures; --no-pictures leaves records and the report.")] = True
    batch_size: Annotated[
        str,
        Param(
            "Pictures that go through the model at once: a number, or auto for what suits the device. It is halved "
            "where memory does not suffice.",
            metavar="N|auto",
        ),
    ] = "auto"
    workers: Annotated[
        int | None,
        Param("Threads that decode and draw; as many as there are cores when left out.", min=1, metavar="N"),
    ] = None
    shard: Annotated[
        str | None,
        Param(
            "Explain one of n parts of the pictures, as 2/8 is the second of eight, each into a folder of its own; "
            "cnnexplain merge joins them.",
            metavar="I/N",
        ),
    ] = None
    processes: Annotated[
        int | None,
        Param(
            "Processes that explain pictures, each with a model of its own. Left out, one for each GPU, or one.",
            min=1,
            max=1024,
            metavar="N",
        ),
    ] = None
    engine: Annotated[
        str,
        Param(
            "What runs the processes: local on this machine, or Ray, also on a cluster.",
            choices=("local", "ray"),
        ),
    ] = "local"
    ray_address: Annotated[
        str | None,
        Param(
            "The Ray cluster, for --engine ray: auto, or ray://HOST:PORT. Left out, Ray is started on this machine.",
            metavar="ADDRESS",
        ),
    ] = None
    max_failures: Annotated[
        str, Param("How many images may fail before the exit code says so: N or N%.", metavar="N|N%")
    ] = "0"

    def batch(self, device: str, images: int = LARGEST_BATCH) -> int:
        """`batch_size` as a number, for a kind of device; on processors of few `images` fewer, so that all compute."""
        if self.batch_size == "auto":
            largest = BATCHES.get(device, BATCHES["cpu"])
            return max(1, min(largest, images // PORTIONS)) if device == "cpu" else largest
        if not re.fullmatch(r"[0-9]{1,5}", self.batch_size) or not 1 <= int(self.batch_size) <= LARGEST_BATCH:
            raise OptionError(
                f"--batch-size {self.batch_size!r} is neither a number of pictures nor auto",
                f"for example --batch-size 16; at most {LARGEST_BATCH}",
            )
        return int(self.batch_size)

    def require_sense(self) -> None:
        """Raise `OptionError` for what cannot be meant, before anything is loaded."""
        self.part()
        self.batch("cpu")
        if self.ray_address is not None and self.engine != "ray":
            raise OptionError(
                "--ray-address goes with --engine ray", "add --engine ray, or leave the address out"
            )

    def part(self) -> tuple[int, int]:
        """`shard` as the number of a part, counted from 1, and how many there are; (1, 1) where all is one."""
        if self.shard is None:
            return 1, 1
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", self.shard)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise OptionError(
                f"--shard {self.shard!r} is no part of a whole",
                "parts are counted from 1: --shard 2/8 is the second of eight",
            )
        return int(match[1]), int(match[2])


@dataclass(frozen=True)
class AnswerOptions:
    """What the pictures should be, and which of them are drawn and listed for it."""

    labels_from: Annotated[
        str | None,
        Param(
            "What the pictures should be: folder, when they lie in folders named after their classes, or a CSV file "
            "with the columns image and label.",
            metavar="folder|FILE",
            common=True,
        ),
    ] = None
    only: Annotated[
        str | None,
        Param(
            "Draw and list these pictures only; records are made of all. What failed is always listed.",
            choices=LISTED,
        ),
    ] = None

    def require_sense(self) -> None:
        """Raise `OptionError` where nobody can say which pictures are wanted."""
        if self.only in ("wrong", "right") and self.labels_from is None:
            raise OptionError(
                f"--only {self.only} needs to know what the pictures should be",
                "add --labels-from folder, or a CSV file",
            )


@dataclass(frozen=True)
class MergeOptions:
    """Join the folders of runs that explained parts of the pictures, as --shard makes them, into one report.

    The parts stay as they are; the joined folder shares their pictures where the file system can, and has copies where
    it cannot.
    """

    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain merge part1 part2 part3 -o whole",
        "cnnexplain merge parts/* -o whole --max-failures 1%",
    )

    output: Annotated[
        Path, Param("Folder for the joined results; made where it is missing.", ("-o", "--output"), "DIR")
    ] = Path("cnnexplain-out")
    overwrite: Annotated[
        bool,
        Param("Start over in a folder that holds another run.", ("--overwrite/--resume",)),
    ] = False
    max_failures: Annotated[
        str, Param("How many images may have failed before the exit code says so: N or N%.", metavar="N|N%")
    ] = "0"


def allowed_failures(limit: str, images: int) -> float:
    """`max_failures` as a number of images."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", limit.strip())
    if match is not None and match[2] and float(match[1]) > 100:
        raise OptionError(f"--max-failures {limit!r} is more than all", "for example --max-failures 1%")
    if match is None or (not match[2] and "." in match[1]):
        raise OptionError(
            f"--max-failures {limit!r} is neither a number nor a percentage",
            "for example --max-failures 10 or --max-failures 1%",
        )
    return float(match[1]) * images / 100 if match[2] else float(match[1])
