"""Small networks trained in a second or two on scikit-learn's handwritten digits (8x8, grey): well, and wrongly.

`digits(kind)` is a `Model`, `subject(kind)` the same with pictures that it was not trained on. Modules are trained once
for a process: a test that changes one takes `fresh(kind)`, a copy.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from cnnexplain.checks.suite.subject import Example, Subject
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.engine.model import Model

MEAN, STD = 0.305, 0.376  # of the digits, for values in 0..1
TRAINED_ON = 1400  # the first; the other 397 are for looking at


def _stage(inside: int, outside: int, act: Callable[[], nn.Module], norm: bool = True) -> nn.Sequential:
    layers = [("conv", nn.Conv2d(inside, outside, 3, padding=1)), ("act", act())]
    if norm:
        layers.insert(1, ("norm", nn.BatchNorm2d(outside)))
    return nn.Sequential(OrderedDict(layers))


def _network(*stages: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            stages=nn.Sequential(*stages),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(width, 10),
        )
    )


def _usual(norm: bool = True) -> nn.Sequential:
    """Three convolutions with ReLU; the last map is 4x4."""
    first = _stage(1, 12, nn.ReLU, norm)
    return _network(
        first, nn.MaxPool2d(2), _stage(12, 24, nn.ReLU, norm), _stage(24, 32, nn.ReLU, norm), width=32
    )


def _same_shapes() -> nn.Sequential:
    """Four convolutions of one shape behind the first."""
    stages = [_stage(1, 16, nn.ReLU), *(_stage(16, 16, nn.ReLU) for _ in range(4))]
    return _network(*stages, width=16)


def _deep_sigmoid() -> nn.Sequential:
    """Twelve convolutions with sigmoids and nothing that keeps gradients up."""
    stages = [_stage(1, 6, nn.Sigmoid, False), *(_stage(6, 6, nn.Sigmoid, False) for _ in range(11))]
    return _network(*stages, width=6)


def _dead() -> nn.Sequential:
    """Its second convolution begins with biases of -10: nothing gets through it, forwards or back."""
    made = _usual(norm=False)
    nn.init.constant_(made.stages[2].conv.bias, -10)
    return made


def _half_dead() -> nn.Sequential:
    """Half of the channels of its second convolution begin with biases of -10. The others learn."""
    made = _usual(norm=False)
    with torch.no_grad():
        made.stages[2].conv.bias[:12] = -10
    return made


# How each kind is made, with what rate it is trained, and for how many epochs.
KINDS: dict[str, tuple[Callable[[], nn.Sequential], float, int]] = {
    "well": (_usual, 0.05, 4),
    "plain": (lambda: _usual(norm=False), 0.05, 8),  # without batch normalisation
    "same shapes": (_same_shapes, 0.02, 8),
    "too high a rate": (lambda: _usual(norm=False), 3.0, 2),
    "deep sigmoid": (_deep_sigmoid, 0.05, 1),
    "dead": (_dead, 0.05, 1),
    "half dead": (_half_dead, 0.05, 4),
    "untrained": (_usual, 0.0, 0),
}


@cache
def _data() -> tuple[Tensor, Tensor]:
    """All pictures, normalised (N, 1, 8, 8), and their classes."""
    found = load_digits()
    pictures = torch.tensor(found.images[:, None] / 16, dtype=torch.float32)
    return (pictures - MEAN) / STD, torch.tensor(found.target)


@cache
def trained(kind: str = "well") -> nn.Sequential:
    """One network, in evaluation mode. Not to be changed."""
    make, rate, epochs = KINDS[kind]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for what is so small
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = make()
        pictures, classes = (one[:TRAINED_ON] for one in _data())
        # Written out: to load torch.optim takes longer than to train.
        weights = list(module.parameters())
        momenta = [torch.zeros_like(one) for one in weights]
        for _ in range(epochs):
            for part in torch.randperm(TRAINED_ON).split(64):
                with torch.enable_grad():
                    loss = nn.functional.cross_entropy(module(pictures[part]), classes[part])
                    gradients = torch.autograd.grad(loss, weights)
                with torch.no_grad():
                    for one, momentum, gradient in zip(weights, momenta, gradients, strict=True):
                        one.sub_(rate * momentum.mul_(0.9).add_(gradient))
    torch.set_num_threads(threads)
    return module.eval()


def fresh(kind: str = "well") -> nn.Sequential:
    """A copy of one network, to be changed as you like."""
    return copy.deepcopy(trained(kind))


def right(kind: str = "well") -> float:
    """The share of the pictures that it was not trained on which it knows."""
    pictures, classes = (one[TRAINED_ON:] for one in _data())
    with torch.no_grad():
        return float((trained(kind)(pictures).argmax(1) == classes).float().mean())


def as_digits(module: nn.Module, name: str = "digits") -> Model:
    """A module as checks see it, fed digits."""
    size = (8, 8)
    return Model(module, name, Preprocess(size, 1, size, "squash", "nearest", (MEAN,), (STD,)))


def digits(kind: str = "well") -> Model:
    """One kind of network, fed digits."""
    return as_digits(trained(kind), f"digits, {kind}")


@cache
def examples(count: int = 32, labelled: bool = True) -> tuple[Example, ...]:
    """Pictures that no network was trained on."""
    found = load_digits()
    chosen = range(TRAINED_ON, TRAINED_ON + count)
    return tuple(
        Example(
            f"digits/{number}.png",
            f"{number}.png",
            f"{number:064x}",
            np.rint(found.images[number][:, :, None] * (255 / 16)).astype(np.uint8),
            int(found.target[number]) if labelled else None,
        )
        for number in chosen
    )


def subject(kind: str | nn.Module = "well", count: int = 32, labelled: bool = True) -> Subject:
    """A kind of network, or a module of your own, and pictures to check it with."""
    model = digits(kind) if isinstance(kind, str) else as_digits(kind)
    return Subject(model, examples(count, labelled), rows=count)
