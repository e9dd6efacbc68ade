"""The report of a large run: a first page of what matters most, and pages of everything, made one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from typing import Any

from markupsafe import Markup

from cnnexplain.core.words import class_name, count, percent
from cnnexplain.report.pages.answers import SHOTS, LabelledImages, Pair, anchor, gallery_image, group, matrix
from cnnexplain.report.pages.card import card
from cnnexplain.report.pages.find_index import sheets
from cnnexplain.report.pages.image_index import FirstClass, ImageIndex, Places, name_of
from cnnexplain.report.pages.latex import CONTACT, contact_sheet
from cnnexplain.report.pages.listing import PAGE, ClassRow, Entry, Listing, listed, pager_of, place_of, row_of
from cnnexplain.report.pages.page import SHOWN_FAILURES, page, rendered, rendered_card, scripts_of
from cnnexplain.report.pages.scripts import FIND, SHEETS, VIEWER, WALK
from cnnexplain.report.pages.summary import SHOWN_CLASSES, class_bars, image_tiles, summary

INDEX, FOLDER = "index.html", "report"
SHOWN_CARDS = 24  # on the first page
FIRST_PAGE = 950_000  # bytes at most
_FOR_FAILURES = 1 / 4  # of the room on the first page, so that some is left for what was explained

_CSS = ("page.css", "pages.css")
_LATER = " Pages of all images are made when it is finished."

Run = Mapping[str, Any]
Records = Sequence[Mapping[str, Any]]
Made = tuple[str, str]


def pages(run: Run, records: Records) -> Iterator[Made]:
    """The pages of a run: path below OUT and content, the first page last, so that no link ever leads nowhere.

    `records` are read from disk, one at a time and several times; no more than a page of them is in memory.
    """
    if run.get("options", {}).get("figure") == "latex":
        yield CONTACT, contact_sheet(run, records)
    answers = LabelledImages(records) if run.get("answers") else None
    listed_records = listed(run, records)
    if len(listed_records) <= PAGE:
        yield INDEX, page(run, listed_records, answers)
        return
    report = _Report(run, listed_records, answers)
    if report.whole:
        yield from report.below()
    yield INDEX, report.first()


class _Report:
    """The data that all pages of a run share. `answers` are those of all images, also of those that are not listed."""

    def __init__(self, run: Run, records: Records, answers: LabelledImages | None) -> None:
        self._all_labelled = answers
        self._labelled = LabelledImages(records) if answers else None
        self._data = run
        self.whole = run["status"] == "finished"
        self._records = records
        self._index = ImageIndex(records)
        self._failed, self._by_confidence = self._index.failures(), self._index.least_certain()
        self._classes = sorted(self._index.classes, key=lambda class_: -class_.images)
        frequent = islice(self._classes, SHOWN_CLASSES)
        self._run = summary(
            run,
            image_tiles(run, len(records), len(self._failed)),
            class_bars(
                [(class_.label, _note(class_), class_.images) for class_ in frequent], self._index.answers
            ),
            _LATER,
        )
        self._navigation = tuple(self._entries()) if self.whole else ()

    def below(self) -> Iterator[Made]:
        """All pages but the first."""
        yield from self._cards()
        for name, sheet in sheets(self._records, self._index.names):
            yield f"{FOLDER}/{name}", sheet
        title = f"Find among {count(len(self._records), 'image')}"
        yield self._below("find.html", "find.html", title, "find", scripts=(FIND,))
        for series in self._listings():
            yield from self._rows(series)
        yield from self._galleries()
        if self._classes:
            yield self._index_of_classes()
            for class_, order in self._index.of_classes():
                says = f"{count(len(order), 'image')} with this first answer, the least certain first"
                yield from self._rows(
                    Listing(_stem(class_), class_.label, order, says, within="classes", answers=False), class_
                )

    def first(self) -> str:
        """The first page: as many failures and uncertain images as there is room for."""
        bare = self._first((), (), (VIEWER, SHEETS))
        room = FIRST_PAGE - len(bare.encode())
        failures, used = self._fitting(self._failed[:SHOWN_FAILURES], int(room * _FOR_FAILURES))
        cards, _ = self._fitting(self._by_confidence[:SHOWN_CARDS], room - used)
        return self._first(
            failures, cards, (VIEWER, SHEETS) if any("data-numbers=" in html for html in cards) else ()
        )

    def _first(self, failures: Iterable[str], cards: Iterable[str], scripts: tuple[str, ...]) -> str:
        return rendered(
            "first.html",
            self._run,
            css=_CSS,
            scripts=scripts,
            navigation=self._navigation,
            within=INDEX,
            whole=self.whole,
            checks=(),
            matrix=self._all_labelled and matrix(self._all_labelled, self._data, self._place_of_cell),
            gallery=(),
            failed=len(self._failed),
            failures=[Markup(html) for html in failures],  # noqa: S704 - rendered already
            explained=len(self._by_confidence),
            answers=self._index.answers,
            cards=[Markup(html) for html in cards],  # noqa: S704 - rendered already
        )

    def _fitting(self, order: Places, room: int) -> tuple[list[str], int]:
        """The cards of the images that fit into so many bytes, and how many they take."""
        cards, used = [], 0
        for place in map(int, order):
            link = f"./{FOLDER}/{place_of(place)}" if self.whole else ""
            html = rendered_card(card(self._records[place], place + 1), link)
            if used + (size := len(html.encode()) + 1) <= room:
                used += size
                cards.append(html)
        return cards, used

    def _entries(self) -> Iterator[Entry]:
        yield Entry("Overview", f"./{INDEX}", INDEX)
        yield Entry("Find", f"./{FOLDER}/find.html", "find")
        if len(self._failed):
            yield Entry(f"{len(self._failed):,} failed", f"./{FOLDER}/failures-1.html", "failures")
        if self._labelled and self._labelled.wrong.any():
            yield Entry(f"{int(self._labelled.wrong.sum()):,} wrong", f"./{FOLDER}/wrong-1.html", "wrong")
        yield Entry("All images", f"./{FOLDER}/images-1.html", "images")
        yield Entry("By name", f"./{FOLDER}/names-1.html", "names")
        if self._classes:
            yield Entry("By confidence", f"./{FOLDER}/confidence-1.html", "confidence")
            yield Entry("Classes", f"./{FOLDER}/classes.html", "classes")

    def _listings(self) -> Iterator[Listing]:
        total = count(len(self._records), "image")
        if len(self._failed):
            says = "In the order of the images"
            yield Listing(
                "failures", f"{count(len(self._failed), 'image')} failed", self._failed, says, failed=True
            )
        if self._labelled and self._labelled.wrong.any():
            order = self._by_confidence[self._labelled.wrong[self._by_confidence]][::-1]
            says = "The most certain of them comes first"
            yield Listing("wrong", f"{count(len(order), 'image')} wrong", order, says, expected=True)
        yield Listing("names", f"{total} by name", self._index.names, "Folder by folder, 9 before 10")
        if self._classes:
            says = "The lowest probability of the first answer comes first"
            yield Listing(
                "confidence",
                f"{count(len(self._by_confidence), 'image')} by confidence",
                self._by_confidence,
                says,
            )

    def _cards(self) -> Iterator[Made]:
        places = range(len(self._records))
        title = f"All {count(len(places), 'image')}"
        series = Listing("images", title, places, "In the order of the images", size=PAGE)
        for number in range(1, series.last + 1):
            cards = [card(self._records[place], place + 1) for place in series.places(number)]
            span = (cards[0].heading, cards[-1].heading)
            yield self._page(
                "cards.html", series, number, span, cards=cards, scripts=(*scripts_of(cards), WALK)
            )

    def _rows(self, series: Listing, of: FirstClass | None = None) -> Iterator[Made]:
        contents = self._contents(series) if series.stem == "names" and series.last > 1 else ()
        for number in range(1, series.last + 1):
            rows = [row_of(self._records[place], place) for place in series.places(number)]
            by_name = series.stem in ("names", "failures")
            span = (rows[0].name, rows[-1].name) if by_name else (rows[0].value, rows[-1].value)
            shown = contents if number == 1 else ()
            yield self._page(
                "rows.html", series, number, span, rows=rows, contents=shown, note=of and _note(of)
            )

    def _galleries(self) -> Iterator[Made]:
        """Of every class the images that should be of it, by what they were taken for."""
        if self._labelled is None:
            return
        for expected, pairs in self._labelled.groups.items():
            label = self._labelled.labels[expected]
            order = [(pair, int(place)) for pair in pairs for place in self._labelled.places(pair)]
            title = f"{count(len(order), 'image')} that should be {label}"
            series = Listing(_gallery(expected), title, range(len(order)), "", size=SHOTS, within="wrong")
            for number in range(1, series.last + 1):
                here = [order[index] for index in series.places(number)]
                groups = [
                    group(
                        self._labelled,
                        pair,
                        [
                            gallery_image(self._records[place], f"./{place_of(place)}")
                            for answer, place in here
                            if answer == pair
                        ],
                    )
                    for pair in dict.fromkeys(pair for pair, _ in here)
                ]
                says = "By what they were taken for: the most frequent mistake first, what is right last"
                yield self._below(
                    "gallery.html",
                    series.path(number),
                    title,
                    series.within,
                    says=says,
                    pager=pager_of(series, number),
                    groups=groups,
                )

    def _place_of_cell(self, pair: Pair) -> str:
        """Where the images of a cell begin."""
        if not self.whole or self._labelled is None or pair not in self._labelled.cells:
            return ""
        before = list(takewhile(lambda other: other != pair, self._labelled.groups[pair[0]]))
        number = sum(self._labelled.cells[other] for other in before) // SHOTS + 1
        return f"./{FOLDER}/{_gallery(pair[0])}-{number}.html#{anchor(pair)}"

    def _contents(self, series: Listing) -> tuple[tuple[str, str, str], ...]:
        """The pages of the index by name: path, first name and last name of each."""
        ends = ((number, series.places(number)) for number in range(1, series.last + 1))
        return tuple(
            (series.path(number), self._name(places[0]), self._name(places[-1])) for number, places in ends
        )

    def _name(self, place: int) -> str:
        return name_of(self._records[place])

    def _page(
        self, template: str, series: Listing, number: int, span: tuple[str, str], **values: Any
    ) -> Made:
        return self._below(
            template,
            series.path(number),
            series.title,
            series.within or series.stem,
            says=series.says,
            span=span,
            pager=pager_of(series, number),
            series=series,
            **values,
        )

    def _index_of_classes(self) -> Made:
        answers = self._index.answers
        rows = [
            ClassRow(
                f"{_stem(class_)}-1.html",
                class_.label,
                _note(class_),
                f"{class_.images:,}",
                "–" if class_.mean is None else percent(class_.mean),
                percent(class_.images / answers),
                class_.images / answers,
            )
            for class_ in self._classes
        ]
        title = f"{count(len(rows), 'class', 'classes')} came first"
        return self._below("classes.html", "classes.html", title, "classes", rows=rows)

    def _below(self, template: str, name: str, title: str, within: str, **values: Any) -> Made:
        html = rendered(
            template,
            self._run,
            up="../",
            css=_CSS,
            title=title,
            navigation=self._navigation,
            within=within,
            **values,
        )
        return f"{FOLDER}/{name}", html


def _gallery(expected: int) -> str:
    return f"should-{expected}"


def _stem(class_: FirstClass) -> str:
    return f"class-{class_.index}"


def _note(class_: FirstClass) -> str:
    note = class_name(class_.index)
    return "" if note == class_.label else note
