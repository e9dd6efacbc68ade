"""The page: what it says, and that no name can break it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results import Detail
from cnnexplain.core.words import listed, percent
from cnnexplain.errors import ImageError
from cnnexplain.report.pages import record, words
from cnnexplain.report.pages.page import SHOWN_FAILURES, page

Make = Callable[..., Explanation]
Run = Callable[..., dict[str, Any]]


class Seen(HTMLParser):
    """The elements, attributes and text of a page; fails on tags that do not match."""

    void = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.void:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def ok(explanation: Explanation, picture: str = "a.png", raw: str | None = "a.npz") -> dict[str, Any]:
    found = (*explanation.heatmaps, *explanation.reconstructions)
    return record.explained(explanation, "gradcam", "resnet50", [(picture, raw)] * len(found))


def bad(name: str = "b.jpg", problem: str = "b.jpg is cut short") -> dict[str, Any]:
    return record.failed(name, ImageError(problem, "download it again"), "gradcam", "resnet50")


def test_the_whole_story_is_there(run: Run, explanation: Make) -> None:
    seen = Seen(page(run(), [ok(explanation()), bad()]))
    for said in (
        "resnet50",
        "cnnexplain gradcam resnet50 cat.jpg -o out",
        "timm resnet50.a1_in1k",
        "0123456789abcdef" * 4,
        "25,557,032",
        "2.15.0",
        "the last map before pooling",
        "3.2 s",
        "1 image failed",
        "1 image explained",
        "Egyptian cat",
        "39.0%",
        "<0.1%",
        "60 × 40 pixels",
        "0 to 3.14",
        "7 × 7",
        "b.jpg is cut short",
        "download it again",
        "2026-11-21 08:00:00 UTC",
        "cpu in fp32",
        "bicubic",
        "0.485, 0.456, 0.406",
    ):
        assert said in seen.text, said
    links = [one["href"] for one in seen.all("a")]
    for link in ("./a.png", "./a.npz", "./results.jsonl", "./run.json"):
        assert link in links
    assert "not finished" not in seen.text


def test_alternative_text_says_something(run: Run, explanation: Make) -> None:
    spoken = Seen(page(run(), [ok(explanation()), ok(explanation(values=np.full((7, 7), -1.0)))])).all("img")
    x, y = explanation().heatmaps[0].peak or (0, 0)
    assert spoken[0]["alt"] == (
        f"gradcam of ‘Egyptian cat’ (39.0%) at conv_head: strongest at x {x}, y {y} of 60 × 40"
    )
    assert spoken[1]["alt"] == (
        "gradcam of ‘Egyptian cat’ (39.0%) at conv_head: nothing positive: no part speaks for it"
    )


def test_its_origin_stands_at_the_very_start(run: Run) -> None:
    assert '<meta name="generator" content="cnnexplain 0.1.0">' in page(run(), [])[:300]


def test_nothing_runs_and_nothing_is_fetched(run: Run, explanation: Make) -> None:
    html = page(run(), [ok(explanation()), bad()])
    seen = Seen(html)
    assert not seen.all("script")
    assert not [name for _, attributes in seen.elements for name in attributes if name.startswith("on")]
    assert not [one for one in seen.elements if "style" in one[1]]
    addresses = [
        attributes[key] for _, attributes in seen.elements for key in ("src", "href") if key in attributes
    ]
    assert all(one.startswith(("./", "#", "data:image/svg+xml,")) for one in addresses)
    assert not re.search(r"url\(|@import", html)
    policy = next(one for one in seen.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; ")
    assert "unsafe" not in policy["content"]


HOSTILE = [
    "<script>alert(1)</script>",
    "</style></title><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "two\nlines",
    "\x1b[31mred\x07",
    "\u202egpj.exe",
    "\u2066isolate",
    "caf\udce9",
    "lone \ud83d",
    "\x00",
    "{{ 7 * 7 }}",
    "&lt;b&gt;",
    "a\u2028b",
    "soft\u00adhyphen",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(name: str, run: Run, explanation: Make) -> None:
    plain = Seen(page(run(options={"a": "b"}), [ok(explanation()), bad()]))
    changed = run(
        arguments=name,
        versions={name: name},
        options={name: [name]},
        choices=[{"what": name, "value": name, "reason": name}],
        model={**run()["model"], "name": name, "reference": name, "source": name, "weights_sha256": name},
    )
    hostile = explanation(name, labels=(name,) * 5, layer=name)
    html = page(changed, [ok(hostile, f"{name}.png", f"{name}.npz"), bad(name, name)])
    html.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200e\u200f\u2028-\u202e\u2066-\u2069]", html)
    seen = Seen(html)
    assert [tag for tag, _ in seen.elements] == [tag for tag, _ in plain.elements]
    assert seen.text.count(words.escaped(name)) >= 15
    assert seen.all("img")[0]["src"].startswith("./")
    assert re.fullmatch(r"\./[\w.~/%-]+", seen.all("img")[0]["src"], re.ASCII)


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("a b.png", "./a%20b.png"),
        ("sub/100%#1?.png", "./sub/100%25%231%3F.png"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//evil.example/x.png", ".///evil.example/x.png"),
        ("日本.png", "./%E6%97%A5%E6%9C%AC.png"),
    ],
)
def test_links_stay_relative(path: str, link: str) -> None:
    assert words.href(path) == link


def test_names_show_what_they_hide() -> None:
    assert words.escaped("a\nb\x1b[0m\u202ec") == "a\\nb\\x1b[0m\\u202ec"
    assert words.escaped("café 日本語 👩‍🚀") == "café 日本語 👩‍🚀"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.39, "39.0%"),
        (0.0004, "<0.1%"),
        (0.0, "0.0%"),
        (0.0005, "0.1%"),
        (0.9996, ">99.9%"),
        (1.0, "100.0%"),
        (0.99949, "99.9%"),
    ],
)
def test_no_certainty_that_is_none(value: float, said: str) -> None:
    assert percent(value) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3.21, "3.2 s"),
        (59.96, "1 min 0 s"),
        (252, "4 min 12 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (3.9e-9, 3.1, "0 to 3.1"),
        (-3.1, -0.0004, "−3.1 to 0"),
        (-25, 12345.0, "−25 to 1.23e+04"),
        (0, 0, "0 to 0"),
    ],
)
def test_ranges(low: float, high: float, said: str) -> None:
    assert words.span(low, high) == said


def test_failures_come_first_and_many_are_folded(run: Run, explanation: Make) -> None:
    records = [ok(explanation()), *(bad(f"{number}.jpg") for number in range(SHOWN_FAILURES + 5))]
    html = page(run(images={"count": 30, "ok": 1, "error": SHOWN_FAILURES + 5}), records)
    assert html.index("25 images failed") < html.index("1 image explained")
    assert ">5 more<" in html
    assert len([one for one in Seen(html).all("article") if "failure" in one["class"]]) == SHOWN_FAILURES + 5


def test_an_interrupted_run_says_so(run: Run, explanation: Make) -> None:
    text = Seen(
        page(run(status="interrupted", images={"count": 9, "ok": 1, "error": 0}), [ok(explanation())])
    ).text
    assert "This run was interrupted" in text
    assert re.search(r"8\s+not done yet", text)


def test_every_index_entry_leads_to_its_card(run: Run, explanation: Make) -> None:
    seen = Seen(page(run(), [ok(explanation(f"{number}.jpg")) for number in range(7)]))
    anchors = {one["id"] for one in seen.all("article")}
    assert {one["href"][1:] for one in seen.all("a") if one["href"].startswith("#")} == anchors
    assert len(anchors) == 7


def test_a_run_that_says_little_still_makes_a_page() -> None:
    seen = Seen(page({"cnnexplain": "0.1.0", "command": "gradcam", "status": "finished"}, []))
    assert "gradcam" in seen.text
    assert not figures(seen)


def figures(seen: Seen) -> list[str]:
    return [one["src"] for one in seen.all("img")]


COMPLETE = {"steps": 50, "difference": 5.1, "sum": 5.09, "gap": 0.01}
GUIDED = {"rule": "guided", "count": 49, "kinds": {"SiLU": 2, "ReLU6": 47}}


def test_a_pixel_map_is_told_as_one(run: Run, explanation: Make) -> None:
    detail = Detail({"completeness": COMPLETE, "rectifiers": GUIDED, "samples": 25}, ("Mind the gap.",))
    made = explanation(layer="input", scale="signed", methods=("gradient",), detail=detail)
    seen = Seen(page(run(choices=[]), [ok(made)]))
    text = " ".join(seen.text.split())
    for said in (
        "gradient of Egyptian cat, 39.0%",
        "scale signed: for and against",
        "samples 25",
        "Mind the gap.",
    ):
        assert said in text, said
    assert "layer input" not in text
    assert seen.all("img")[0]["alt"].startswith(
        "gradient of ‘Egyptian cat’ (39.0%) in pixels: strongest at x "
    )


def test_a_magnitude_of_nothing_is_zero(run: Run, explanation: Make) -> None:
    seen = Seen(page(run(), [ok(explanation(layer="input", scale="magnitude", values=np.zeros((4, 4))))]))
    assert seen.all("img")[0]["alt"] == "gradcam of ‘Egyptian cat’ (39.0%) in pixels: zero everywhere"


def test_records_of_earlier_releases_still_make_cards(run: Run, explanation: Make) -> None:
    one = ok(explanation())
    del one["explanations"][0]["scale"]
    assert page(run(), [one]) == page(run(), [ok(explanation())])


def test_the_units_of_a_sheet_are_one_figure(run: Run, units: Make) -> None:
    made = units(rules=("deconv", "guided"), detail=Detail({"rectifiers": GUIDED}, ("Mind.",)))
    seen = Seen(page(run(versions={}), [ok(made, "sheet.png", "sheet.npz")]))
    assert figures(seen) == ["./sheet.png"]
    assert seen.all("img")[0]["alt"] == (
        "3 units of blocks.2, projected back to pixels by deconv and guided: what each saw of 60 × 40; "
        "the strongest is channel 55 (3.41)"
    )
    text = " ".join(seen.text.split())
    first, *_, last = (one["unit"]["sees"] for one in ok(made)["explanations"])
    for said in (
        "blocks.2 · 3 units, deconv and guided",
        "strongest channel 55 (3.41)",
        f"1 55 3.41 0, 4 {first[0]}–{first[2]} {first[1]}–{first[3]}",
        f"3 0 1.41 all {last[0]}–{last[2]} {last[1]}–{last[3]}",
    ):
        assert said in text, said
    assert text.count("Mind.") == 1
    assert len(seen.all("tr")) == 1 + 3
    links = {one["href"] for one in seen.all("a")}
    assert {"./sheet.png", "./sheet.npz"} <= links
    assert "marked" not in [one.get("class") for one in seen.all("li")], "no class is asked about"


@pytest.mark.parametrize(("number_of", "folded"), [(9, False), (10, True)])
def test_many_units_are_folded_away(number_of: int, folded: bool, run: Run, units: Make) -> None:
    seen = Seen(page(run(), [ok(units(channels=tuple(range(number_of))))]))
    (found,) = (one for one in seen.all("details") if one.get("class") == "list")
    assert ("open" not in found) == folded
    assert len(seen.all("tr")) == 1 + number_of


def test_the_overview_comes_first(run: Run, units: Make) -> None:
    made = units(layers=("blocks.0", "blocks.2", "blocks.4"))
    one = ok(made)
    for found in one["explanations"]:
        found["picture"] = f"{found['layer']}.png"
    seen = Seen(page(run(), [{**one, "overview": "all & more.png"}]))
    assert figures(seen) == [
        "./all%20%26%20more.png",
        "./blocks.0.png",
        "./blocks.2.png",
        "./blocks.4.png",
    ]
    assert "blocks.0, blocks.2 and blocks.4" in seen.all("img")[0]["alt"]
    assert "All layers · 3, from blocks.0 to blocks.4" in seen.text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layers_rules_facts_and_remarks_are_only_text(name: str, run: Run, units: Make) -> None:
    def made(name: str) -> str:
        detail = Detail(
            {f"fact {name}": {name: [name]}},
            (name,),
        )
        sheet = units(layers=(name, f"{name}2"), rules=(name,), detail=detail)
        return page(run(), [{**ok(sheet, f"{name}.png", f"{name}.npz"), "overview": name}])

    html = made(name)
    html.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200e\u200f\u2028-\u202e\u2066-\u2069]", html)
    seen = Seen(html)
    assert [tag for tag, _ in seen.elements] == [tag for tag, _ in Seen(made("plain")).elements]
    assert seen.text.count(words.escaped(name)) >= 7
    assert all(re.fullmatch(r"\./[\w.~/%-]+", src, re.ASCII) for src in figures(seen))


@pytest.mark.parametrize(
    ("names", "said"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists(names: list[str], said: str) -> None:
    assert listed(names) == said


def test_sheets_have_all_the_room_there_is(run: Run, explanation: Make, units: Make) -> None:
    for made, wide in ((explanation(), False), (units(), True)):
        seen = Seen(page(run(), [ok(made)]))
        assert ("class" in seen.all("figure")[0]) == wide
        assert ("many" in seen.all("article")[0]["class"]) == wide
