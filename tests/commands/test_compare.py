"""Comparisons against arithmetic by hand: curves of linear scorers, where maps lie, which command has which method."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from networks import as_model, pooled, settle
from torch import Tensor, nn

from cnnexplain.commands import _methods, _road
from cnnexplain.commands._laid import on_input
from cnnexplain.commands.compare import Compare
from cnnexplain.core.explanation import Answer, Batch
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Geometry
from cnnexplain.core.results.comparison import MethodComparison, NoiseScores, judgement
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.target import FunctionTarget
from cnnexplain.engine.scoring.functions import with_target
from cnnexplain.errors import OptionError
from cnnexplain.formulas.faithfulness import area, deletion_curves, order
from cnnexplain.formulas.imputation import _doubled, _halved, noisy_linear
from cnnexplain.formulas.infidelity import infidelity, max_sensitivity
from cnnexplain.formulas.perturbation import averaged
from cnnexplain.formulas.references import centred, edges


class Weighed(nn.Module):
    """Class k scores sum(weight[k] * x)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", x, self.weight)


def explain(module: nn.Module, inputs: Tensor, **options: object) -> Answer:
    model = as_model(module, tuple(inputs.shape[2:]), inputs.shape[1])
    bound, _ = Compare(**options).bind(model)  # type: ignore[arg-type]
    with model.borrowed():
        return bound.explain(model, Batch(inputs))


def comparison(answer: Answer, row: int = 0) -> MethodComparison:
    first = answer.results[row][0]
    assert isinstance(first, MethodComparison)
    return first


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_area_of_a_linear_scorers_deletion_curve_is_a_sum_by_hand() -> None:
    contributions = noise(1, 3, 4).double()
    n = contributions.numel()
    marked = order(contributions)[0]
    steps = [k / n for k in range(1, n)]
    ends = torch.stack((contributions.sum(), contributions.new_zeros(())))
    curves = deletion_curves(
        lambda images: images.sum((1, 2, 3)),
        contributions,
        torch.zeros_like(contributions),
        [marked],
        (3, 4),
        ends,
        steps,
    )
    removed = contributions.flatten()[marked]
    by_hand = sum(float(removed[k]) * (k + 0.5) for k in range(n)) / n
    assert float(area(curves.double(), steps)[0]) == pytest.approx(by_hand, abs=1e-6)


def test_curves_of_a_linear_scorer_by_hand() -> None:
    weight, inputs = noise(2, 1, 8, 8), noise(1, 1, 8, 8, seed=1)
    answer = explain(
        Weighed(weight), inputs, method=("gradient", "input-x-gradient"), cells=4, points=3, target="1",
        score="logit",
    )  # fmt: skip
    found = comparison(answer)
    assert [one.heatmap.method for one in found.maps] == ["gradient", "input-x-gradient"]
    assert [result.method for result in answer.results[0][1:]] == ["gradient", "input-x-gradient"]
    other = averaged(inputs)
    for compared in found.maps:
        values = torch.from_numpy(compared.heatmap.values).reshape(4, 2, 4, 2).mean((1, 3))
        marked = values.flatten().argsort(descending=True, stable=True)
        for share, deleted, inserted in zip(
            found.shares, compared.scores.deleted, compared.scores.inserted, strict=True
        ):
            for count_of, curve, start, end in (
                (marked[: round(share * 16)], deleted, inputs, other),
                (marked[: round(share * 16)], inserted, other, inputs),
            ):
                mask = torch.zeros(16).index_fill(0, count_of, 1).reshape(1, 1, 4, 4)
                mask = mask.repeat_interleave(2, 2).repeat_interleave(2, 3)
                image = start * (1 - mask) + end * mask
                assert curve == pytest.approx(float((image * weight[1]).sum()), abs=1e-4)
    assert found.score == "logit"
    assert found.references["random"].advantage == 0
    assert found.references["random"].spread > 0
    assert np.allclose(np.diag(found.agreement), 1)


