"""What single units of a layer saw, projected back to the pixels (Zeiler & Fergus 2013, arXiv:1311.2901)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

from cnnexplain.commands import ImageCommand
from cnnexplain.commands._pointing import cells_at, pixel_of, require_channels, unseen
from cnnexplain.commands._rules import ENOUGH_SWITCHES, blindness, obeyed, require_rectifiers, silence
from cnnexplain.commands._runs import choices_of, detail_of, joined
from cnnexplain.core.choice import Choice
from cnnexplain.core.explanation import Answer
from cnnexplain.core.params import Param
from cnnexplain.core.results.unit import Reconstruction
from cnnexplain.engine.capabilities import Capability
from cnnexplain.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.explanation import Batch
    from cnnexplain.engine.backward.rectifiers import Rectifiers, Rule
    from cnnexplain.engine.model import Model

    Box = tuple[int, int, int, int]  # left, top, right, bottom

__all__ = ["Deconv"]

RULES: tuple[Rule, ...] = ("deconv", "guided", "gradient")
TINY = 1e-30  # instead of dividing by nothing


@dataclass(frozen=True)
class Deconv(ImageCommand):
    """What the strongest units of a layer saw, projected back to the pixels (deconvnet, Zeiler & Fergus 2013).

    Max-pooling is undone by its recorded switches, convolutions by their transposes, rectifiers by the rule.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SCORES, Capability.LAYERS})
    seeded: ClassVar[bool] = False
    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain deconv bundled:efficientnet_lite0 cat.jpg",
        "cnnexplain deconv resnet50 cat.jpg --layer layer2 --channel 17 --at 120,80",
    )
    unused: ClassVar[frozenset[str]] = frozenset({"colormap", "alpha", "scale"})

    layer: Annotated[
        tuple[str, ...],
        Param(
            "Layer whose units are shown; may be repeated. Left out, the last map of every size.",
            ("-l", "--layer"),
            metavar="NAME",
        ),
    ] = ()
    top: Annotated[
        int, Param("How many channels, each where it is strongest.", min=1, max=4096, metavar="K")
    ] = 9
    channel: Annotated[
        tuple[int, ...],
        Param("These channels instead; may be repeated.", min=0, metavar="C[,C...]", split=True),
    ] = ()
    at: Annotated[
        str | None,
        Param(
            "Place of the unit, as pixels of the picture; left out, where the channel is strongest.",
            metavar="X,Y",
        ),
    ] = None
    whole: Annotated[bool, Param("All places of the channel at once.", ("--whole",))] = False
    rule: Annotated[
        tuple[str, ...],
        Param(
            "What rectifiers do on the way back, side by side. Left out, deconv where max-pooling leaves it switches, "
            "else guided.",
            metavar="NAME",
            choices=RULES,
            split=True,
        ),
    ] = ()

    def bind(self, model: Model) -> tuple[Deconv, tuple[Choice, ...]]:
        """Settle the layers, and see that the units are there and the rules have something to rule."""
        pixel_of(self.at)
        if self.whole and (self.at is not None or not self.channel):
            raise OptionError(
                "--whole takes one place away from --at"
                if self.at
                else "--whole needs to know which channel",
                "give --channel C with either --at X,Y or --whole",
            )
        choices: tuple[Choice, ...] = ()
        rules = self.rule
        if not rules:
            choices = (_chosen_rule(model),)
            rules = (choices[0].value,)
        for rule in rules:
            if rule != "gradient":
                require_rectifiers(model, f"--rule {rule}", "--rule gradient")
        layers = tuple(dict.fromkeys(map(model.find_layer, self.layer)))
        model.runs.require_maps(layers)
        if not layers:
            layers, choice = model.choose_stages()
            choices += (choice,)
        layers = tuple(dict.fromkeys(map(model.runs.last, layers)))
        choices += tuple(choices_of(model, layers))
        for layer in layers:
            require_channels(self.channel, layer, model.runs.channels(layer))
        _ = model.fields  # looked at here, so that what the look settles is told
        return replace(self, layer=layers, rule=rules), choices

    def explain(self, model: Model, batch: Batch) -> Answer:
        """One forward, and one backward for each unit and rule."""
        problems = unseen(pixel_of(self.at), batch)
        pixels = batch.inputs.detach().requires_grad_()
        with ExitStack() as stack:
            captured = stack.enter_context(model.capture(*self.layer))
            ruled = any(rule != "gradient" for rule in self.rule)
            rectifiers = stack.enter_context(model.rectifiers()) if ruled else None
            # A copy, so that a model may write into its input.
            logits = model.forward(pixels.clone()).detach().cpu()
        results: list[list[Reconstruction]] = [[] for _ in range(len(batch))]
        for run, maps in captured.items():
            for units in self._reconstructions(model, batch, pixels, run, maps, rectifiers):
                for of_picture, unit in zip(results, units, strict=True):
                    of_picture.append(unit)
        return Answer(logits, tuple(map(tuple, results)), problems)

    def _reconstructions(
        self,
        model: Model,
        batch: Batch,
        pixels: Tensor,
        layer: str,
        maps: Tensor,
        rectifiers: Rectifiers | None,
    ) -> Iterator[list[Reconstruction]]:
        """One of every picture at a time: by unit, then by rule."""
        height, width = pixels.shape[2:]
        laying, run_detail = model.runs.laying(layer), detail_of(model, layer)
        map_size = (maps.shape[2], maps.shape[3])
        pointed = cells_at(pixel_of(self.at), batch, map_size, laying)
        for units in self._units(layer, maps, pointed):
            boxes = self._boxes(model, layer, units, (height, width))
            for rule in self.rule:
                if rectifiers is not None:
                    rectifiers.use(cast("Rule", rule))
                back = model.gradient_to_input(units.score, pixels, keep_graph=True)
                back = back * units.activation.clamp(min=0)[:, None, None, None]
                boxes = [
                    # A model whose way depends on the picture may have gone another one than the blank picture did.
                    box if _holds(values, box) else (0, 0, width, height)
                    for values, box in zip(back, boxes, strict=True)
                ]
                blind = blindness(rule, model.nonlinearities.switches)
                results = []
                for row, (activation, values, box) in enumerate(
                    zip(units.activation.tolist(), back, boxes, strict=True)
                ):
                    patch = _patch(values, box)
                    notes = obeyed(rectifiers, *silence(rule, activation, patch), *blind)
                    cell = None if units.cell is None else units.cell[row].tolist()
                    results.append(
                        Reconstruction(
                            rule=rule,
                            layer=layer,
                            channel=int(units.channel[row]),
                            cell=None if cell is None else (cell[0], cell[1]),
                            map_size=map_size,
                            activation=activation,
                            sees=box,
                            values=patch.numpy(),
                            input_size=(height, width),
                            geometry=batch.geometry(row),
                            detail=joined(run_detail, notes),
                            laying=laying,
                        )
                    )
                yield results

    def _units(self, layer: str, maps: Tensor, pointed: list[tuple[int, int]] | None) -> Iterator[_Units]:
        """Those to be shown of a layer, one of every picture at a time, where the user `pointed` if at all."""
        import torch

        values = maps.detach().float()  # (N, C, h, w)
        rows = torch.arange(len(values), device=values.device)
        require_channels(self.channel, layer, values.shape[1])
        for channel in self._channels(values, pointed).T:  # (N,)
            own = values[rows, channel]  # (N, h, w)
            cell = self._cells(own, pointed)
            # What a rule brings back grows with the seed: it is at most 1 here, which half precision can bear.
            seed = torch.zeros_like(maps)
            if cell is None:
                activation = own.flatten(1).amax(1)
                seed[rows, channel] = (own.clamp(min=0) / activation[:, None, None].clamp(min=TINY)).to(seed)
            else:
                activation = own[rows, cell[:, 0], cell[:, 1]]
                seed[rows, channel, cell[:, 0], cell[:, 1]] = (activation > 0).to(seed)
            yield _Units(channel, cell, activation, (maps * seed).flatten(1).sum(1))

    @staticmethod
    def _boxes(model: Model, layer: str, units: _Units, size: tuple[int, int]) -> list[Box]:
        """What each picture's unit sees of an input of `size` (H, W)."""
        if units.cell is None:
            return [(0, 0, size[1], size[0])] * len(units.channel)
        field = model.field(layer)
        return [field.box((row, column), size) for row, column in units.cell.tolist()]

    def _channels(self, values: Tensor, pointed: list[tuple[int, int]] | None) -> Tensor:
        """Which channels are shown of each picture, (N, K)."""
        import torch

        if self.channel:
            return torch.tensor(self.channel, device=values.device).expand(len(values), -1)
        # Of channels that are equally strong, as where ReLU6 ends, those that are so in more places.
        spread = values.flatten(2).sum(2).argsort(dim=1, descending=True, stable=True)  # (N, C)
        if pointed is None:
            strongest = values.flatten(2).amax(2)
        else:
            rows, columns = torch.tensor(pointed, device=values.device).T
            strongest = values[torch.arange(len(values), device=values.device), :, rows, columns]
        strongest = strongest.gather(1, spread)
        order = strongest.argsort(dim=1, descending=True, stable=True)
        return spread.gather(1, order)[:, : self.top]

    def _cells(self, own: Tensor, pointed: list[tuple[int, int]] | None) -> Tensor | None:
        """Row and column of the unit in each picture's map of one channel, (N, 2); None for all of them."""
        import torch

        if self.whole:
            return None
        width = own.shape[2]
        if pointed is None:
            # Of places that are equally strong the one whose surroundings are strongest.
            around = torch.nn.functional.avg_pool2d(own[:, None], 3, 1, 1)[:, 0]
            strongest = own.amax((1, 2), keepdim=True)
            strongest = around.where(own == strongest, -torch.inf).flatten(1).argmax(1)
            return torch.stack((strongest // width, strongest % width), dim=1)
        return torch.tensor(pointed, device=own.device)


@dataclass(frozen=True, eq=False)
class _Units:
    """A unit of each of N pictures, all of one layer. The gradient of `score` goes back to the pixels."""

    channel: Tensor  # (N,)
    cell: Tensor | None  # (N, 2), row and column; None for the whole channel
    activation: Tensor  # (N,)
    score: Tensor  # (N,)


def _patch(values: Tensor, box: Box) -> Tensor:
    """What lies in the box of (C, H, W), on the CPU; a copy, so that the rest need not be kept."""
    left, top, right, bottom = box
    return values[:, top:bottom, left:right].cpu().clone()


def _holds(values: Tensor, box: Box) -> bool:
    """Whether all that is not zero of (C, H, W) lies in the box."""
    left, top, right, bottom = box
    return bool(values[:, top:bottom, left:right].count_nonzero() == values.count_nonzero())


def _chosen_rule(model: Model) -> Choice:
    poolings = model.nonlinearities.switches
    if poolings >= ENOUGH_SWITCHES:
        return Choice("rule", "deconv", f"{poolings} max-poolings, whose switches lead back to this picture")
    return Choice(
        "rule",
        "guided",
        f"{poolings or 'no'} max-pooling, too few switches: a deconvnet's pictures would depend little on this "
        "picture (Springenberg et al. 2014)",
    )
