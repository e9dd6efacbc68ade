"""Pictures that a run of `maximize` made, beside the real ones in the records of units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain.core.records import layer_name
from cnnexplain.errors import OptionError
from cnnexplain.report.pages.digest import is_unchanged, sealed
from cnnexplain.runner.output.files import written_by_us
from cnnexplain.runner.output.folder import RUN
from cnnexplain.runner.output.journal import RECORDS, Journal
from cnnexplain.runner.output.names import part_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnexplain.engine.model import Model
    from cnnexplain.runner.output.files import Files

HINT = "name the folder that cnnexplain maximize wrote with -o"


class SynthesisedUnits:
    """The strongest picture that a run of `maximize` made for each channel."""

    def __init__(self, folder: str, model: Model, layers: Sequence[str]) -> None:
        """Read the records of the run.

        Args:
            folder: The run's.
            model: Which it must be of.
            layers: Those whose units are shown.

        Raises:
            OptionError: The folder holds no such run, or that of another model or of other layers.
        """
        self._folder = Path(folder)
        self._parts: dict[str, str] = {}
        self._taken: set[str] = set()
        try:
            run = json.loads((self._folder / RUN).read_text("utf-8"))
            command, made_for = run["command"], run["model"]
            weights, reference = made_for["weights_sha256"], made_for["reference"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise OptionError(f"--synthesised {folder} has no {RUN} of a run", HINT) from error
        if command != "maximize":
            raise OptionError(f"--synthesised {folder} holds a run of {command}", HINT)
        if weights != model.weights_sha256:
            problem = f"--synthesised {folder} is of a model with other weights, {reference}"
            raise OptionError(problem, "name a folder that cnnexplain maximize wrote for this model")
        self._made = self._strongest()
        shown = [layer_name(layer) for layer in layers]
        there = dict.fromkeys(layer for layer, _ in self._made)
        if not any(layer in there for layer in shown):
            problem = f"--synthesised {folder} has no picture of a channel of {', '.join(shown)}"
            hint = f"it has those of {', '.join(there)}" if there else "make them: cnnexplain maximize"
            raise OptionError(problem, f"{hint}; channels by themselves count, 3+17 and classes do not")

    def beside(self, record: Mapping[str, Any], files: Files) -> dict[str, Any]:
        """The record of a unit with the picture that was made for it, which then is in the unit's folder as well.

        Args:
            record: Of a unit; they come layer by layer as they were made.
            files: Those of the folder that has the records of the units.
        """
        layer = record["layer"]
        if layer not in self._parts:
            self._parts[layer] = part_of(layer, self._taken)
        made = self._made.get((layer, record["channel"]))
        if made is not None:
            name = f"units/{self._parts[layer]}/{record['channel']:04d}.synthesised.png"
            files.take(name, self._folder / made["plain"])
            made = {"picture": name, **{key: made[key] for key in ("activation", "method", "steps")}}
        plain = {key: value for key, value in record.items() if key != "digest"}
        return sealed({**plain, "synthesised": made})

    def _strongest(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Of each channel that is alone in a picture the entry of the strongest picture."""
        made: dict[tuple[str, int], dict[str, Any]] = {}
        for record in Journal(self._folder, RECORDS).records():
            for entry in record.get("explanations", ()) if is_unchanged(record) else ():
                path = entry.get("plain")
                if entry.get("channel") is None or not path or Path(path).name != path:
                    continue
                if not written_by_us(self._folder / path):
                    raise OptionError(f"--synthesised: {self._folder / path} is not there any more", HINT)
                unit = entry["layer"], entry["channel"]
                if unit not in made or entry["activation"] > made[unit]["activation"]:
                    made[unit] = entry
        return made