def test_the_map_of_what_counts_is_better_than_random_and_the_centre() -> None:
    weight = torch.zeros(2, 1, 8, 8)
    weight[1, 0, 0:2, 6:8] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])  # in a corner
    inputs = noise(1, 1, 8, 8) / 10
    inputs[0, 0, 0:2, 6:8] = 3 * weight[1, 0, 0:2, 6:8]
    found = comparison(
        explain(
            Weighed(weight), inputs, method=("input-x-gradient",), cells=8, target="1", score="logit",
            orders=20, scores=("curves",),
        )
    ).record()  # fmt: skip
    (scored,) = found["methods"]
    assert judgement(scored, found["references"]).startswith("better than random")
    references = {one["name"]: one for one in found["references"]}
    assert scored["advantage"] > references["edges"]["advantage"] > references["centre"]["advantage"]
    upside_down = {**scored, "advantage": -scored["advantage"]}
    assert judgement(upside_down, found["references"]) == "no better than random"


def test_pictures_of_a_batch_do_not_change_each_other() -> None:
    net = settle(pooled(), (32, 32))
    inputs = noise(2, 3, 32, 32)
    options = {"method": ("gradcam", "gradient"), "cells": 4}
    both = explain(net, inputs, **options)
    for row in range(2):
        alone = comparison(explain(net, inputs[row : row + 1], **options)).record()
        together = comparison(both, row).record()
        for one, other in zip(alone["methods"], together["methods"], strict=True):
            assert one["deleted"] == pytest.approx(other["deleted"], abs=1e-5)
            assert one["inserted"] == pytest.approx(other["inserted"], abs=1e-5)


def test_only_maps_of_the_first_class_are_scored_and_all_are_there() -> None:
    answer = explain(
        settle(pooled(), (32, 32)),
        noise(1, 3, 32, 32),
        method=("gradcam", "eigencam"),
        target="top2",
        cells=4,
    )
    found = comparison(answer)
    assert [one.heatmap.method for one in found.maps] == ["gradcam", "eigencam"]
    assert [result.method for result in answer.results[0][1:]] == ["gradcam", "gradcam", "eigencam"]
    assert {one.heatmap.target.index for one in found.maps} == {found.target.index}


def test_a_map_that_puts_no_cell_before_another_has_no_scores() -> None:
    weight = torch.ones(2, 1, 8, 8)
    found = comparison(explain(Weighed(weight), noise(1, 1, 8, 8), method=("gradient",), cells=4))
    record = found.record()
    assert record["methods"][0]["advantage"] is None
    assert judgement(record["methods"][0], record["references"]) == "the same everywhere"
    assert record["agreement"] == [[None]]
    MethodComparison.require_sound(record)


def test_a_function_is_compared_by_its_value() -> None:
    def first(scores: Tensor) -> Tensor:
        return scores[:, 0]

    model = as_model(settle(pooled(), (32, 32)), (32, 32))
    model = with_target(model, FunctionTarget(first))
    bound, _ = Compare(method=("gradcam",), cells=4).bind(model)
    with model.borrowed():
        found = comparison(bound.explain(model, Batch(noise(1, 3, 32, 32))))
    assert found.score == "logit"
    assert found.record()["target"] is None
    with pytest.raises(OptionError, match="asks for probabilities"):
        Compare(method=("gradcam",), score="probability").bind(model)


class Brittle(nn.Module):
    """Gives no number for the images that are not as they were."""

    def __init__(self) -> None:
        super().__init__()
        self.net = settle(pooled(), (32, 32))

    def forward(self, x: Tensor) -> Tensor:
        scores = self.net(x)
        return scores.masked_fill((x.amax((1, 2, 3)) < 2)[:, None], float("nan"))


