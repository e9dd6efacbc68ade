"""What a model's own `forward` raised, in words: each kind of error with the hint that helps."""

from __future__ import annotations

import linecache
import os
import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from re import Match

import torch
from torch import nn

from cnnexplain.engine.layout import VIEW
from cnnexplain.errors import ForwardError, first_line, text_of

SIZE = "give the size it was made for, for example --input-size 32 or 1x28x28"
NO_SIZE = (
    "no square picture of 28 to 512 pixels fits: give the size it was made for, as in --input-size 64x128 (height x "
    "width); or, where the size changes nothing, look at what its layers hand on"
)
OBLONG = (
    "no square picture of 28 to 512 pixels fits, but {sizes} do: give the one it was made for, as in --input-size "
    "{first} (height x width last)"
)
# With the separator: torchvision is not torch.
LIBRARIES = tuple(os.path.join(os.path.dirname(file), "") for file in (torch.__file__, __file__))
PACKAGE, STANDARD = str(Path(__file__).parents[1]) + os.sep, str(Path(os.__file__).parent) + os.sep
SEQUENTIAL = (nn.Conv1d, nn.RNNBase)

Shape = Sequence[int]
Kind = tuple[str, str | Callable[[Match[str], Shape], str | None]]


def failed(
    name: str, shape: Shape, error: BaseException, *, tried: Sequence[str] | None = None
) -> ForwardError:
    """The error, with the hint that helps, to raise where a model's own forward raised one.

    Args:
        name: The model's.
        shape: Of the input, (N, C, H, W).
        error: What the forward raised.
        tried: The only sizes that the model gets through, of those that were tried, none of which is more likely than
            another; None where no other size was tried.
    """
    text = text_of(error)
    place, own = _place(error)
    where = f" (at {place})" if place else ""
    kinds = (ABOUT_SIZE,) if own else KINDS
    hint = next(filter(None, (_hint(kind, text, shape) for kind in kinds)), None)
    if hint is None:
        hint = f"look at its forward{f', at {place}' if place else ''}"
        hint += ", which raised this itself" if own else "; --debug shows the traceback"
    if tried is not None:
        hint = hint.replace(SIZE, OBLONG.format(sizes=", ".join(tried), first=tried[0]) if tried else NO_SIZE)
    return ForwardError(f"{name} failed on an input of {tuple(shape)}: {first_line(error)}{where}", hint)


def _place(error: BaseException) -> tuple[str, bool]:
    """The file and line of the model's code that the error came through, and whether that code raised it itself."""
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith("<")
    ]
    outside = [frame for frame in frames if not frame[0].startswith(LIBRARIES)]
    if not outside:
        return "", False
    file, line = outside[-1]
    # What torch's C++ raises has the line that called it as its innermost frame, and is a RuntimeError with few
    # exceptions; those of the model's code are told by the word `raise` or `assert` in that line.
    return f"{Path(file).name}:{line}", frames[-1] == outside[-1] and _raises(file, line)


def _raises(file: str, line: int) -> bool:
    return linecache.getline(file, line).lstrip().startswith(("raise ", "assert "))


def is_theirs(error: BaseException) -> bool:
    """Whether torch or the model's own code raised an error; any other is a defect of this package."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    file, line = frames[-1]
    if isinstance(error, RuntimeError):
        return not (file.startswith(PACKAGE) and _raises(file, line))  # torch's C++ has no frame of its own
    return file.startswith(LIBRARIES[0]) or any(_is_strange(path) for path, _ in frames)


def _is_strange(file: str) -> bool:
    """Whether code is neither this package's nor torch's nor Python's own."""
    standard = file.startswith(STANDARD) and "site-packages" not in file
    return not (standard or file.startswith((PACKAGE, LIBRARIES[0], "<")))


def elsewhere(device: torch.device) -> str:
    """Part of a hint that says where there is more memory than on `device`; empty where `device` is the processor."""
    return "" if device.type == "cpu" else "--device cpu, or "


def require_pictures(module: nn.Module, name: str) -> None:
    """Raise `ForwardError` where the layers of a module that failed say that its inputs are no pictures."""
    layers = [child for child in module.modules() if isinstance(child, (*SEQUENTIAL, nn.Conv2d, nn.Conv3d))]
    for kinds, takes, from_picture in (
        (SEQUENTIAL, "sequences (N, C, L)", "self.net(x.flatten(2))"),
        (nn.Conv3d, "volumes (N, C, D, H, W)", "self.net(x.unsqueeze(2))"),
    ):
        if layers and all(isinstance(layer, kinds) for layer in layers):
            raise ForwardError(
                f"{name} takes {takes}, not pictures (N, C, H, W)",
                "wrap it in a module that makes such an input out of a picture: forward(self, x) returning "
                f"{from_picture}; its weights can be seen without: cnnexplain filters",
            )


