"""The digest of a record, by which a later run sees that nobody edited it. No signature: anybody can compute it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from cnnexplain.core.records import line


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with a digest of all its other keys, by which a later run sees that nobody edited it."""
    return {**record, "digest": _digest(record)}


def is_unchanged(record: Mapping[str, Any]) -> bool:
    """Whether a record is as it was written, as far as its digest tells; earlier versions wrote none."""
    if "digest" not in record:
        return True
    try:
        expected = _digest({name: value for name, value in record.items() if name != "digest"})
    except (ValueError, TypeError, RecursionError):  # not even plain data any more
        return False
    return bool(record["digest"] == expected)


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(line(record).encode()).hexdigest()[:16]
