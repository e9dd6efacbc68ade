"""The TensorBoard log of a run: its pictures, numbers, histograms and texts, and the model's graph and weights.

The log is made of what was written down, records and picture files, in the order of the images:
TensorBoard drops what it has of later steps when an earlier one comes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.core.belief import belief_words
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.layer_words import used
from cnnexplain.core.records import kind_of
from cnnexplain.core.results import Result
from cnnexplain.core.results.channels import Histogram
from cnnexplain.core.results.summary import LayerTable
from cnnexplain.core.words import likelihood
from cnnexplain.engine.graph import graph_of
from cnnexplain.engine.model import Model
from cnnexplain.engine.weights import layers as weights
from cnnexplain.errors import OutputError, first_line
from cnnexplain.runner.output.names import safe
from cnnexplain.runner.request import Observer
from cnnexplain.runner.tensorboard.events import EventFile, require
from cnnexplain.runner.tensorboard.markdown import plain, table

LISTED = 1000  # images in the table of a run
SETTLED = ("arguments", "command", "model", "options", "seed", "versions")

Record = Mapping[str, Any]
Values = Mapping[str, NDArray[Any] | Histogram]  # by what they are values of


def log_at(folder: Path | None, command: str) -> TensorBoardLog | None:
    """The log in a folder, if there is one to write. Raises, before anything is written, where it cannot be written."""
    if folder is None:
        return None
    require(folder)
    return TensorBoardLog(folder.absolute(), command)  # code of the user's own may go to another folder


class TensorBoardLog:
    """Writes the pictures, numbers, histograms and texts of one run into a folder that TensorBoard reads."""

    def __init__(self, folder: Path, command: str) -> None:
        self._events = EventFile(folder)
        self._command = command

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(*(() if kind is None else (OutputError,))):  # what went wrong first counts
            self._events.close()

    def continues(self, identity: Mapping[str, str]) -> bool:
        """Whether the folder has events of this run already; what is written from now on is of this run."""
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        return self._events.of_run(digest)

    def begin(self, described: Record, model: Model, observer: Observer) -> None:
        """Write what is written once: the run, the weights, the graph. Call it inside `borrowed()`."""
        self.run(described)
        self.weights(model)
        problem = self.graph(model)
        if problem:
            observer.notice("graph", problem)

    def run(self, described: Record) -> None:
        """The command and what was settled, as run.json has it."""
        rows = [row for name in SETTLED for row in _flat(described.get(name), name)]
        rows += [
            (choice["what"], f"{choice['value']} ({choice['reason']})") for choice in described["choices"]
        ]
        self._events.text(f"{self._command}/run", table(("what", "value"), rows))

    def images(self, records: Sequence[Record], steps: Mapping[str, int]) -> None:
        """Which image is which step."""
        rows = [
            (str(steps[record["image"]]), record["image"], _answer(record)) for record in records[:LISTED]
        ]
        more = f"\n\nand {len(records) - LISTED:,} more" if len(records) > LISTED else ""
        self._events.text(f"{self._command}/images", table(("step", "image", "best class"), rows) + more)

    def weights(self, model: Model) -> None:
        """How often the weights of every layer occur."""
        for name, values in weights.values(model):
            self._events.histogram(f"weights/{safe(name)}", values, 0)

    def graph(self, model: Model) -> str:
        """What happens to a picture on its way. Returns in words why that cannot be drawn, or nothing."""
        try:
            drawn = graph_of(model)
        except Exception as error:  # noqa: BLE001 - whatever tracing makes of a stranger's model
            return f"left out, since the model cannot be traced: {first_line(error)}"
        self._events.graph(drawn)
        return ""

    def record(self, record: Record, out: Path, stem: str, step: int) -> None:
        """The pictures of one image that was explained, out of their files, and its numbers."""
        if record["status"] != "ok":
            return
        overview = [record["overview"]] if "overview" in record else []
        drawn = (entry["picture"] for entry in record["explanations"] if entry.get("picture"))
        for name in dict.fromkeys((*overview, *drawn)):
            rest = name.removeprefix(f"{stem}.{self._command}").removesuffix(".png")
            self.picture(f"{stem}{rest}", out / name, step, plain(f"{record['image']}: {_answer(record)}"))
        self.numbers(record, step)

    def numbers(self, record: Record, step: int) -> None:
        """The numbers of one image that was explained; none of one that was not."""
        numbers = dict(_predicted(record))
        for tag, entry in zip(tags(record["explanations"]), record["explanations"], strict=True):
            for name, value in _numbers(entry):
                numbers.setdefault(f"{tag}/{name}", value)  # of several units the first, the strongest
            if "verdict" in entry:
                words = plain(f"{record['image']}: {belief_words(entry['verdict'])}")
                self._events.text(f"{self._command}/{tag}/verdict", words, step)
        self._events.numbers(((f"{self._command}/{tag}", value) for tag, value in numbers.items()), step)

    def picture(self, tag: str, file: Path, step: int, about: str = "") -> None:
        """A picture that was written, byte by byte."""
        with Image.open(file) as picture:
            size = picture.size
        self._events.picture(f"{self._command}/{tag}", file.read_bytes(), size, step, about)

    def histograms(self, values: Values, step: int) -> None:
        """How often the values of each kind occur."""
        for name, array in values.items():
            self._events.histogram(f"{self._command}/{name}", array, step)

    def of_model(
        self, result: Result, picture: str | None, out: Path | None, entries: Sequence[Record]
    ) -> None:
        """A result that is about a model: what is recorded of it is `entries[-1]`, unless it is about the whole."""
        if not result.of_whole_model:
            self.finding(entries[-1], out, result.arrays(), len(entries))
            return
        if isinstance(result, LayerTable):
            self.table(result.record())
        if picture is not None and out is not None:
            self.picture("stages", out / picture, 0)

    def finding(self, entry: Record, out: Path | None, arrays: Mapping[str, NDArray[Any]], step: int) -> None:
        """A result that is about a model; `step` counts them."""
        layer = safe(entry["layer"]) if entry["layer"] else "model"
        if entry["picture"] and out is not None:
            self.picture(layer, out / entry["picture"], step, plain(f"{entry['layer']} {_title(entry)}"))
        numbers = _numbers(entry, (int, float))
        self._events.numbers(((f"{self._command}/{name}", value) for name, value in numbers), step)
        self.histograms(
            {
                layer if name == "values" else f"{layer}/{safe(name)}": values
                for name, values in arrays.items()
                if values.dtype.kind == "f"
            },
            step,
        )

    def unit(self, record: Record, out: Path) -> None:
        """The sheet and the numbers of a unit of `units`; the step is its channel."""
        layer, step = safe(record["layer"]), record["channel"]
        if record["picture"]:
            self.picture(layer, out / record["picture"], step, plain(f"{record['layer']} channel {step}"))
        numbers = {name: record[name] for name in ("fires", "sparseness", "selective")}
        numbers |= {"strongest activation": record["quantiles"][-1], "importance": record["importance"]}
        named = _numbers({key: value for key, value in numbers.items() if value is not None})
        self._events.numbers(((f"{self._command}/{layer}/{name}", value) for name, value in named), step)

    def findings(self, entries: Sequence[Record]) -> None:
        """Which layer is which step."""
        rows = [(str(step), entry["layer"], _title(entry)) for step, entry in enumerate(entries, 1)]
        self._events.text(f"{self._command}/layers", table(("step", "layer", "what it is"), rows))

    def table(self, summary: Record) -> None:
        """The table of a model's layers, and its totals as numbers."""
        rows = [row for row in summary["rows"] if row["name"]]
        columns = used(rows)
        cells = [[column.text(row) for column in columns] for row in rows]
        self._events.text(f"{self._command}/layers", table([column.heading for column in columns], cells))
        self._events.numbers(
            ((f"{self._command}/{name}", value) for name, value in _numbers(summary["totals"], (int,))), 0
        )


