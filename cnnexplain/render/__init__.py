"""Results -> figures. One file, one kind of result; what they are made of is in `kit/`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cnnexplain.core import registry

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
    name: str = ""  # of several pictures of the same results what tells this file from the others
    vector: Callable[[str], str] | None = None  # writes it as SVG, with a mark of the program

    @property
    def image(self) -> Image.Image:
        """The finished picture."""
        return self._drawn[0]

    @property
    def words(self) -> list[str]:
        """All words that are drawn on it, line by line."""
        return self._drawn[1]

    @cached_property
    def _drawn(self) -> tuple[Image.Image, list[str]]:
        from cnnexplain.render.kit.text import heard

        with heard() as words:
            return self.draw(), words

    def svg(self, mark: str, dpi: int | None = None) -> bytes:
        """The same as an SVG file with real text; `mark` says which program made it, `dpi` how large it is."""
        from cnnexplain.render.kit.paper import noted
        from cnnexplain.render.kit.svg_file import svg_text

        return (self.vector(mark) if self.vector else svg_text(noted(self.draw), mark, dpi)).encode()

    def pdf(self, mark: str, dpi: int | None = None) -> bytes:
        """The same as a PDF file of one page, whose text can be found and copied."""
        from cnnexplain.render.kit.paper import noted
        from cnnexplain.render.kit.pdf_file import pdf_bytes

        return pdf_bytes(noted(self.draw), mark, dpi)


def pictures(explanation: Explanation, options: RenderOptions) -> Iterator[Picture]:
    """The pictures of all results of an image, kind by kind; none of a kind that has no file here."""
    by_kind: dict[str, list[Result]] = {}
    for result in explanation.results:
        by_kind.setdefault(result.kind, []).append(result)
    for kind, results in by_kind.items():
        if (drawing := registry.module(__name__, kind)) is not None:
            yield from drawing.pictures(results, explanation, options)


def pictures_of_model(results: Sequence[Result], options: RenderOptions) -> Iterator[Picture]:
    """The pictures of results that are about a model, all of one kind; none of a kind that has no file here."""
    if results and (drawing := registry.module(__name__, results[0].kind)) is not None:
        yield from drawing.pictures(results, options)


def is_drawn(kind: str) -> bool:
    """Whether a kind of result has pictures."""
    return registry.module(__name__, kind) is not None
