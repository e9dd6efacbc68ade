"""Networks small enough to work by hand, and the shortest way to have one explained."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.core.explanation import Answer, Batch
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.results import Result
from cnnexplain.engine.model import Model


def as_model(module: nn.Module, size: tuple[int, int], channels: int = 3, **fields: Any) -> Model:
    """A module as methods see it. `size` is (height, width)."""
    return Model(module, type(module).__name__, Preprocess(input_size=size, channels=channels), **fields)


def bare(module: nn.Module, size: tuple[int, int] = (8, 8)) -> Model:
    """A module of which the engine sees no more than its layers and whatever it gives back."""
    return cast(Model, SimpleNamespace(module=module, forward=module, preprocess=Preprocess(input_size=size)))


def answer(module: nn.Module | Model, inputs: Tensor, **options: Any) -> Columns:
    """What `GradCAM(**options)` finds for inputs (N, C, H, W); a single name will do for `method` and `layer`."""
    model = (
        module if isinstance(module, Model) else as_model(module, tuple(inputs.shape[2:]), inputs.shape[1])
    )
    for name in ("method", "layer"):
        if isinstance(options.get(name), str):
            options[name] = (options[name],)
    bound, _ = GradCAM(**options).bind(model)
    with model.borrowed():
        return Columns(bound.explain(model, Batch(inputs)))


def heat(module: nn.Module | Model, inputs: Tensor, **options: Any) -> Tensor:
    """The only map (N, h, w) that `answer` finds."""
    (found,) = answer(module, inputs, **options).maps
    return found.values


class Column:
    """The results that stand at the same place of every picture of a batch, one tensor for each of their fields.

    A picture that has fewer results has the index -1 and zeros, as where no class is likely enough.
    """

    def __init__(self, results: Sequence[Result | None]) -> None:
        self.results = results
        self.first = next(result for result in results if result is not None)

    def __getattr__(self, name: str) -> Any:
        """A field of the first: what all have in common."""
        return getattr(self.first, name)

    def each(self, name: str) -> list[Any]:
        return [getattr(result, name) for result in self.results if result is not None]

    @property
    def found(self) -> list[Any]:
        """The results one by one, their values as tensors."""
        return [_with_tensors(result) for result in self.results if result is not None]

    @property
    def details(self) -> tuple[Any, ...]:
        return tuple(self.each("detail"))

    @property
    def index(self) -> Tensor:
        return torch.tensor([-1 if result is None else result.target.index for result in self.results])

    @property
    def values(self) -> Any:
        blank = np.zeros_like(self.first.values)
        arrays = [blank if result is None else result.values for result in self.results]
        if len({array.shape for array in arrays}) > 1:  # patches of units
            return tuple(map(torch.from_numpy, arrays))
        return torch.from_numpy(np.stack(arrays))

    @property
    def channels(self) -> Tensor | None:
        arrays = self.each("channels")
        return None if any(array is None for array in arrays) else torch.from_numpy(np.stack(arrays))

    @property
    def channel(self) -> Tensor:
        return torch.tensor(self.each("channel"))

    @property
    def cell(self) -> Tensor | None:
        cells = self.each("cell")
        return None if None in cells else torch.tensor(cells)

    @property
    def activation(self) -> Tensor:
        return torch.tensor(self.each("activation"))

    @property
    def sees(self) -> Tensor:
        return torch.tensor(self.each("sees"))


def _with_tensors(result: Any) -> Any:
    arrays = {name: getattr(result, name, None) for name in ("values", "components")}
    return replace(result, **{name: torch.from_numpy(one) for name, one in arrays.items() if one is not None})


class Columns:
    """The answer for a batch, its results stacked: as the mathematics of a whole batch is written down."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.logits, self.problems, self.notes = answer.logits, answer.problems, answer.notes
        self.results = [Column(column) for column in zip_longest(*answer.results)]

    def of(self, kind: str) -> list[Any]:
        return [column for column in self.results if column.kind == kind]

    @property
    def maps(self) -> list[Any]:
        return self.of("map")

    @property
    def units(self) -> list[Any]:
        return self.of("unit")

    @property
    def layers(self) -> list[Any]:
        return self.of("channels")


def default_layer(module: nn.Module, size: tuple[int, int], channels: int = 3) -> str:
    """The layer that is explained when none is named."""
    return as_model(module, size, channels).choose_layer().value


