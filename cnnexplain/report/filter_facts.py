"""What the page says of a layer's filters beside their picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnnexplain.core.words import number


def of_filters(counted: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """What was counted, as far as it is no matter for a sentence; nothing where no filters were."""
    if counted is None:
        return
    norm = counted["norm"]
    if norm["median"] is not None:
        yield "norms", f"{number(norm['min'])} to {number(norm['max'])}, median {number(norm['median'])}"
    yield "dead", f"{len(counted['dead']['which']):,} of {counted['filters']:,}"
    if counted["alike"] is not None:
        # With a hyphen at which no browser breaks the line.
        yield "near\u2011duplicates", f"{counted['alike']['filters']:,} of {counted['filters']:,}"
