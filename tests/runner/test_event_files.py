"""What TensorBoard reads is what stands in OUT: read back with TensorBoard's own loader."""

from __future__ import annotations

import io
import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from networks import as_model
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from cnnexplain import render
from cnnexplain.commands import ImageCommand, ModelCommand, names
from cnnexplain.commands import command as command_class
from cnnexplain.core import registry
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.params import checked
from cnnexplain.core.results import Detail, Result
from cnnexplain.core.results.channels import Histogram
from cnnexplain.engine.graph import graph
from cnnexplain.errors import InterruptedRunError, OptionError, OutputError
from cnnexplain.runner.options import RunOptions
from cnnexplain.runner.request import Request
from cnnexplain.runner.run import run
from cnnexplain.runner.tensorboard import events
from cnnexplain.runner.tensorboard.events import EventFile
from cnnexplain.runner.tensorboard.log import TensorBoardLog

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU())
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return {"logits": self.head(self.stem(x).mean((2, 3)))}

class Stubborn(Net):
    def forward(self, x):
        if torch.jit.is_tracing():
            print("I will not be traced")
            raise KeyError("not traceable\\nat all")
        return super().forward(x)
"""
SETTINGS = ModelOptions(input_size="64", crop_pct=1.0, mean="0.5", std="0.5")


class Watcher:
    """An observer that remembers what was told, and interrupts after so many images."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.heard: list[tuple[str, str]] = []
        self._left = stop_after

    def loaded(self, model: Any, source: str, choices: Iterable[Any]) -> None: ...

    def planned(self, images: int, done: int) -> None: ...

    def finding(self, finding: Any) -> None: ...

    def recorded(self, record: Mapping[str, Any], *, again: bool = False, listed: bool = True) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                raise KeyboardInterrupt

    def notice(self, topic: str, text: str) -> None:
        self.heard.append((topic, text))


Explain = Callable[..., Watcher]


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    """Runs a command on the pictures in `tmp_path/in`, into `tmp_path/out` and the board `tmp_path/tb`."""
    (tmp_path / "own.py").write_text(NET)
    (tmp_path / "in").mkdir()
    for place, name in enumerate(("a.png", "b.png", "c.png")):
        noise = np.random.default_rng(place).integers(0, 256, (48, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "in" / name)

    def carry_out(
        command: str = "gradcam",
        *,
        net: str = "Net",
        board: str | None = "tb",
        watcher: Watcher | None = None,
        overwrite: bool = False,
        **options: Any,
    ) -> Watcher:
        kind = command_class(command)
        request = Request(
            command=command,
            reference=f"{tmp_path / 'own.py'}:{net}",
            images=(str(tmp_path / "in"),),
            action=kind(**checked(kind, options)),
            chosen=frozenset(options),
            run=RunOptions(
                output=tmp_path / "out",
                batch_size="2",
                workers=2,
                overwrite=overwrite,
                tensorboard=None if board is None else tmp_path / board,
            ),
            model=SETTINGS,
            arguments="cnnexplain gradcam | `rm` <b>",
        )
        watcher = watcher or Watcher()
        run(request, watcher)
        return watcher

    return carry_out


def loaded(folder: Path) -> EventAccumulator:
    """All that the event files of a folder hold."""
    everything = {"images": 0, "scalars": 0, "histograms": 0, "tensors": 0, "graph": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "results.jsonl").read_text().splitlines()]


def pixels(png: bytes | Path) -> np.ndarray:
    with Image.open(io.BytesIO(png) if isinstance(png, bytes) else png) as picture:
        return np.asarray(picture.convert("RGB"))


def texts(found: EventAccumulator, tag: str) -> str:
    (event,) = found.Tensors(tag)
    return event.tensor_proto.string_val[0].decode()


