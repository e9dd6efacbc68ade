"""Verdicts for machines: the record, JUnit XML, and what GitHub is told. Names come from strangers."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from cnnexplain.core.records import line
from cnnexplain.core.verdict import EvidenceTable, Status, Verdict
from cnnexplain.report.pages import github, junit
from cnnexplain.report.pages.verdicts import checked
from cnnexplain.runner.checking.files import JUNIT_HEAD

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "record.schema.json").read_text("utf-8"))
NASTY = "a\x00b\x1b[31m]]>\n::error::x\r<script>&amp;|`*_[l](http://e)\udcff\ufffe\U0001f408 %0A, é"


def verdict(check: str, status: Status, says: str = "3 of 9 layers, limit 2", **more: object) -> Verdict:
    level = "warn" if status == "warn" else "error"
    do = "train it longer" if status in ("fail", "warn") else ""
    return Verdict(check, "What it means", status, level, says, **{"do": do, "seconds": 0.25, **more})


EVERY = (
    verdict("finite", "pass", value=0.0),
    verdict("dead-filters", "fail", table=EvidenceTable(("layer", "dead"), (("stem", "3"),))),
    verdict("baseline", "skipped", "needs a stored run"),
    verdict("saturated", "warn", value=float("nan")),
)
HOSTILE = (
    verdict("finite", "fail", NASTY, do=NASTY, table=EvidenceTable((NASTY,), ((NASTY,),))),
    verdict("saturated", "warn", NASTY, do=NASTY),
    verdict("baseline", "skipped", NASTY),
)


# What Jenkins' schema of JUnit files (jenkins-junit.xsd, also that of the xunit plugin) allows.
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
    "testsuite": {
        "name",
        "tests",
        "failures",
        "errors",
        "time",
        "disabled",
        "skipped",
        "timestamp",
        "hostname",
    }
    | {"id", "package"},
    "testcase": {"name", "assertions", "time", "classname", "status"},
    "failure": {"type", "message"},
    "skipped": {"message", "type"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
    "failure": set(),
    "skipped": set(),
    "system-out": set(),
}
REQUIRED = {"testsuite": {"name", "tests"}, "testcase": {"name", "classname"}}


def parsed(text: str) -> ElementTree.Element:
    """A JUnit file, after seeing that it is one."""
    assert text.encode()[:512].count(b"cnnexplain") >= 1
    assert text.encode().startswith(JUNIT_HEAD)
    whole = ElementTree.fromstring(text.encode())  # noqa: S314 - our own
    assert whole.tag == "testsuites"
    for element in whole.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]
        assert set(element.attrib) >= REQUIRED.get(element.tag, set())
        assert {child.tag for child in element} <= CHILDREN[element.tag]
        for name in element.attrib.keys() & {"tests", "failures", "errors", "skipped"}:
            assert element.attrib[name].isdecimal()
        if "time" in element.attrib:
            assert re.fullmatch(r"\d+\.\d{3}", element.attrib["time"])
    return whole


def test_a_junit_file_says_what_became_of_every_check() -> None:
    whole = parsed(junit.report(EVERY, "resnet50.a1_in1k", 12.5))
    (suite,) = whole
    assert suite.get("name") == "cnnexplain check resnet50.a1_in1k"
    for element in (whole, suite):
        assert (element.get("tests"), element.get("failures"), element.get("errors")) == ("4", "1", "0")
    assert (suite.get("skipped"), suite.get("time")) == ("1", "12.500")
    passed, failed, skipped, warned = suite
    assert [one.get("name") for one in suite] == ["finite", "dead-filters", "baseline", "saturated"]
    assert {one.get("classname") for one in suite} == {"cnnexplain.check.resnet50_a1_in1k"}
    assert {child.tag for child in passed} == {"system-out"}
    failure = failed.find("failure")
    assert failure is not None
    assert failure.get("message") == "3 of 9 layers, limit 2"
    assert failure.text is not None
    assert failure.text.splitlines()[2:] == ["do: train it longer", "", "layer | dead", "stem | 3"]
    assert skipped.find("skipped").get("message") == "needs a stored run"
    assert [child.tag for child in warned] == ["system-out"]
    assert warned[0].text.startswith("warning: ")


def test_two_models_of_one_pipeline_have_cases_of_their_own() -> None:
    names = {
        parsed(junit.report(EVERY, model, 1))[0][0].get("classname")
        for model in ("a/b.py:net", "a/c.py:net", "…")
    }
    assert len(names) == 3


def test_a_junit_file_holds_any_name() -> None:
    text = junit.report(HOSTILE, NASTY, 1)
    (suite,) = parsed(text)
    assert [len(one) for one in suite] == [1, 1, 1]
    message = suite[0][0].get("message")
    assert message is not None
    assert "\n" not in message
    assert "<script>&amp;|`*_[l](http://e)\\xff\ufffd\U0001f408 %0A, é" in message
    assert "a\\x00b\\x1b[31m]]>" in message


def unescaped(text: str, *, of_property: bool) -> str:
    """As GitHub's runner reads it."""
    codes = [
        ("%0D", "\r"),
        ("%0A", "\n"),
        *((("%3A", ":"), ("%2C", ",")) if of_property else ()),
        ("%25", "%"),
    ]
    for code, letter in codes:
        text = text.replace(code, letter)
    return text


