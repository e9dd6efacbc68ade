"""What --output means: a folder, or which of a model's outputs has the scores."""

from __future__ import annotations

import pytest

from cnnexplain.cli.outputs import with_output
from cnnexplain.errors import SeveralOutputsError


class Main:
    """Notes what it is called with; its model has two outputs, of which one must be chosen."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, args: list[str]) -> int:
        self.calls.append(args)
        if not any(one.startswith("--model-output") for one in args):
            raise SeveralOutputsError("two", "choose one", ("light", "three"))
        return 0


@pytest.mark.parametrize(
    "folder", [["-o", "out"], ["-oout"], ["-qo", "out"], ["-qoout"], ["-vo", "out"], ["-qvo", "out"]]
)
def test_beside_a_folder_it_names_an_output(folder: list[str]) -> None:
    main = Main()
    assert with_output(main, ["gradcam", *folder, "--output", "light"]) == 0
    assert main.calls == [["gradcam", *folder, "--model-output", "light"]]


@pytest.mark.parametrize("words", [["-q"], ["-t", "1"], ["-m", "gradcam"], ["--only", "wrong"], ["--", "-o"]])
def test_without_a_folder_it_names_one_where_the_model_has_no_output_of_that_name(words: list[str]) -> None:
    main = Main()
    with pytest.raises(SeveralOutputsError, match="two"):
        with_output(main, ["gradcam", "--output", "out", *words])
    assert main.calls == [["gradcam", "--output", "out", *words]]
    assert with_output(main, ["gradcam", "--output", "three", *words]) == 0


@pytest.mark.parametrize("words", [["-"], ["--files-from", "-"], ["--files-from=-"]])
@pytest.mark.parametrize("output", [["--output", "light"], ["--output=light"]])
def test_what_came_through_a_pipe_cannot_be_read_again(words: list[str], output: list[str]) -> None:
    main = Main()
    with pytest.raises(SeveralOutputsError, match="two") as told:
        with_output(main, ["gradcam", *words, *output])
    assert len(main.calls) == 1
    assert told.value.hint == "type --model-output in the place of --output, which names a folder here"
