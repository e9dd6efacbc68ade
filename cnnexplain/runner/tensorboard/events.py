"""One TensorBoard event file, written record by record. Needs the package `tensorboard`.

Written here rather than by torch's `SummaryWriter`: that one writes in a thread of its own, which prints a traceback
when the disk is full, and it encodes every picture anew.
"""

from __future__ import annotations

import importlib
import os
import socket
import time
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cnnexplain.core.results.channels import Histogram
from cnnexplain.errors import OptionError, OutputError, first_line
from cnnexplain.runner.output.files import check_folder

BINS = 64  # TensorBoard draws 30
AT_ONCE = 1 << 20  # values of a histogram that are made double precision at a time
FLAG = "--tensorboard"


def require(folder: Path) -> None:
    """See that TensorBoard is there and that the folder can be written to, before any time is spent."""
    try:
        importlib.import_module("torch.utils.tensorboard")
    except ModuleNotFoundError as error:
        raise OptionError(
            f"{FLAG} needs a package that is not installed: {error.name}",
            "pip install 'cnnexplain[tensorboard]'",
        ) from error
    except Exception as error:  # protobuf's own, where versions do not fit
        raise OptionError(
            f"the package tensorboard cannot be loaded: {first_line(error)}",
            "pip install --upgrade tensorboard protobuf",
        ) from error
    check_folder(folder, FLAG)


class EventFile:
    """What TensorBoard reads. The file is made when the first record is written, and is whole after each."""

    _numbers = count()  # of the files of this process

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._run = ""  # ends the name of the file

    def of_run(self, digest: str) -> bool:
        """Name the file after its run; whether there is one of the same run already."""
        self._run = f".{digest}"
        return any(self._folder.glob(f"events.out.tfevents.*{self._run}"))

    def picture(self, tag: str, png: bytes, size: tuple[int, int], step: int, about: str = "") -> None:
        """A picture as it stands in its file."""
        from tensorboard.compat.proto import summary_pb2

        image = summary_pb2.Summary.Image(
            width=size[0], height=size[1], colorspace=3, encoded_image_string=png
        )
        self._summary([summary_pb2.Summary.Value(tag=tag, image=image, metadata=_metadata(about))], step)

    def numbers(self, values: Iterable[tuple[str, float]], step: int) -> None:
        """Numbers by their tags, all of one step."""
        from tensorboard.compat.proto import summary_pb2

        self._summary([summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in values], step)

    def histogram(self, tag: str, values: NDArray[Any] | Histogram, step: int) -> None:
        """How often values occur; those that are not finite are left out, and counted in the description."""
        from tensorboard.compat.proto import summary_pb2

        if isinstance(values, Histogram):
            counted = summary_pb2.HistogramProto(**_with_zeros(values))
            self._summary([summary_pb2.Summary.Value(tag=tag, histo=counted)], step)
            return
        flat = values.reshape(-1)
        finite = flat if np.isfinite(flat).all() else flat[np.isfinite(flat)]
        left_out = flat.size - finite.size
        about = f"{left_out:,} of {flat.size:,} values are NaN or infinite and left out" if left_out else ""
        if finite.size:
            counted = summary_pb2.HistogramProto(**_counted(finite))
            self._summary(
                [summary_pb2.Summary.Value(tag=tag, histo=counted, metadata=_metadata(about))], step
            )
        else:
            self.text(tag, about or "no values")

    def text(self, tag: str, markdown: str, step: int = 0) -> None:
        """A text in Markdown."""
        from tensorboard.compat.proto import summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2

        shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)])
        tensor = tensor_pb2.TensorProto(
            dtype=types_pb2.DT_STRING,
            string_val=[markdown.encode("utf-8", "backslashreplace")],
            tensor_shape=shape,
        )
        metadata = _metadata("", plugin="text")
        self._summary([summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)], step)

    def graph(self, serialized: bytes) -> None:
        """A model's graph."""
        self._event(graph_def=serialized)

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._folder} cannot be written: {error.strerror or error}",
            f"make room or choose another folder with {FLAG}; the same command continues where this one stopped",
        )

    def _summary(self, values: list[Any], step: int) -> None:
        from tensorboard.compat.proto import summary_pb2

        self._event(summary=summary_pb2.Summary(value=values), step=step)

    def _event(self, **content: Any) -> None:
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        try:
            if self._file is None:
                self._file = self._opened()
                self._event(file_version="brain.Event:2")
            event = event_pb2.Event(wall_time=time.time(), **content)
            RecordWriter(self._file).write(event.SerializeToString())
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def _opened(self) -> IO[bytes]:
        """A new file under a name that TensorBoard knows; never one that is there already."""
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            which = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(self._numbers)}{self._run}"
            try:
                return open(self._folder / f"events.out.tfevents.{which}", "xb")
            except FileExistsError:
                continue


def _metadata(about: str, plugin: str = "") -> Any:
    from tensorboard.compat.proto import summary_pb2

    if not about and not plugin:
        return None
    data = summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin) if plugin else None
    return summary_pb2.SummaryMetadata(summary_description=about, plugin_data=data)


def _with_zeros(histogram: Histogram) -> dict[str, Any]:
    """The fields of a histogram that was counted before: exact zeros in the step that they fall into."""
    if not histogram.low < histogram.high:  # there are none but zeros
        edges, counts = [0.0, 0.0], [histogram.zeros]
    else:
        edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1).tolist()
        counts = [*histogram.counts]
        steps = histogram.low / (histogram.low - histogram.high) * len(counts)
        counts[min(int(steps), len(counts) - 1)] += histogram.zeros
    return {
        "min": histogram.low,
        "max": histogram.high,
        "num": sum(counts),
        "sum": histogram.sum,
        "sum_squares": histogram.squares,
        "bucket_limit": edges,
        "bucket": [0, *counts],
    }


def _counted(values: NDArray[Any]) -> dict[str, Any]:
    """The fields of a histogram: `BINS` of equal width between the least and the largest value."""
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high, BINS + 1)
    if not bool((np.diff(edges) > 0).all()):  # values so near to one another that bins have no width
        edges = np.array([low, high])
    counts = np.zeros(len(edges) - 1, np.int64)
    total = squares = 0.0
    for start in range(0, values.size, AT_ONCE):
        part = values[start : start + AT_ONCE].astype(np.float64)
        total += float(part.sum())
        squares += float(part.dot(part))
        counts += np.histogram(part, BINS, (low, high))[0] if len(counts) == BINS else part.size
    # TensorBoard reads upper edges only: an empty bin in front gives the first one its lower edge.
    return {
        "min": low,
        "max": high,
        "num": values.size,
        "sum": total,
        "sum_squares": squares,
        "bucket_limit": edges.tolist(),
        "bucket": [0, *counts.tolist()],
    }
