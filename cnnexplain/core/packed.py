"""Arrays as text in a record: little-endian bytes in base64, in pieces no longer than a record's texts may be."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.core.records import LONGEST

if TYPE_CHECKING:
    from numpy.typing import NDArray


def packed(values: NDArray[Any]) -> list[str]:
    """Return an array as pieces of text.

    Args:
        values: Of any shape, which the text does not hold.
    """
    text = base64.b64encode(values.astype(values.dtype.newbyteorder("<"), order="C").tobytes()).decode()
    return [text[start : start + LONGEST] for start in range(0, len(text), LONGEST)]


def unpacked(pieces: Sequence[str], dtype: Any) -> NDArray[Any]:
    """Return the array that pieces of text hold, (N,); a copy that may be written to.

    Args:
        pieces: As `packed` made them.
        dtype: The type of the values.

    Raises:
        ValueError: It is no base64, or no whole number of values.
    """
    kind = np.dtype(dtype)
    content = base64.b64decode("".join(pieces), validate=True)
    return np.frombuffer(content, kind.newbyteorder("<")).astype(kind)
