"""Results -> figures. One file, one kind of result; what they are made of is in `kit/`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

    from cnnexplain.core.explanation import Explanation
    from cnnexplain.core.results import Result
    from cnnexplain.render.kit.options import RenderOptions


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, drawn when it is asked for, and the results that it shows; none for the overview of all layers."""

    draw: Callable[[], Image.Image]
    shows: tuple[Result, ...]

    @cached_property
    def image(self) -> Image.Image:
        """The finished picture."""
        return self.draw()


def pictures(explanation: Explanation, options: RenderOptions) -> Iterator[Picture]:
    """The pictures of all that is known of an image, kind by kind; none of a kind that has no file here."""
    by_kind: dict[str, list[Result]] = {}
    for result in explanation.results:
        by_kind.setdefault(result.kind, []).append(result)
    for kind, results in by_kind.items():
        if (drawing := _drawing(kind)) is not None:
            yield from drawing.pictures(results, explanation, options)


def pictures_of_model(results: Sequence[Result], options: RenderOptions) -> Iterator[Picture]:
    """The pictures of results that are about a model, all of one kind; none of a kind that has no file here."""
    if results and (drawing := _drawing(results[0].kind)) is not None:
        yield from drawing.pictures(results, options)


@cache  # asked for every record
def kinds() -> frozenset[str]:
    """The kinds that are drawn: those that have a file here."""
    return frozenset(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def _drawing(kind: str) -> Any:
    """The module that draws a kind; None where there is none."""
    return importlib.import_module(f"{__name__}.{kind}") if kind in kinds() else None
