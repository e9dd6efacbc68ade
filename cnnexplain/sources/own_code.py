"""The user's own code: a class or function that returns a model, in a package or in a file."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cnnexplain.core.choice import Choice
from cnnexplain.core.loading import UNFLATTEN
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.errors import ModelError, first_line, near_misses
from cnnexplain.sources._files import existing_file
from cnnexplain.sources._shapes import input_channels
from cnnexplain.sources._source import Built, Variant
from cnnexplain.sources._timm import preprocess_of

if TYPE_CHECKING:
    from torch import nn

PREFIX = ""
HELP = (
    "package.module:factory or file.py:factory: your own code, a class or function that returns an nn.Module"
)
SHOWN = 5
SCRIPTS = frozenset({"main", "run", "train", "test", "evaluate", "eval", "validate", "demo", "parse_args"})
# Names that factories use for the numbers of classes and of input channels, timm's own first.
CLASSES = ("num_classes", "n_classes", "nb_classes", "num_labels", "classes")
CHANNELS = ("in_chans", "in_channels", "input_channels", "n_channels")
DEFAULT = Choice(
    "preprocessing",
    "as is usual for ImageNet",
    "your code names none; --input-size, --crop-pct, --mean and --std change it",
)
BANDS = Choice(
    "preprocessing",
    "values from 0 to 1, resized as is usual for ImageNet",
    "your code names none, and of that many channels ImageNet has no mean; --input-size, --crop-pct, --mean and --std "
    "change it",
)


def names() -> Iterable[str]:
    """No names: only the user knows them."""
    return ()


def build(name: str, variant: Variant) -> Built:
    """The model that the factory returns. This runs the user's code, as Python would."""
    where, _, attribute = name.rpartition(":")
    if not where and name.endswith(".py"):
        module = _imported(name, "")
        attribute, choice = _sole_factory(module, name)
        full = f"{name}:{attribute}"
        built = described(_called(getattr(module, attribute), full, variant), full, variant)
        return replace(built, choices=(choice, *built.choices))
    factory = _attribute(_imported(where, attribute), where, attribute)
    return described(_called(factory, name, variant), name, variant)


def described(module: nn.Module, name: str, variant: Variant) -> Built:
    """A module made by the user's code, with the preprocessing that it carries, or else the usual preprocessing."""
    config = _timm_config(module, name)
    # The wanted channels come before a guess: the first convolution in the code need not be the first that runs.
    channels = variant.channels or input_channels(module)
    preprocess, crop_pct = Preprocess(channels=channels or 3), 1.0  # small inputs are rarely cropped
    usual = DEFAULT
    if preprocess.channels not in (1, 3):
        preprocess, usual = replace(preprocess, mean=(0.0,), std=(1.0,)), BANDS
    if config:
        try:
            preprocess, crop_pct = preprocess_of(config, channels)
        except Exception as error:  # it may hold anything
            raise _misconfigured(name, error) from error
    return Built(
        module=module,
        name=type(module).__name__,
        code=name,
        weights="weights as that code made them (--weights FILE loads others)",
        preprocess=preprocess,
        crop_pct=crop_pct,
        choices=() if config else (usual,),
        sized=bool(config),
    )


def _imported(where: str, attribute: str) -> ModuleType:
    """The module: a file by its path, a package by its name with the working folder on the path."""
    try:
        if where.endswith(".py"):
            return _from_file(existing_file(Path(where), "Python file"))
        _look_in(os.getcwd())
        return importlib.import_module(where)
    except (ModelError, KeyboardInterrupt):
        raise
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(f"{error.name}.")):
            raise _missing_module(where, attribute) from error
        raise _failed(f"{where} does not import", error) from error
    except BaseException as error:  # the user's code may raise anything
        raise _failed(f"{where} does not import", error) from error


def _from_file(file: Path) -> ModuleType:
    _look_in(str(file.resolve().parent))
    spec = spec_from_file_location(f"cnnexplain_own_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ModelError(
            f"{file} cannot be imported", "write the path of a Python file, for example net.py:Net"
        )
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles look their module up here
    spec.loader.exec_module(module)
    return module


