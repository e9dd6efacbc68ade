"""Lets a library download weights: safely, without waiting for a network that is not there, errors in words."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import getproxies

from cnnexplain.errors import ModelError, first_line

PATIENCE = 2.5  # seconds; the hub's client alone would try for most of a minute
HINT = (
    "use bundled:efficientnet_lite0, which needs no network; or give the weights with --weights FILE; "
    "or leave them random with --no-pretrained"
)


@contextmanager
def hub_download(subject: str, *, cached: bool = False, hint: str = HINT) -> Iterator[None]:
    """Run a download of `subject` from the Hugging Face hub; offline if it is cached or the hub is unreachable."""
    reason = None if cached else unreachable(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    with _hub_mode(offline=cached or reason is not None), explained(subject, reason, hint):
        yield


@contextmanager
def url_download(subject: str, url: str) -> Iterator[None]:
    """Run a download of `subject` by torch.hub, which keeps the file under its own name."""
    from torch import hub

    cached = os.path.exists(
        os.path.join(hub.get_dir(), "checkpoints", PurePosixPath(urlsplit(url).path).name)
    )
    if not cached and (reason := unreachable(url)):
        raise ModelError(f"{subject} could not be downloaded: {reason}", HINT)
    with explained(subject):
        yield


@contextmanager
def explained(subject: str, reason: str | None = None, hint: str = HINT) -> Iterator[None]:
    """Turn any exception of a library into a `ModelError` about `subject`, and let it read plain weights only."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # timm's, torch's, the hub's and httpx's errors share no base
        if isinstance(error, OSError):
            raise ModelError(
                f"{subject} could not be downloaded: {reason or first_line(error)}", hint
            ) from error
        raise ModelError(f"{subject} could not be loaded: {first_line(error)}", hint) from error
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def unreachable(url: str) -> str | None:
    """Why the server of `url` cannot be reached, within seconds; None if it answers, or a proxy stands before it."""
    parts = urlsplit(url)
    if {parts.scheme, "all"} & getproxies().keys():
        return None
    host = parts.hostname or url
    answers: list[str | None] = []

    def knock() -> None:
        try:
            port = parts.port or (80 if parts.scheme == "http" else 443)
            socket.create_connection((host, port), timeout=PATIENCE).close()
        except (OSError, ValueError) as error:  # a name or port that cannot be is a ValueError
            answers.append(f"{host} cannot be reached ({first_line(error)})")
        else:
            answers.append(None)

    # A thread, because looking up a name has no time limit of its own.
    thread = Thread(target=knock, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return answers[0] if answers else f"{host} does not answer"


@contextmanager
def _hub_mode(*, offline: bool) -> Iterator[None]:
    """Set the hub's client to offline where wanted, and its progress bars to terminals only."""
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    before = constants.HF_HUB_OFFLINE
    quiet = not sys.stderr.isatty() and not are_progress_bars_disabled()
    constants.HF_HUB_OFFLINE = before or offline
    if quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        if quiet:
            enable_progress_bars()
