"""Atlases of 1,280 and 5,000 units in Chromium: bytes, and the seconds of the processor until a page can be used.

The records are those that the tests make up. It needs the packages of the tests, and Chromium.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report"))

from conftest import _run, browsing
from unit_records import draw_pictures, run_of_units, unit, written

SORT = """(async () => {
    const sort = document.getElementById("sort");
    sort.value = "selective";
    sort.dispatchEvent(new Event("input", {bubbles: true}));
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
})()"""


def main() -> None:
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
