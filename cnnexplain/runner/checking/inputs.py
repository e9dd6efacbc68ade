"""What a check is given: pictures, as the model sees them, and whether they are of any use to it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from cnnexplain.checks.suite.subject import Example, Subject
from cnnexplain.core.verdict import Verdict
from cnnexplain.engine.borrow import buffers_kept
from cnnexplain.engine.model import Model
from cnnexplain.engine.pipeline import ahead
from cnnexplain.engine.pool import closing
from cnnexplain.engine.weights.layers import require_open
from cnnexplain.errors import (
    CheckInputError,
    CnnexplainError,
    ImageError,
    ModelError,
    NoImagesError,
    OptionError,
)
from cnnexplain.images.decode import read
from cnnexplain.images.find import ImagePath, find
from cnnexplain.runner.explain import prepared as decoded
from cnnexplain.runner.explain import wanted
from cnnexplain.runner.output.files import written_by_us
from cnnexplain.runner.request import Checklist, Request

WITHOUT = {  # what is missing, and what to add
    "pictures": ("pictures", "add IMAGES behind the model"),
    "labels": ("the classes that the pictures should be", "add --labels-from folder, or a CSV file"),
    "baseline": ("a stored run", "add --baseline FILE, written before with --update-baseline FILE"),
}
QUOTED = 3  # reasons in one error


def meant(request: Request[Checklist]) -> list[ImagePath]:
    """The pictures that are meant. None may be meant, but where some are, there must be some."""
    if not request.images and request.find.files_from is None:
        return []
    try:
        seed = request.model.seed
        return find(request.images, request.find, request.run.output, written_by_us, seed)
    except NoImagesError as error:
        raise CheckInputError(error.problem, error.hint) from error


def require_needs(request: Request[Checklist], sources: Sequence[ImagePath]) -> None:
    """Raise `OptionError` where a check was asked for by name without what it needs, or something is of no use."""
    options = request.action.options
    available = {
        "pictures": bool(sources),
        "labels": options.labels_from is not None,
        "baseline": options.baseline is not None,
    }
    for need in ("labels", "baseline"):
        if available[need] and not sources:
            raise OptionError(
                f"--{need.replace('labels', 'labels-from')} goes with pictures", WITHOUT["pictures"][1]
            )
    if options.baseline is not None and options.update_baseline is not None:
        raise OptionError("--baseline compares and --update-baseline stores", "give one of the two")
    if options.update_baseline is not None and not sources:
        raise OptionError("--update-baseline stores what is said of pictures", WITHOUT["pictures"][1])
    for entry in request.action.checks:
        for need in entry.check.needs:
            storing = need == "baseline" and options.update_baseline is not None  # the first run has none yet
            if entry.asked and not available[need] and not storing:
                raise OptionError(f"{entry.id} needs {WITHOUT[need][0]}", WITHOUT[need][1])


def prepared(model: Model, sources: Sequence[ImagePath], labels: Mapping[str, int]) -> Iterator[Example]:
    """Every picture as the model sees it. One that cannot be read stops the run: a part is not the whole."""

    def example(source: ImagePath) -> Example | Exception:
        try:
            result = decoded(source.path, read(source.file, wanted(model.preprocess)), model.preprocess)
            digest = _digest(source.file)
        except (ImageError, OSError) as error:
            return error
        key = "/".join((*Path(source.folder).parts, os.path.basename(source.path)))
        return Example(source.path, key, digest, result.pixels, labels.get(source.path))

    with closing(ThreadPoolExecutor(os.cpu_count())) as pool:
        for source, result in zip(sources, ahead(pool, example, sources, 16), strict=True):
            if isinstance(result, Exception):
                why = result.problem if isinstance(result, CnnexplainError) else str(result)
                raise CheckInputError(f"{source.path}: {why}", "fix or remove the picture: a check wants all")
            yield result


def _digest(path: str) -> str:
    """The SHA-256 of a file, which may be larger than the memory."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def require_answers(subject: Subject) -> None:
    """Raise `ModelError` where the model cannot be run on the pictures, or says no scores of them, in any company.

    Each check would say the same of it. What fails on one picture alone, or on several only, is left to them, and so
    is whatever comes of weights that are not finite.
    """
    if not subject.examples or subject.broken:
        return
    require_open(subject.model)
    pixels = [one.pixels for one in subject.examples[: subject.rows]]
    if len(pixels) == 1:
        pixels.append(255 - pixels[0])
    with buffers_kept(subject.model):
        with suppress(ModelError):  # whatever it raises is raised again below
            subject.model.trace  # noqa: B018 - which finds out how the model wants its inputs to lie in memory
        try:
            subject.scored(pixels[:1])
        except ModelError as error:
            try:
                subject.scored(pixels)
            except ModelError:
                raise ModelError(
                    error.problem, f"{error.hint}; without pictures its weights alone are checked"
                ) from error


def require_any(
    verdicts: Sequence[Verdict], request: Request[Checklist], sources: Sequence[ImagePath]
) -> None:
    """Raise `CheckInputError` where every check was skipped: that nothing was checked is no pass.

    A run that stores what later ones are held against has done what it was for.
    """
    storing = request.action.options.update_baseline is not None and verdicts[-1].check == "baseline"
    if storing or any(one.status != "skipped" for one in verdicts):
        return
    reasons = [f"{one.check}: {one.says}" for one in verdicts[:QUOTED]]
    if len(verdicts) > QUOTED:
        reasons.append(f"and {len(verdicts) - QUOTED} more")
    parts = ["give more pictures" if sources else WITHOUT["pictures"][1]]
    if sources and request.action.options.labels_from is None:
        parts.append("say what they are with --labels-from")
    parts.append("or leave --only out" if request.action.options.only else "or turn more checks on")
    raise CheckInputError(f"nothing could be checked: {'; '.join(reasons)}", ", ".join(parts))