def _hint(kind: Kind, text: str, shape: Shape) -> str | None:
    pattern, hint = kind
    match = re.search(pattern, text)
    if match is None:
        return None
    return hint if isinstance(hint, str) else hint(match, shape)


def _more_inputs(match: Match[str], _shape: Shape) -> str:
    return (
        f"its forward takes more than a picture ({match[1]}): wrap it in a module whose forward(self, x) calls it with "
        "the picture and everything else"
    )


def _fixed_batch(_match: Match[str], shape: Shape) -> str:
    if shape[0] > 1:
        return "it was made for batches of one size: --batch-size 1 where that is one; or export it with dynamic_shapes"
    return (
        "it was made for batches of one size, and every model is first given one picture alone: write x.shape[0] in "
        "its forward where it names the size, or export it with dynamic_shapes"
    )


def _channels(match: Match[str], shape: Shape) -> str:
    arrived, needed = [int(length) for length in match[1].split(",")], int(match[2])
    if arrived != list(shape):
        hint = "a layer within it was given other channels than it has weights for: look at its forward"
        if arrived[2:] == list(shape[2:]) and arrived[1] < needed and arrived[1] == shape[1] % needed:
            more = shape[1] - arrived[1] + needed  # what is left for a slice, as x[:, 3:], is too few
            hint += (
                "; or, where it takes the channels of its input apart, give an input of more channels: "
                f"--input-size {more}x{shape[2]}x{shape[3]}"
            )
        return hint
    return f"give the channels it was made for: --input-size {match[2]}x{shape[2]}x{shape[3]}"


def _numbers(match: Match[str], _shape: Shape) -> str:
    return f"one of its layers takes {match[2]} numbers of a picture, and was given {match[1]}: {SIZE}"


def _view(match: Match[str], shape: Shape) -> str:
    return f"its code lays {int(match[2]) // shape[0]} numbers of a picture out as ({match[1]}): {SIZE}"


ABOUT_SIZE: Kind = (r"(?i)(input|image|img|picture).*(size|height|width|resolution|divisible)", SIZE)
# The first that is found in an error's text gives the hint.
KINDS: tuple[Kind, ...] = (
    (r"forward\(\) missing \d+ required positional arguments?: (.*)", _more_inputs),
    (r"forward\(\) is missing value for argument ('\w+')", _more_inputs),
    (
        r"forward\(\) takes \d+ positional arguments? but",
        "wrap it in a module whose forward(self, x) takes a picture, x of (N, C, H, W)",
    ),
    (
        r"(?i)CUDA (error|GPUs|enabled|driver)|NVIDIA driver|on the same device"
        r"|torch\.(cuda|mps)\.\w+Tensor\).* should be the same",
        "its code names a device, as .cuda() or device='cuda' do: write x.device there, or use the --device "
        "that it names",
    ),
    (
        r"should be the same|same dtype|expected scalar type|expected m1 and m2 to have",
        "its code casts the picture or a weight (.half(), .double(), .to(dtype)): take the cast out; --precision "
        "fp16 or bf16 has the same effect",
    ),
    (
        r"scalar types: Long, Int",
        "it takes numbers of words and not pictures: give a network of pictures",
    ),
    (
        r"(?i)specify dynamic_shapes|Guard failed: \S+\.size\(\)\[0\]|batch.?size.* (must|should|expected)",
        _fixed_batch,
    ),
    (r"Guard failed: \S+\.size\(\)\[[23]\] == (\d+)", SIZE),
    (
        r"Expected more than 1 value per channel",
        "one of its batch norms has no running statistics and measures the batch, in which one picture leaves one "
        "value a channel: train it with track_running_stats=True, or use a GroupNorm or LayerNorm there",
    ),
    (r"expected input\[([\d, ]+)\] to have (\d+) channels", _channels),
    (
        VIEW,
        "write .reshape(...) or .flatten(1) in its forward where it says .view(...)",
    ),
    (r"shapes cannot be multiplied \(1x(\d+) and (\d+)x\d+\)", _numbers),
    (r"shape '\[([-\d, ]+)\]' is invalid for input of size (\d+)", _view),
    (
        r"(?i)greater than actual input size|output size is too small|less than the corresponding input"
        r"|padding size should be less|size of tensor a|shapes cannot be multiplied|size mismatch|Sizes of tensors",
        SIZE,
    ),
    ABOUT_SIZE,
)
