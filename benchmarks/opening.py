"""Pages in Chromium: atlases of 1,280 and 5,000 units, and finding pictures among 10,000.

Of an atlas: bytes, and the seconds of the processor until a page can be used. Of finding: milliseconds by the page's
own clock from a change of a control until the script has answered, and until the new rows have been painted.

The records are those that the tests make up. It needs the packages of the tests, and Chromium.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report"))

from conftest import _run, browsing
from many import Lazy, image
from unit_records import draw_pictures, run_of_units, unit, written

from cnnexplain.report.pages.long import pages

SORT = """(async () => {
    const sort = document.getElementById("sort");
    sort.value = "selective";
    sort.dispatchEvent(new Event("input", {bubbles: true}));
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
})()"""

# Changes of the controls, one after another: name and value.
ASKED = (
    ("find", "photo 12"),
    ("find", ""),
    ("sort", "confidence"),
    ("down", "1"),
    ("sort", "class"),
    ("class", "label 7"),
    ("class", ""),
    ("sort", "name"),
    ("from", "50"),
)
ASK = """(async () => {
    const control = document.querySelector('.find [name=%s]');
    const start = performance.now();
    if (control.type === "checkbox") control.checked = true;
    else control.value = "%s";
    control.dispatchEvent(new Event("input", {bubbles: true}));
    const answered = performance.now() - start;
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    return [answered, performance.now() - start];
})()"""


def drawn(place: int) -> dict[str, Any]:
    """The record of an image whose drawing is there: that of all of them."""
    record = image(place)
    record["explanations"][0]["picture"] = "drawn.png"
    return record


def finding(count: int = 10_000, rounds: int = 7) -> None:
    """Print how long a page takes to answer among so many pictures."""
    with tempfile.TemporaryDirectory() as profile, tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (out / "report").mkdir()
        Image.new("RGB", (640, 220), "navy").save(out / "drawn.png")
        for name, content in pages(_run(), Lazy(count, drawn)):
            (out / name).write_text(content, "utf-8")
        size = sum(sheet.stat().st_size for sheet in out.glob("report/find*")) / 1e3
        with browsing(Path(profile)) as tab:
            tab.open(out / "report" / "find.html")
            tab.wait(f"document.querySelector('.find output').textContent === 'all {count:,}'")
            print(f"  {count:,} pictures: {size:.0f} kB of page and index, opened in {tab.spent():.2f} s")
            times: dict[str, list[list[float]]] = {}
            for _ in range(rounds):
                for name, value in ASKED:
                    times.setdefault(f"{name} {value}", []).append(tab.ask(ASK % (name, value)))
            for asked, taken in times.items():
                answered, painted = (median(column) for column in zip(*taken, strict=True))
                print(f"    {asked:16} answered in {answered:4.0f} ms, painted in {painted:4.0f} ms")
            print(f"    {len(tab.complaints)} complaints")


def main() -> None:
    print("\nFinding pictures in Chromium, medians")
    finding()
    print("\nAn atlas opened in Chromium, seconds of the page's thread")
    with tempfile.TemporaryDirectory() as profile, browsing(Path(profile)) as tab:
        for count in (1_280, 5_000):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder)
                units = [unit(channel, units=count) for channel in range(count)]
                draw_pictures(out, units)
                first = written(out, run_of_units(_run()), units)
                size = sum(page.stat().st_size for page in out.rglob("*.html")) / 1e6
                print(
                    f"  {count:,} units: {size:.1f} MB of pages, first page {first.stat().st_size / 1e3:.0f} kB"
                )
                for page in (
                    first,
                    out / "report" / "layer-blocks.4.html",
                    out / "report" / "units-blocks.4-1.html",
                ):
                    tab.open(page)
                    time.sleep(1)
                    opened = tab.spent()
                    print(f"    {page.name:24} opened in {opened:.2f} s", end="")
                    if page.name.startswith("layer"):
                        tab.ask(SORT)
                        print(f", sorted in {tab.spent() - opened:.2f} s", end="")
                    print(f", {len(tab.complaints)} complaints")


if __name__ == "__main__":
    main()
