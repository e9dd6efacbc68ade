"""The boundary where any exception becomes an error with two lines and an exit code."""

from __future__ import annotations

from cnnexplain.cli.strangers import place_in_own_code
from cnnexplain.errors import (
    CnnexplainError,
    ExitCode,
    ModelError,
    OutputError,
    first_line,
    shortage_behind,
)


def shown_error(error: Exception) -> CnnexplainError:
    """The error to show for an exception that reached the command line; its exit code is the command's."""
    if (shortage := shortage_behind(error)) is not None:
        return shortage
    if isinstance(error, CnnexplainError):
        return error
    if isinstance(error, OSError):  # a disk that fails, a file that vanished or is not ours any more
        file = f"{error.filename}: " if error.filename is not None else ""
        return OutputError(
            f"a file could not be read or written: {file}{error.strerror or first_line(error)}",
            "see whether it is still there, and whether there is room; run it again with --debug for details",
        )
    if (place := place_in_own_code(error)) is not None:
        return ModelError(
            f"the model's own code failed: {first_line(error)} (at {place})",
            "fix it there; --debug shows how it was called",
        )
    return DefectError(
        f"a defect in cnnexplain: {first_line(error)}", "run it again with --debug and report what it prints"
    )


class DefectError(CnnexplainError):
    """A defect of cnnexplain itself."""

    exit_code = ExitCode.DEFECT