@pytest.mark.parametrize(
    ("command", "options", "pictures"),
    [
        ("gradcam", {}, {"a.png": "a.png.gradcam.png"}),
        (
            "gradcam",
            {"method": "gradcam,layercam", "target": "top2"},
            {},
        ),
        ("saliency", {"method": "integrated-gradients"}, {}),
        (
            "deconv",
            {"layer": ("stem.0", "stem.1")},
            {"a.png": "a.png.deconv.png", "a.png.stem.1": "a.png.deconv.stem.1.png"},
        ),
    ],
)  # fmt: skip
def test_pictures_numbers_and_histograms_are_those_of_the_run(
    explain: Explain, tmp_path: Path, command: str, options: dict[str, Any], pictures: dict[str, str]
) -> None:
    assert explain(command, **options).heard == []
    found = loaded(tmp_path / "tb")
    images = {tag: found.Images(tag) for tag in found.Tags()["images"]}
    for picture, file in pictures.items():
        assert f"{command}/{picture}" in images
        assert (tmp_path / "out" / file).is_file()
    shown = {event.encoded_image_string: event for (event,) in images.values()}
    files = sorted((tmp_path / "out").glob("*.png"))
    assert len(images) == len(files)
    for file in files:
        event = shown[file.read_bytes()]
        assert np.array_equal(pixels(event.encoded_image_string), pixels(file))
        assert (event.height, event.width) == pixels(file).shape[:2]
        assert event.step == " abc".index(file.name[0])

    done = records(tmp_path)
    chance = found.Scalars(f"{command}/best class/probability")
    assert [event.step for event in chance] == [1, 2, 3]
    assert [event.value for event in chance] == pytest.approx(
        [one["predictions"][0]["probability"] for one in done]
    )
    first = done[0]["explanations"][0]
    name = f"{command}/{first['method']} at {first['layer']}"
    assert [event.value for event in found.Scalars(f"{name}/max")] == pytest.approx(
        [one["explanations"][0]["max"] for one in done], rel=1e-6
    )
    (histogram, *_) = found.Histograms(name)
    values = histogram.histogram_value
    same = [
        one
        for one in done[0]["explanations"]
        if (one["method"], one["layer"]) == (first["method"], first["layer"])
    ]
    units = "unit" in first
    count = sum(np.prod(one["shape"]) * (3 if units else 1) for one in (same if units else same[:1]))
    assert values.num == sum(values.bucket) == count
    assert values.min == pytest.approx(min(one["min"] for one in (same if units else same[:1])), rel=1e-5)
    assert [event.step for event in found.Histograms(name)] == [1, 2, 3]


@pytest.mark.parametrize(
    "command", [name for name in names() if issubclass(command_class(name), ImageCommand)]
)
def test_every_command_tells_all_that_it_draws(explain: Explain, tmp_path: Path, command: str) -> None:
    explain(command)
    found = loaded(tmp_path / "tb")
    shown = [found.Images(tag)[0].encoded_image_string for tag in found.Tags()["images"]]
    assert sorted(shown) == sorted(path.read_bytes() for path in (tmp_path / "out").glob("*.png"))
    entries = records(tmp_path)[0]["explanations"]
    with_values = [one for one in entries if one["kind"] in ("map", "unit", "channels")]
    assert with_values
    for one in with_values:
        name = f"{command}/{one['method']} at {one['layer']}"
        assert len(found.Histograms(name)) == len(found.Scalars(f"{name}/max")) == 3


def test_weights_graph_and_texts_are_there(explain: Explain, tmp_path: Path) -> None:
    explain()
    found = loaded(tmp_path / "tb")
    for name, count in (("stem.0.weight", 108), ("stem.0.bias", 4), ("head.weight", 12), ("head.bias", 3)):
        (event,) = found.Histograms(f"weights/{name}")
        assert sum(event.histogram_value.bucket) == event.histogram_value.num == count
    nodes = {node.name: node.op for node in found.Graph().node}
    assert any(
        name.startswith("Net/Sequential[stem]/Conv2d[0]/") and "conv" in op for name, op in nodes.items()
    )
    assert any(name.startswith("Net/Linear[head]/") and op == "aten::linear" for name, op in nodes.items())
    assert not any("_SingleOutput" in name for name in nodes)
    names = {*nodes}
    assert all(one in names for node in found.Graph().node for one in node.input)
    told = texts(found, "gradcam/run")
    assert "| model name | Net |" in told
    assert "<b>" not in told  # nothing of it is markup
    assert told.count("|") == 3 * len(told.splitlines())
    assert "| 2 | " in texts(found, "gradcam/images")