def test_a_score_that_is_no_number_costs_one_image() -> None:
    inputs = noise(2, 3, 32, 32).clamp(-1, 1)
    inputs[:, :, 0, 0] = 3  # which is deleted sooner or later
    answer = explain(Brittle(), inputs, method=("gradient",), cells=4)
    assert set(answer.problems) == {0, 1}
    assert "with a part of the image deleted" in answer.problems[0].problem


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((0, 0, 8, 8), range(8), range(8)),
        ((4, 0, 8, 8), range(8), range(4, 8)),
        ((0, 2, 8, 6), range(2, 6), range(8)),
        ((-4, -4, 8, 8), range(8), range(8)),
        ((2, 2, 12, 12), range(2, 8), range(2, 8)),
    ],
)
def test_a_map_is_laid_where_it_lies(box: tuple[int, ...], rows: range, columns: range) -> None:
    values = np.ones((2, 2), np.float32)
    left, top, right, bottom = (float(edge) for edge in box)
    heatmap = Heatmap(
        "m", "l", Prediction(0, "a", 0.5, 1.0), values, Geometry((8, 8), (left, top, right, bottom))
    )
    laid = on_input(heatmap, Batch(torch.zeros(1, 1, 8, 8)))
    assert laid is not None
    expected = torch.zeros(8, 8)
    expected[rows.start : rows.stop, columns.start : columns.stop] = 1
    assert torch.allclose(laid, expected)
    assert on_input(dataclasses.replace(heatmap, placed=False), Batch(torch.zeros(1, 1, 8, 8))) is None


def test_what_reaches_beyond_the_input_is_cut_off() -> None:
    values = np.array([[1, 2], [3, 4]], np.float32)
    heatmap = Heatmap(
        "m", "l", Prediction(0, "a", 0.5, 1.0), values, Geometry((8, 8), (-8.0, 0.0, 8.0, 16.0))
    )
    laid = on_input(heatmap, Batch(torch.zeros(1, 1, 8, 8)))
    assert laid is not None
    assert laid.shape == (8, 8)
    assert float(laid[0, -1]) == 2  # the upper right cell


@pytest.mark.parametrize(
    ("method", "problem", "hint"),
    [
        ("gradcma", "not a method of any command", "did you mean --method gradcam?"),
        ("qqq", "not a method of any command", "there are "),
        ("saliency:gradcam", "saliency has no method of that name", "did you mean gradcam:gradcam?"),
    ],
)
def test_a_method_that_nobody_has_is_refused_before_a_model_is_loaded(
    method: str, problem: str, hint: str
) -> None:
    with pytest.raises(OptionError) as raised:
        Compare(method=(method,))
    assert problem in raised.value.problem
    assert hint in raised.value.hint


def test_a_name_that_two_commands_have_must_say_whose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_methods, "methods", lambda: {"same": ("gradcam", "saliency")})
    with pytest.raises(OptionError) as raised:
        _methods.command_of("same")
    assert "gradcam and saliency" in raised.value.problem
    assert raised.value.hint == "did you mean gradcam:same or saliency:same?"
    assert _methods.command_of("saliency:same") == ("saliency", "same")


def test_every_method_of_every_command_is_known() -> None:
    known = _methods.methods()
    assert {"gradcam", "integrated-gradients", "sliding", "rise"} <= set(known)
    assert all(commands_of for commands_of in known.values())


def test_a_layer_goes_to_those_that_explain_one() -> None:
    model = as_model(settle(pooled(), (32, 32)), (32, 32))
    bound, _ = Compare(method=("gradcam", "gradient"), layer=("features.0",)).bind(model)
    assert [getattr(one, "layer", None) for one in bound.commands] == [("features.0",), None]
    with pytest.raises(OptionError, match="has no use here"):
        Compare(method=("gradient",), layer=("features.0",)).bind(model)


def test_the_gradient_of_a_linear_scorer_has_no_infidelity_and_no_sensitivity() -> None:
    weight, inputs = noise(12).double(), noise(12, seed=1).double()
    taken = noise(40, 12, seed=2).double()
    drops = inputs @ weight - (inputs - taken) @ weight
    assert float(infidelity(taken, weight, drops)) < 1e-28
    assert float(infidelity(taken, 3 * weight, drops, scaled=True)) < 1e-15
    assert float(infidelity(taken, -weight, drops, scaled=True)) == 1
    assert float(max_sensitivity(weight, weight.expand(3, 12))) == 0
    found = comparison(
        explain(
            Weighed(noise(2, 1, 8, 8)), noise(1, 1, 8, 8), method=("gradient",), cells=4, scores=("noise",)
        )
    )
    assert found.maps[0].noise == NoiseScores(8, 0, 0, 0)
    assert found.maps[0].randomised is None


