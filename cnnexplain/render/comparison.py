"""A comparison as one sheet: a row for each map with its curves and scores, the references, and who agrees."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial

from PIL import Image, ImageDraw

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results import Entry
from cnnexplain.core.results.comparison import (
    CENTRE,
    EDGES,
    ComparedMap,
    MethodComparison,
    judgement,
    names_of,
    signed,
)
from cnnexplain.core.results.map import PIXELS
from cnnexplain.core.words import likelihood, number, percent
from cnnexplain.render import Picture
from cnnexplain.render.kit.axis import ChartAxis, ending
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import FAINT, GAP, INK, LINE, MARGIN, SMALL, TEXT, mounted, paper_with
from cnnexplain.render.kit.small_chart import plot_of, small_chart
from cnnexplain.render.kit.spots import spot
from cnnexplain.render.kit.text import fitted, font, wrapped, write
from cnnexplain.render.map import MapCards

PANEL = 200  # pixels: the longest side of a map
CHART = (250, 172)
WORDS = 250  # pixels: the column of scores
HEAD = 26
ABOVE = 44  # heading of the matrix of agreement, and the numbers of its columns
CELL = 58  # of that matrix
NAME = 230
DELETED, INSERTED = "#0072b2", "#d55e00"
ALIKE, UNLIKE = (0x0B, 0x4F, 0x8A), (0xB8, 0x42, 0x0A)  # of correlations 1 and -1; white is 0


def pictures(
    results: Sequence[MethodComparison], explanation: Explanation, options: RenderOptions
) -> Iterator[Picture]:
    """A sheet for each comparison."""
    return (Picture(partial(sheet, result, explanation, options), (result,)) for result in results)


def sheet(comparison: MethodComparison, explanation: Explanation, options: RenderOptions) -> Image.Image:
    """All maps with their scores, one below the other."""
    cards = MapCards(explanation, replace(options, max_side=PANEL, scale="own"))
    recorded = comparison.record()
    names = names_of(recorded["methods"])
    width = PANEL + 2 * (CHART[0] + GAP) + GAP + WORDS
    count = len(comparison.maps)
    matrix = (ABOVE + 20 + count * CELL) if count > 1 else 0
    beside = [_words(scored, recorded["references"]) for scored in recorded["methods"]]
    height = HEAD + sum(map(_height, beside)) + 30 + len(comparison.references) * (SMALL + 8) + matrix
    target = comparison.target
    heading = f"{target.label}  {likelihood(asdict(target))}"
    below = f"{count} maps compared by the {comparison.score} · {os.path.basename(explanation.image)}"
    paper, top = paper_with((width, height), (heading, below), _remarks(comparison, explanation))
    draw = ImageDraw.Draw(paper)
    left = [MARGIN, MARGIN + PANEL + GAP, MARGIN + PANEL + 2 * GAP + CHART[0]]
    left.append(left[2] + CHART[0] + GAP)
    for x, text in zip(
        left[1:], ("deleted, the most marked first", "inserted, the most marked first"), strict=False
    ):
        write(draw, (x + 40, top), text, SMALL, FAINT, width=CHART[0] - 40)
    top += HEAD
    axis = _axis(comparison)
    for name, compared, words in zip(names, comparison.maps, beside, strict=True):
        mounted(paper, cards.overlay(compared.heatmap), (left[0], top), (PANEL, PANEL))
        for x, chart in zip(left[1:], _charts(comparison, compared, axis), strict=False):
            paper.paste(chart, (x, top + 10))
        _note_curves(paper, (left[1], left[2]), top + 10, comparison, compared, name)
        y = top
        for line, size, bold in words:
            write(draw, (left[3], y), line, size, INK if bold else FAINT, bold=bold, width=WORDS)
            y += size + 6
        top += _height(words)
    top += 8
    for reference in recorded["references"]:
        write(draw, (left[0], top), reference["name"], SMALL, INK, bold=True)
        write(draw, (left[1], top), _reference_line(reference), SMALL, FAINT, width=width - PANEL - GAP)
        top += SMALL + 8
    if matrix:
        _matrix(paper, (MARGIN, top + 14), names, recorded["agreement"])
    return paper


def _remarks(comparison: MethodComparison, explanation: Explanation) -> list[str]:
    legend = (
        "Grey: from the lowest to the highest of the random orders; dashed: in the order of the edges, dotted: of the "
        "centre. Advantage: by how much deleting lowers and inserting raises the curve more than random orders do, "
        "averaged over the shares. Blurred: the same of a blurred copy of the map."
    )
    return [legend, *comparison.detail.remarks, *explanation.notes]


def _axis(comparison: MethodComparison) -> ChartAxis:
    """The axis up of all charts."""
    curves = [compared.scores for compared in comparison.maps if compared.scores is not None]
    curves += list(comparison.references.values())
    values = [value for scores in curves for value in (*scores.deleted, *scores.inserted)]
    return ChartAxis.of(
        [*values, *comparison.random[0], *comparison.random[1]], zero=comparison.score == "probability"
    )


def _height(words: Sequence[tuple[str, int, bool]]) -> int:
    """The height of a row: that of the panel, or of the words beside it."""
    return max(PANEL, sum(size + 6 for _, size, _ in words)) + GAP


def _charts(comparison: MethodComparison, compared: ComparedMap, axis: ChartAxis) -> Iterator[Image.Image]:
    low, high = comparison.random
    beside = [comparison.references[name] for name in (EDGES, CENTRE) if name in comparison.references]
    scores = compared.scores
    yield small_chart(
        CHART, comparison.shares, axis, (low, high), None if scores is None else scores.deleted, DELETED,
        [one.deleted for one in beside],
    )  # fmt: skip
    yield small_chart(
        CHART, comparison.shares, axis, (low[::-1], high[::-1]), None if scores is None else scores.inserted, INSERTED,
        [one.inserted for one in beside],
    )  # fmt: skip


def _note_curves(
    paper: Image.Image,
    left: tuple[int, int],
    top: int,
    comparison: MethodComparison,
    compared: ComparedMap,
    name: str,
) -> None:
    """Note where the charts of a map are, and the points of their curves."""
    if compared.scores is None:
        return
    across, down, *size = plot_of(CHART)
    low, high = comparison.random
    for x, what, curve, band in (
        (left[0], "deleted", compared.scores.deleted, (low, high)),
        (left[1], "inserted", compared.scores.inserted, (low[::-1], high[::-1])),
    ):
        lines = {
            name: curve,
            **{other: getattr(scores, what) for other, scores in comparison.references.items()},
        }
        lines |= {"random, lowest": band[0], "random, highest": band[1]}
        points = {
            "x": comparison.shares,
            "of": what,
            "lines": [[line, values] for line, values in lines.items()],
        }
        facts = [(f"mean {comparison.score}", number(sum(curve) / len(curve)))]
        spot(
            paper, (x + across, top + down), (size[0], size[1]), f"{name}, cells {what}", facts, curve=points
        )


def _words(scored: Entry, references: Sequence[Entry]) -> list[tuple[str, int, bool]]:
    """What stands beside the curves: lines, their size, and whether they are bold."""
    lines = [(fitted(scored["method"], font(TEXT, bold=True), WORDS), TEXT, True)]
    if scored["layer"] != PIXELS:
        lines.append((ending(f"at {scored['layer']}", font(SMALL), WORDS), SMALL, False))
    lines += [(line, SMALL, False) for line in _score_lines(scored)]
    words = judgement(scored, references)
    return [
        *lines,
        *((line, SMALL, True) for line in wrapped(f"{words.capitalize()}.", font(SMALL, bold=True), WORDS)),
    ]


def _score_lines(scored: Entry) -> Iterator[str]:
    if scored["advantage"] is not None:
        yield f"deletion {number(scored['deletion'])}, insertion {number(scored['insertion'])}"
        yield f"advantage {signed(scored['advantage'])}"
        if scored["blurred"] is not None:
            yield f"blurred {signed(scored['blurred']['advantage'])}"
        if scored.get("road") is not None:
            yield f"ROAD {signed(scored['road'])}, blurred {signed(scored['blurred']['road'])}"
        if scored.get("infidelity") is not None:
            yield f"infidelity {number(scored['infidelity'])}"
    if scored["edges"] is not None:
        yield f"like edges {signed(scored['edges'])}"
    if scored.get("randomised") is not None:
        yield f"like that of a redrawn classifier {signed(scored['randomised'])}"
    if steps := scored.get("layers"):
        yield "like that of more layers redrawn " + ", ".join(_short(step["correlation"]) for step in steps)
    if scored.get("gap") is not None:
        yield f"its sum misses {percent(scored['gap'])} of the score"
    if scored.get("sensitivity") is not None:
        mean = scored.get("sensitivity_mean")
        typical = "" if mean is None else f"{percent(mean)}, "
        yield f"noise changes {typical}at most {percent(scored['sensitivity'])}"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def _reference_line(reference: Entry) -> str:
    line = (
        f"deletion {number(reference['deletion'])}, insertion {number(reference['insertion'])}, "
        f"advantage {signed(reference['advantage'])}"
    )
    line += f", ROAD {signed(reference['road'])}" if "road" in reference else ""
    return f"{line} ± {number(reference['spread'])}" if "spread" in reference else line


def _matrix(
    paper: Image.Image,
    place: tuple[int, int],
    names: Sequence[str],
    agreement: Sequence[Sequence[float | None]],
) -> None:
    draw = ImageDraw.Draw(paper)
    x, y = place
    write(draw, (x, y), "Agreement: rank correlation of the maps", SMALL, INK, bold=True)
    y += ABOVE
    for column in range(len(names)):
        write(draw, (x + NAME + column * CELL + CELL / 2, y - 4), str(column + 1), SMALL, FAINT, anchor="ms")
    for row, values in enumerate(agreement):
        middle = y + row * CELL + CELL / 2
        write(
            draw,
            (x, middle),
            fitted(f"{row + 1}  {names[row]}", font(SMALL), NAME - 12),
            SMALL,
            INK,
            anchor="lm",
        )
        for column, value in enumerate(values):
            corner = x + NAME + column * CELL, y + row * CELL
            draw.rectangle((*corner, corner[0] + CELL, corner[1] + CELL), fill=_shade(value), outline=LINE)
            ink = INK if value is None or abs(value) < 0.6 else "#ffffff"
            text = _short(value)
            write(draw, (corner[0] + CELL / 2, middle), text, SMALL, ink, anchor="mm")
            pair = f"{names[row]} and {names[column]}"
            spot(paper, corner, (CELL, CELL), pair, [("rank correlation", text)])


def _shade(value: float | None) -> tuple[int, ...]:
    strength = min(1.0, abs(value or 0.0))
    end = ALIKE if (value or 0.0) >= 0 else UNLIKE
    return tuple(round(255 + (level - 255) * strength) for level in end)
