"""What a model is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.commands import ModelCommand
from cnnexplain.core.params import Param

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.core.results.summary import LayerTable
    from cnnexplain.engine.model import Model

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary(ModelCommand):
    """Show the layers of a model: shapes, parameters, multiply-adds, activation memory, receptive fields.

    The table goes to the terminal; with -o also to a page, where it can be folded and sorted, with the graph of what
    ran, whose blocks open on a click, and a picture of the stages. Names are those that --layer takes, and the layers
    that other commands show by default are marked.
    """

    seeded: ClassVar[bool] = False
    needs_folder: ClassVar[bool] = False
    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain summary resnet50",
        "cnnexplain summary mynet.py:Net --input-size 1x28x28 --depth 2",
        "cnnexplain summary resnet50 --json | jq .summary.totals",
    )
    unused: ClassVar[frozenset[str]] = frozenset(
        {"colormap", "alpha", "max_side", "scale", "save_raw", "mean", "std"}
    )
    worded: ClassVar[bool] = True

    depth: Annotated[
        int | None,
        Param(
            "How many levels of blocks are shown, 1 for the outermost. Left out: as many as are taken in at a "
            "glance. JSON and the page hold all of them.",
            min=1,
        ),
    ] = None

    def bind(self, model: Model) -> tuple[Summary, tuple[Choice, ...]]:  # noqa: ARG002 - nothing depends on it
        """The same: there is nothing to settle."""
        return self, ()

    def inspect(self, model: Model) -> Iterator[LayerTable]:
        """The table, whole."""
        from cnnexplain.engine.cost.table import layer_table

        yield replace(layer_table(model), shown_depth=self.depth)
