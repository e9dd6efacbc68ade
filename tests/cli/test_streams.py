"""stdout is for data, stderr for people; --help is quick; exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shell import TINY_OPTIONS, Run, environment


def test_help_and_version_load_no_torch(run: Run) -> None:
    check = (
        "import sys; from cnnexplain.cli.app import run; code = run(sys.argv[1:]); "
        "sys.exit(code or 9 * bool({'torch', 'timm', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    for words in (["--help"], ["gradcam", "-h"], ["--version"], ["gradcam", "resnet50", "--nonsense"]):
        done = subprocess.run(
            [sys.executable, "-c", check, *words], capture_output=True, text=True, env=environment()
        )
        assert done.returncode == (2 if "--nonsense" in words else 0), done.stderr
    assert re.fullmatch(r"cnnexplain \d+\.\d+\.\d+\n", run("--version").out)


def test_help_names_every_option_of_the_contract(run: Run) -> None:
    text = run("gradcam", "--help-all").out
    for option in (
        "-o --output -l --layer -t --target -m --method --device --precision --batch-size --workers --seed --colormap "
        "--alpha --max-side --save-raw --json -q --quiet -v --verbose --debug --resume --overwrite --max-failures "
        "--limit --weights --arch --no-pretrained --labels --no-strict --input-size --mean --std --interpolation "
        "--crop-pct --crop-mode --files-from -0"
    ).split():
        assert re.search(rf"(^|[\s]){re.escape(option)}\b", text, re.MULTILINE), option


def test_no_command_shows_the_commands(run: Run) -> None:
    done = run()
    assert "gradcam" in done.out + done.err
    assert "Traceback" not in done.err


def test_completion_can_be_shown(run: Run) -> None:
    done = run("--show-completion", "bash", env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    assert done.code == 0
    assert "complete" in done.out


def test_json_writes_records_and_nothing_else_to_stdout(tiny: Run) -> None:
    done = tiny("pictures", "-o", "out", "--json")
    assert done.code == 0, done.err
    assert [json.loads(line)["image"] for line in done.out.splitlines()] == [
        f"pictures/{name}.png" for name in "abc"
    ]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_what_a_models_own_code_prints_is_no_data(run: Run, work: Path, processes: str) -> None:
    (work / "loud.py").write_text(
        "import os\n\nimport tiny\n\n\nclass Net(tiny.Net):\n    def forward(self, x):\n"
        "        print('hello from forward')\n        os.write(1, b'hello from below\\n')\n"
        "        os.system('echo hello from a program')\n        return super().forward(x)\n"
    )
    several = ("--processes", processes, "--batch-size", "1")
    done = run("gradcam", "loud.py:Net", "pictures", *TINY_OPTIONS, "-o", "out", "--json", *several)
    assert done.code == 0, done.err
    assert {json.loads(line)["status"] for line in done.out.splitlines()} == {"ok"}
    for source in ("forward", "below", "a program"):
        assert f"hello from {source}" in done.err
    for command in ("summary", "check"):
        told = run(
            command,
            "loud.py:Net",
            "--input-size",
            "32",
            *(["--only", "finite"] if command == "check" else []),
        )
        assert told.code == 0, told.err
        assert "hello" not in told.out
        assert told.out


def test_quiet_says_nothing_but_the_report(tiny: Run) -> None:
    done = tiny("pictures", "-o", "out", "-q")
    assert (done.code, done.out, done.err) == (0, "out/index.html\n", "")


def test_options_may_stand_anywhere(run: Run) -> None:
    done = run("gradcam", "-o", "out", *TINY_OPTIONS, "tiny.py:Net", "-q", "pictures/a.png", "--limit", "1")
    assert (done.code, done.out) == (0, "out/index.html\n"), done.err


def test_names_of_pictures_on_standard_input(tiny: Run) -> None:
    done = tiny("-", "-o", "out", "--json", stdin=b"pictures/b.png\npictures/a.png\n")
    assert [json.loads(line)["image"] for line in done.out.splitlines()] == [
        "pictures/b.png",
        "pictures/a.png",
    ]
    done = tiny("-", "-0", "-o", "out1", "--json", stdin=b"pictures/c.png\0")
    assert [json.loads(line)["image"] for line in done.out.splitlines()] == ["pictures/c.png"]
    done = tiny("--files-from", "-", "-0", "-o", "out2", "--json", stdin=b"pictures/c.png\0pictures/a.png\0")
    assert [json.loads(line)["image"] for line in done.out.splitlines()] == [
        "pictures/c.png",
        "pictures/a.png",
    ]


def test_a_reader_that_goes_away_is_no_error(work: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "cnnexplain",
        "gradcam",
        "tiny.py:Net",
        "pictures",
        "-o",
        "out",
        "--json",
        "-q",
    ]
    process = subprocess.Popen(
        [*words, *TINY_OPTIONS], cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("env", "colour", "bar"),
    [({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
)
def test_colour_and_progress_only_on_a_terminal(
    work: Path, on_terminal: Run, env: dict[str, str], colour: bool, bar: bool
) -> None:
    for number in range(12):
        os.link(work / "pictures" / "a.png", work / "pictures" / f"more{number}.png")
    words = ("gradcam", "tiny.py:Slow", "pictures", "-o", "out", *TINY_OPTIONS)
    done = on_terminal(*words, terminal="stderr", **env)
    assert done.code == 0
    assert ("\033[1m" in done.err) is colour
    assert ("/15" in done.err) is bar


def test_flag_beats_environment_beats_pyproject(tiny: Run, work: Path) -> None:
    (work / "pyproject.toml").write_text(
        '[tool.cnnexplain]\ntarget = "top2"\nmax-side = 100\nsave_raw = true\n'
    )
    done = tiny("pictures/a.png", "-o", "one", "--json")
    assert len(json.loads(done.out)["explanations"]) == 2, done.err
    assert "raw" in json.loads(done.out)["explanations"][0]
    done = tiny("pictures/a.png", "-o", "two", "--json", env={"CNNEXPLAIN_TARGET": "1"})
    assert [one["target"]["index"] for one in json.loads(done.out)["explanations"]] == [1]
    done = tiny("pictures/a.png", "-o", "three", "--json", "-t", "0", env={"CNNEXPLAIN_TARGET": "1"})
    assert [one["target"]["index"] for one in json.loads(done.out)["explanations"]] == [0]
    (work / "pyproject.toml").write_text('[tool.cnnexplain]\ntaget = "top2"\n')
    done = tiny("pictures/a.png", "-o", "four")
    assert done.code == 2
    assert "'taget'" in done.error
    assert "'target'" in done.hint


def test_readers_that_went_away_and_narrow_locales_lose_nothing(work: Path) -> None:
    for name, shell in {
        "stderr": "2>&1 >/dev/null | head -1",
        "closed": ">&- 2>&- <&-",
        "ascii": "",
    }.items():
        out = f"oö-{name}"
        words = " ".join(["gradcam tiny.py:Net pictures -v -o", out, *TINY_OPTIONS, shell])
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m cnnexplain {words}"],
            cwd=work,
            capture_output=True,
            env=environment({"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}),
        )
        assert done.returncode == 0, (name, done.stderr)
        assert len((work / out / "results.jsonl").read_text().splitlines()) == 3
    assert done.stdout.decode() == "oö-ascii/index.html\n"


def test_a_broken_pyproject_is_named_and_help_does_not_trip_over_it(run: Run, work: Path) -> None:
    for text, problem in {
        "tool.cnnexplain = 5": "is no table",
        "[tool.cnnexplain]\nmethod = {}": "method",
        "[tool": "cannot be read",
        "[tool.cnnexplain]\nmethod = 'layercamm'": "'layercamm' is not one of",
    }.items():
        (work / "pyproject.toml").write_text(text)
        done = run("gradcam", "tiny.py:Net", "pictures", "-o", "out")
        assert (done.code, problem in done.error, bool(done.hint)) == (2, True, True), done.err
        assert run("--version").code == 0
    (work / "pyproject.toml").write_text(
        "[tool.cnnexplain]\nmethod = 'layercam,gradcam'\nresume = true\ndebug = false"
    )
    assert run("gradcam", "tiny.py:Net", "pictures", "-o", "out", *TINY_OPTIONS).code == 0


def test_a_defect_is_exit_code_70_and_two_lines(work: Path) -> None:
    broken = (
        "import sys, cnnexplain.runner.run as runner\n"
        "def fail(*_): raise ZeroDivisionError('planted')\n"
        "runner.run = fail\n"
        "from cnnexplain.cli.app import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", broken, "gradcam", "tiny.py:Net", "pictures", "-o", "out"]
    done = subprocess.run(words, cwd=work, capture_output=True, text=True, env=environment())
    assert done.returncode == 70
    assert re.fullmatch(r"error: .*ZeroDivisionError: planted\nhint: .*--debug.*\n", done.stderr)
    done = subprocess.run([*words, "--debug"], cwd=work, capture_output=True, text=True, env=environment())
    assert "Traceback" in done.stderr
