"""Every file that Pillow tests itself with, good, odd, damaged or made to do harm, in one run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import PIL
import pytest
from shell import TINY_OPTIONS, environment, records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LOWEST, HIGHEST = 200, 1_500  # megabytes, with torch
LONGEST = 800  # seconds: a minute on one core that has nothing else to do
# What C libraries say by themselves: always the same, and nothing out of a file.
REMARKS = {"tempfile.tif: WEBP compression support is not configured."}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `Tests/images` of the source of the Pillow that is installed."""
    place = tmp_path_factory.mktemp("pillow")
    call = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "pillow", "--dest", place]
    quietly = ("--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "10")
    try:
        # pip asks the package for its name, which takes what it is built with, but compiles nothing.
        done = subprocess.run(
            [*call, *quietly, f"pillow=={PIL.__version__}"], capture_output=True, text=True, timeout=180
        )
        reason = done.stderr.strip().splitlines()[-1:]
    except subprocess.TimeoutExpired:
        reason = ["no answer"]
    found = list(place.glob("*.tar.gz"))
    if not found:
        pytest.skip(
            f"the source of Pillow {PIL.__version__} cannot be had, so its pictures were not read: {reason}"
        )
    with tarfile.open(found[0]) as archive:
        wanted = [one for one in archive.getmembers() if "/Tests/images/" in one.name]
        archive.extractall(place, wanted, filter="data")
    (folder,) = place.glob("*/Tests/images")
    return folder


def memory(process: int) -> float:
    """The most that a process has taken so far, in MB; its `ru_maxrss` would be that of these tests, its parent."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0


def test_all_of_them_in_one_run(pictures: Path, work: Path, tmp_path: Path) -> None:
    names = sorted(os.fsencode(one) for one in pictures.rglob("*") if one.is_file())
    assert len(names) > 900
    (tmp_path / "names").write_bytes(b"\0".join(names))  # a folder is read for the usual endings only
    out = tmp_path / "out"
    call = [sys.executable, "-m", "cnnexplain", "gradcam", work / "tiny.py:Net", *TINY_OPTIONS, "-o", out]
    flags = ("--files-from", tmp_path / "names", "-0", "--batch-size", "8", "--max-side", "64", "--json")
    started = time.monotonic()
    with (tmp_path / "said").open("wb") as said, (tmp_path / "data").open("wb") as data:
        process = subprocess.Popen(
            [*call, *flags, "--max-failures", "100%"], env=environment(), stdout=data, stderr=said
        )
        largest = 0
        while process.poll() is None:
            largest = max(largest, memory(process.pid))
            time.sleep(0.05)
    lines = (tmp_path / "said").read_text("utf-8").splitlines()
    assert process.returncode == 0, lines[-3:]
    assert time.monotonic() - started < LONGEST
    assert LOWEST < largest < HIGHEST
    found = records(out)
    assert [os.fsencode(one["image"]) for one in found] == names
    assert len((tmp_path / "data").read_bytes().splitlines()) == len(names)
    assert sum(one["status"] == "ok" for one in found) > 600
    for one in found:
        if one["status"] == "ok":
            assert (out / one["explanations"][0]["picture"]).is_file()
        else:
            assert one["error"]["type"] == "ImageError", one
            assert one["error"]["hint"]
    told = [line for line in lines if line not in REMARKS]
    ours = ("model", "input", "preprocessing", "device", "layer", "failed", "done", "work")
    assert [line for line in told if not line.startswith(tuple(f"{head}  " for head in ours))] == []
    assert "".join(told).isprintable()
