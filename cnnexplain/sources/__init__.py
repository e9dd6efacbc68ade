"""Where models come from. Each file is a source, discovered by its name; files with an underscore are shared parts.

A new source is a new file here with a `PREFIX`, a `HELP` line, `names()` and `build(name, variant)`, as `ModelSource`
describes them. Nothing else changes. Another package names such a module in an entry point of `cnnexplain.sources`.
"""

from cnnexplain.sources._load import adopt, load
from cnnexplain.sources._registry import sources
from cnnexplain.sources._source import Built, ModelSource, UnknownNameError, Variant

__all__ = ["Built", "ModelSource", "UnknownNameError", "Variant", "adopt", "load", "sources"]
