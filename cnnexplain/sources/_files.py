"""Files that the user named."""

from __future__ import annotations

from pathlib import Path

from cnnexplain.errors import ModelError, first_line, near_misses


def existing_file(path: Path, kind: str) -> Path:
    """`path` if it is a file that can be read; `kind` names in errors the kind of file that was expected."""
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder, not a {kind}", "name the file in it")
        if not path.exists():
            raise _missing(path, kind)
        if not path.is_file():
            raise ModelError(f"{path} is not a regular file", f"name a {kind}")
        path.open("rb").close()
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {first_line(error)}", f"name a {kind} that you may read"
        ) from error
    return path


def _missing(path: Path, kind: str) -> ModelError:
    if not path.parent.is_dir():
        return ModelError(
            f"there is no {kind} {path}: the folder {path.parent} does not exist",
            "look at the path; it is taken from the folder that you are in",
        )
    near = near_misses(path.name, [file.name for file in path.parent.iterdir()])
    return ModelError(
        f"there is no {kind} {path}",
        f"did you mean {path.parent / near[0]}?"
        if near
        else "look at the path; it is taken from the folder that you are in",
    )