def tags(explanations: Iterable[Record]) -> Iterator[str]:
    """The tag of each finding; the same for all units of a layer."""
    times: Counter[str] = Counter()
    for entry in explanations:
        tag = f"{safe(str(entry.get('method', '')))} at {safe(str(entry.get('layer', '')))}"
        if kind_of(entry) != "unit":
            times[tag] += 1
        yield tag if times[tag] < 2 else f"{tag}, rank {times[tag]}"


def values_of(explanation: Explanation, record: Record) -> Values:
    """The values of every result, in the order of the record; those that go by one name, as units of a layer, together.

    Of feature maps, of which not all channels may have been kept, how often the values of all of them occur.
    """
    arrays: dict[str, list[NDArray[Any]]] = {}
    counted: dict[str, Histogram] = {}
    for name, result in zip(tags(record["explanations"]), explanation.results, strict=True):
        values = result.distribution()
        if isinstance(values, Histogram):
            counted[name] = values
        elif values is not None:
            arrays.setdefault(name, []).append(values)
    return {**{name: np.concatenate(parts) for name, parts in arrays.items()}, **counted}


def _title(entry: Record) -> str:
    """The title of an entry; its kind where it has none."""
    return str(entry.get("title") or kind_of(entry))


def _predicted(record: Record) -> Iterator[tuple[str, float]]:
    for place, prediction in zip(("best", "second"), record["predictions"], strict=False):
        if prediction["probability"] is not None:
            yield f"{place} class/probability", prediction["probability"]
        yield f"{place} class/logit", prediction["logit"]


def _numbers(value: Any, kinds: tuple[type, ...] = (float,), name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of the `kinds` by its place in a record; what is listed is left to the record."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, kinds, f"{name}/{safe(key)}" if name else safe(key))
    elif isinstance(value, (int, float)) and isinstance(value, kinds) and not isinstance(value, bool):
        yield name, value


def _answer(record: Record) -> str:
    if record["status"] == "error":
        return f"error: {record['error']['message']}"
    if not record["predictions"]:  # the model was not asked that far
        return ""
    best = record["predictions"][0]
    return f"{best['label']} ({likelihood(best)})"


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name} {key}".replace("_", " "))
    elif value not in (None, "", [], ()):
        yield name, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
