"""What images should be, on the page: a matrix whose cells lead to their images, with the maps of both classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from many import Lazy, Record, Seen, failure, image, rows, series, told

from cnnexplain.report.pages.answers import MOST, SHOTS
from cnnexplain.runner.output.folder import PAGE_NAMES, PAGES

Run = Callable[..., dict[str, Any]]
LABELS = ["ant", "bee", "cow", "dog"]


def labelled(place: int, should: int, taken: int, labels: list[str] | None = None) -> Record:
    """The record of an image that should be one class and was taken for another, with a map of each."""
    names = labels or LABELS
    record = image(place)
    best, other = (
        {"index": index, "label": names[index], "probability": share, "logit": share}
        for index, share in ((taken, 0.6), (should, 0.3))
    )
    (found,) = record["explanations"]
    maps = [{**found, "target": best, "picture": f"{place}.best.png"}]
    if should != taken:
        maps.append({**found, "target": other, "picture": f"{place}.expected.png"})
    expected = {"index": should, "label": names[should]}
    answers = {"predictions": [best, other], "expected": expected, "right": should == taken}
    return {**record, **answers, "explanations": maps}


def mixed(place: int) -> Record:
    """Every fifth image is taken for the next class, every seventh of the others has failed."""
    if place % 7 == 6:
        return {**failure(place), "expected": {"index": place % 4, "label": LABELS[place % 4]}}
    return labelled(place, place % 4, (place + (place % 5 == 0)) % 4)


def known(run: Run, only: str | None = None) -> dict[str, Any]:
    return {
        **run(),
        "answers": {"right": 1, "labelled": 1, "chance": 0.25},
        "model": {"name": "net", "classes": 4},
        "options": {"only": only} if only else {},
    }


def cells(page: Seen) -> dict[tuple[str, str], tuple[str, str]]:
    """What stands in each cell of the matrix, and where it leads."""
    table = re.search(r'<div class="panel matrix".*?</table>', page.html, re.DOTALL)
    assert table is not None
    head, *body = re.findall(r"<tr>.*?</tr>", table[0], re.DOTALL)
    names = re.findall(r"<bdi>(.*?)</bdi>", head)
    found = {}
    for row in body:
        label = re.findall(r"<bdi>(.*?)</bdi>", row)[0]
        for name, cell in zip(names, re.findall(r"<td.*?</td>", row, re.DOTALL), strict=False):
            link = re.search(r'href="([^"]*)"', cell)
            found[label, name] = re.sub(r"<[^>]*>", "", cell), link[1] if link else ""
    return found


def counted(many: int) -> Counter[tuple[str, str]]:
    records = (mixed(place) for place in range(many))
    return Counter(
        (one["expected"]["label"], one["predictions"][0]["label"]) for one in records if "right" in one
    )


@pytest.mark.parametrize("many", [40, 330])
def test_every_cell_counts_its_images_and_leads_to_them(run: Run, many: int) -> None:
    made = told(known(run), Lazy(many, mixed))
    first = made["index.html"]
    truth = counted(many)
    total = truth.total()
    right = sum(images for (should, taken), images in truth.items() if should == taken)
    assert f"{right} of {total} images right, {right / total:.1%} (by chance 25.0%)" in first.text
    found = cells(first)
    assert {pair: int(text) for pair, (text, _) in found.items() if text} == truth
    for (should, taken), (text, link) in found.items():
        assert bool(text) == bool(link)
        if not link:
            continue
        path, anchor = first.goal(unquote(link))
        assert anchor in made[path].anchors
        part = made[path].html.split(f'aria-labelledby="{anchor}"')[1].split("</section>")[0]
        pictures = re.findall(r'<img src="[./]*([^"]*)"', part)
        places = {int(one.split(".")[0]) for one in pictures}
        assert len(places) == min(int(text), SHOTS) or many > 100
        for place in places:
            record = mixed(place)
            assert (record["expected"]["label"], record["predictions"][0]["label"]) == (should, taken)
            both = [f"{place}.best.png", f"{place}.expected.png"][: 1 + (should != taken)]
            assert [one for one in pictures if one.startswith(f"{place}.")] == both


def test_every_link_of_a_large_report_leads_somewhere_and_every_page_is_known(run: Run) -> None:
    made = told(known(run), Lazy(330, mixed))
    pictures = {one["picture"] for place in range(330) for one in mixed(place)["explanations"]}
    for one in made.values():
        for link in one.links:
            path, anchor = one.goal(unquote(link))
            assert path in made or path in {"results.jsonl", "run.json", *pictures}, (one.path, link)
            assert not anchor or anchor in made[path].anchors, (one.path, link)
        assert {one.goal(unquote(src))[0] for src in one.pictures} <= pictures
    for path in set(made) - {"index.html"}:
        assert PAGE_NAMES.fullmatch(path.removeprefix(f"{PAGES}/")), "or it stays when the run is replaced"
    wrong = {f"image-{place + 1}" for place in range(330) if mixed(place).get("right") is False}
    assert f">{len(wrong)} wrong</a>" in made["index.html"].html
    assert len(rows(made, "wrong")) == len(wrong)
    shown = Counter(link for page in series(made, "should-0") for link in page.links if "#image-" in link)
    of_class = [place for place in range(330) if place % 4 == 0 and "right" in mixed(place)]
    assert {link.split("#image-")[1] for link in shown} == {str(place + 1) for place in of_class}


@pytest.mark.parametrize("many", [40, 800])
def test_only_some_are_listed_and_all_are_counted(run: Run, many: int) -> None:
    made = told(known(run, "wrong"), Lazy(many, mixed))
    listed = [place for place in range(many) if mixed(place).get("right") is not True]
    assert sum(anchor.startswith("image-") for one in made.values() for anchor in one.anchors) == len(listed)
    assert (
        "Images that are wrong are listed, and what failed (--only wrong); all are" in made["index.html"].text
    )
    found = cells(made["index.html"])
    assert {pair: int(text) for pair, (text, _) in found.items() if text} == counted(many)
    assert {pair for pair, (_, link) in found.items() if link} == {
        (should, taken) for should, taken in counted(many) if should != taken
    }


def test_many_classes_are_cut_to_those_that_are_mistaken_and_names_do_no_harm(run: Run) -> None:
    labels = [f"<b>{index}" for index in range(60)]
    records = [labelled(place, place, place, labels) for place in range(60)]
    records += [labelled(60 + place, 50, 51, labels) for place in range(3)]
    first = told(known(run), records)["index.html"]
    found = cells(first)
    assert len(found) == MOST * MOST
    assert found["&lt;b&gt;50", "&lt;b&gt;51"][0] == "3"
    assert "Left out: 36 classes with fewer mistakes." in first.text
    assert "b" not in first.tags or "<b>50" not in first.html


def test_a_run_without_labels_has_no_matrix(run: Run) -> None:
    for many in (40, 120):
        assert "matrix" not in told(run(), Lazy(many))["index.html"].html.split("</style>")[1]