def _look_in(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _missing_module(where: str, attribute: str) -> ModelError:
    from cnnexplain.sources._registry import sources

    prefixes = [prefix for prefix in sources() if prefix]
    suggestions = [f"{where}.py"] if Path(f"{where}.py").is_file() else near_misses(where, prefixes)
    return ModelError(
        f"{where!r} is neither a place that models come from nor a module that can be imported",
        f"did you mean {suggestions[0]}:{attribute}?"
        if suggestions
        else f"the places are {', '.join(f'{prefix}:' for prefix in prefixes)}; your own code is "
        "package.module:factory, seen from this folder, or path/to/file.py:factory",
    )


def _attribute(module: ModuleType, where: str, name: str) -> Any:
    attribute: Any = module
    for part in name.split("."):
        attribute = getattr(attribute, part, None)
    if callable(attribute):
        return attribute
    callables = {
        key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")
    }
    own = [key for key, value in callables.items() if getattr(value, "__module__", None) == module.__name__]
    suggestions = near_misses(name, callables) or own[:SHOWN]
    raise ModelError(
        f"{where} has nothing called {name!r} that could be called"
        if name
        else f"{where}: names no class or function",
        f"did you mean {' or '.join(f'{where}:{name_of}' for name_of in suggestions)}?"
        if suggestions
        else f"define a class or function there that returns an nn.Module and write {where}:NAME",
    )


def _sole_factory(module: ModuleType, where: str) -> tuple[str, Choice]:
    """The name of the only class or function of a file that could make a model, and the choice to report."""
    factories = [
        name for name, value in vars(module).items() if _makes_models(value, module) and name[0] != "_"
    ]
    if len(factories) == 1:
        return factories[0], Choice("model", f"{where}:{factories[0]}", f"all in {where} that could make one")
    raise ModelError(
        f"{where!r} names a file, but not what to call in it",
        f"write {where}:NAME, where NAME is {' or '.join(factories[:SHOWN])}"
        if factories
        else f"write {where}:NAME, where NAME is a class or function there that returns an nn.Module, and takes "
        "no arguments",
    )


def _makes_models(value: Any, module: ModuleType) -> bool:
    """Whether a value in a file is a model, or a class or function of its own that may make one without arguments."""
    from torch import nn

    if isinstance(value, nn.Module):
        return True
    if getattr(value, "__module__", None) != module.__name__ or not inspect.isroutine(
        value
    ) | inspect.isclass(value):
        return False
    if inspect.isclass(value) and not issubclass(value, nn.Module):
        return False
    if getattr(value, "__name__", "") in SCRIPTS:
        return False
    needed = [
        parameter
        for parameter in inspect.signature(value).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    return not needed


def _called(factory: Any, name: str, variant: Variant) -> nn.Module:
    from torch import nn
    from torch.nn.parameter import UninitializedParameter

    if isinstance(factory, nn.Module):
        return factory
    try:
        module = factory(**_arguments(factory, variant))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the user's code may raise anything
        raise _failed(f"{name} could not be called", error) from error
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"{name} returned {type(module).__name__}, not an nn.Module",
            UNFLATTEN
            if type(module).__name__ == "ExportedProgram"
            else "name a class or function that returns the model itself",
        )
    if any(isinstance(parameter, UninitializedParameter) for parameter in module.parameters()):
        raise ModelError(
            f"{name} returned a model whose lazy layers have no shape yet",
            "run one input through it before returning it",
        )
    return module


def _arguments(factory: Callable[..., Any], variant: Variant) -> dict[str, int]:
    """The numbers that a checkpoint or an option wants, as far as the factory takes them, by its parameters' names."""
    candidates = [
        (names, value)
        for names, value in ((CLASSES, variant.classes), (CHANNELS, variant.channels))
        if value is not None
    ]
    if not candidates:
        return {}
    takes = inspect.signature(factory).parameters
    arguments = [
        (next((name for name in names if name in takes and _is_number(takes[name], names)), None), value)
        for names, value in candidates
    ]
    return {name: value for name, value in arguments if name is not None}


def _is_number(argument: inspect.Parameter, names: tuple[str, ...]) -> bool:
    """Whether an argument takes a number: timm's own names do, others may mean a list."""
    return argument.name == names[0] or type(argument.default) is int


def _failed(problem: str, error: BaseException) -> ModelError:
    if re.search(r"(?i)NVIDIA driver|CUDA (GPUs|enabled|error)", first_line(error)):
        return ModelError(
            f"{problem}: {first_line(error)}",
            "leave the device to --device: take .cuda(), and device='cuda', out of your code",
        )
    return ModelError(
        f"{problem}: {first_line(error)}",
        "put this right in your code (--debug shows where it happened); a factory is called without "
        "arguments",
    )


def _timm_config(module: nn.Module, of: str) -> Mapping[str, Any] | None:
    """The configuration that timm's models, and code written like them, carry."""
    for name in ("pretrained_cfg", "default_cfg"):
        try:
            config = getattr(module, name, None)
            if isinstance(config, Mapping) and config:
                return config
        except Exception as error:  # a property may raise anything
            raise _misconfigured(of, error) from error
    return None


def _misconfigured(name: str, error: Exception) -> ModelError:
    return ModelError(
        f"the pretrained_cfg of {name} cannot be followed: {first_line(error)}",
        "give it values such as timm's, input_size=(3, 224, 224), mean=(0.5, 0.5, 0.5), crop_pct=0.9; or take it "
        "off the model",
    )
