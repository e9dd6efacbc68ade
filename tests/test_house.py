"""The house rules: imports run one way, files are short, one place prints, --help is light, one file adds a thing."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import cnnexplain

HOUSE = Path(cnnexplain.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))
MODULES = [
    ".".join(("cnnexplain", *file.relative_to(HOUSE).with_suffix("").parts)).removesuffix(".__init__")
    for file in FILES
]

# The rooms, what is in each, and what it may import of the others. docs/architecture.md shows this table.
ROOMS: dict[str, tuple[str, frozenset[str]]] = {
    "errors": ("one family of errors: problem, hint, exit code", frozenset()),
    "core": (
        "the nouns of a run: parameters, targets, batches, results, reductions; no files, no hooks",
        frozenset({"errors"}),
    ),
    "formulas": ("tensors in, tensors out, each with its paper", frozenset({"core", "errors"})),
    "engine": (
        "the torch machinery that commands speak to, `Model` first of all",
        frozenset({"core", "errors"}),
    ),
    "commands": (
        "one file, one command: its options, what it needs, what it says",
        frozenset({"engine", "formulas", "core", "errors"}),
    ),
    "checks": (
        "one file, one check; what they share is in `suite/`",
        frozenset({"engine", "formulas", "core", "errors"}),
    ),
    "sources": ("one file, one place that models come from", frozenset({"engine", "core", "errors"})),
    "images": ("finding and decoding pictures", frozenset({"core", "errors"})),
    "render": (
        "one file, one kind of result as a picture; what they are made of is in `kit/`",
        frozenset({"core", "errors"}),
    ),
    "report": (
        "one file, one kind of result on a page; the pages are in `pages/`",
        frozenset({"core", "errors"}),
    ),
    "runner": (
        "a run from its request to its files: `workers/`, `output/`, `checking/`, `tensorboard/`",
        frozenset(
            {
                "commands",
                "checks",
                "sources",
                "images",
                "render",
                "report",
                "formulas",
                "engine",
                "core",
                "errors",
            }
        ),
    ),
    "api": (
        "Python's way in",
        frozenset(
            {"runner", "commands", "checks", "sources", "images", "render", "engine", "core", "errors"}
        ),
    ),
    # The command line reads the declarations of commands and options to build itself, and errors.
    "cli": ("the shell's way in", frozenset({"runner", "commands", "checks", "core", "errors"})),
    "__main__": ("`python -m cnnexplain`", frozenset({"cli"})),
    "__init__": ("what `import cnnexplain` has, loaded on first use", frozenset({"api", "core", "errors"})),
}
# Single modules that are allowed beyond that, each for a reason.
ALLOWED_MODULES = {
    ("cli", "cnnexplain.images.find"): "declares the options of the pictures; light",
    ("cli", "cnnexplain.render.kit.options"): "declares the options of drawing; light",
}
ONLY_FOR_TYPING = {("cli", "engine"): "the observer's signatures name the model"}
HEAVY = ("torch", "torchvision", "timm", "numpy", "PIL")


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_imports_run_one_way(file: Path) -> None:
    part = _part(file)
    for module, typing in _imports(file):
        other = module.removeprefix("cnnexplain").removeprefix(".").split(".")[0]
        if other in ("", part):
            continue  # the package itself: its version
        fine = (
            other in ROOMS[part][1]
            or (part, module) in ALLOWED_MODULES
            or (typing and (part, other) in ONLY_FOR_TYPING)
        )
        assert fine, f"{part} must not import {module}"


def test_every_exception_to_the_rule_is_needed() -> None:
    found = {(_part(file), module) for file in FILES for module, _ in _imports(file)}
    assert set(ALLOWED_MODULES) <= found
    assert set(ONLY_FOR_TYPING) <= {(part, module.split(".")[1]) for part, module in found if "." in module}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Neither at once nor by a detour, also not within functions; what only type checkers read does not count."""
    graph = {
        module: {other for other, typing in _imports(file) if not typing and other != module}
        for module, file in zip(MODULES, FILES, strict=True)
    }
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module not in done:
            for other in graph.get(module, ()):
                visit(other, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_a_name_with_an_underscore_is_private_to_its_folder(file: Path) -> None:
    here = ".".join(("cnnexplain", *file.parent.relative_to(HOUSE).parts))
    for module, _ in _imports(file):
        parts = module.split(".")
        for place, part in enumerate(parts):
            if part.startswith("_") and not part.startswith("__"):
                assert ".".join(parts[:place]) == here, f"{module} is private"


def test_no_two_classes_share_a_name() -> None:
    """A name means one thing in the whole package, with an underscore or without."""
    places: dict[str, list[str]] = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                place = f"{file.relative_to(HOUSE)}:{node.lineno}"
                places.setdefault(node.name.strip("_"), []).append(place)
    assert {name: classes for name, classes in places.items() if len(classes) > 1} == {}


def test_the_documents_show_the_rooms_as_they_are() -> None:
    text = (HOUSE.parent / "docs" / "architecture.md").read_text("utf-8")
    order = list(ROOMS)
    for room, (content, may) in ROOMS.items():
        if not room.startswith("__"):
            allowed = ", ".join(f"`{other}`" for other in sorted(may, key=order.index)) or "nothing"
            assert f"| `{room}` | {content} | {allowed} |" in text


def test_the_files_that_the_documents_name_are_there() -> None:
    """In a row of a table, a name without a folder is a neighbour of the one before."""
    text = (HOUSE.parent / "docs" / "architecture.md").read_text("utf-8")
    named = []
    for row in re.findall(r"^\| (.*?) \|", text, flags=re.MULTILINE):
        folder = Path()
        for name in re.findall(r"`([a-z_/]+\.py)`", row):
            folder = Path(name).parent if "/" in name else folder
            named.append(HOUSE / folder / Path(name).name)
    assert len(named) > 100
    assert [str(file) for file in named if not file.exists()] == []


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_a_file_is_short_enough_to_be_read(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 300


def test_one_place_prints() -> None:
    """cli/console.py speaks; cli/app.py tells the version; cli/signals.py says that it was stopped before all that."""
    printing = {
        str(file.relative_to(HOUSE))
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if _prints(node)
    }
    assert printing == {os.path.join("cli", name) for name in ("app.py", "console.py", "signals.py")}


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_nobody_above_the_engine_reaches_for_the_module_of_a_model(file: Path) -> None:
    """Commands, checks and runners ask a `Model`, whatever it runs on. What sources have loaded is no `Model` yet."""
    if _part(file) in ("engine", "sources"):
        return
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr == "module":
            assert ast.unparse(node.value) in ("loaded", "registry"), (
                f"line {node.lineno}: {ast.unparse(node)}"
            )


DECLARED = ("cnnexplain.commands.", "cnnexplain.checks.")
METHODS = [
    one
    for one in MODULES
    if one.startswith(DECLARED) and not {"_", "suite"} & {one.split(".")[2][:1], one.split(".")[2]}
]


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (["cnnexplain", "cnnexplain.cli.app", "cnnexplain.commands", *METHODS], HEAVY),
        (["cnnexplain.sources"], ("torch", "torchvision", "timm")),
    ],
)
def test_what_the_help_needs_loads_nothing_heavy(modules: list[str], heavy: tuple[str, ...]) -> None:
    script = f"import sys, {', '.join(modules)}\nprint(*[one for one in {heavy!r} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


