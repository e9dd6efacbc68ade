"""How a model ends: which of the tensors that it returns has the class scores, and what they went through last."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnexplain.core.choice import Choice
from cnnexplain.core.words import listed
from cnnexplain.engine.scoring.answers import HINT, NAMED, Leaf, Step, at, leaves, read, refusal
from cnnexplain.engine.scoring.ending_rules import PER_CLASS, probabilities
from cnnexplain.engine.scoring.endings import Ending, Endings
from cnnexplain.engine.scoring.narrowing import evidence, making_operation
from cnnexplain.errors import ModelError, OptionError, SeveralOutputsError, near_misses

SUM = 1e-4  # how far the sum of probabilities may be from 1
LEAST = 1e-37  # a probability of which a logarithm can be taken in float32


@dataclass(frozen=True)
class Head:
    """How class scores are read out of what a model returns. Settled once, by one picture's way through it.

    `through` are the operations between the scores and what the model returns (see `Ending`); none where the model
    returns the scores themselves. `beside`: those by which the model makes probabilities that it returns as well.
    `logarithm`: the model returns probabilities of an unknown operation, whose logarithms stand for the scores.
    `log_odds`: it returns one for each class by itself, whose log-odds do. `mixed`: operations that were seen to make
    probabilities of these classes, but not the ones that are returned.
    """

    path: tuple[Step, ...] = ()
    through: tuple[str, ...] = ()
    shapes: frozenset[tuple[int, ...]] = frozenset()
    odds: str = ""
    beside: tuple[str, ...] = ()
    logarithm: bool = False
    log_odds: bool = False
    mixed: tuple[str, ...] = ()
    unsure: bool = False  # whether `probed` has to tell whether the model returns probabilities
    doubts: tuple[str, ...] = ()  # what is wrong, or may be, with how the model ends
    choices: tuple[Choice, ...] = ()

    @property
    def explained(self) -> str:
        """The scores that are explained, in words; empty where the model returns them."""
        if self.logarithm:
            return "the logarithm of the probabilities that the model returns"
        if self.log_odds:
            return "the log-odds of the probabilities that the model returns"
        if self.odds:
            return f"the log-odds behind the model's own {self.odds}"
        return f"what goes into the model's own {listed(self.through)}" if self.through else ""

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that make probabilities of the scores, as far as the model says."""
        return self.through or self.beside or (("sigmoid",) if self.log_odds else ())

    def endings(self) -> Endings | None:
        """A mode that must be active in a forward pass for `scores` to find them; None where none must."""
        return Endings(self.shapes) if self.through else None

    def scores(self, output: Any, pictures: int, endings: Endings | None, model_name: str) -> Tensor:
        """The scores (N, K), float32, out of an answer for so many pictures; `endings` watched its making."""
        try:
            with endings or nullcontext():  # which sees single scores put side by side
                tensor = at(output, self.path)
        except (LookupError, AttributeError, TypeError) as error:
            raise ModelError(
                f"{model_name} returns something else at one time than at another", HINT
            ) from error
        if self.through and endings is not None and isinstance(tensor, Tensor):
            ending = endings.ending(tensor)
            if ending is None or ending.through != self.through:
                raise ModelError(
                    f"{model_name} ends in {listed(self.through)} at one time and not at another",
                    "--activation none explains what it returns, as it is",
                )
            tensor = ending.inputs
        values = read(tensor, pictures)
        if values is None:
            raise refusal(output, model_name)
        if self.log_odds:
            return values.clamp_min(LEAST).log() - (1 - values).clamp_min(LEAST).log()
        return values.clamp_min(LEAST).log() if self.logarithm else values

    def score_channels(self, _output: Any, scores: Tensor) -> frozenset[int]:
        """How many channels maps have that are scores already, where they lead to `scores` (N, K) by no weights."""
        return frozenset({scores.shape[1]})


PLAIN = Head()  # one tensor, which holds the scores


def find_head(
    output: Any,
    pictures: int,
    endings: Endings,
    model_name: str,
    output_name: str | None,
    *,
    unwrapped: bool = True,
) -> Head:
    """How the class scores are read out of answers such as `output`.

    Args:
        output: What the model returned.
        pictures: How many pictures that is for.
        endings: Watched how it was made.
        model_name: For messages.
        output_name: The output that a user chose, by name or number; None where nobody did.
        unwrapped: Whether the scores are what went into softmax and sigmoid, or what came out.

    Raises:
        ModelError: There are no class scores, or several tensors that may be.
        OptionError: `output_name` is none of the outputs.
    """
    leaf, beside, choices = _chosen(output, pictures, endings, model_name, output_name)
    if not unwrapped:
        return Head(leaf.path, choices=choices)
    ending = endings.ending(leaf.tensor)
    if ending is not None:
        return _behind(leaf, ending, choices)
    values = leaf.scores
    if values is None or not between(values):
        changed = endings.changed(leaf.tensor)
        doubt = f"its scores are made of its own {changed} by arithmetic that is not followed"
        if not changed or beside:
            return Head(leaf.path, beside=beside, choices=choices)
        choice = Choice("scores", "what the model returns", doubt)
        return Head(leaf.path, doubts=(doubt,), choices=(*choices, choice))
    mixed = endings.made_rows(values.shape[1])
    return Head(leaf.path, beside=beside, mixed=mixed, unsure=True, choices=choices)


