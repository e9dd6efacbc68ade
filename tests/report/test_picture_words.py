"""Words of pictures on the page: what captions say is not said again, and nothing is left out."""

from __future__ import annotations

from cnnexplain.report.pages.picture_words import FEW, not_said

CAPTION = "gradcam of tiger cat, 60.0%, map 7 × 11, range −0.5 to 0.0184, peak x 118, y 100, at features"
CIRCLE = "Circle: the strongest of 7x11 cells, 0.0184, around x 118, y 100."


def test_what_a_caption_says_is_not_said_again() -> None:
    assert not_said(["gradcam at features", "tiger cat", "60.0%", "0.0184"], CAPTION) == ((), (), ())


def test_a_sentence_whose_numbers_are_known_is_a_general_one() -> None:
    said = not_said([CIRCLE], CAPTION)
    assert said.general == ("Circle: the strongest of …x… cells, …, around x …, y ….",)
    assert said.sentences == ()


def test_a_sentence_with_a_number_of_its_own_stays_whole() -> None:
    assert not_said([CIRCLE.replace("118", "119")], CAPTION).sentences == (CIRCLE.replace("118", "119"),)


def test_numbers_beside_a_bar_are_together_and_many_are_a_line() -> None:
    assert not_said(["0.0184", "0.0092", "0"], CAPTION).numbers == ("0.0092",)
    many = [f"{number} · {number / 7:.3f}" for number in range(200, 200 + FEW + 1)]
    assert not_said(many, CAPTION).sentences == (" ".join(many),)


def test_a_line_that_is_broken_is_one_sentence() -> None:
    lines = [
        "Smallest −0.7; what is negative speaks against the class and the one",
        "beside it. Hatched: never seen.",
    ]
    said = not_said(lines, CAPTION)
    assert said.sentences == (
        "Smallest −0.7; what is negative speaks against the class and the one beside it.",
    )
    assert said.general == ("Hatched: never seen.",)


def test_a_name_of_any_length_takes_no_time() -> None:
    assert not_said(["<" * 100_000, "a" * 100_000], "").general == (f"{'<' * 100_000} {'a' * 100_000}",)
