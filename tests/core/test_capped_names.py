"""Names that are endless are cut, and stay different."""

from __future__ import annotations

import pytest

from cnnexplain.core.records import LONGEST, readable
from cnnexplain.core.words import LONGEST_NAME, capped


@pytest.mark.parametrize("length", [0, 1, LONGEST_NAME])
def test_names_of_usual_length_stay_as_they_are(length: int) -> None:
    assert capped("n" * length) == "n" * length


@pytest.mark.parametrize("length", [LONGEST_NAME + 1, 5_000, 1_000_000])
def test_longer_ones_are_cut_and_tell_how_long_they_were(length: int) -> None:
    one, other = (capped("n" * length + end) for end in "ab")
    assert len(one) == len(other) == LONGEST_NAME
    assert one != other
    assert f"{length + 1:,} letters" in one
    assert capped(one) == one
    assert capped("\udcff" * length) != capped("\udcfe" * length), "also those that are no Unicode"


def test_what_is_read_back_from_a_record_is_cut_no_further() -> None:
    once = readable("\udce9" * LONGEST)
    assert len(once) == LONGEST
    assert readable(once) == once
