"""How a run ends: the first error counts, what can be written is written, and nothing is hidden."""

from __future__ import annotations

import pytest

from cnnexplain.errors import ExitCode, InterruptedRunError, OutputError, Terminated
from cnnexplain.runner.output.ending import Status, ended


class Folder:
    """Notes what is asked of it; `trouble` comes of concluding."""

    def __init__(self, trouble: BaseException | None = None) -> None:
        self.trouble, self.asked = trouble, []

    def conclude(self, status: Status) -> None:
        self.asked.append(status)
        if self.trouble is not None:
            raise self.trouble

    def note(self) -> None:
        self.asked.append("noted")


def through(folder: Folder, error: BaseException | None = None) -> None:
    with ended(folder.conclude, folder.note):
        if error is not None:
            raise error


FIRST = OutputError("first", "hint")
SECOND = OutputError("second", "hint")


def test_a_block_that_goes_well_is_concluded_as_finished() -> None:
    folder = Folder()
    through(folder)
    assert folder.asked == ["finished"]


def test_a_block_that_fails_is_concluded_as_interrupted() -> None:
    folder = Folder()
    with pytest.raises(OutputError, match="first"):
        through(folder, FIRST)
    assert folder.asked == ["interrupted"]


@pytest.mark.parametrize(
    "trouble", [SECOND, KeyboardInterrupt(), Terminated(), PermissionError(13, "second"), KeyError("second")]
)
def test_what_went_wrong_first_is_what_is_told(trouble: BaseException) -> None:
    folder = Folder(trouble)
    with pytest.raises(OutputError, match="first"):
        through(folder, FIRST)
    assert folder.asked == ["interrupted", "noted"]


@pytest.mark.parametrize(
    ("stop", "code"), [(KeyboardInterrupt(), ExitCode.INTERRUPTED), (Terminated(), ExitCode.TERMINATED)]
)
def test_whoever_stops_the_report_of_a_finished_run_is_told_so(stop: BaseException, code: ExitCode) -> None:
    folder = Folder(stop)
    with pytest.raises(InterruptedRunError, match="everything is done, but writing the report") as told:
        through(folder)
    assert told.value.exit_code == code
    assert folder.asked == ["finished", "noted"]


def test_a_defect_while_concluding_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        through(Folder(KeyError("defect")))
    with pytest.raises(OutputError, match="second"):
        through(Folder(SECOND))