NET = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
"""
BRIGHTNESS = '''
"""How bright the picture is."""
from dataclasses import dataclass
from typing import Annotated, ClassVar

from cnnexplain.commands import ImageCommand
from cnnexplain.core.explanation import Answer
from cnnexplain.core.params import Param
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.target import TargetSpec

__all__ = ["Brightness"]


@dataclass(frozen=True)
class Brightness(ImageCommand):
    """Heat map of the light itself."""

    seeded: ClassVar[bool] = False
    power: Annotated[int, Param("To which power the light is raised.", min=1, max=9)] = 1

    def bind(self, model):
        return self, ()

    def explain(self, model, batch):
        logits = model.forward(batch.inputs)
        (target,) = model.targets(TargetSpec(), logits)
        light = (batch.inputs.mean(1) - batch.inputs.min()) ** self.power
        maps = zip(model.predictions(logits.detach(), target.index[:, None]), light.detach().numpy())
        results = [
            (Heatmap("brightness", "input", of_picture[0], values, batch.geometry(row)),)
            for row, (of_picture, values) in enumerate(maps)
        ]
        return Answer(logits.detach(), tuple(results))
'''
CENSUS = '''
"""How many weights there are."""
from dataclasses import dataclass
from typing import Annotated, ClassVar

from cnnexplain.commands import ModelCommand
from cnnexplain.core.params import Param
from cnnexplain.core.results import Detail, Result

__all__ = ["Census"]


@dataclass(frozen=True)
class Count(Result):
    kind: ClassVar[str] = "count"
    method: ClassVar[str] = "census"

    layer: str
    detail: Detail

    def record(self):
        return {"kind": self.kind, "method": self.method, "layer": self.layer}

    def summary(self):
        return f"{self.detail.facts['numbers']} numbers"


@dataclass(frozen=True)
class Census(ModelCommand):
    """How many numbers each layer holds."""

    seeded: ClassVar[bool] = False
    least: Annotated[int, Param("The fewest numbers that count.", min=1)] = 1

    def bind(self, model):
        return self, ()

    def inspect(self, model):
        from cnnexplain.engine.weights.layers import values

        for name, weight in values(model):
            if weight.size >= self.least:
                yield Count(name, Detail({"numbers": weight.size}))
'''
SOURCE = '''
"""A model for every day."""
from torch import nn

from cnnexplain.core.preprocess import Preprocess
from cnnexplain.sources._source import Built, UnknownNameError

PREFIX = "toy"
HELP = "toy:NAME: a toy"


def names():
    return ["monday"]


def build(name, variant):
    if name not in names():
        raise UnknownNameError(name)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return Built(module, name, "a toy", Preprocess((32, 32), resize=(32, 32)), 1.0, labels=["work", "rest"])
'''
BRIGHTEST = """
import cnnexplain, net