def test_github_is_told_of_what_failed_and_what_warns() -> None:
    lines = github.notes(EVERY, "resnet50")
    assert lines == [
        "::error title=cnnexplain check dead-filters::resnet50: 3 of 9 layers, limit 2. train it longer",
        "::warning title=cnnexplain check saturated::resnet50: 3 of 9 layers, limit 2. train it longer",
    ]


def test_a_workflow_command_is_one_line_whatever_the_name() -> None:
    lines = github.notes((*HOSTILE, verdict("a:b,c%", "fail")), NASTY)
    assert len(lines) == 3
    for said in lines:
        assert not set(said) & {"\n", "\r"}
        found = re.fullmatch(r"::(error|warning) title=([^:,]*)::(.*)", said)
        assert found
        assert NASTY.replace("\udcff", "\\xff") in unescaped(found[3], of_property=False)
    assert "title=cnnexplain check a%3Ab%2Cc%25::" in lines[2]


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags[tag] += 1


def test_the_summary_is_a_table_whatever_the_names() -> None:
    text = github.summary(HOSTILE, NASTY)
    lines = text.splitlines()
    assert lines[0].startswith("### cnnexplain check a")
    assert lines[2] == "1 failed, 1 warned, 0 passed, 1 skipped"
    rows = lines[4:-1]
    assert text.replace("\n", "").isprintable()
    assert len(rows) == 2 + len(HOSTILE)
    assert {row.count("|") for row in rows} == {4}
    seen = Seen()
    seen.feed(text)
    assert set(seen.tags) == {"br"}
    assert not set("`*_[") & set("".join(rows[2:]))
    assert text.encode()
    assert text.endswith("\n\n")


def test_the_summary_has_what_failed_first_and_ends_somewhere() -> None:
    text = github.summary((*EVERY, verdict("finite", "pass", "x" * 10**6)), "m")
    rows = text.splitlines()[6:-1]
    assert [row.split("|")[2].strip() for row in rows] == [
        "dead-filters",
        "saturated",
        "finite",
        "finite",
        "baseline",
    ]
    assert len(text) < 5000


@pytest.mark.parametrize("verdicts", [EVERY, HOSTILE])
def test_the_record_of_a_check_is_as_the_schema_says(verdicts: tuple[Verdict, ...]) -> None:
    record = checked(verdicts, {"dead-filters": "check.dead-filters.png"}, "resnet50")
    read = json.loads(line(record), parse_constant=pytest.fail)
    jsonschema.Draft202012Validator(SCHEMA).validate(read)
    assert [one["status"] for one in read["checks"]] == [one.status for one in verdicts]


def test_the_schema_knows_what_cannot_be() -> None:
    read = json.loads(line(checked(EVERY, {}, "resnet50")))
    for change in (
        {"level": "warn"},
        {"status": "pass"},
        {"status": "bad"},
        {"picture": "/etc/x"},
        {"says": ""},
    ):
        wrong = {**read, "checks": [{**read["checks"][1], **change}]}
        assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(wrong), change
