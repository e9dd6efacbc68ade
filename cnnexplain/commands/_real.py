"""What real pictures reach, beside what synthesised ones do: read from the folder of a run of `units`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain.errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECORDS, RUN = "results.jsonl", "run.json"  # of a run of `units`
HINT = "name the folder that cnnexplain units wrote with -o"


@dataclass(frozen=True)
class StrongestReal:
    """The strongest picture of a unit in a folder of photographs, and the patch of it that the unit sees."""

    activation: float
    image: str
    sheet: Path | None = None  # the file with the unit's patches side by side, where one was drawn
    box: tuple[int, int, int, int] = (0, 0, 0, 0)  # of the patch on the sheet

    def record(self) -> dict[str, Any]:
        """What is recorded of it."""
        return {"activation": self.activation, "image": self.image}

    def patch(self) -> NDArray[np.uint8] | None:
        """The patch (h, w, 3), as the sheet has it; None where there is no sheet any more."""
        import numpy as np
        from PIL import Image

        if self.sheet is None or not self.sheet.is_file():
            return None
        try:
            with Image.open(self.sheet, formats=("JPEG",)) as sheet:
                return np.asarray(sheet.crop(self.box).convert("RGB"))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise OptionError(f"--units: {self.sheet} cannot be read", HINT) from error


def strongest_in(folder: str | None, weights: str) -> dict[tuple[str, str], StrongestReal]:
    """The strongest picture of each unit in a run of `units`, by layer and channel.

    Args:
        folder: The run's; None for none.
        weights: The fingerprint of the weights that the run must be of.

    Raises:
        OptionError: The folder holds no such run, or that of another model.
    """
    if folder is None:
        return {}
    path = Path(folder) / RECORDS
    strongest: dict[tuple[str, str], StrongestReal] = {}
    try:
        run = json.loads((Path(folder) / RUN).read_text("utf-8"))
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if record.get("kind") == "unit" and record.get("top"):
                    strongest[record["layer"], str(record["channel"])] = _strongest(Path(folder), record)
        other = run["model"]["weights_sha256"] != weights and run["model"]["reference"]
    except OSError as error:
        name = Path(error.filename or path).name
        raise OptionError(f"--units {folder} has no {name}: {error.strerror}", HINT) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise OptionError(f"--units: {path} is not as it was written", HINT) from error
    if not strongest:
        raise OptionError(f"--units {folder} has no record of a unit", HINT)
    if other:
        raise OptionError(
            f"--units {folder} is of a model with other weights, {other}",
            "name a folder that cnnexplain units wrote for this model",
        )
    return strongest


def _strongest(folder: Path, record: dict[str, Any]) -> StrongestReal:
    best, tiles = record["top"][0], record.get("tiles")
    real = StrongestReal(float(best["activation"]), str(best["image"]))
    if not (tiles and record.get("picture")) or best.get("patch") is None:
        return real
    side, column = int(tiles["side"]), int(best["patch"])
    box = (column * side, 0, (column + 1) * side, side)
    return StrongestReal(real.activation, real.image, folder / str(record["picture"]), box)