def test_noise_is_taken_until_its_mean_is_sure_or_as_often_as_asked() -> None:
    torch.manual_seed(0)
    net, inputs = settle(pooled(), (32, 32)), noise(1, 3, 32, 32)

    def changes(**options: object) -> tuple[NoiseScores, tuple[str, ...]]:
        method = ("gradient", "gradcam")
        found = comparison(explain(net, inputs, method=method, cells=4, scores=("noise",), **options))
        assert all(compared.noise is not None for compared in found.maps)
        return found.maps[0].noise, found.detail.remarks  # type: ignore[return-value]

    exactly, (_, *remarks) = changes(samples=12)
    assert exactly.copies == 12
    assert 0 < exactly.error < exactly.mean < exactly.largest
    assert "Noise: 12 noisy copies" in remarks[-1]
    # The first copies are the same, however many follow: so the largest change never falls.
    few, _ = changes(samples=4)
    assert few.largest <= exactly.largest
    loose, _ = changes(tolerance="90%")
    assert loose.copies == 8
    sure, (*_, told) = changes(tolerance="2%", samples=5000)
    assert 8 <= sure.copies < 5000
    assert sure.copies % 8 == 0
    assert sure.error <= 0.0201 * sure.mean
    assert "asks for less" not in told
    unsure, (*_, told) = changes(tolerance="0.01%", samples=10)
    assert unsure.copies == 10
    assert "--tolerance 0.01% asks for less: give more --samples" in told
    record = unsure.record()
    assert record["noisy_copies"] == 10
    assert record["sensitivity"] >= record["sensitivity_mean"] > record["sensitivity_error"] > 0
    for option in ({"samples": 9}, {"tolerance": "3%"}):
        with pytest.raises(OptionError, match="only the score noise takes copies"):
            Compare(**option)