def test_a_board_changes_nothing_in_the_results(explain: Explain, tmp_path: Path) -> None:
    explain(board=None)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.png")}
    plain = json.loads((tmp_path / "out" / "run.json").read_text())
    lines = (tmp_path / "out" / "results.jsonl").read_bytes()
    explain(overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.png")} == kept
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == lines
    again = json.loads((tmp_path / "out" / "run.json").read_text())
    assert again["identity"] == plain["identity"]
    assert again["options"] == plain["options"]


def test_an_empty_board_also_gets_what_an_earlier_run_left(explain: Explain, tmp_path: Path) -> None:
    explain(board=None)
    explain(board="tb")
    found = loaded(tmp_path / "tb")
    assert found.Tags()["images"] == ["gradcam/a.png", "gradcam/b.png", "gradcam/c.png"]
    assert [event.step for event in found.Scalars("gradcam/best class/probability")] == [1, 2, 3]
    assert found.Tags()["graph"]
    before = sorted((tmp_path / "tb").iterdir())
    explain(board="tb")  # nothing is new, and nothing is added
    assert sorted((tmp_path / "tb").iterdir()) == before


def test_a_board_with_events_of_other_runs_also_gets_what_an_earlier_run_left(
    explain: Explain, tmp_path: Path
) -> None:
    explain("saliency")
    explain("gradcam", board=None, overwrite=True)
    explain("gradcam")
    found = loaded(tmp_path / "tb")
    assert [event.step for event in found.Scalars("gradcam/best class/probability")] == [1, 2, 3]
    assert "gradcam/a.png" in found.Tags()["images"]
    before = sorted((tmp_path / "tb").iterdir())
    explain("gradcam")
    assert sorted((tmp_path / "tb").iterdir()) == before


def test_histograms_of_feature_maps_are_of_all_channels_and_count_zeros_at_zero(
    explain: Explain, tmp_path: Path
) -> None:
    explain("activations", layer=("stem.0", "stem.1"), top=1)
    found = loaded(tmp_path / "tb")
    for place, record in enumerate(records(tmp_path)):
        for one in record["explanations"]:
            event = found.Histograms(f"activations/activations at {one['layer']}")[place]
            counted, channels = event.histogram_value, one["channels"]
            assert counted.num == sum(counted.bucket) == 4 * np.prod(one["shape"])
            assert counted.sum / counted.num == pytest.approx(channels["mean"], rel=1e-4)
            assert (counted.min, counted.max) == pytest.approx((one["min"], one["max"]), rel=1e-5)
            edges, counts = np.array(counted.bucket_limit), np.array(counted.bucket)
            assert (edges[0], edges[-1]) == (counted.min, counted.max)
            width = edges[1] - edges[0]
            not_above = channels["sparsity"] * counted.num  # which the step at zero may divide
            assert counts[edges <= 0].sum() <= not_above + 0.5
            assert counts[edges <= width].sum() >= not_above - 0.5


def test_an_interrupted_run_is_readable_and_the_next_adds_what_is_new(
    explain: Explain, tmp_path: Path
) -> None:
    with pytest.raises(InterruptedRunError):
        explain(watcher=Watcher(stop_after=2))
    (first,) = (tmp_path / "tb").iterdir()
    found = loaded(first)
    assert found.Tags()["images"] == ["gradcam/a.png"]  # the second was cut short
    explain()
    (second,) = set((tmp_path / "tb").iterdir()) - {first}
    assert loaded(second).Tags()["images"] == ["gradcam/c.png"]
    assert not loaded(second).Tags()["graph"]
    both = loaded(tmp_path / "tb")
    assert "| 3 | " in both.Tensors("gradcam/images")[-1].tensor_proto.string_val[0].decode()


def test_a_picture_redone_between_others_hides_none_of_them(explain: Explain, tmp_path: Path) -> None:
    """TensorBoard drops later steps when an earlier one comes: they have to be told again."""
    explain()
    (first,) = (tmp_path / "tb").iterdir()
    shutil.copyfile(tmp_path / "in" / "c.png", tmp_path / "in" / "b.png")
    explain()
    (second,) = set((tmp_path / "tb").iterdir()) - {first}
    found = loaded(second)
    assert found.Tags()["images"] == ["gradcam/b.png"]
    assert [event.step for event in found.Scalars("gradcam/best class/probability")] == [2, 3]
    assert found.Tags()["histograms"] == []


def test_an_image_that_failed_leaves_a_gap(explain: Explain, tmp_path: Path) -> None:
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    explain()
    found = loaded(tmp_path / "tb")
    assert found.Tags()["images"] == ["gradcam/a.png", "gradcam/c.png"]
    assert [event.step for event in found.Scalars("gradcam/best class/probability")] == [1, 3]
    assert "error" in texts(found, "gradcam/images")


def test_hostile_names_are_text_and_paths_stay_inside(explain: Explain, tmp_path: Path) -> None:
    name = "a\n| <img src=x onerror=alert(1)> `x` _y_ [z](javascript:0).png"
    shutil.move(tmp_path / "in" / "a.png", tmp_path / "in" / name.replace("/", ""))
    explain()
    found = loaded(tmp_path / "tb")
    told = texts(found, "gradcam/images")
    assert len(told.splitlines()) == 2 + 3
    assert not set("<>`[]()_") & set(told)
    for tag in found.Tags()["images"]:
        assert tag.replace("/", "").replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "own.py", "tb"]


