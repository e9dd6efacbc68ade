"""What every public formula must satisfy: found by name without torch, a paper, shapes, and an example that is true."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnnexplain import formulas

MODULES = [module.name for module in pkgutil.iter_modules(formulas.__path__) if module.name[0] != "_"]
FUNCTIONS = [name for name in formulas.__all__ if inspect.isfunction(getattr(formulas, name))]
TABLES = {"CAMS", "Cam", "cams"}  # the formulas that `gradcam` knows; no formulas themselves
NOBODYS = {"evaluator", "replaced", "standard_normal"}  # asking, cutting and drawing need no source
DOCS = Path(__file__).parents[2] / "docs" / "formulas.md"


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_print_what_stands_below_them(module: str) -> None:
    of_module = importlib.import_module(f"cnnexplain.formulas.{module}")
    assert not doctest.testmod(of_module).failed


@pytest.mark.parametrize("name", [*sorted(set(FUNCTIONS) - TABLES), "Moments", "SampledMean"])
def test_a_formula_says_its_source_and_has_an_example(name: str) -> None:
    formula = getattr(formulas, name)
    text = inspect.getdoc(formula) or ""
    assert ">>>" in text
    if name not in NOBODYS:
        assert re.search(r"\d{4}[ ,(]+(arXiv:\d{4}\.\d{4,5}|doi:10\.)", text)
    if name in FUNCTIONS:
        said = re.search(r"^Args:\n(.*?)^Returns:\n(.*?)^(Raises|Example):", text, re.M | re.S)
        assert said is not None
        for parameter in inspect.signature(formula).parameters:
            assert re.search(rf"^    {parameter}: ", said[1], re.M), parameter


def test_public_names_are_those_of_the_modules() -> None:
    defined = {
        name
        for module in MODULES
        for name, value in vars(importlib.import_module(f"cnnexplain.formulas.{module}")).items()
        if inspect.isfunction(value) and value.__module__ == f"cnnexplain.formulas.{module}"
        if not name.startswith("_")
    }
    assert defined | {"CAMS", "Cam", "Integrals", "Moments", "Rise", "SampledMean"} == set(formulas.__all__)
    assert set(formulas.__all__) <= set(dir(formulas))
    with pytest.raises(AttributeError, match="no attribute 'gradcan'"):
        formulas.gradcan  # noqa: B018


def test_a_formula_is_found_without_loading_torch() -> None:
    script = (
        "import sys\nfrom cnnexplain.formulas import *\n"
        "print(*[one for one in ('torch', 'torchvision', 'numpy') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_page_has_a_row_for_every_formula_with_its_source() -> None:
    page = DOCS.read_text("utf-8")
    for name in set(formulas.__all__) - TABLES:
        (row,) = re.findall(rf"^\| `{name}` \|.*$", page, re.M)
        text = inspect.getdoc(getattr(formulas, name)) or ""
        for source in re.findall(r"arXiv:\d{4}\.\d{4,5}|doi:[\w./]+\w", text):
            assert source in row, name