def test_infidelity_is_nothing_for_what_each_cell_adds_to_a_linear_score() -> None:
    weight = noise(2, 1, 8, 8)
    blocks = noise(1, 1, 4, 4, seed=1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    inputs = blocks * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(
        4, 4
    )  # what is put in place is 0 everywhere
    found = comparison(
        explain(
            Weighed(weight), inputs, method=("input-x-gradient",), cells=8, score="logit", scores=("curves",)
        )
    )
    assert found.maps[0].scores.infidelity < 1e-10
    assert found.references["edges"].infidelity > 0.1
    assert found.references["random"].infidelity is None


def test_what_no_class_enters_stays_when_the_classifier_is_drawn_anew_and_the_weights_come_back() -> None:
    net = settle(pooled(), (32, 32))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = comparison(explain(net, noise(1, 3, 32, 32), method=("eigencam", "gradcam"), cells=4))
    free, of_class = (one.record() for one in found.maps)
    assert free["randomised"] == pytest.approx(1)
    assert free["of_class"] is False
    assert of_class["randomised"] < 1
    assert "of_class" not in of_class
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    scored = {**of_class, "randomised": 0.9, "advantage": 1.0}
    references = found.record()["references"]
    assert (
        judgement(scored, references)
        == "hardly changes when the classifier is redrawn; better than random, edges and the centre"
    )
    assert "depends" not in judgement({**free, "advantage": 1.0}, references)


def test_more_and_more_layers_are_drawn_anew_and_the_weights_come_back() -> None:
    net = settle(pooled(), (32, 32))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = comparison(
        explain(
            net,
            noise(1, 3, 32, 32),
            method=("gradcam", "eigencam"),
            cells=4,
            scores=("layers", "randomisation"),
        )
    )
    of_class, free = (one.record() for one in found.maps)
    layers = len({name.rpartition(".")[0] for name, _ in net.named_parameters()})
    for record in (of_class, free):
        counts = [step["drawn_anew"] for step in record["layers"]]
        assert counts == sorted(set(counts))
        assert (counts[0], counts[-1]) == (1, layers)
    assert free["layers"][0]["correlation"] == pytest.approx(1), "the classifier alone"
    assert free["layers"][-1]["correlation"] < 0.99
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert (
        explain(Bare(), noise(1, 3, 16, 16), method=("gradient",), cells=4, scores=("layers",))
        .results[0][0]
        .maps[0]
        .layers
        == ()
    ), "without weights"


def test_a_ramp_is_imputed_as_it_was_inside_and_not_at_the_corner() -> None:
    ramp = (torch.arange(16.0)[:, None] + 2 * torch.arange(16.0)).expand(2, 16, 16)
    removed = torch.zeros(2, 16, 16)
    removed[0, 4:11, 3:12] = 1
    removed[1, :8, :8] = 1
    made = noisy_linear(ramp, removed, noise=0, tolerance=1e-6)
    assert torch.allclose(made[0], ramp, atol=1e-3)
    assert torch.equal(made[1][:, removed[1] == 0], ramp[:, removed[1] == 0])
    assert float((made[1] - ramp).abs().max()) > 5, "beyond the edge there is nothing to go by"
    # Every removed pixel is the weighted mean of its neighbours.
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]])[None, None]
    sums = torch.nn.functional.conv2d(made[1][:1, None], kernel, padding=1)[0, 0]
    weights = torch.nn.functional.conv2d(torch.ones(1, 1, 16, 16), kernel, padding=1)[0, 0]
    assert torch.allclose((sums / weights)[:8, :8], made[1][0, :8, :8], atol=1e-3)
    noisy = noisy_linear(ramp, removed, generator=torch.Generator().manual_seed(0))
    assert 0 < float((noisy[0] - ramp).abs().max()) < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_imputation_is_that_of_pytorch_grad_cam(seed: int) -> None:
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer

    image = noise(3, 37, 50, seed=seed)
    left = (noise(37, 50, seed=seed + 9) > (-0.5, 0.0, 1.5)[seed]).float()
    left[5:21, 8:31] = 0  # larger than what neighbours reach
    left[30:, :] = min(seed, 1)  # to the edge and its corners
    theirs = NoisyLinearImputer(noise=0)(image.clone(), left.clone())
    (ours,) = noisy_linear(image, 1 - left[None], noise=0, tolerance=1e-6)
    assert torch.allclose(ours, theirs.float(), atol=1e-4)


def test_each_copy_is_imputed_as_it_is_alone_and_needs_few_steps() -> None:
    image = noise(3, 96, 64).cumsum(1).cumsum(2) / 50
    removed = torch.zeros(3, 96, 64)
    removed[0, :90] = removed[1, 10:60, 5:] = removed[2, 3, 3] = 1
    exact = noisy_linear(image, removed, noise=0, tolerance=1e-6)
    few = noisy_linear(
        image, removed, noise=0, tolerance=1e-6, most=40
    )  # of one scale alone it takes hundreds
    assert torch.allclose(exact, few, atol=0.01 * float(image.std()))
    for row in range(3):
        alone = noisy_linear(image, removed[row : row + 1], noise=0, tolerance=1e-6)
        assert torch.equal(alone[0], exact[row])


@pytest.mark.parametrize("size", [(16, 16), (16, 17), (37, 50)])
def test_levels_of_imputation_are_passed_by_one_kernel_and_its_transpose(size: tuple[int, int]) -> None:
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])[None, None] / 4
    fine = noise(2, 1, *size)
    coarse = torch.nn.functional.conv2d(fine, kernel, stride=2, padding=1)
    assert torch.allclose(_halved(_halved(fine, 2), 3), coarse, atol=1e-5)
    odd = [1 - length % 2 for length in size]
    back = torch.nn.functional.conv_transpose2d(coarse, kernel, stride=2, padding=1, output_padding=odd)
    assert torch.allclose(_doubled(_doubled(coarse, 3, size[1]), 2, size[0]), back, atol=1e-5)


