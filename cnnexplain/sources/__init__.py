"""Where models come from. One file is one place, found by name; the files with an underscore are the machinery.

A new source is a new file here with a `PREFIX`, a `HELP` line, `names()` and `build(name, variant)`, as `Source`
in `_source.py` describes them. Nothing else changes.
"""

from cnnexplain.sources._load import adopt, load
from cnnexplain.sources._registry import sources

__all__ = ["adopt", "load", "sources"]
