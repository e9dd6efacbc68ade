"""The scores of many variants of one image, computed as far as they differ from the image's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnexplain.engine.hooks import hooked
from cnnexplain.engine.perturb import rules as rules  # noqa: PLC0414 - which fills the table of rules
from cnnexplain.engine.perturb.boxes import Boxed, Same
from cnnexplain.engine.perturb.variants import PROGRESS, NotFollowedError, Progress, Variants, plain
from cnnexplain.engine.streams import over
from cnnexplain.engine.trace.runs import named_layer
from cnnexplain.engine.weights.layers import scripted_parts
from cnnexplain.errors import CnnexplainError, first_line, is_out_of_memory

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

AT_ONCE = 32  # variants: beyond, the image's own share of the work hardly counts
WHOLE_AT_ONCE = 8  # images of which all is computed
# What rounding may make of scores, as a share of their range, for each precision of the model.
APART = {"fp32": 1e-4, "fp16": 2.0**-8, "bf16": 2.0**-5}
SCRIPTED = "its code is TorchScript, and cannot be looked into"
MEMORY = "there is not enough memory for several variants at once"
FEWEST = 4  # however large images are
USUAL_AREA = 224 * 224  # pixels of an image; of larger ones fewer go together
SAMPLES = 4  # variants of the first that are computed both ways


@dataclass
class Perturbed:
    """A model that is asked for many variants of one image. Use it inside `borrowed()`.

    Attributes:
        model: The model.
        image: Its input (1, C, H, W), normalised.
        reason: Why all of each variant is computed; empty where that is not so.
        progress: What was computed so far.
    """

    model: Model
    image: Tensor
    reason: str = ""
    progress: Progress = field(default_factory=Progress)
    _tried: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        scripted = SCRIPTED if scripted_parts(self.model.module) else ""
        self.reason = self.reason or self.model.chunks.alone or scripted

    def windows(self, patches: Callable[[range], Tensor], top: Tensor, left: Tensor) -> Tensor:
        """The scores of the image with other pixels in a window.

        Args:
            patches: Gives the pixels (n, C, h, w), normalised, of some of the windows.
            top: The first row (N,), int64, of each window, all of which lie within the image.
            left: Likewise the first column.

        Returns:
            (N, K), float32, in the order of the windows.

        Raises:
            CnnexplainError: What the model itself raises.
        """
        if not self._tried:
            self._try(patches, top, left)
        most = WHOLE_AT_ONCE if self.reason else AT_ONCE
        whole = bool(self.reason)  # as of now, whatever other threads find out meanwhile

        def scores(own: Model, rows: range) -> Tensor:
            here = slice(rows.start, rows.stop)
            variants = Boxed(self.image, patches(rows), top[here], left[here])
            if whole or len(rows) < 2:
                return _whole(own, variants.whole())
            try:
                return self._followed(own, Variants(variants))
            except NotFollowedError as error:  # of a way that the model did not take when it was tried
                self.reason = error.problem
                return _whole(own, variants.whole())

        return self._in_parts(len(top), scores, most)

    def layer(
        self,
        name: str,
        maps: Callable[[range, Tensor], Tensor],
        count: int,
        *,
        scores: Tensor | None = None,
        most: int = AT_ONCE,
    ) -> Tensor:
        """The scores of the image with other values in a layer's map.

        What comes before the layer is computed once for all variants that go through the model together.

        Args:
            name: The layer, or with `#2` which of its runs.
            maps: Gives for some of the variants the values (n, C, h, w), out of the layer's own (1, C, h, w).
            count: How many variants there are.
            scores: Of the last variant (K,), where they are known. If what is computed differs, all of each variant is
                computed instead, and `reason` says why.
            most: How many variants go through the model together, at most.

        Returns:
            (count, K), float32.
        """
        _ = self.model.head  # before the hook is there: it may take a forward pass

        def part(own: Model, rows: range) -> Tensor:
            layer, runs = named_layer(own.module, name), 0

            def replaced(_name: str, _module: object, _args: object, output: Tensor) -> Tensor | None:
                nonlocal runs
                runs += 1
                if runs != (layer.run or 1):
                    return None
                content = output.content if isinstance(output, Variants) else None
                values = content.base if isinstance(content, Same) else plain(output)[:1]
                return maps(rows, values)

            with hooked([(layer.name, layer.module)], after=replaced):
                if self.reason:
                    return _whole(own, Same(self.image, len(rows)).whole())
                return self._followed(own, Variants(Same(self.image, len(rows))))

        if not self.reason:
            try:
                changed = self._in_parts(count, part, most)
            except Exception as error:  # whatever a model's own code does with such tensors
                if is_out_of_memory(error):
                    raise
                self.reason = _reason(error)
            else:
                if scores is None or self._agree(changed[-1], scores):
                    return changed
        return self._in_parts(count, part, WHOLE_AT_ONCE)

    def _agree(self, computed: Tensor, known: Tensor) -> bool:
        apart = float((computed.to(known) - known).abs().max())
        if not apart <= APART[self.model.precision] * max(1.0, float(known.max() - known.min())):
            self.reason = f"its scores are {apart:.1g} apart when only what changes is computed"
        return not self.reason

    def blends(self, other: Tensor, masks: Tensor) -> Tensor:
        """The scores of the image where masks keep it, and of another one where they do not.

        Args:
            other: (1, C, H, W), normalised.
            masks: (N, H, W), from 0 (the other image) to 1 (this one).

        Returns:
            (N, K), float32.
        """
        difference = self.image - other

        def scores(own: Model, rows: range) -> Tensor:
            share = masks[rows.start : rows.stop, None].to(self.image)
            return _whole(own, own.layout.of(other + share * difference))

        return self._in_parts(len(masks), scores, WHOLE_AT_ONCE)

    def _in_parts(self, count: int, scores: Callable[[Model, range], Tensor], most: int = AT_ONCE) -> Tensor:
        larger = self.image.shape[2] * self.image.shape[3] / USUAL_AREA
        most = max(min(most, FEWEST), round(most / max(larger, 1)))
        return torch.cat([part for _, part in over(self.model, count, scores, most=most)])

    def _try(self, patches: Callable[[range], Tensor], top: Tensor, left: Tensor) -> None:
        """See on a few windows whether a model can be followed, and computes the same as when it is not."""
        self._tried = True
        _ = self.model.head
        places = torch.linspace(0, len(top) - 1, min(SAMPLES, len(top))).round().long()
        pixels = torch.cat([patches(range(place, place + 1)) for place in places.tolist()])
        variants = Boxed(self.image, pixels, top[places], left[places])
        inputs = variants.whole()
        whole = self._in_parts(len(places), lambda own, rows: _whole(own, inputs[rows.start : rows.stop]))
        self.reason = self.reason or self.model.chunks.alone or ""  # which may have come to light just now
        if self.reason:
            return
        try:
            followed = self._followed(self.model, Variants(variants))
        except Exception as error:  # noqa: BLE001 - whatever a model's own code does with such tensors
            self.reason = MEMORY if is_out_of_memory(error) else _reason(error)
            return
        finally:
            self.progress.cells = self.progress.of_cells = 0
        apart = float((followed - whole).abs().max())
        if not apart <= APART[self.model.precision] * max(1.0, float(whole.max() - whole.min())):
            self.reason = f"its scores are {apart:.1g} apart when only what changes is computed"

    def _followed(self, own: Model, variants: Variants) -> Tensor:
        progress = Progress()
        with torch.no_grad(), _noted(progress):
            scores: Tensor = plain(own.forward(variants))
        with self._lock:
            self.progress.add(progress)
        return scores


def _whole(model: Model, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return model.forward(inputs)


def _reason(error: Exception) -> str:
    """Why all of each variant has to be computed, where `error` was raised by what only computes what changes."""
    text = error.problem if isinstance(error, CnnexplainError) else first_line(error)
    return (
        text
        if isinstance(error, NotFollowedError)
        else f"its code does not take variants of an image: {text}"
    )


@contextmanager
def _noted(progress: Progress) -> Iterator[None]:
    token = PROGRESS.set(progress)
    try:
        yield
    finally:
        PROGRESS.reset(token)
