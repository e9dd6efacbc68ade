"""One page: a file that opens from disk, without network and without JavaScript."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from cnnexplain.core.words import count
from cnnexplain.report.pages.answers import CellGallery, LabelledImages, anchor, gallery_image, group, matrix
from cnnexplain.report.pages.card import Card, card
from cnnexplain.report.pages.find_index import pictures_data
from cnnexplain.report.pages.scripts import CARDS, GRAPH, LAYERS, READERS, SHEETS, STYLES, VIEWER, joined
from cnnexplain.report.pages.summary import PageHead, frequent, summary, tiles
from cnnexplain.report.pages.verdict_cards import groups
from cnnexplain.report.pages.words import escaped

_INDENT = re.compile(r"\n\s+")
FEW = 3  # cards that need no list
SHOWN_FAILURES = 20  # the others are folded away, lest they hide what went well


def page(
    run: Mapping[str, Any], records: Iterable[Mapping[str, Any]], answers: LabelledImages | None = None
) -> str:
    """The page of a run: `run` is what run.json holds, `records` are those that are listed.

    `answers` are those of all images, where their expected classes are known.
    """
    all_records = list(records)
    labelled = LabelledImages(all_records) if answers else None
    cells = labelled.cells if labelled else {}
    cards = [card(record, place) for place, record in enumerate(all_records, 1) if "checks" not in record]
    checks = groups(all_records)
    finds = len(cards) > FEW and all(record.get("image") for record in all_records)
    return rendered(
        "page.html",
        summary(run, tiles(run, cards, checks), frequent(cards)),
        scripts=(*scripts_of(cards), *((CARDS,) if finds else ())),
        pictures=Markup(pictures_data(all_records)) if finds else "",  # noqa: S704 - escaped where it is made
        matrix=answers and matrix(answers, run, lambda pair: f"#{anchor(pair)}" if pair in cells else ""),
        gallery=list(_gallery(labelled, all_records)) if labelled else (),
        general=tuple(dict.fromkeys(text for shown in cards for text in shown.words)),
        shown_failures=SHOWN_FAILURES,
        failures=[card for card in cards if card.problem],
        checks=checks,
        cards=[card for card in cards if not card.problem],
    )


def _gallery(answers: LabelledImages, records: Sequence[Mapping[str, Any]]) -> Iterator[CellGallery]:
    """The images of every cell, each with a link to its card."""
    for pair in chain.from_iterable(answers.groups.values()):
        places = map(int, answers.places(pair))
        yield group(answers, pair, [gallery_image(records[place], f"#image-{place + 1}") for place in places])


def scripts_of(cards: Iterable[Card]) -> tuple[str, ...]:
    """The scripts that a page of these cards needs, and may run; no others."""
    for shown in cards:
        if shown.layers:
            return (LAYERS, GRAPH) if shown.graph else (LAYERS,)
        if shown.numbers:
            has_maps = any(figure.map for figure in shown.figures)
            has_sheets = any(figure.src and not figure.map for figure in shown.figures)
            return (VIEWER,) * has_maps + (SHEETS,) * has_sheets
    return ()


def rendered(
    template: str,
    run: PageHead,
    up: str = "",
    css: tuple[str, ...] = ("page.css",),
    scripts: tuple[str, ...] = (),
    **values: Any,
) -> str:
    """A page made of a template of ours; `up` leads from its folder to OUT, for the links."""
    styles = (*css, *chain.from_iterable(STYLES.get(name, ()) for name in scripts))
    style, style_hash = _own("".join(map(_text_of, styles)))
    code, code_hash = _own(joined(scripts)) if scripts else ("", "")
    own = {"css": style, "css_hash": style_hash, "script": code, "script_hash": code_hash}
    reads = not READERS.isdisjoint(scripts)
    return _environment().get_template(template).render(run=run, up=up, reads_sheets=reads, **own, **values)


def rendered_card(card: Card, link: str = "") -> str:
    """One card for a page in OUT itself; where it stands on another page as well, `link` leads there."""
    parts = _parts()
    return str(parts.failure(card, link) if card.problem else parts.explained(card, link))


@cache
def _own(text: str) -> tuple[Markup, str]:
    """A text of ours as it goes into a page, and the hash that allows it there."""
    text = tight(text)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), digest  # noqa: S704 - our own, and escaping would break its selectors


@cache
def _parts() -> Any:
    return _environment().get_template("parts.html").make_module({"up": ""})


@cache
def _environment() -> Environment:
    # `finalize` sees every value that a template writes, so no name can be forgotten.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_final,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_text_of),
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters["count"] = count
    environment.filters["at"] = _at
    environment.filters["tight"] = tight
    return environment


def tight(html: str) -> str:
    """HTML, a script or a style without what indents its lines, which in a page of many cards is a tenth of it."""
    return type(html)(_INDENT.sub("\n", html))


def _at(link: str, up: str) -> str:
    """A link that is relative to OUT, from a folder from which `up` leads there."""
    return up + link.removeprefix("./") if up else link


def _final(value: Any) -> Any:
    return escaped(value) if type(value) is str else value


def _text_of(name: str) -> str:
    return resources.files("cnnexplain.report").joinpath("templates").joinpath(name).read_text("utf-8")
