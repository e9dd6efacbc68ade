"""The only object that a command talks to: a model, what it is fed, and what its classes are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cnnexplain.core.choice import Choice
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.target import FunctionTarget, Target, TargetSpec
from cnnexplain.engine import borrow, capture, looking
from cnnexplain.engine.backward import gradients
from cnnexplain.engine.backward.norms import FixedNorms
from cnnexplain.engine.backward.rectifiers import Nonlinearities, Rectifiers, nonlinearities
from cnnexplain.engine.capabilities import Capability, capabilities, require_layers
from cnnexplain.engine.chunks import Chunks
from cnnexplain.engine.fields.field import EVERYTHING, ReceptiveField, receptive_fields
from cnnexplain.engine.forward import failed
from cnnexplain.engine.hooks import Enough
from cnnexplain.engine.layout import Looked, MemoryLayout
from cnnexplain.engine.outputs import Broken, Output, Take, copied, first_broken, outputs
from cnnexplain.engine.scoring import scores
from cnnexplain.engine.scoring.answers import unsqueezed
from cnnexplain.engine.scoring.functions import goal
from cnnexplain.engine.scoring.heads import Head
from cnnexplain.engine.streams import Streams, streaming
from cnnexplain.engine.trace import chosen, layers
from cnnexplain.engine.trace.runs import Runs, named_layer
from cnnexplain.engine.trace.steps import with_steps
from cnnexplain.engine.trace.tracing import Heads, traced
from cnnexplain.engine.weights import layers as weights
from cnnexplain.errors import CnnexplainError, ModelError, is_out_of_memory


@dataclass(frozen=True, eq=False)
class Model:
    """A classifier, what it is fed, and what its classes are called.

    `module` is used where it is and as it is: `borrowed()` puts it into evaluation mode for a while and gives
    it back exactly as it was.
    """

    module: nn.Module = field(repr=False)
    name: str
    preprocess: Preprocess
    own_labels: Sequence[str] | None = None
    precision: str = "fp32"
    seed: int = 0  # what is random in a method starts from it
    chunks: Chunks = field(default_factory=Chunks, repr=False)
    streams: Streams = field(default_factory=Streams, repr=False)
    source: str = ""  # where code and weights came from, in words
    layout: MemoryLayout = field(default_factory=MemoryLayout, repr=False)
    activation: str = "auto"  # what makes probabilities of scores; auto: what the model itself ends in
    output: str | None = None  # of several outputs, the name or number of the one that has the scores
    # Where other sizes of pictures were tried and none chosen: those that fit, among which a person can choose.
    tried_sizes: tuple[str, ...] | None = None
    heads: Heads = field(default_factory=Heads, repr=False)  # shared by copies; see `head`
    # The function that the model is asked for in the place of classes; see `functions.with_target`.
    function: FunctionTarget | None = None
    # The same model asked for classes, where there is one.
    class_model: Model | None = field(default=None, repr=False)

    @cached_property
    def capabilities(self) -> frozenset[Capability]:
        """What the model can be asked for. Costs one forward pass, once, that of `trace`."""
        return capabilities(self)

    @property
    def device(self) -> torch.device:
        """Where the module's weights are."""
        return next((tensor.device for tensor in self._weights()), torch.device("cpu"))

    @cached_property
    def trace(self) -> layers.Trace:
        """The layers in the order in which a picture meets them, and the head. Costs one forward pass, once."""
        return self.looked_at(lambda: traced(self))

    @property
    def head(self) -> Head:
        """How class scores are read out of what the module returns. Known once `trace` is, also to copies."""
        return self.heads.of(self, 1)

    @cached_property
    def scoring(self) -> scores.Scoring:
        """How probabilities are made of the scores, and, in words, what the scores are."""
        return scores.scoring(self.head, self.trace.scores, self.activation)

    @cached_property
    def shapes(self) -> tuple[layers.Layer, ...]:
        """The layers in the order of `trace`, of a model of any kind of answer; a forward pass that keeps no graph."""
        return self.looked_at(lambda: layers.shapes(self.module, self.blank(), self.output_of))

    @cached_property
    def fields(self) -> dict[str, ReceptiveField]:
        """What one cell of each layer's map can see of the input. Costs one forward pass, once."""
        follow = partial(receptive_fields, self.module, forward=self.output_of, every_run=True)
        return self.looked_at(lambda: follow(inputs=self.blank()))

    def field(self, name: str) -> ReceptiveField:
        """What one cell of the map of a layer's run can see: the whole input where it could not be followed."""
        return self.fields.get(f"{name} #1", self.fields.get(name, EVERYTHING))

    @cached_property
    def runs(self) -> Runs:
        """How often each layer runs for one picture, and how the maps of its runs lie on the input."""
        return Runs(self)

    @cached_property
    def nonlinearities(self) -> Nonlinearities:
        """The rectifiers and max-poolings that a picture meets. Costs one forward pass, once."""
        return self.looked_at(lambda: nonlinearities(self))

    def looked_at(self, look: Callable[[], Looked]) -> Looked:
        """The result of `look`, which sends a blank picture through the model; called with the model borrowed.

        Raises:
            CnnexplainError: The model cannot be looked at, or its own code fails, each with a hint.
        """
        return looking.looked_at(self, look)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The settings that were chosen when the model was looked at and while it ran, each with its reason."""
        return (*self.layout.choices, *self.heads.choices(self), *self.chunks.choices)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The name of every class. A model with one score has two classes: against it, and for it."""
        return scores.class_names(self.trace.scores, self.own_labels, self.name)

    @cached_property
    def weights_sha256(self) -> str:
        """A fingerprint of all weights and buffers: names, types, shapes and values."""
        return weights.fingerprint(self.module)

    @property
    def parameters(self) -> int:
        """The number of trainable numbers in the model."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Evaluation mode and frozen parameters inside the block; every module exactly as it was after it."""
        with borrow.borrowed(self.module, exact=self.precision == "fp32"), streaming(self.streams):
            yield

    def require_finite_weights(self) -> None:
        """Raise `ModelError` when a weight is NaN or infinite, or a buffer NaN (masks may be infinite)."""
        weights.require_finite(self)

    def inputs(self, pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Normalise pictures, each (H, W, C) uint8, into one batch (N, C, H, W) on the model's device."""
        stacked = torch.from_numpy(np.stack(pixels)).to(self.device).permute(0, 3, 1, 2)
        scaled = stacked.to(self._dtype).div_(255)  # channels last in memory, which convolutions prefer
        mean, std = (
            torch.tensor(values, dtype=self._dtype, device=self.device)[:, None, None]
            for values in (self.preprocess.mean, self.preprocess.std)
        )
        return scaled.sub_(mean).div_(std)

    def forward(self, inputs: Tensor, *, to_input: bool = False) -> Tensor:
        """The class scores (N, K), float32, before any softmax, of inputs (N, C, H, W). Call it inside `borrowed()`.

        With `to_input` gradients are taken with respect to inputs and captured maps only, which then cost less.
        """
        clamps = "trace" in vars(self) and self.trace.moves.clamps
        with FixedNorms(to_input=to_input) if inputs.requires_grad or clamps else nullcontext():
            return self.plain_forward(inputs)

    def plain_forward(self, inputs: Tensor) -> Tensor:
        """`forward` with torch's own functions only, for those who watch them."""
        head = self.heads.of(self, len(inputs))
        with head.endings() or nullcontext() as endings:
            output = self.output_of(inputs)
        return head.scores(output, len(inputs), endings, self.name)

    def output_of(self, inputs: Tensor) -> Any:
        """Whatever the module returns, class scores or not. Call it inside `borrowed()`."""
        dtype = borrow.PRECISIONS[self.precision]
        try:
            with torch.autocast(self.device.type, dtype) if dtype else nullcontext():
                return unsqueezed(self.module(self.layout.of(inputs)), len(inputs))
        except BaseException as error:
            # Whatever a stranger's forward raises is theirs, but memory is ours to handle.
            if isinstance(error, (CnnexplainError, KeyboardInterrupt, Enough)) or is_out_of_memory(error):
                raise
            raise failed(self.name, inputs.shape, error, tried=self.tried_sizes) from error

    @contextmanager
    def capture(self, *names: str) -> Iterator[dict[str, Tensor]]:
        """The maps (N, C, h, w) of every run of the named layers during one `forward`, by `layer4`, `layer4 #2`, ..."""
        _ = self.head  # before the hooks are there: it may take a forward pass
        named = [named_layer(self.module, name) for name in names]
        grids = self.trace.grids if names else ()
        with capture.capture(self.module, named, self.preprocess.input_size, grids) as maps:
            yield maps
        self.runs.require_part(named, maps)

    @contextmanager
    def outputs(self, *names: str, take: Take = copied) -> Iterator[dict[str, Output]]:
        """What the named layers give back during a pass inside the block: maps or vectors, as `take` makes of them."""
        named = {name: named_layer(self.module, name) for name in names}
        grids = {layer.map[1:] for layer in self.trace.layers if layer.map}
        with outputs(self.module, named, self.preprocess.input_size, grids, self.trace.grids, take) as shown:
            yield shown
        self.runs.require_part([layer for name, layer in named.items() if name not in shown], ())

    def first_broken(self, inputs: Tensor) -> list[Broken | None]:
        """For each input the first layer whose output is not finite everywhere. Call it inside `borrowed()`."""
        _ = self.head
        return first_broken(self.module, self.forward, inputs)

    def rectifiers(self) -> Rectifiers:
        """A context in which rectifiers obey a backward rule, wherever they stand in the model's code."""
        _ = self.head
        return Rectifiers()

    def choose_layer(self) -> Choice:
        """The layer to explain when none is named, with the reason; several where only they together decide."""
        require_layers(self)
        choice = chosen.choose(self.trace, self.name, goal(self))
        return self.looked_at(lambda: with_steps(choice, self.module, self.output_of, self.blank()))

    def choose_stages(self) -> tuple[tuple[str, ...], Choice]:
        """The layers to show when none is named, one for every size of map; and the reason."""
        require_layers(self)
        return chosen.stages(self.trace, self.name)

    def find_layer(self, name: str) -> str:
        """The full name of a layer, or with `#2` of a run of it, that a user named; `LayerError` with near misses."""
        return self.runs.full_name(name)

    def gradient(self, score: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool = False) -> list[Tensor]:
        """The gradient of each picture's score (N,) with respect to its own maps, float32, shaped as they are."""
        return gradients.to_maps(self, score, wrt, keep_graph=keep_graph)

    def gradients(
        self, score: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool = False
    ) -> list[Tensor | None]:
        """The gradients as of `gradient`, with None for maps that no score depends on."""
        return gradients.to_each(self, score, wrt, keep_graph=keep_graph)

    def gradient_to_input(self, score: Tensor, inputs: Tensor, *, keep_graph: bool = False) -> Tensor:
        """The gradient (N, C, H, W), float32, of each picture's score (N,), of a class or of a unit."""
        return gradients.to_input(self, score, inputs, keep_graph=keep_graph)

    def failed_backwards(self, error: Exception) -> ModelError:
        """The error, with a hint, to raise where computing a gradient raised `error`."""
        return gradients.failed(self.name, error)

    def targets(self, spec: TargetSpec, logits: Tensor, expected: Tensor | None = None) -> list[Target]:
        """The classes to explain, one `Target` per rank; see `scores.targets`. Of a function that one, in any case."""
        spec = spec if self.function is None else TargetSpec(index=1)  # of one score: what speaks for it
        return scores.targets(spec, self.require_count(logits), self.scoring, expected)

    def score(self, logits: Tensor, index: Tensor) -> Tensor:
        """The score (N,) of one class `index` (N,) per picture, attached to the graph."""
        return scores.scores_at(self.require_count(logits), index)

    def predictions(self, logits: Tensor, index: Tensor | None = None) -> list[tuple[Prediction, ...]]:
        """The classes `index` (N, M) of each picture, in that order; all of them, best first, where None.

        A function has the index -1, its name, and its value for `logit`.
        """
        rows = scores.predictions(self.require_count(logits), self.labels, self.scoring, index)
        if self.function is None:
            return rows
        return [tuple(replace(prediction, index=-1) for prediction in row) for row in rows]

    def probabilities(self, logits: Tensor) -> Tensor | None:
        """The probability of every class (N, classes), two where there is one logit; None where there are none."""
        return scores.chances(logits, scores.scoring(self.head, logits.shape[1], self.activation))

    def require_count(self, logits: Tensor) -> Tensor:
        """The scores (N, K) as they are. Raises `ModelError` where the blank picture has another number of them."""
        return scores.counted(logits, self.trace.scores, self.name)

    @property
    def _dtype(self) -> torch.dtype:
        return next((tensor.dtype for tensor in self._weights() if tensor.is_floating_point()), torch.float32)

    def _weights(self) -> Iterator[Tensor]:
        yield from self.module.parameters()
        yield from self.module.buffers()

    def blank(self) -> Tensor:
        """An input (1, C, H, W) of zeros, laid out as those of pictures are."""
        shape = (1, *self.preprocess.input_size, self.preprocess.channels)
        zeros = torch.zeros(shape, device=self.device, dtype=self._dtype)
        return self.layout.of(zeros.permute(0, 3, 1, 2))
