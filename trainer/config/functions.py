"""Functions of a user's own package, which settings name."""

import importlib
from collections.abc import Callable
from typing import Any

from trainer.config.errors import ConfigError


def import_function(name: str, *, setting: str) -> Callable[..., Any]:
    """The function that `setting` names as package.module:function.

    Raises:
      ConfigError: it cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    try:
        function: Callable[..., Any] = getattr(
            importlib.import_module(module_name), function_name
        )
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{setting} must name an importable function, got {name!r}: {error}; "
            "name one that its module has, or put its package on PYTHONPATH"
        ) from error
    return function