def test_a_model_that_cannot_be_traced_is_told_in_one_line(
    explain: Explain, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    heard = explain(net="Stubborn").heard
    assert heard == [
        ("graph", "left out, since the model cannot be traced: KeyError: 'not traceable\\nat all'")
    ]
    assert capfd.readouterr() == ("", "")
    found = loaded(tmp_path / "tb")
    assert not found.Tags()["graph"]
    assert len(found.Tags()["images"]) == 3


@dataclass(frozen=True, eq=False)
class Weights(Result):
    """The weights of a layer, drawn as one grey square."""

    kind: ClassVar[str] = "weights"
    method: ClassVar[str] = "filters"  # type: ignore[misc]

    layer: str
    values: np.ndarray
    detail: Detail = field(default_factory=lambda: Detail({"norm": {"max": 2.5}, "count": 3, "type": "x"}))

    def record(self) -> dict[str, Any]:
        least, most = float(np.nanmin(self.values)), float(np.nanmax(self.values))
        start = {"kind": self.kind, "method": self.method, "layer": self.layer, "title": "weights | <b>"}
        return {
            **start,
            "target": None,
            "shape": [*self.values.shape],
            "min": least,
            "max": most,
            "peak": None,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        return {"values": self.values, "order": np.arange(3), "norms": np.ones(5, np.float32)}


DRAWING = """
from PIL import Image
from cnnexplain.render import Picture

def pictures(results, options):
    for result in results:
        yield Picture(lambda: Image.new("RGB", (20, 10), "gray"), (result,))
"""


class Look(ModelCommand):
    """Finds two layers."""

    seeded = False

    def bind(self, model: Any) -> tuple[Look, tuple[()]]:
        return self, ()

    def inspect(self, model: Any) -> Iterator[Weights]:
        yield Weights("stem.0", np.array([1, 2, np.nan], np.float32))
        yield Weights("../a\n<b>", np.zeros((2, 2), np.float32))


@pytest.mark.parametrize("folder", [True, False])
def test_what_is_found_in_a_model_is_told_layer_after_layer(
    explain: Explain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    monkeypatch.setattr(Look, "__dataclass_fields__", {}, raising=False)
    (tmp_path / "drawings").mkdir()
    (tmp_path / "drawings" / "weights.py").write_text(DRAWING)
    monkeypatch.setattr(render, "__path__", [*render.__path__, str(tmp_path / "drawings")])
    registry.module.cache_clear()
    monkeypatch.delitem(sys.modules, "cnnexplain.render.weights", raising=False)
    out = tmp_path / "out" if folder else None
    run(
        Request(
            "filters",
            Look(),
            f"{tmp_path / 'own.py'}:Net",
            run=RunOptions(output=out, tensorboard=tmp_path / "tb"),
            model=SETTINGS,
        ),
        Watcher(),
    )
    found = loaded(tmp_path / "tb")
    tags = found.Tags()["images"]
    assert len(tags) == (2 if folder else 0)
    if folder:
        (first,) = found.Images("filters/stem.0")
        assert first.encoded_image_string == (tmp_path / "out" / "filters.stem.0.png").read_bytes()
        assert (first.width, first.height) == (20, 10)
    assert not any(set("<>\n") & set(tag) or ".." in tag.split("/") for tag in tags)
    assert [(one.step, one.value) for one in found.Scalars("filters/norm/max")] == [(1, 2.5), (2, 2.5)]
    assert [(one.step, one.value) for one in found.Scalars("filters/count")] == [(1, 3), (2, 3)]
    assert [one.value for one in found.Scalars("filters/min")] == [1, 0]
    assert found.Histograms("filters/stem.0")[0].histogram_value.num == 2
    assert found.Histograms("filters/stem.0/norms")[0].histogram_value.num == 5
    assert "filters/stem.0/order" not in found.Tags()["histograms"]
    assert found.Tags()["graph"]
    assert found.Histograms("weights/head.bias")
    assert "<" not in texts(found, "filters/layers")
    assert "| 1 | stem" in texts(found, "filters/layers")


class Moody(nn.Module):
    """Its mode, its hooks and its `train` are its own business."""

    def __init__(self, raises: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.raises = raises
        self.calls = 0

    def train(self, mode: bool = True) -> Moody:
        self.calls += 1
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        if self.raises:
            raise RuntimeError("no")
        if x.sum() > 0:  # what a tracer warns of
            x = x + 1
        sys.stdout.write("hello")
        return self.norm(self.conv(x)).mean((2, 3))


@pytest.mark.parametrize("raises", [False, True])
def test_tracing_is_quiet_and_leaves_the_module_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], raises: bool
) -> None:
    module = Moody(raises)
    module.conv.weight.requires_grad_(False)
    module.norm.eval()
    module.calls = 0
    handle = module.conv.register_forward_hook(lambda *_: None)

    def state() -> list[Any]:
        return [
            (
                name,
                child.training,
                {key: str(one) for key, one in vars(child).items() if key not in ("_parameters", "_buffers")},
                {key: (id(one), one.requires_grad, one.grad, one.tolist()) for key, one in child._parameters.items()},
                {key: one.tolist() for key, one in child._buffers.items()},
            )
            for name, child in module.named_modules()
        ]  # fmt: skip

    before = state()
    model = as_model(module, (8, 8), channels=1)
    if not raises:
        with model.borrowed():  # as in a run, which has looked at the model before
            assert model.head.path == ()
    capfd.readouterr()
    with (
        warnings.catch_warnings(record=True) as warned,
        model.borrowed(),
        TensorBoardLog(tmp_path, "gradcam") as board,
    ):
        warnings.simplefilter("always")
        problem = board.graph(model)
    assert ("RuntimeError: no" in problem) == raises == bool(problem)
    assert [str(one.message) for one in warned] == []
    assert capfd.readouterr() == ("", "")
    assert state() == before
    handle.remove()


def test_a_graph_has_the_names_of_the_modules() -> None:
    drawn = graph(nn.Sequential(nn.Linear(2, 3), nn.ReLU()).eval(), torch.zeros(1, 2), ())
    assert b"Sequential/Linear[0]/" in drawn
    assert b"Sequential/ReLU[1]/" in drawn


def one_histogram(folder: Path, values: np.ndarray | Histogram) -> Any:
    file = EventFile(folder)
    file.histogram("h", values, 0)
    file.close()
    return loaded(folder)


def test_zeros_are_counted_where_zero_lies(tmp_path: Path) -> None:
    for values, edges, counts in (
        ([-1.0, 0, 0, 0, 3], [-1, 0, 1, 2, 3], [0, 1, 3, 0, 1]),
        ([-1.0, 0, 0], [-1, -0.75, -0.5, -0.25, 0], [0, 1, 0, 0, 2]),
        ([0.0, 0], [0, 0], [0, 2]),
    ):
        low, high = min(values), max(values)
        steps = tuple(int(one) for one in np.histogram([v for v in values if v], 4, (low, high))[0])
        zeros = values.count(0)
        made = Histogram(steps, low, high, zeros, sum(values), float(np.square(values).sum()))
        folder = tmp_path / str(counts)
        (event,) = one_histogram(folder, made).Histograms("h")
        found = event.histogram_value
        assert ([*found.bucket_limit], [*found.bucket]) == (edges, counts)
        assert (found.num, found.sum, found.sum_squares) == (len(values), sum(values), made.squares)


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(-1, 3, 1001),
        np.zeros((4, 5), np.float32),
        np.full(7, 1e-30, np.float32),
        np.array([3.0e38, -3.0e38], np.float32),
        np.float16([[1, 2], [3, 4]]),
        np.array([1.0, np.nextafter(np.float32(1), np.float32(2))], np.float32),
    ],
)
def test_a_histogram_counts_every_value(tmp_path: Path, values: np.ndarray) -> None:
    (event,) = one_histogram(tmp_path, values).Histograms("h")
    found = event.histogram_value
    assert sum(found.bucket) == found.num == values.size
    assert (found.min, found.max) == (values.min(), values.max())
    assert found.sum == pytest.approx(float(values.astype(np.float64).sum()))
    assert all(np.diff(found.bucket_limit) >= 0)