def _behind(leaf: Leaf, ending: Ending, choices: tuple[Choice, ...]) -> Head:
    """The head of a model whose scores go through operations that are known."""
    through = ending.through
    head = Head(leaf.path, through, ending.shapes, ending.odds, doubts=tuple(_doubts(leaf, ending)))
    reason = "; ".join(head.doubts)
    if not reason and through[0] in PER_CLASS and not head.odds:
        reason = f"its forward ends in {through[0]}, which hardly changes where it is certain"
    elif not reason:
        reason = f"its forward ends in {head.odds or through[0]}, which mixes the classes"
    return dataclasses.replace(head, choices=(*choices, Choice("scores", head.explained, reason)))


def _doubts(leaf: Leaf, ending: Ending) -> Iterator[str]:
    """What is wrong, or may be, with what the scores go through."""
    through = ending.through
    if len(through) > 1:
        yield f"its scores go through {listed(through)}, one after the other"
    if ending.scaled_from:
        yield f"what its own {ending.scaled_from} made goes, scaled, through {through[0]} again"
    for operation, dim in zip(through, ending.dims, strict=True):
        if dim is not None and dim[0] == 0:
            yield f"its {operation} runs over the pictures of a batch, not over the classes"
        elif dim is not None and dim[1] == 1:
            yield f"its {operation} runs over a single value, which makes 1 of every score"
    inputs, returned = read(ending.inputs.detach(), leaf.pictures), leaf.scores
    if (
        inputs is not None
        and returned is not None
        and not ending.rounded
        and all(dim is None or (dim[0] and dim[1] > 1) for dim in ending.dims)
    ):
        values = probabilities(inputs, through, logarithms=True)
        if not torch.allclose(values, returned / ending.unit, rtol=1e-2, atol=1e-3):
            yield f"its {listed(through)} does not run over the classes"


def _chosen(
    output: Any, pictures: int, endings: Endings, model_name: str, output_name: str | None
) -> tuple[Leaf, tuple[str, ...], tuple[Choice, ...]]:
    """The tensor that has the scores, what makes probabilities of it beside, and what is to be told of the choice."""
    tensors = leaves(output, pictures)
    if output_name is not None:
        leaf = _named(tensors, output_name, model_name)
        return leaf, _made_beside(leaf, tensors), ()
    left = [leaf for leaf in tensors if leaf.scores is not None]
    reason = "the only one with a row of scores for each picture"
    named = next((leaf for leaf in tensors if leaf.name in NAMED), None)
    if named is not None and (named in left or not left):
        left, reason = [leaf for leaf in left if leaf is named], "by its name"
    if not left:
        raise refusal(output, model_name)
    for narrow, why in evidence(endings):
        if len(left) > 1 and (fewer := narrow(left)) and len(fewer) < len(left):
            left, reason = fewer, why
    if joined := _joined(output, left, endings):
        reason = (
            "a list of one score each, as of one head for each class; where several may be true at once, "
            "--activation sigmoid says so, and --output N takes one alone"
        )
        return joined, (), (Choice("output", f"all {len(left)} side by side", reason),)
    if len(left) > 1:
        shown = ", ".join(leaf.words for leaf in left)
        raise SeveralOutputsError(
            f"{model_name} returns {len(left)} tensors that may be the class scores: {shown}",
            f"choose one: --output {left[0].name} beside -o DIR, or --model-output {left[0].name}",
            tuple(leaf.name for leaf in left),
        )
    (leaf,) = left
    choices = (Choice("output", f"{leaf.words}, of {len(tensors)}", reason),) if len(tensors) > 1 else ()
    return leaf, _made_beside(leaf, tensors), choices


def _joined(output: Any, left: Sequence[Leaf], endings: Endings) -> Leaf | None:
    """All tensors of a list as the scores (N, K) where each has one score a picture (N, 1); None for anything else."""
    paths, values = {leaf.path[:-1] for leaf in left}, [leaf.scores for leaf in left]
    if len(left) < 2 or len(paths) > 1 or any(scores is None or scores.shape[1] > 1 for scores in values):
        return None
    (path,) = paths
    several = at(output, path)
    kinds = {ending and ending.through for ending in (endings.ending(leaf.tensor) for leaf in left)}
    if type(several) not in (list, tuple) or len(several) > len(left) or len(kinds) > 1:
        return None
    path = (*path, ("joined", None))
    with endings:
        tensor = at(output, path)
    return Leaf("", path, tensor, left[0].pictures)


def _named(tensors: Sequence[Leaf], output_name: str, model_name: str) -> Leaf:
    """The tensor that a user chose, by name or number."""
    by_name = {leaf.name: leaf for leaf in tensors}
    chosen = by_name.get(output_name)
    if (
        chosen is None
        and output_name.isdecimal()
        and len(output_name) < 6
        and int(output_name) < len(tensors)
    ):
        chosen = tensors[int(output_name)]
    shown = ", ".join(leaf.words for leaf in tensors[:8]) or "no tensor"
    if chosen is None:
        near = near_misses(output_name, by_name)
        raise OptionError(
            f"{model_name} has no output {output_name!r}: it returns {shown}",
            f"did you mean {near[0]}?" if near else "give a name, or a number counted from 0",
        )
    if chosen.scores is None:
        raise OptionError(
            f"output {chosen.words} of {model_name} is not one row of class scores per picture",
            f"it returns {shown}",
        )
    return chosen


def _made_beside(leaf: Leaf, tensors: Sequence[Leaf]) -> tuple[str, ...]:
    """The operation by which another of the tensors was made of the scores in a leaf; none where none was."""
    scores = leaf.scores
    others = [other.scores for other in tensors if other is not leaf]
    names = [
        making_operation(values, scores) for values in others if values is not None and scores is not None
    ]
    return next(((name,) for name in names if name), ())


def between(values: Tensor) -> bool:
    """Whether all values lie where probabilities do."""
    return bool(((values >= 0) & (values <= 1 + SUM)).all())
