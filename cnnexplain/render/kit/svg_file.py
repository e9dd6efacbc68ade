"""Noted paper as an SVG file: real text over shapes and embedded pictures, and nothing that could run."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from html import escape

from cnnexplain.render.kit.paper import ImageMark, Mark, NotedPaper, PathMark, Rgb, WordsMark
from cnnexplain.render.kit.text import visible

FACES = "'Source Sans Pro','Source Sans 3',Arial,'Liberation Sans','Noto Sans',sans-serif"


def svg_text(paper: NotedPaper, mark: str, dpi: int | None = None) -> str:
    """Write paper as SVG.

    Args:
        paper: What was drawn.
        mark: Says which program made it.
        dpi: Pixels per inch; where it is left out a pixel is one of CSS.

    Returns:
        The text of the file. Words are those of the drawing, letter by letter; each line takes the room that it takes
        in the picture, whatever typeface a reader has.
    """
    width, height = paper.size
    unit, of_unit = ("in", dpi) if dpi else ("", 1)
    title = next((words.text for words in paper.marks if isinstance(words, WordsMark)), "")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width / of_unit:g}{unit}" '
        f'height="{height / of_unit:g}{unit}" viewBox="0 0 {width} {height}" role="img">\n<!-- {mark} -->\n'
        f"<title>{_words(title)}</title>\n"
        f'<g font-family="{FACES}" style="white-space:pre" stroke-linejoin="round">\n'
        + "\n".join(_element(each) for each in paper.marks)
        + "\n</g>\n</svg>\n"
    )


def _element(mark: Mark) -> str:
    if isinstance(mark, PathMark):
        steps = "".join(name + " ".join(f"{value:.2f}" for value in numbers) for name, numbers in mark.steps)
        return f'<path d="{steps}" {" ".join(_paints(mark))}/>'
    if isinstance(mark, ImageMark):
        return (
            f'<image x="{mark.x:g}" y="{mark.y:g}" width="{mark.width:g}" height="{mark.height:g}" '
            f'preserveAspectRatio="none" href="data:image/png;base64,{_png(mark)}"/>'
        )
    turned = f' transform="rotate({-mark.degrees:g} {mark.x:.2f} {mark.y:.2f})"' if mark.degrees else ""
    weight = ' font-weight="600"' if mark.bold else ""
    room = f' textLength="{mark.length:.2f}" lengthAdjust="spacingAndGlyphs"' if mark.length else ""
    return (
        f'<text x="{mark.x:.2f}" y="{mark.y:.2f}" font-size="{mark.size:g}"{weight} fill="{_hex(mark.colour)}"'
        f"{room}{turned}>{_words(mark.text)}</text>"
    )


def _paints(mark: PathMark) -> Iterator[str]:
    yield f'fill="{_hex(mark.fill) if mark.fill else "none"}"'
    if mark.stroke:
        yield f'stroke="{_hex(mark.stroke)}" stroke-width="{mark.width:g}"'


def _png(mark: ImageMark) -> str:
    file = io.BytesIO()
    mark.image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def _hex(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _words(text: str) -> str:
    return escape(visible(text))