def settle(module: nn.Module, size: tuple[int, int], channels: int = 3) -> nn.Module:
    """Give fresh batch normalisations the statistics of noise: untrained networks fade or blow up otherwise."""
    module.eval()
    norms = [child for child in module.modules() if isinstance(child, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        if norms:
            module(torch.randn(4, channels, *size))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return module.eval()


class OneConv(nn.Module):
    """Captum's BasicModel_ConvNet_One_Conv: all that it computes fits on a page."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3)
        self.relu1 = nn.ReLU()
        self.fc1 = nn.Linear(8, 4)
        self.relu2 = nn.ReLU()
        with torch.no_grad():
            self.conv1.weight.fill_(1)
            self.conv1.bias.copy_(torch.tensor([-50.0, -75.0]))
            self.fc1.weight.copy_(torch.tensor([1.0, 1, 1, 1, 1, -1, -1, -1]).expand(4, 8))
            self.fc1.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.fc1(self.relu1(self.conv1(x)).flatten(1)))


class Readout(nn.Module):
    """Layer `maps` passes its input on, and class k scores sum(weight[k] * maps).

    So the maps are what was put in and the gradient of a class is its weight: every formula by hand.
    """

    def __init__(self, weight: Any) -> None:
        super().__init__()
        weight = torch.as_tensor(weight, dtype=torch.float32)  # (K, C, h, w)
        self.maps = nn.Conv2d(weight.shape[1], weight.shape[1], 1, bias=False)
        self.weight = nn.Parameter(weight)
        with torch.no_grad():
            self.maps.weight.copy_(torch.eye(weight.shape[1])[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", self.maps(x), self.weight)


class Rectified(nn.Module):
    """Two convolutions with ReLU of the given kind, pooling, one linear layer. Seeded: the kinds are equal."""

    def __init__(self, kind: str = "module", classes: int = 5, channels: int = 3) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.conv1 = nn.Conv2d(channels, 6, 3, padding=1, stride=2)
            self.conv2 = nn.Conv2d(6, 8, 3, padding=1, stride=2)
            self.conv3 = nn.Conv2d(8, 8, 3, padding=1)
            self.fc = nn.Linear(8, classes)
        self.kind = kind
        self.relu = nn.ReLU(inplace=kind == "in-place module")

    def rectify(self, x: Tensor) -> Tensor:
        if self.kind == "functional":
            return F.relu(x)
        if self.kind == "in-place function":
            return x.relu_()
        if self.kind == "in-place arithmetic":
            x *= (x > 0).to(x.dtype)
            return x
        return self.relu(x)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.conv1, self.conv2, self.conv3):
            x = self.rectify(conv(x))
        return self.fc(x.mean((2, 3)))


def pooled(channels: int = 3, classes: int = 5, width: int = 8, bias: bool = True) -> nn.Sequential:
    """`features` (a map of half the input's size), global average pooling, and one linear layer `fc`."""
    features = nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
    )  # fmt: skip
    return nn.Sequential(
        OrderedDict(
            features=features,
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            fc=nn.Linear(width, classes, bias=bias),
        )
    )


class Returning(nn.Module):
    """A network whose answer comes wrapped as `kind` says."""

    def __init__(self, inner: nn.Module, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = inner, kind

    def forward(self, x: Tensor) -> Any:
        logits = self.inner(x)
        return {
            "tuple": lambda: (logits, x),
            "list": lambda: [logits],
            "dict": lambda: {"aux": x, "logits": logits},
            "dict of segmentation": lambda: {"out": logits},
            "object": lambda: SimpleNamespace(logits=logits, hidden=x),
            "(N, K, 1, 1)": lambda: logits[:, :, None, None],
            "(N,)": lambda: logits[:, 0],
            "text": lambda: "cat",
            "map": lambda: x,
            "nothing": lambda: None,
            "no rows": logits.sum,
        }[self.kind]()


class ChannelsLast(nn.Module):
    """The twin of a `pooled` network whose layer `last` hands its map on as (N, h, w, C)."""

    def __init__(self, inner: nn.Sequential) -> None:
        super().__init__()
        self.features, self.fc = inner.features, inner.fc
        self.last = Permute()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.last(self.features(x)).mean((1, 2)))


class Permute(nn.Module):
    """(N, C, h, w) to (N, h, w, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


def explained(method: Any, module: nn.Module | Model, inputs: Tensor, **fields: Any) -> Columns:
    """What a method, such as `Saliency(...)`, finds for inputs (N, C, H, W). `fields` go to `as_model`."""
    shape = tuple(inputs.shape[2:]), inputs.shape[1]
    model = module if isinstance(module, Model) else as_model(module, *shape, **fields)
    bound, _ = method.bind(model)
    with model.borrowed():
        return Columns(bound.explain(model, Batch(inputs)))