def test_a_histogram_agrees_with_numpys(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=3_000_000).astype(np.float32)
    (event,) = one_histogram(tmp_path, values).Histograms("h")
    counts, edges = np.histogram(values, 64)
    assert event.histogram_value.bucket[-64:] == pytest.approx(counts, abs=2)
    assert event.histogram_value.bucket_limit[-64:] == pytest.approx(edges[1:])


def test_what_is_not_finite_is_left_out_and_told(tmp_path: Path) -> None:
    some = one_histogram(tmp_path / "some", np.array([1, np.nan, 2, np.inf, -np.inf]))
    assert some.Histograms("h")[0].histogram_value.num == 2
    assert "3 of 5 values" in some.SummaryMetadata("h").summary_description
    assert "2 of 2 values" in texts(one_histogram(tmp_path / "none", np.full(2, np.nan)), "h")
    assert texts(one_histogram(tmp_path / "empty", np.zeros(0)), "h") == "no values"


def test_a_full_disk_is_two_lines(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    file = EventFile(tmp_path / "tb")
    file.text("a", "b")
    file._file = Full()
    with pytest.raises(OutputError, match="No space left on device") as raised:
        file.text("a", "b")
    assert "--tensorboard" in raised.value.hint


def test_two_files_of_one_process_have_two_names(tmp_path: Path) -> None:
    files = [EventFile(tmp_path) for _ in range(3)]
    for place, file in enumerate(files):
        file.numbers([("a", place)], place)
    assert len(list(tmp_path.iterdir())) == 3
    for file in files:
        file.close()
    assert [event.value for event in loaded(tmp_path).Scalars("a")] == [0, 1, 2]


def test_a_broken_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_name: str) -> None:
        raise TypeError("Descriptors cannot be created directly.\nIf this call came from")

    monkeypatch.setattr(events.importlib, "import_module", fails)
    with pytest.raises(OptionError, match="Descriptors cannot be created directly") as raised:
        events.require(tmp_path)
    assert "pip install --upgrade" in raised.value.hint


def test_values_too_near_for_bins_share_one(tmp_path: Path) -> None:
    (event,) = one_histogram(tmp_path, np.array([1.0, np.nextafter(1.0, 2)])).Histograms("h")
    assert sum(event.histogram_value.bucket) == 2
