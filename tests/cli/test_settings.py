"""Settings in the environment and in pyproject.toml: each is for the commands that it is meant for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from shell import TINY_OPTIONS, Run

from cnnexplain.cli.commands import commands
from cnnexplain.cli.settings import settings, variables

FIELDS = {name: command.fields for name, command in commands().items()}


def found(
    place: Path, command: str, monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]
) -> dict[str, tuple[Any, str]]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return {name: dataclasses.astuple(one) for name, one in settings(place, command, FIELDS).items()}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("CNNEXPLAIN_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variable", "value", "for_whom", "not_for"),
    [
        ("CNNEXPLAIN_METHOD", "layercam", {"gradcam"}, {"saliency"}),
        ("CNNEXPLAIN_METHOD", "gradcam,eigencam", {"gradcam"}, {"saliency"}),
        ("CNNEXPLAIN_METHOD", "smoothgrad vargrad", {"saliency"}, {"gradcam"}),
        ("CNNEXPLAIN_BASELINE", "blur", {"saliency"}, {"check"}),
        ("CNNEXPLAIN_SCALE", "own", {"gradcam", "saliency", "occlusion"}, {"activations", "filters"}),
        ("CNNEXPLAIN_SCALE", "shared", {"gradcam", "saliency", "occlusion", "filters"}, {"activations"}),
        ("CNNEXPLAIN_SCALE", "layer", {"activations"}, {"gradcam", "filters"}),
        ("CNNEXPLAIN_SCALE", "filter", {"filters"}, {"gradcam", "activations"}),
        ("CNNEXPLAIN_BASELINE", "runs/base.json", {"check"}, {"saliency"}),
        ("CNNEXPLAIN_DEVICE", "cpu", {"gradcam", "saliency", "check", "summary"}, {"merge"}),
        ("CNNEXPLAIN_SALIENCY_BASELINE", "runs/base.json", {"saliency"}, {"check", "gradcam"}),
        ("CNNEXPLAIN_METHOD", "layercamm", {"gradcam", "saliency"}, set()),  # of no command: an error of each
    ],
)
def test_a_variable_is_for_the_commands_that_know_its_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    for_whom: set[str],
    not_for: set[str],
) -> None:
    for command in for_whom | not_for:
        one = found(tmp_path, command, monkeypatch, {variable: value})
        assert ({origin for _, origin in one.values()} == {variable}) is (command in for_whom), command


def test_what_is_for_one_command_goes_before_what_is_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        "[tool.cnnexplain]\nbaseline = 'black'\nmax-side = 1\nalpha = 0.1\nmethod = ['vargrad']\n"
        "[tool.cnnexplain.saliency]\nbaseline = 'mean'\nmax-side = 2\n[tool.cnnexplain.check]\nbaseline = 'b.json'\n"
    )
    one = found(
        tmp_path, "saliency", monkeypatch, {"CNNEXPLAIN_MAX_SIDE": "3", "CNNEXPLAIN_GRADCAM_MAX_SIDE": "4"}
    )
    assert one == {
        "baseline": ("mean", f"[tool.cnnexplain.saliency] in {file}"),
        "method": (["vargrad"], f"[tool.cnnexplain] in {file}"),
        "alpha": (0.1, f"[tool.cnnexplain] in {file}"),
        "max_side": ("3", "CNNEXPLAIN_MAX_SIDE"),
    }
    assert found(tmp_path, "gradcam", monkeypatch, {})["max_side"] == ("4", "CNNEXPLAIN_GRADCAM_MAX_SIDE")
    assert "method" not in found(tmp_path, "gradcam", monkeypatch, {})
    assert found(tmp_path, "check", monkeypatch, {})["baseline"][0] == str(tmp_path / "b.json")
    assert variables("check", "update_baseline")[0] == "CNNEXPLAIN_CHECK_UPDATE_BASELINE"


@pytest.mark.parametrize(
    ("words", "env", "origin"),
    [
        (["-o", "o"], {"CNNEXPLAIN_METHOD": "layercamm"}, "--method is set by CNNEXPLAIN_METHOD"),
        (["-o", "o"], {"CNNEXPLAIN_GRADCAM_ALPHA": "much"}, "--alpha is set by CNNEXPLAIN_GRADCAM_ALPHA"),
        (["-o", "o"], {"CNNEXPLAIN_LAYER": "relux"}, "--layer is set by CNNEXPLAIN_LAYER"),
        (["-o", "o"], {"CNNEXPLAIN_DEVICE": "cuda:999"}, "--device is set by CNNEXPLAIN_DEVICE"),
        (["-o", "o"], {}, "--max-failures is set by [tool.cnnexplain.gradcam] in "),
        (["-o", "o", "--max-failures", "y"], {}, None),
    ],
)
def test_an_error_names_where_the_setting_stands(
    tiny: Run, work: Path, words: list[str], env: dict[str, str], origin: str | None
) -> None:
    if not env:
        (work / "pyproject.toml").write_text("[tool.cnnexplain.gradcam]\nmax-failures = 'x'\n")
    done = tiny("pictures", *words, env=env)
    assert done.code == 2, done.err
    assert (origin or "--max-failures 'y' is neither") in done.error
    assert ("is set by" in done.error) is (origin is not None)
    if "CNNEXPLAIN_DEVICE" in env:
        assert "cuda:999" in done.error


def test_a_switch_in_the_environment(tiny: Run, work: Path) -> None:
    assert (
        tiny(
            "pictures", "-o", "off", env={"CNNEXPLAIN_SAVE_RAW": "0", "CNNEXPLAIN_LAYER": "relu blocks"}
        ).code
        == 0
    )
    assert not list((work / "off").glob("*.npz"))
    assert len(list((work / "off").glob("*.relu.png"))) == 3
    assert tiny("pictures", "-o", "on", env={"CNNEXPLAIN_SAVE_RAW": "1"}).code == 0
    assert len(list((work / "on").glob("*.npz"))) == 3


def test_a_stored_run_in_pyproject_is_for_checks_of_pictures(run: Run, work: Path) -> None:
    words = ["check", "tiny.py:Net", *TINY_OPTIONS]
    (work / "pyproject.toml").write_text(
        "[tool.cnnexplain.check]\nbaseline = 'base.json'\nlabels-from = 'folder'\n"
    )
    assert run(*words, "--only", "finite").code == 0, "there is no such file, and none is needed"
    assert run(*words, "pictures", "--only", "finite", "--labels-from", "l.csv").code == 2, "which is typed"
    (work / "pyproject.toml").write_text("[tool.cnnexplain.check]\nbaseline = 'base.json'\n")
    stored = run(*words, "pictures", "--only", "finite,baseline", "--update-baseline", "base.json")
    assert stored.code == 0, stored.err
    assert run(*words, "pictures", "--only", "baseline").code == 0
    (work / "base.json").write_text("broken")
    assert run(*words, "pictures", "--only", "finite").code == 0
    assert run(*words, "pictures", "--only", "baseline").code == 2


def test_settings_of_methods_that_are_not_carried_out_are_passed_over_and_typed_ones_refused(
    run: Run, work: Path
) -> None:
    call = ("occlusion", "tiny.py:Net", "pictures", *TINY_OPTIONS, "--limit", "1")
    environment = {"CNNEXPLAIN_MASKS": "130", "CNNEXPLAIN_WINDOW": "16"}
    assert run(*call, "-o", "windows", env=environment).code == 0
    assert run(*call, "-m", "rise", "-o", "masks", env=environment).code == 0
    for out, masks, window in (("windows", 2000, 16), ("masks", 130, None)):
        options = json.loads((work / out / "run.json").read_text())["options"]
        assert (options["masks"], options["window"]) == (masks, window)
    refused = run(*call, "--masks", "50", "-o", "no")
    assert refused.code == 2
    assert "error: --masks 50 has no use here: only rise uses it" in refused.err
    assert "hint: leave --masks out, or add -m rise" in refused.err
    refused = run(*call, "-m", "rise", "--stride", "8", "-o", "no")
    assert "--stride 8 has no use here: only sliding uses it" in refused.err
    saliency = run("saliency", *call[1:], "--samples", "9", "-o", "no")
    assert "only smoothgrad, vargrad use it" in saliency.err
