"""index.html: one file that opens from disk, without network and without JavaScript."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from cnnexplain.core.words import count
from cnnexplain.report.card import card
from cnnexplain.report.judged import groups
from cnnexplain.report.summary import summary
from cnnexplain.report.words import shown

SHOWN_FAILURES = 20  # the others are folded away, lest they hide what went well


def page(run: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> str:
    """The page of a run: `run` is what run.json holds, `records` are the lines of results.jsonl."""
    every = list(records)
    cards = [card(record, place) for place, record in enumerate(every, 1) if "checks" not in record]
    checks = groups(every)
    css = _text_of("page.css")
    # One page needs a script, and may run this one only; all others may run none.
    script = _text_of("layers.js") if any(one.layers for one in cards) else ""
    return _template().render(
        run=summary(run, cards, checks),
        shown_failures=SHOWN_FAILURES,
        failures=[one for one in cards if one.problem],
        checks=checks,
        cards=[one for one in cards if not one.problem],
        css=Markup(css),  # noqa: S704 - our own file, and escaping would break its selectors
        css_hash=_hash(css),
        script=Markup(script),  # noqa: S704 - as above
        script_hash=_hash(script) if script else "",
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _template() -> Template:
    # `finalize` sees every value that the template writes, so no name can be forgotten.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_final, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["count"] = count
    return environment.from_string(_text_of("page.html"))


def _final(value: Any) -> Any:
    return shown(value) if type(value) is str else value


def _text_of(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
