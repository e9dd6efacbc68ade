"""What `check` is asked beside the model and the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from cnnexplain.core.params import Param


@dataclass(frozen=True)
class CheckOptions:
    """Find what is wrong with a model: badly trained, loaded, exported or fed.

    Without pictures its weights are looked at; with pictures also what it answers, and why. The exit code is 1 where
    a check of level error fails.
    """

    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain check net.pth --arch resnet18",
        "cnnexplain check net.pth --arch resnet18 photos/ --labels-from folder -o out",
        "cnnexplain check mynet.py:Net photos/ --only finite,deterministic --junit checks.xml",
    )

    only: Annotated[
        tuple[str, ...], Param("Carry out these checks only; may be repeated.", metavar="ID", split=True)
    ] = ()
    config: Annotated[
        Path | None,
        Param(
            "Levels and limits by check, a table each; before those below tool.cnnexplain.check in pyproject.toml.",
            metavar="FILE",
        ),
    ] = None
    labels_from: Annotated[
        str | None,
        Param(
            "What the pictures should be: folder, when they lie in folders named after their classes, or a CSV file "
            "with the columns image and label.",
            metavar="folder|FILE",
        ),
    ] = None
    baseline: Annotated[
        Path | None, Param("Hold predictions and maps against this stored run.", metavar="FILE")
    ] = None
    update_baseline: Annotated[
        Path | None, Param("Store predictions and maps in this file, for later runs.", metavar="FILE")
    ] = None
    junit: Annotated[Path | None, Param("Also write the verdicts as JUnit XML.", metavar="FILE")] = None
    output: Annotated[
        Path | None, Param("Folder for the report; made where it is missing.", ("-o", "--output"), "DIR")
    ] = None
    overwrite: Annotated[
        bool, Param("Start over in a folder that holds another run.", ("--overwrite/--resume",))
    ] = False
    list: Annotated[bool, Param("Show all checks, their levels and limits; nothing else is done.")] = False
