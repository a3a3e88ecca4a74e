"""Modules and functions of a user's own package, which settings name."""

import importlib
import types
from collections.abc import Callable
from typing import Any

from trainer.config.errors import ConfigError, nearest


def import_function(name: str, *, setting: str) -> Callable[..., Any]:
    """The function that `setting` names as package.module:function.

    Raises:
      ConfigError: it cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    if not all(map(str.isidentifier, [*module_name.split("."), function_name])):
        raise ConfigError(
            f"{setting} must name an importable function, got {name!r}; write "
            "package.module:function"
        )
    module = _import(module_name, name, setting=setting)
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if function is None:
        own = [
            name
            for name, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module_name
        ]
        raise ConfigError(
            f"{setting} must name an importable function, got {name!r}: there is no "
            f"{function_name!r} in {getattr(module, '__file__', None) or module_name}; "
            f"{nearest(function_name, own)}"
        )
    return function


def import_module(name: str, *, setting: str) -> types.ModuleType:
    """The module that `setting` names as package.module.

    Raises:
      ConfigError: it cannot be imported.
    """
    return _import(name, name, setting=setting)


def _import(module: str, given: str, *, setting: str) -> types.ModuleType:
    try:
        return importlib.import_module(module)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        is_absent = isinstance(error, ModuleNotFoundError) and (
            f"{module}.".startswith(f"{error.name}.")
        )
        way = "mend it, or install what it imports"
        if is_absent:
            way = "put its package on PYTHONPATH"
        raise ConfigError(
            f"{setting} must name what can be imported, got {given!r}: {error}; {way}"
        ) from error