def largest(scores):
    return scores.amax(1)


explainer = cnnexplain.load(net.net().eval(), preprocess=cnnexplain.Preprocess((60, 60)))
print(explainer.explain("spot.png", target=largest).heatmaps[0].target.label)
"""
SHADE = {
    "core/results/darkness.py": """
from dataclasses import dataclass
from typing import ClassVar

from cnnexplain.core.results import Result

__all__ = ["Darkness"]


@dataclass(frozen=True)
class Darkness(Result):
    kind: ClassVar[str] = "darkness"
    method: ClassVar[str] = "shade"
    layer: ClassVar[str] = ""
    share: float

    def record(self):
        return {"kind": self.kind, "method": self.method, "layer": "", "target": None, "share": self.share}

    def name_parts(self):
        return {}
""",
    "commands/shade.py": '''
"""How dark a picture is."""
from dataclasses import dataclass
from typing import ClassVar

from cnnexplain.commands import ImageCommand
from cnnexplain.core.explanation import Answer
from cnnexplain.core.reduce import Reducer
from cnnexplain.core.results.darkness import Darkness

__all__ = ["Shade"]


@dataclass
class Darkest(Reducer):
    key: ClassVar[str] = "darkest"
    word: ClassVar[str] = "at most"
    share: float = 0
    images: int = 0

    def update(self, record):
        for entry in record["explanations"]:
            self.merge(Darkest(entry["share"], 1))

    def merge(self, other):
        self.share, self.images = max(self.share, other.share), self.images + other.images

    def state(self):
        return vars(self)

    @classmethod
    def from_state(cls, state):
        return cls(**state)

    def results(self):
        return dict(vars(self))

    def lines(self):
        yield f"the darkest of {self.images} is {self.share:.2f}"


@dataclass(frozen=True)
class Shade(ImageCommand):
    """How dark a picture is."""

    seeded: ClassVar[bool] = False
    reducers: ClassVar[tuple] = (Darkest,)

    def bind(self, model):
        return self, ()

    def explain(self, model, batch):
        shares = batch.inputs.flatten(1).lt(0).float().mean(1).tolist()
        return Answer(model.forward(batch.inputs).detach(), tuple((Darkness(share),) for share in shares))
''',
    "render/darkness.py": """
from functools import partial

from PIL import Image

from cnnexplain.render import Picture


def pictures(results, explanation, options):
    for result in results:
        grey = round(255 * (1 - result.share))
        yield Picture(partial(Image.new, "RGB", (8, 8), (grey,) * 3), (result,))