def test_road_prefers_what_counts() -> None:
    weight = torch.zeros(2, 1, 16, 16)
    weight[1, 0, 4:8, 8:12] = 1
    inputs = noise(1, 1, 16, 16) / 10
    inputs[0, 0, 4:8, 8:12] += 1
    found = comparison(
        explain(
            Weighed(weight),
            inputs,
            method=("input-x-gradient",),
            cells=4,
            target="1",
            score="logit",
            scores=("road",),
        )
    ).record()
    (scored,) = found["methods"]
    references = {one["name"]: one for one in found["references"]}
    assert scored["road"] > references["centre"]["road"]
    assert scored["road"] > 0.5
    assert "road" in scored["blurred"]
    assert "road" not in references["random"]


def test_maps_that_put_the_cells_in_one_order_are_imputed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    imputed: list[int] = []

    def counted(image: Tensor, removed: Tensor, **_options: object) -> Tensor:
        imputed.append(len(removed))
        return image * (removed[:, None] == 0)

    monkeypatch.setattr(_road, "noisy_linear", counted)
    model = as_model(Weighed(noise(2, 1, 16, 16)), (16, 16), 1)
    first = torch.arange(16)
    image, orders = Batch(noise(1, 1, 16, 16)), [first, first.flip(0), first.clone()]
    with model.borrowed():
        scores = _road.road(model, image, orders, (4, 4), (0.25,), torch.tensor([1]), "logit")
    assert imputed == [2, 2]
    assert scores[0] == scores[2] == pytest.approx(-scores[1], rel=1e-4)


class Bare(nn.Module):
    """Has no weights to draw anew."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().mean((2, 3))


def test_without_weights_nothing_is_said_of_randomisation_and_a_method_counts_once() -> None:
    found = comparison(
        explain(Bare(), noise(1, 3, 16, 16), method=("gradient", "saliency:gradient"), cells=4)
    )
    (scored,) = found.record()["methods"]
    assert "randomised" not in scored


def test_what_promises_to_add_up_says_what_it_misses() -> None:
    answer = explain(
        settle(pooled(), (32, 32)),
        noise(1, 3, 32, 32),
        method=("fullgrad", "integrated-gradients", "gradient"),
        cells=4,
        scores=("curves",),
    )
    fullgrad, integrated, gradient = (one.record() for one in comparison(answer).maps)
    assert fullgrad["gap"] < 1e-4, "of ReLUs alone"
    assert integrated["gap"] < 0.02
    assert "gap" not in gradient


def test_nothing_is_compared_where_no_class_is_likely_enough() -> None:
    answer = explain(
        settle(pooled(), (32, 32)), noise(1, 3, 32, 32), method=("gradcam",), target="above:0.9999", cells=4
    )
    assert answer.results == ((),)
    assert "No class is as likely" in answer.notes[0][0]


def test_copies_that_fill_a_batch_up_cost_nothing() -> None:
    inputs = noise(1, 3, 32, 32).expand(3, -1, -1, -1).contiguous()
    model = as_model(settle(pooled(), (32, 32)), (32, 32))
    bound, _ = Compare(method=("gradcam",), cells=4).bind(model)
    with model.borrowed():
        answer = bound.explain(model, Batch(inputs, copies=2))
    assert [len(results) for results in answer.results] == [2, 0, 0]


def test_edges_and_the_centre() -> None:
    step = torch.zeros(1, 2, 6, 6)
    step[..., 3:] = 1
    found = edges(step)
    assert found.shape == (1, 6, 6)
    assert (found > 0).nonzero()[:, 2].unique().tolist() == [2, 3]
    middle = centred(5, 7)
    assert torch.allclose(middle, middle.flip(0).flip(1))
    assert int(middle.argmax()) == 2 * 7 + 3
