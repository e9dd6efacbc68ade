"""Six methods with all scores at once, against one method after another, and one score of one method after another.

Seconds of processors, one thread, so that other programs count little. What is shared: the copies of the image that
edges, the centre and random orders need, and the passes of methods of one command.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

import cnnexplain

METHODS = ("gradcam", "layercam", "hirescam", "gradient", "input-x-gradient", "guided-backprop")
SCORES = ("curves", "randomisation", "layers", "noise", "road")
PICTURE = Path(__file__).parents[1] / "docs" / "photos" / "chelsea.png"
ASKED = 1 / 3  # of the time of one score after another


def compare(name: str) -> None:
    """Print the figures of a model."""
    explainer = cnnexplain.load(name)

    def seconds(methods: tuple[str, ...], scores: tuple[str, ...]) -> float:
        started = time.process_time()
        explainer.explain(PICTURE, "compare", method=methods, scores=scores)
        return time.process_time() - started

    seconds(METHODS[:1], ("curves",))  # looks at the model, once
    together = seconds(METHODS, SCORES)
    alone = [seconds((method,), SCORES) for method in METHODS]
    curves = [seconds((method,), ("curves",)) for method in METHODS]
    # A call for one score makes the curves as well, as every call does.
    each = sum(len(SCORES) * few + every - few for every, few in zip(alone, curves, strict=True))
    print(f"\n{name}: {len(METHODS)} methods, scores {', '.join(SCORES)}")
    print(f"  at once {together:.1f} s")
    print(f"  method by method {sum(alone):.1f} s: {together / sum(alone):.2f} of that")
    print(f"  score by score {each:.1f} s: {together / each:.2f} of that, asked {ASKED:.2f}")


def main() -> None:
    """Print the figures of the models that are named, or of the bundled one."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or ("bundled:efficientnet_lite0",):
        compare(name)


if __name__ == "__main__":
    main()
