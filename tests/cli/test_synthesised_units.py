"""Pictures of `maximize` beside those of `units`, as a user runs both: in the atlas, and on the cards."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from PIL import Image
from shell import DOCS, TINY_OPTIONS, Run, spot_picture

UNITS = ("units", "tiny.py:Net", "pictures", "-l", "relu", "--no-deconv", *TINY_OPTIONS, "-o", "atlas")
MAXIMIZE = ("maximize", "tiny.py:Net", "-l", "relu", "--steps", "4", *TINY_OPTIONS)
SCHEMA = json.loads((DOCS / "unit.schema.json").read_text())


@pytest.fixture(autouse=True)
def pictures(work: Path) -> None:
    for number in range(4):
        spot_picture((96, 64), (3 * number, 8)).save(work / "pictures" / f"more{number}.png")


def records(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_the_atlas_takes_up_what_was_made_and_the_cards_what_is_real(run: Run, work: Path) -> None:
    assert run(*UNITS).code == 0
    before = records(work / "atlas")
    assert all(record["synthesised"] is None for record in before)
    done = run(*MAXIMIZE, "--channel", "0", "--diverse", "2", "--units", "atlas", "-o", "made")
    assert done.code == 0, done.err
    entries = records(work / "made")[0]["explanations"]
    best = max(entries, key=lambda entry: entry["activation"])
    assert {"activation": before[0]["top"][0]["activation"], "image": before[0]["top"][0]["image"]} == best[
        "highest"
    ]
    with (
        Image.open(work / "made" / best["plain"]) as plain,
        Image.open(work / "made" / best["picture"]) as card,
    ):
        assert plain.size == (64, 64)
        assert card.width > 2 * 224, "the real patch is beside it"
    done = run(*UNITS, "--synthesised", "made")
    assert done.code == 0, done.err
    assert "images were done before" in done.err
    first, second = records(work / "atlas")
    jsonschema.Draft202012Validator(SCHEMA).validate(first)
    assert second == before[1]
    assert {**first, "synthesised": None, "digest": ""} == {**before[0], "digest": ""}
    assert first["synthesised"] == {
        "picture": "units/relu/0000.synthesised.png",
        **{key: best[key] for key in ("activation", "method", "steps")},
    }
    copied = work / "atlas" / first["synthesised"]["picture"]
    assert copied.read_bytes() == (work / "made" / best["plain"]).read_bytes()
    page = (work / "atlas" / "report" / "units-relu-1.html").read_text()
    assert "../units/relu/0000.synthesised.png" in page
    assert "the strongest image" in page
    whole = (work / "atlas" / "results.jsonl").read_text()
    assert run(*UNITS).code == 0
    assert (work / "atlas" / "results.jsonl").read_text() == whole, "left out, what is there stays"
    words = [word if word != "atlas" else "fresh" for word in UNITS]
    assert run(*words, "--synthesised", "made").code == 0
    assert (work / "fresh" / "results.jsonl").read_text() == whole, "at once or later is the same"
    assert run("summary", "tiny.py:Net", *TINY_OPTIONS, "-o", "atlas", "--overwrite").code == 0
    assert not copied.exists()


def test_what_cannot_stand_beside_the_units_is_said(run: Run, work: Path) -> None:
    assert run(*MAXIMIZE, "--channel", "0", "-o", "made").code == 0
    assert run(*MAXIMIZE, "--channel", "0+1", "-o", "sum").code == 0
    assert run(*UNITS).code == 0

    def refused(*words: str) -> tuple[str, str]:
        done = run(*words)
        assert done.code == 2, done.err
        return done.error, done.hint

    error, hint = refused(*UNITS, "--synthesised", "nowhere")
    assert "--synthesised nowhere has no run.json" in error
    assert "maximize" in hint
    error, _ = refused(*UNITS, "--synthesised", "atlas")
    assert "holds a run of units" in error
    error, hint = refused(*UNITS, "--synthesised", "sum")
    assert "no picture of a channel of relu" in error
    assert "3+17" in hint
    for path in (work / "made").glob("*.plain.png"):
        path.unlink()
    error, _ = refused(*UNITS, "--synthesised", "made")
    assert "is not there any more" in error
    (work / "other.py").write_text((work / "tiny.py").read_text().replace("1 / 192", "2 / 192"))
    error, _ = refused(
        *(word.replace("tiny", "other") for word in UNITS), "--synthesised", "sum", "-o", "new"
    )
    assert "is of a model with other weights, tiny.py:Net" in error
    words = [word.replace("tiny", "other") for word in MAXIMIZE]
    error, _ = refused(*words, "--channel", "0", "--units", "atlas", "-o", "new")
    assert "--units atlas is of a model with other weights" in error
