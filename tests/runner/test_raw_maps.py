"""What --save-raw keeps: signs and channels as torch computes them, and all that is needed to use them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cnnexplain
from cnnexplain.core.explanation import Explanation
from cnnexplain.images.find import ImagePath
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.write import Explained, Job, Writer
from tests.networks import Rectified, pooled, settle

NOISE = np.random.default_rng(3).integers(0, 255, (32, 32, 3), np.uint8)
LABELS = ["cat", "dög", "fish", "x" * 300, "\udcff"]


@pytest.fixture
def explainer() -> cnnexplain.Explainer:
    return cnnexplain.load(Rectified().eval(), input_size="32", crop_pct=1.0, labels=LABELS)


def saved(folder: Path, explanation: Explanation, command: str) -> list[dict[str, np.ndarray]]:
    """The files that are written of every map."""
    output = OutputFolder(folder)
    output.open({}, overwrite=False)
    Image.fromarray(NOISE).save(folder / "a.png")
    asked = frozenset({"method", "layer", "target"})
    writer = Writer(output, command, "net", asked, RenderOptions(), save_raw=True, draws=False)
    record = writer.write(Explained(Job(0, ImagePath(str(folder / "a.png"), ""), "a.png"), explanation))
    assert record["status"] == "ok"
    files = []
    for one in record["explanations"]:
        with np.load(folder / one["raw"], allow_pickle=False) as raw:
            files.append({name: raw[name] for name in raw.files})
    output.close()
    return files


def test_a_gradient_keeps_the_sign_of_every_channel(explainer: cnnexplain.Explainer, tmp_path: Path) -> None:
    found = explainer.explain(NOISE, "saliency", method="gradient,input-x-gradient", target="2")
    inputs = explainer.model.inputs([NOISE]).requires_grad_()
    (expected,) = torch.autograd.grad(explainer.model.module(inputs)[:, 2].sum(), inputs)
    gradient, product = saved(tmp_path, found, "saliency")
    assert gradient["values"].shape == (3, 32, 32)
    assert gradient["values"].min() < 0 < gradient["values"].max()
    np.testing.assert_allclose(gradient["values"], expected[0], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(gradient["map"], np.abs(gradient["values"]).max(0))
    signed = (expected * inputs).detach()[0].numpy()
    np.testing.assert_allclose(product["values"], signed, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(product["map"], product["values"].sum(0), rtol=1e-4, atol=1e-6)


def test_a_guided_map_keeps_the_sign_of_every_channel(
    explainer: cnnexplain.Explainer, tmp_path: Path
) -> None:
    """With every rectifier's gradient clipped at zero, as hooks on modules do it."""
    handles = [
        explainer.model.module.relu.register_full_backward_hook(
            lambda _m, given, _o: (given[0].clamp(min=0),)
        )
    ]
    inputs = explainer.model.inputs([NOISE]).requires_grad_()
    (expected,) = torch.autograd.grad(explainer.model.module(inputs)[:, 1].sum(), inputs)
    for handle in handles:
        handle.remove()
    found = explainer.explain(NOISE, "saliency", method="guided-backprop", target="1")
    (guided,) = saved(tmp_path, found, "saliency")
    assert guided["values"].shape == (3, 32, 32)
    assert guided["values"].min() < 0
    np.testing.assert_allclose(guided["values"], expected[0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("target", range(len(LABELS)))
def test_the_file_says_what_it_is_of(explainer: cnnexplain.Explainer, tmp_path: Path, target: int) -> None:
    found = explainer.explain(NOISE, method="gradcam,eigencam", target=str(target), layer="conv2")
    plain, free = saved(tmp_path, found, "gradcam")
    assert plain["values"].shape == (8, 8)
    assert "map" not in plain
    assert (plain["picture"] == NOISE).all()
    assert plain["picture"].dtype == np.uint8
    assert (int(plain["class"]), str(plain["method"]), str(plain["layer"])) == (target, "gradcam", "conv2")
    assert str(plain["label"]) == LABELS[target].replace("\udcff", "\\xff")
    with torch.no_grad():
        logits = explainer.model.module(explainer.model.inputs([NOISE]))[0]
    assert float(plain["probability"]) == pytest.approx(float(logits.softmax(0)[target]), rel=1e-4)
    assert float(plain["logit"]) == pytest.approx(float(logits[target]), rel=1e-4, abs=1e-6)
    assert bool(plain["of_class"])
    assert not bool(free["of_class"])


@pytest.mark.parametrize(("command", "options"), [("deconv", {"top": 1}), ("activations", {})])
def test_files_of_layers_hold_the_picture_too(tmp_path: Path, command: str, options: dict) -> None:
    explainer = cnnexplain.load(settle(pooled(), (32, 32)), input_size="32", crop_pct=1.0)
    (raw, *_) = saved(tmp_path, explainer.explain(NOISE, command, layer="features", **options), command)
    assert (raw["picture"] == NOISE).all()
    assert str(raw["layer"]) == "features"


def test_what_is_only_drawn_carries_no_channels(explainer: cnnexplain.Explainer) -> None:
    """Channels of every picture of a run would cost memory that nobody asked for."""
    from cnnexplain.commands.saliency import Saliency
    from cnnexplain.core.explanation import Batch

    bound, _ = Saliency().bind(explainer.model)
    inputs = explainer.model.inputs([NOISE])
    with explainer.model.borrowed():
        kept, drawn = (bound.explain(explainer.model, Batch(inputs, whole=whole)) for whole in (True, False))
    assert kept.results[0][0].channels is not None
    assert drawn.results[0][0].channels is None
