"""Baselines: a stored run, read from and written to one file, and whether it fits. Nothing doubtful ever fits."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from cnnexplain.checks.baseline import Baseline as Check
from cnnexplain.checks.suite.stored import baseline, made_of, versions
from cnnexplain.checks.suite.subject import Subject
from cnnexplain.core.baseline import StoredImage, StoredRun
from cnnexplain.core.verdict import Skipped
from cnnexplain.errors import CheckInputError, OptionError
from cnnexplain.runner.checking.files import BASELINE as FLAG
from cnnexplain.runner.checking.files import BASELINE_HEAD as HEAD
from cnnexplain.runner.checking.files import require_own
from cnnexplain.runner.checking.thresholds import Chosen
from cnnexplain.runner.output.files import write_file

FORMAT = 1
LARGEST = 1 << 28  # bytes: more than a hundred thousand pictures
SIDE = 1 << 14  # of a map
PRINTS = ("model", "layer", "classes", "weights", "preprocessing")
# What a fingerprint is to `same`. Classes are always the same, since answers are compared by them.
COVERED_BY = {"layer": "model"}


def read(path: Path) -> StoredRun:
    """A stored run. Raises `CheckInputError` where there is none, or anything but a whole one."""
    try:
        if not path.is_file():  # a pipe would keep us waiting
            raise CheckInputError(
                f"there is no baseline {path}", f"write it first: the same command with {FLAG} {path}"
            )
        if path.stat().st_size > LARGEST:
            _refuse(path, "it is far too large")
        content = path.read_bytes()
    except OSError as error:
        raise CheckInputError(
            f"the baseline {path} cannot be read: {error.strerror or error}", "make it readable"
        ) from error
    if not content.strip():
        _refuse(path, "it is empty")
    if not content.startswith(HEAD):
        _refuse(path, "it is another kind of file")
    try:
        parsed = json.loads(content, parse_constant=_no_number, object_pairs_hook=_once)
        return _understood(parsed)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        why = error.args[0] if isinstance(error, _DamagedError) else "it ends too early or is damaged"
        _refuse(path, str(why))


def require_fit(stored: StoredRun, subject: Subject, taken: Sequence[Chosen]) -> None:
    """Raise `CheckInputError`, naming the difference, where the stored run was another."""
    check = next((entry.check for entry in taken if isinstance(entry.check, Check)), None)
    if check is None:
        raise OptionError(
            "--baseline is given, and the check baseline is not carried out",
            "add --only baseline, or leave --baseline out",
        )
    _require_unique(subject)
    now = made_of(subject)
    for name in PRINTS:
        if (name == "classes" or COVERED_BY.get(name, name) in check.same) and stored.made_of[name] != now[
            name
        ]:
            verb = "was" if name in ("model", "layer", "preprocessing") else "were"
            _differ(f"the {name} {verb}", stored.made_of[name], now[name], name)
    if any(
        index >= len(subject.model.labels) for entry in stored.answers.values() for index, _ in entry.best
    ):
        raise CheckInputError(
            "the baseline names classes that there are none of", f"store it again with {FLAG}"
        )
    examples = {entry.key: entry for entry in subject.examples}
    if missing := sorted(stored.answers.keys() - examples):
        raise CheckInputError(
            f"the baseline does not fit: {_some(missing)} missing",
            "give all the pictures that it was made of, or store it again with --update-baseline",
        )
    if new := sorted(examples.keys() - stored.answers):
        raise CheckInputError(
            f"the baseline does not fit: {_some(new)} not in it",
            "give only the pictures that it was made of, or store it again with --update-baseline",
        )
    changed = [key for key, entry in examples.items() if entry.sha256 != stored.answers[key].sha256]
    if "images" in check.same and changed:
        raise CheckInputError(
            f"the baseline does not fit: {_some(changed)} not the same as then",
            f"store it again with {FLAG}, or leave images out of same in [baseline]",
        )
    if "versions" in check.same:
        for name, version in versions(subject).items():
            if stored.versions.get(name) != version:
                _differ(f"{name} was", stored.versions.get(name, "unknown"), version, "versions")


def text(subject: Subject) -> bytes:
    """What to store of a run, in `borrowed()`. Raises `Skipped` or `ModelError` where something is not finite."""
    _require_unique(subject)
    if subject.broken:
        raise Skipped("it holds NaN or infinite weights")
    stored = baseline(subject)
    body: dict[str, Any] = {
        "made_of": dict(stored.made_of),
        "versions": dict(stored.versions),
        "pictures": [
            {
                "image": key,
                "sha256": entry.sha256,
                "best": [list(pair) for pair in entry.best],
                "map": None if entry.values is None else _packed(entry.values),
            }
            for key, entry in stored.answers.items()
        ],
    }
    # A line a picture, so that a version control system shows which of them changed.
    lines = ",\n".join(json.dumps(entry) for entry in body["pictures"])
    content = (
        f'{{"cnnexplain-baseline": {FORMAT},\n"made_of": {json.dumps(body["made_of"])},\n'
        f'"versions": {json.dumps(body["versions"])},\n"pictures": [\n{lines}\n],\n"sha256": "{_digest(body)}"}}\n'
    ).encode()
    if len(content) > LARGEST:
        raise CheckInputError("there are too many pictures for one baseline", "store fewer: --limit N")
    return content


def write(path: Path, content: bytes) -> None:
    """Store a run, whole or not at all."""
    require_own(path, HEAD, FLAG)
    write_file(path, content, FLAG)


class _DamagedError(ValueError):
    """What is wrong with a file, in words."""


def _understood(content: Any) -> StoredRun:
    """The baseline that a file's JSON holds; any error where it is not exactly what we write."""
    if content["cnnexplain-baseline"] != FORMAT:
        raise _DamagedError("it was written by another version of cnnexplain")
    body = {name: content[name] for name in ("made_of", "versions", "pictures")}
    if content["sha256"] != _digest(body):
        raise _DamagedError("it was changed after it was written, or is damaged")
    answers: dict[str, StoredImage] = {}
    for entry in body["pictures"]:
        key = _text(entry["image"])
        if key in answers:
            raise _DamagedError(f"it has {key} twice")
        answers[key] = _answered(entry)
    if not answers:
        raise _DamagedError("it holds no pictures")
    prints = {name: _text(body["made_of"][name]) for name in PRINTS}
    if any((entry.values is not None) != bool(prints["layer"]) for entry in answers.values()):
        raise _DamagedError("some of its maps are missing")
    return StoredRun(
        prints,
        {_text(name): _text(version) for name, version in body["versions"].items()},
        answers,
    )


