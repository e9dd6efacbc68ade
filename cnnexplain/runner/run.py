"""The one story of every command: inputs are mapped to records, these are reduced, and all is written down."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from cnnexplain.commands import FolderCommand, ImageCommand, ModelCommand, SeriesCommand
from cnnexplain.errors import InterruptedRunError
from cnnexplain.runner.output.ending import Status, ended
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.request import Joining, Observer, Outcome, Request
from cnnexplain.runner.task import Task


def run(request: Request[Any], observer: Observer) -> Outcome:
    """Carry out a request.

    Args:
        request: What to do, with which inputs, and where results go.
        observer: Is told of everything while it happens.

    Returns:
        How it went. Images that failed, and checks, are in it and raise nothing.

    Raises:
        CnnexplainError: It cannot be carried out.
        InterruptedRunError: Somebody stopped it; what was done is written down where it can be continued.
    """
    task = task_of(request, observer)
    try:
        task.prepare()
        if task.folder is None:
            _map(task)
        else:
            _write(task, task.folder)
        task.finish()
    except KeyboardInterrupt as interruption:
        raise InterruptedRunError(*task.interruption(), interruption) from interruption
    return task.outcome()


def task_of(request: Request[Any], observer: Observer) -> Task:
    """Settle the inputs of a request. Each action has a module of its own, which may take seconds to import."""
    if isinstance(request.action, ImageCommand):
        from cnnexplain.runner.explain_images import ImageTask

        return ImageTask(request, observer)
    if isinstance(request.action, FolderCommand):
        from cnnexplain.runner.fold_images import FoldTask

        return FoldTask(request, observer)
    if isinstance(request.action, SeriesCommand):
        from cnnexplain.runner.series import SeriesTask

        return SeriesTask(request, observer)
    if isinstance(request.action, ModelCommand):
        from cnnexplain.runner.inspect import ModelTask

        return ModelTask(request, observer)
    if isinstance(request.action, Joining):
        from cnnexplain.runner.merge import MergeTask

        return MergeTask(request, observer)
    from cnnexplain.runner.checking.check import CheckTask

    return CheckTask(request, observer)


def _write(task: Task, folder: OutputFolder) -> None:
    """Carry out a task whose records go into a folder, which may hold the beginning of it."""

    def conclude(status: Status) -> None:
        end = task.run_json(status)
        if status == "finished" or task.resumable:
            folder.conclude(end, task.records.lines(), task.pages(end), task.results())
        else:
            folder.write_run(end)

    with folder.open(task.described["identity"], overwrite=task.request.run.overwrite):
        task.resume(folder)
        folder.write_run(task.described)  # before all else: it says whose the other files are
        with ended(conclude, lambda: folder.write_run(task.run_json("interrupted"))):
            _map(task)
            task.fold()


def _map(task: Task) -> None:
    """Map every input to its record, and reduce the records one by one."""
    with task.working(), closing(task.items()) as items:
        for item in items:
            if item.new:
                task.records.add(item.position, item.record)
            task.reductions.update(item.record)
            task.observer.recorded(item.record, again=item.again, listed=task.is_listed(item.record))
