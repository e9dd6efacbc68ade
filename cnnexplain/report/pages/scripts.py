"""The scripts of a page: modules of `report/scripts/`, joined into one that can stand in the page itself.

A page that was opened from disk may import nothing, so a script and the modules it imports become one text, each after
those that it needs. Their top-level names are therefore different (a test loads them all); comments stay behind.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

# What a page loads as a module: "layers.js" sorts the table of layers, "graph.js" opens a graph's blocks, "viewer.js"
# shows maps, "turn_sheets.js" has sheets looked into, "find.js" finds pictures, "walk.js" goes through those found.
LAYERS, GRAPH, VIEWER, FIND, WALK = "layers.js", "graph.js", "viewer.js", "find.js", "walk.js"
SHEETS = "turn_sheets.js"
CARDS = "cards.js"  # finds those of a short report in place
# The styles of what they add to a page.
STYLES = {
    VIEWER: ("viewer.css",),
    SHEETS: ("sheet.css",),
    FIND: ("finding.css", "find.css"),
    CARDS: ("finding.css", "walk.css"),
    WALK: ("walk.css",),
}
READERS = frozenset((VIEWER, SHEETS, FIND, WALK))  # of data in style sheets beside the page

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)
_COMMENT = re.compile(r"^ *(/\*\*(?:(?!\*/).)*\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


@cache
def joined(names: tuple[str, ...]) -> str:
    """Scripts and all that they import as one text without imports, exports and comments of whole lines."""
    texts: dict[str, str] = {}

    def add(module: str) -> None:
        if module in texts:
            return
        source = resources.files("cnnexplain.report").joinpath("scripts").joinpath(module).read_text("utf-8")
        for imported in _IMPORT.findall(source):
            add(imported)
        texts[module] = _EXPORT.sub("", _COMMENT.sub("", _IMPORT.sub("", source))).lstrip("\n")

    for name in names:
        add(name)
    return "".join(texts.values())