def _answered(entry: Mapping[str, Any]) -> StoredImage:
    best = tuple((index, float(chance)) for index, chance in entry["best"])
    numbers = all(type(index) is int and 0 <= index < 1 << 31 and 0 <= chance <= 1 for index, chance in best)
    digest = _text(entry["sha256"])
    if not best or not numbers or not re.fullmatch("[0-9a-f]{64}", digest):
        raise _DamagedError(f"what it says of {entry['image']} makes no sense")
    return StoredImage(digest, best, None if entry["map"] is None else _unpacked(entry["map"]))


def _packed(values: NDArray[np.float32]) -> dict[str, Any]:
    data = np.ascontiguousarray(values, "<f4").tobytes()
    return {"shape": list(values.shape), "float32": base64.b64encode(data).decode()}


def _unpacked(entry: Mapping[str, Any]) -> NDArray[np.float32]:
    height, width = entry["shape"]
    sizes = all(type(side) is int and 0 < side <= SIDE for side in (height, width))
    data = base64.b64decode(entry["float32"], validate=True)
    if not sizes or len(data) != 4 * height * width:
        raise _DamagedError("a map has not the size that it should have")
    values = np.frombuffer(data, "<f4").astype(np.float32).reshape(height, width)
    if not np.isfinite(values).all():
        raise _DamagedError("a map is not finite")
    return values


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _DamagedError("it says something twice")
    return dict(pairs)


def _no_number(text: str) -> NoReturn:
    raise _DamagedError(f"it holds {text}")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _DamagedError("it has something else where a text belongs")
    return value


def _require_unique(subject: Subject) -> None:
    """Two arguments may hold pictures of one name, which a baseline could not tell apart."""
    seen: dict[str, str] = {}
    for example in subject.examples:
        if example.key in seen:
            raise CheckInputError(
                f"two pictures are called {example.key}: {seen[example.key]} and {example.name}",
                "give the folder above both, so that a baseline can tell them apart",
            )
        seen[example.key] = example.name


def _refuse(path: Path, why: str) -> NoReturn:
    raise CheckInputError(
        f"{path} is no whole baseline: {why}", f"store it again: the same command with {FLAG}"
    )


def _differ(difference: str, was: str, now: str, name: str) -> NoReturn:
    words = (
        f"{difference} {was or 'none'}, now {now or 'none'}"
        if len(was) + len(now) < 200
        else _first(difference, was, now)
    )
    raise CheckInputError(
        f"the baseline does not fit: {words}",
        f"store it again with {FLAG}"
        + (f", or leave {COVERED_BY.get(name, name)} out of same in [baseline]" if name != "classes" else ""),
    )


def _first(difference: str, was: str, now: str) -> str:
    """Long fingerprints: the preprocessing's first difference, else both cut short."""
    try:
        then, later = json.loads(was), json.loads(now)
        name = next(key for key in then if then[key] != later.get(key))
        return f"{difference} another: {name} {then[name]}, now {later.get(name)}"
    except (ValueError, TypeError, StopIteration, AttributeError, RecursionError):
        return f"{difference} {was[:40]}…, now {now[:40]}…"


def _some(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"the picture {names[0]} is"
    return f"{len(names)} pictures are, first {names[0]},"
