"""A record as a line of JSON: the quick way gives the very text of the careful one."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from cnnexplain.core.records import LONGEST, line, plain


@pytest.mark.parametrize(
    "record",
    [
        {"image": "cat.jpg", "size": (640, 480), "peak": [1, 2.5], "nested": {"a": (1, (None, True))}},
        {"image": "größe 貓 𝄞.jpg"},
        {"image": "a\udcffb.jpg", "label": "x"},
        {"udcff": "backslash ud: \\ud800 as text"},
        {"label": "x" * LONGEST},
        {"label": "x" * (LONGEST + 1), "more": "y"},
        {"facts": MappingProxyType({"a": 1, "b": MappingProxyType({"c": (1, 2)})})},
        {f"key{number}": "value" for number in range(500)},
    ],
)
def test_a_line_is_the_plain_record(record: dict[str, Any]) -> None:
    text = line(record)
    assert text == json.dumps(plain(record), allow_nan=False)
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text) == plain(record)


def test_what_is_no_number_and_what_is_no_data_is_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        line({"score": float("nan")})
    with pytest.raises(TypeError):
        line({"score": object()})
