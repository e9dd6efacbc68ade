"""The bar that shows how far a long run has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def progress_bar(images: int, done: int, doing: str = "explaining") -> Progress:
    """A bar on stderr, already shown: `done` of so many images, and what is done with them."""
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=RichConsole(stderr=True), transient=True)
    progress.add_task(doing, total=images, completed=done)
    progress.start()
    return progress


def stage_bar(bar: Progress | None, stage: str, done: int, total: int, *, new: bool) -> Progress:
    """The bar of a stage, which has come so far; a `new` stage takes the place of whatever bar there was."""
    if bar is None or new:
        if bar is not None:
            bar.stop()
        bar = progress_bar(total, 0, stage)
    bar.update(bar.task_ids[0], completed=done)
    return bar
