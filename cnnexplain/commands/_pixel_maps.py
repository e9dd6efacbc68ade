"""What every map of pixels asks of the model, what `cnnexplain.formulas` make of it, and what is said of the map.

Each is a function that takes `Passes`, which computes what several formulas share once, and returns `ChannelMaps`:
values for every channel of the input, (N, C, H, W). To add a map, write its function and put it into `MAPS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from cnnexplain import formulas
from cnnexplain.commands._integral import IntegralOptions, integrated
from cnnexplain.commands._passes import evaluator
from cnnexplain.commands._rules import DECONV_IS_BLIND, FINE_BUT_BLIND, GUIDED_IS_BLIND, obeyed
from cnnexplain.core.results import Detail
from cnnexplain.core.results.map import Scale
from cnnexplain.formulas.integrated import FIXED_STEPS

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.commands._sampled import SampledMap, Sampling
    from cnnexplain.core.target import Target
    from cnnexplain.engine.backward.rectifiers import Rectifiers, Rule
    from cnnexplain.engine.model import Model


FEWER = 5  # times fewer copies where maps are only compared
BRIGHT = (
    "Bright: a small change of the pixel changes the score most, up or down; not what the model looked at."
)


class ChannelMaps(NamedTuple):
    """What a formula found for a batch."""

    values: Tensor  # (N, C, H, W)
    details: tuple[Detail, ...] = ()  # one for every picture, or none at all
    samples: tuple[SampledMap, ...] = ()  # of every picture, where they are means of samples


@dataclass(eq=False)
class Passes:
    """One class of a batch, and the passes through the model that lead to it."""

    model: Model
    pixels: Tensor  # (N, C, H, W), the leaf of the graph that leads to the class's score
    target: Target
    rectifiers: Rectifiers | None  # None where no formula has a rule
    layer_maps: Mapping[str, Tensor]  # (N, C, h, w) of every run of the layers of guided Grad-CAM
    own: int  # how many pictures there are; what follows only fills the batch up
    sampling: Sampling
    integral: IntegralOptions
    keep_graph: Iterator[bool]  # for every way back: whether there will be another one
    _gradients: dict[Rule, ChannelMaps] = field(default_factory=dict)

    @property
    def inputs(self) -> Tensor:
        """The pictures as the model sees them, (N, C, H, W)."""
        return self.pixels.detach()

    def gradient(self, rule: Rule = "gradient") -> ChannelMaps:
        """The gradient of the class score with every rectifier obeying a rule, and how many did."""
        if rule not in self._gradients:
            self._obey(rule)
            back = self.model.gradient_to_input(
                self.target.score, self.pixels, keep_graph=next(self.keep_graph)
            )
            details = (obeyed(self.rectifiers),) * len(back) if rule != "gradient" else ()
            self._gradients[rule] = ChannelMaps(back, details)
        return self._gradients[rule]

    @cached_property
    def noisy(self) -> list[formulas.Moments]:
        """Mean and variance of the gradient over noisy copies of each picture; of two where nobody looks at them."""
        moments: list[formulas.Moments] = []
        for row, index in enumerate(self.target.index.tolist()):
            one = slice(row, row + 1)
            moments += formulas.noisy_gradients(
                evaluator(self.model, self.target.part(one)),
                self.inputs[one],
                samples=self.sampling.samples if row < self.own and index >= 0 else 2,
                noise=self.sampling.noise,
                seed=self.model.seed,
                variance="vargrad" in self.sampling.methods,
                enough=self.sampling.enough,
            )
        return moments

    def sampled(self, method: str, bright: str) -> ChannelMaps:
        """A mean over noisy copies, in the cells that it is sure of, and what is said of it."""
        import torch

        maps = tuple(self.sampling.drawn(moments, method) for moments in self.noisy)
        return ChannelMaps(
            torch.stack([one.values for one in maps]), tuple(one.detail(bright) for one in maps), maps
        )

    def fewer(self) -> Passes:
        """The same with a fifth of the copies or steps, for what is only to be compared."""
        integral = replace(
            self.integral,
            steps=max(2, (self.integral.steps or FIXED_STEPS) // FEWER),
            quadrature="gauss-legendre",
        )
        return replace(self, sampling=self.sampling.fewer(FEWER), integral=integral, _gradients={})

    def gradcam(self) -> Tensor:
        """The Grad-CAM of the layer, rectified and enlarged to the input, (N, 1, H, W).

        Of several runs or branches the sum, each laid where it came from.
        """
        self._obey("gradient")
        maps = list(self.layer_maps.values())
        gradients = self.model.gradients(self.target.score, maps, keep_graph=next(self.keep_graph))
        if not any(g is not None for g in gradients):
            raise self.model.runs.independent()
        size = (self.pixels.shape[2], self.pixels.shape[3])
        total = self.pixels.new_zeros((len(self.pixels), 1, *size), dtype=maps[0].float().dtype)
        for run, a, g in zip(self.layer_maps, maps, gradients, strict=True):
            if g is not None:
                laying = self.model.runs.laying(run)
                upright = laying.upright(formulas.gradcam(a.detach().float(), g).relu())
                total += formulas.enlarged(upright, size, laying.box())
        return total

    def _obey(self, rule: Rule) -> None:
        if self.rectifiers is not None:
            self.rectifiers.use(rule)


def gradient(passes: Passes) -> ChannelMaps:
    """Simonyan et al. 2013 (arXiv:1312.6034), section 3: how much the score changes with a pixel."""
    maps = passes.gradient()
    return maps._replace(details=(Detail(remarks=(BRIGHT,)),) * len(maps.values))


def input_x_gradient(passes: Passes) -> ChannelMaps:
    """Shrikumar et al. 2016 (arXiv:1605.01713): gradient times the normalised input."""
    return ChannelMaps(formulas.input_x_gradient(passes.inputs, passes.gradient().values))


def smoothgrad(passes: Passes) -> ChannelMaps:
    """Smilkov et al. 2017 (arXiv:1706.03825): the mean gradient over noisy copies."""
    return passes.sampled("smoothgrad", BRIGHT.replace("of the pixel", "there"))


def vargrad(passes: Passes) -> ChannelMaps:
    """Adebayo et al. 2018 (arXiv:1810.03292): the variance of the gradient over noisy copies."""
    return passes.sampled("vargrad", "Bright: the gradient differs most between noisy copies.")


def integrated_gradients(passes: Passes) -> ChannelMaps:
    """Sundararajan et al. 2017 (arXiv:1703.01365), eq. 1: the gradient along the way from a baseline."""
    return ChannelMaps(*integrated(passes.model, passes.inputs, passes.target, passes.integral))


def guided_backprop(passes: Passes) -> ChannelMaps:
    """Springenberg et al. 2014 (arXiv:1412.6806), section 3.4: only positive signals through active units."""
    return _warned(passes.gradient("guided"), GUIDED_IS_BLIND)


def deconvnet(passes: Passes) -> ChannelMaps:
    """Zeiler & Fergus 2013 (arXiv:1311.2901), section 2.1, begun at a class: only positive signals."""
    return _warned(passes.gradient("deconv"), DECONV_IS_BLIND)


def guided_gradcam(passes: Passes) -> ChannelMaps:
    """Selvaraju et al. 2017 (arXiv:1610.02391), section 3.2: guided backpropagation times Grad-CAM, enlarged."""
    values, details, _ = passes.gradient("guided")
    return _warned(ChannelMaps(formulas.guided_gradcam(values, passes.gradcam()), details), FINE_BUT_BLIND)


def _warned(maps: ChannelMaps, remark: str) -> ChannelMaps:
    details = tuple(replace(detail, remarks=(*detail.remarks, remark)) for detail in maps.details)
    return maps._replace(details=details)


@dataclass(frozen=True)
class Map:
    """A formula, how its channels become one value, and what that value means."""

    formula: Callable[[Passes], ChannelMaps]
    reduce: Callable[[Tensor], Tensor]
    scale: Scale
    rule: Rule = "gradient"  # what rectifiers have to obey
    of_layer: bool = False  # whether it needs the maps of a layer
    of_copies: bool = False  # whether it only looks at pictures made out of the given ones


MAPS = {
    "gradient": Map(gradient, formulas.largest, "magnitude"),
    "input-x-gradient": Map(input_x_gradient, formulas.summed, "signed"),
    "smoothgrad": Map(smoothgrad, formulas.largest, "magnitude", of_copies=True),
    "vargrad": Map(vargrad, formulas.largest, "magnitude", of_copies=True),
    "integrated-gradients": Map(integrated_gradients, formulas.summed, "signed", of_copies=True),
    "guided-backprop": Map(guided_backprop, formulas.summed, "rule", "guided"),
    "guided-gradcam": Map(guided_gradcam, formulas.summed, "rule", "guided", of_layer=True),
    "deconvnet": Map(deconvnet, formulas.summed, "rule", "deconv"),
}
