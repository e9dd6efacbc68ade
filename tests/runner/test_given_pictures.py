"""Pictures as Python has them: arrays and tensors of any kind are the pictures that they mean, or are refused."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cnnexplain
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.errors import CnnexplainError, ImageError, OptionError
from cnnexplain.images.decode import of_image
from tests.networks import Rectified

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
GREY = PIXELS[..., 0]
TENSOR = torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)


def explainer(channels: int = 3, **options: object) -> cnnexplain.Explainer:
    preprocess = Preprocess((32, 32), channels, (32, 32), **options)
    return cnnexplain.load(Rectified(channels=channels).eval(), preprocess=preprocess, labels=list("abcde"))


GIVEN = {
    "bytes": (PIXELS, None),
    "floats from 0 to 1": (PIXELS / 255, None),
    "float32": ((PIXELS / 255).astype(np.float32), None),
    "float16": ((PIXELS / 255).astype(np.float16), None),
    "floats to 255": (PIXELS.astype(np.float32), (0, 255)),
    "floats about zero": (PIXELS / 127.5 - 1, (-1, 1)),
    "words": (PIXELS.astype(np.uint16) * 257, None),
    "big-endian words": ((PIXELS.astype(np.uint16) * 257).astype(">u2"), None),
    "words of 12 bits": (PIXELS.astype(np.uint16) * 16, (0, 4080)),
    "integers with sign": (PIXELS.astype(np.int16) - 128, [-128, 127]),
    "wide integers": (PIXELS.astype(np.int64) * 1000, (0, 255_000)),
    "not in a row": (np.ascontiguousarray(PIXELS[:, ::-1])[:, ::-1], None),
    "tensor of bytes": (TENSOR, None),
    "tensor of floats": (TENSOR / 255, None),
    "tensor of doubles with a gradient": ((TENSOR.double() / 255).requires_grad_(), None),
    "tensor of halves": ((TENSOR / 255).half(), None),
    "tensor about zero": (TENSOR / 127.5 - 1, (-1.0, 1.0)),
    "tensor of bfloat16": (TENSOR.to(torch.bfloat16), (0, 255)),
}


@pytest.mark.parametrize("name", GIVEN)
def test_it_is_the_picture_that_it_means(name: str) -> None:
    given, values = GIVEN[name]
    asked = explainer()
    expected = asked.explain(Image.fromarray(PIXELS))
    found = asked.explain(given, range=values)
    assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= ("float16" in name)
    assert found.predictions[0].logit == pytest.approx(expected.predictions[0].logit, rel=1e-2)
    assert found.geometry == expected.geometry
    assert bool(found.notes) == ("bytes" not in name and "row" not in name)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("floats", [False, True])
def test_channels_are_the_models(channels: int, floats: bool) -> None:
    values = np.random.default_rng(1).integers(0, 256, (32, 32, channels), np.uint8)
    given = values / 255 if floats else values
    asked = explainer(channels, crop_mode="squash")
    assert (asked.explain(given).pixels == values).all()
    assert (asked.explain(torch.from_numpy(given).permute(2, 0, 1)).pixels == values).all()


def test_grey_needs_no_third_side() -> None:
    asked = explainer()
    expected = asked.explain(Image.fromarray(GREY)).pixels
    for given in (
        GREY,
        GREY[..., None],
        GREY / 255,
        torch.from_numpy(GREY.copy()),
        torch.from_numpy(GREY / 255)[None],
    ):
        assert (asked.explain(given).pixels == expected).all()


REFUSED = [
    (PIXELS.astype(np.float32), None, "floats from 0 to 255, and nothing says which", r"range=\(0, 255\)"),
    (PIXELS / 127.5 - 1, None, "floats from -1 to 1", r"range=\(-1, 1\).*normalised"),
    (PIXELS.astype(np.int16), None, "16-bit integers from 0 to 255", r"range=\(0, 255\)"),
    (np.stack([PIXELS] * 4), None, "is a batch", r"explain\(list\(batch\)\)"),
    (TENSOR[None], None, "is a batch", r"explain\(list\(batch\)\)"),
    (PIXELS.transpose(2, 0, 1), None, "30 channels, and the model takes 3", r"transpose\(1, 2, 0\)"),
    (torch.from_numpy(PIXELS.copy()), None, "20 channels, and the model takes 3", r"permute\(2, 0, 1\)"),
    (np.zeros((9, 9, 4), np.uint8), None, "4 channels, and the model takes 3", "leave out"),
    (np.zeros((0, 9, 3), np.uint8), None, "no picture", "height, width"),
    (np.zeros((9,), np.uint8), None, "no picture", "height, width"),
    (np.zeros((9, 9), complex), None, "type complex128 is no picture", "numbers"),
    (np.full((9, 9), "a"), None, "no picture", "numbers"),
    (np.full((9, 9), np.nan), None, "no finite number", "export"),
    (torch.zeros(3, 9, 9).to_sparse(), None, "sparse", "to_dense"),
    (7, None, "a int is no picture", "tensor"),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(REFUSED)))
def test_what_may_be_mistaken_is_refused(place: int) -> None:
    given, values, problem, hint = REFUSED[place]
    with pytest.raises(ImageError, match=problem) as caught:
        explainer().explain([given], range=values)
    assert re.search(hint, caught.value.hint)


@pytest.mark.parametrize("given", [(1, 1), (2, 1), (0,), "0,1", 5, (0, np.inf), (None, 1), (np.nan, 1)])
def test_a_range_is_two_numbers(given: object) -> None:
    for call in (explainer().explain, explainer().check):
        with pytest.raises(OptionError, match="is not two numbers, the lower first"):
            call(PIXELS, range=given)


def test_the_range_of_the_model_holds_where_none_is_given() -> None:
    module = Rectified().eval()
    for asked in (
        explainer(range=(0.0, 510.0)),
        cnnexplain.load(module, input_size="32", crop_pct=1.0, range="0,510"),
        cnnexplain.load(module, input_size="32", crop_pct=1.0, range=(0, 510)),
    ):
        halves = asked.explain(PIXELS.astype(np.int32) * 2).pixels
        assert (halves == asked.explain(PIXELS).pixels).all()
        darker = asked.explain(PIXELS.astype(np.int32) * 2, range=(0, 1020)).pixels
        assert darker.mean() == pytest.approx(halves.mean() / 2, rel=0.02)
    assert any(one.setting == "range" and one.value == "0 to 510" for one in asked.choices)


def test_pictures_of_a_call_have_one_range(tmp_path: Path) -> None:
    """A dim and a bright picture stay so, from a file too."""
    dim, bright = (np.full((32, 32), value, np.int32) for value in (100, 200))
    Image.fromarray(bright).save(tmp_path / "a.tif")
    found = explainer(1).explain([dim, bright, str(tmp_path / "a.tif"), Image.fromarray(dim)], range=(0, 400))
    assert [int(one.pixels.mean()) for one in found] == [64, 128, 128, 64]


def test_the_check_takes_them_too() -> None:
    asked = explainer()
    for given in ([PIXELS / 255], [TENSOR / 255]):
        (verdict,) = asked.check(given, only="finite")
        assert verdict.status == "pass"
    with pytest.raises(CnnexplainError, match="nothing says which"):
        asked.check([PIXELS.astype(float)], only="finite")


def test_a_notebook_shows_classes_and_pictures_in_one_piece() -> None:
    labels = ["<script>alert(1)</script>", "b\u202ea", "c" * 500, "d", "e"]
    asked = cnnexplain.load(Rectified().eval(), input_size="32", labels=labels)
    picture = Image.fromarray(PIXELS)
    picture.filename = "a<b>&\"'.png"
    found = asked.explain(picture, method=("gradcam", "hirescam"), target="0")
    shown = found._repr_html_()
    assert shown is not None
    assert "<script>" not in shown
    assert "a&lt;b&gt;&amp;&quot;&#x27;.png" in shown
    assert "\u202e" not in shown
    assert "c" * 100 not in shown
    sources = re.findall(r'src="([^"]*)"', shown)
    assert len(sources) == 2
    for one in sources:
        head, data = one.split(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as drawn:
            assert drawn.width > 300
    assert len(shown) < 200_000
    assert "http" not in shown


def test_a_notebook_shows_a_few_pictures_of_many() -> None:
    asked = explainer()
    found = asked.explain(PIXELS / 255, method="gradcam", layer=["conv1", "conv2", "conv3"], target="top2")
    shown = found._repr_html_()
    assert shown.count("<img") == 4
    assert "and 2 pictures more" in shown
    assert "The values 0 to 1 are black to white." in shown
    for command in ("deconv", "activations", "saliency"):
        assert "<img" in asked.explain(PIXELS, command)._repr_html_()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".tif", ".png"])
def test_a_frame_that_somebody_chose_is_that_frame(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    with Image.open(tmp_path / f"a{suffix}") as opened:
        for place in (1, 2, 0):
            opened.seek(place)
            found = explainer().explain(opened)
            assert np.asarray(found.picture)[5, 5].argmax() == place
            assert found.notes == (
                f"Frame {place + 1} was taken." if place else "The first of several frames was taken.",
            )


def test_a_film_whose_second_frame_is_damaged_has_its_first(tmp_path: Path) -> None:
    frames = [Image.fromarray(PIXELS // number).quantize(16) for number in (1, 2)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    whole = path.read_bytes()
    expected = explainer().explain(str(path)).pixels
    second = whole.rindex(b"\x21\xf9\x04")  # what stands before a frame
    for end in (second + 2, second + 5, second + 8, second + 12, second + 20):
        path.write_bytes(whole[:end])
        assert (explainer().explain(str(path)).pixels == expected).all()


def test_an_animated_png_says_which_of_its_pictures_was_taken(tmp_path: Path) -> None:
    first, *others = (Image.fromarray(PIXELS // number) for number in (1, 2, 3))
    path = tmp_path / "a.png"
    for default in (False, True):
        first.save(path, save_all=True, append_images=others, default_image=default)
        found = explainer().explain(str(path))
        told = "default image was taken" if default else "The first of several frames was taken."
        assert any(told in note for note in found.notes)
        assert (np.asarray(found.picture) == np.asarray(of_image(first).picture)).all()
    first.save(path)
    assert explainer().explain(str(path)).notes == ()