""",
    "report/darkness.py": """
from cnnexplain.report.pages.figures import Figure, source


def figures(entries, record):
    for entry in entries:
        yield Figure(source(entry), "a square", "As dark as it is", f"{entry['share']:.2f}")
""",
}
Shell = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A copy of the package to add to, a model of one's own and a picture with one bright spot."""
    shutil.copytree(HOUSE, tmp_path / "cnnexplain", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "net.py").write_text(NET)
    picture = Image.new("RGB", (90, 60))
    picture.paste("white", (60, 10, 75, 25))
    picture.save(tmp_path / "spot.png")
    return tmp_path


@pytest.fixture
def shell(extended: Path, programs: Path) -> Shell:
    """Runs the copy's `cnnexplain` and expects it to go well."""

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess:
        (extended / "start.py").write_text(
            "import sys\n"
            "for name in [name for name in sys.modules if name.split('.')[0] == 'cnnexplain']:\n"
            "    del sys.modules[name]  # imported before from the package that this is a copy of\n"
            f"sys.argv = {['cnnexplain', *arguments]}\nfrom cnnexplain.cli import app\n"
            f"assert app.__file__.startswith({str(extended)!r})\nsys.exit(app.run(sys.argv[1:]))\n"
        )
        done = subprocess.run(
            [programs / "preloaded-python", "start.py"],
            cwd=extended,
            env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def touched(place: Path) -> int:
    """How many files of the copy are new or not as they are in the package."""
    copy = place / "cnnexplain"
    return sum(
        not (HOUSE / file.relative_to(copy)).exists()
        or file.read_bytes() != (HOUSE / file.relative_to(copy)).read_bytes()
        for file in copy.rglob("*.py")
    )


def described(thing: str) -> int:
    """How many files a new thing takes by docs/architecture.md."""
    text = (HOUSE.parent / "docs" / "architecture.md").read_text("utf-8")
    (row,) = re.findall(rf"^\| {re.escape(thing)} \| (\d+): ", text, re.MULTILINE)
    return int(row)


def records(place: Path) -> list[dict]:
    return [json.loads(line) for line in (place / "out" / "results.jsonl").read_text().splitlines()]


def test_a_command_is_one_file(extended: Path, shell: Shell) -> None:
    (extended / "cnnexplain" / "commands" / "brightness.py").write_text(BRIGHTNESS)
    assert "brightness" in shell("--help").stdout
    shown = shell("brightness", "--help").stdout
    assert "Heat map of the light itself." in shown
    assert "--power" in shown
    call = ("brightness", "net.py:net", "spot.png", "-o", "out", "--crop-mode", "squash")
    shell(*call, "--input-size", "60", "--power", "2")
    (record,) = records(extended)
    (found,) = record["explanations"]
    assert (record["command"], found["method"], found["layer"]) == ("brightness", "brightness", "input")
    assert 60 <= found["peak"][0] < 75
    assert 10 <= found["peak"][1] < 25
    assert json.loads((extended / "out" / "run.json").read_text())["options"]["power"] == 2
    with Image.open(extended / "out" / found["picture"]) as card:
        assert card.width > 300
    assert "brightness" in (extended / "out" / "index.html").read_text()
    wrong = shell(*call, "--power", "10", code=2)
    assert "the largest value is 9" in wrong.stderr
    assert touched(extended) == described("command")


def test_a_command_with_a_result_and_a_reducer_is_four_files(extended: Path, shell: Shell) -> None:
    for place, text in SHADE.items():
        (extended / "cnnexplain" / place).write_text(text)
    done = shell("shade", "net.py:net", "spot.png", "-o", "out", "--input-size", "60")
    assert "at most  the darkest of 1 is" in done.stderr
    (entry,) = records(extended)[0]["explanations"]
    assert (entry["kind"], entry["picture"]) == ("darkness", "spot.png.shade.png")
    assert json.loads((extended / "out" / "run.json").read_text())["darkest"]["images"] == 1
    assert "As dark as it is" in (extended / "out" / "index.html").read_text()
    assert touched(extended) == described("command with a result and a reducer of its own")


def test_a_look_into_a_model_is_one_file(extended: Path, shell: Shell) -> None:
    (extended / "cnnexplain" / "commands" / "census.py").write_text(CENSUS)
    assert "How many numbers each layer holds." in shell("--help").stdout
    shown = shell("census", "--help").stdout
    assert "--least" in shown
    assert "IMAGES" not in shown
    call = ("census", "net.py:net", "--least", "5")
    told = shell(*call)
    assert told.stdout == ""
    assert "0.weight  108 numbers" in told.stderr
    (shown_record,) = [json.loads(line) for line in shell(*call, "--json").stdout.splitlines()]
    shell(*call, "-o", "out")
    (record,) = records(extended)
    assert record == shown_record
    assert record["image"] is None
    assert [(one["layer"], one["numbers"]) for one in record["explanations"]] == [
        ("0.weight", 108),
        ("4.weight", 12),
    ]
    assert json.loads((extended / "out" / "run.json").read_text())["options"]["least"] == 5
    shell(*call, "-o", "out")
    assert "least was 5, and is now 6" in shell(*call[:3], "6", "-o", "out", code=2).stderr
    assert "the smallest value is 1" in shell(*call[:3], "0", code=2).stderr


def test_a_class_activation_map_is_one_function_and_one_line(extended: Path, shell: Shell) -> None:
    formulas = extended / "cnnexplain" / "formulas" / "cam.py"
    text = formulas.read_text()
    assert text.count("CAMS: dict") == text.count("\n}\n") == 1
    text = text.replace(
        "CAMS: dict", 'def sumcam(a, g):\n    """The sum."""\n    return a.sum(1)\n\n\nCAMS: dict'
    )
    formulas.write_text(text.replace("\n}\n", '\n    "sumcam": Cam(sumcam),\n}\n'))
    shell("gradcam", "net.py:net", "spot.png", "-o", "out", "-m", "sumcam,gradcam", "--input-size", "60")
    assert [entry["method"] for entry in records(extended)[0]["explanations"]] == ["sumcam", "gradcam"]
    assert touched(extended) == described("class activation map")


def test_a_formula_is_one_file(extended: Path) -> None:
    (extended / "cnnexplain" / "formulas" / "halves.py").write_text(
        '__all__ = ["halved"]\n\n\ndef halved(a):\n    """Half of it."""\n    return a / 2\n'
    )
    script = "from cnnexplain.formulas import *; print(halved(3), gradcam.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=extended, env={**os.environ, "PYTHONPATH": str(extended)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "1.5 gradcam\n"
    assert touched(extended) == described("formula")


def test_a_target_is_one_file_of_the_users_own(extended: Path) -> None:
    (extended / "brightest.py").write_text(BRIGHTEST)
    done = subprocess.run(
        [sys.executable, "brightest.py"], cwd=extended, env={**os.environ, "PYTHONPATH": str(extended)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "largest\n"
    assert touched(extended) + 1 == described("target")


def test_a_model_source_is_one_file(extended: Path, shell: Shell) -> None:
    (extended / "cnnexplain" / "sources" / "toy.py").write_text(SOURCE)
    shell("gradcam", "toy:monday", "spot.png", "-o", "out", "-t", "rest")
    (record,) = records(extended)
    assert {one["label"] for one in record["predictions"]} == {"work", "rest"}
    assert record["explanations"][0]["target"]["label"] == "rest"
    assert "did you mean toy:monday?" in shell("gradcam", "toy:mondy", "spot.png", "-o", "o2", code=2).stderr
    assert touched(extended) == described("place that models come from")


def _part(file: Path) -> str:
    first = file.relative_to(HOUSE).parts[0]
    return first.removesuffix(".py")


def _imports(file: Path) -> Iterator[tuple[str, bool]]:
    """The modules of ours that a file imports, and whether for type checkers only."""
    tree = ast.parse(file.read_text("utf-8"))
    for_typing = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for line in block.body
        for node in ast.walk(line)
    }
    for node in ast.walk(tree):
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports by dots"
            below = [f"{node.module}.{one.name}" for one in node.names]
            found = [one if one in MODULES else str(node.module) for one in below]
        yield from ((one, id(node) in for_typing) for one in found if one.split(".")[0] == "cnnexplain")


def _prints(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        return called in ("print", "typer.echo", "os.write", "traceback.print_exc") or called.endswith(
            ("stdout.write", "stderr.write", "buffer.write")
        )
    return False
