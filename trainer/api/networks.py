"""Teachers and students as a Python program gives them, to sections of the config."""

import dataclasses
import functools
import os
import pkgutil
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from trainer import console
from trainer.config import (
    MEMORY,
    OWN,
    ConfigError,
    is_hub,
    is_reference,
    is_run_model,
)
from trainer.config.models import MODELS

if TYPE_CHECKING:
    from trainer.models import GivenModel

_WAYS = (
    "give a keras.Model, a function (input_shape, num_classes) -> model, the path of "
    "a .keras file or SavedModel, run:DIR, registry:NAME@VERSION, hub:PRESET, or the "
    "name of an architecture"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A network of a program."""

    section: dict[str, Any]  # what the config says of it
    given: "GivenModel | None" = None  # what it cannot say


def describe(role: str, source: Any) -> Network:
    """The network in a `role`, "teacher" or "student", that `source` stands for.

    Raises:
      ConfigError: it stands for none, or cannot be used in this role.
    """
    if isinstance(source, str | os.PathLike):
        return Network(section=_named(os.fspath(source)))
    if is_model(source):
        # TensorFlow is loaded already.
        from trainer.api import memory

        describe_model = memory.teacher if role == "teacher" else memory.student
        options, given = describe_model(source)
        return Network(section={"model": MEMORY, "options": options}, given=given)
    if callable(source):
        return _function(role, source)
    raise ConfigError(f"{role} must be a model, got a {type(source).__name__}; {_WAYS}")


def _named(text: str) -> dict[str, Any]:
    """The section of the network that a text names, by a path or otherwise."""
    if is_run_model(text):
        return {"weights": text}
    is_file = text.endswith(".keras") or os.path.isdir(os.path.expanduser(text))
    if text not in MODELS and (is_file or is_reference(text)):
        # As a model in memory it gets what the data yield.
        return {"model": "saved", "options": {"path": text, "input": "as_given"}}
    return {"model": text}


def is_model(source: Any) -> bool:
    """Whether it is a Keras model, which there is only once Keras is loaded."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(source, keras.Model)


def _function(role: str, source: Callable[..., Any]) -> Network:
    function, options = source, {}
    if isinstance(source, functools.partial) and not source.args:
        function, options = source.func, dict(source.keywords)
    qualified = getattr(function, "__qualname__", type(function).__name__)
    name = f"{getattr(function, '__module__', '__main__')}:{qualified}"
    if _is_importable(name, function):
        return Network(section={"model": name, "options": options})
    from trainer.models import GivenModel

    said = ", ".join(f"{key}={value!r}" for key, value in options.items())
    console.log(
        f"{role}: the run knows {name} by its name alone; give a function that is "
        "changed another workdir"
    )
    return Network(
        section={
            "model": MEMORY,
            "options": {"name": f"{name}({said})" if said else name},
        },
        given=GivenModel(source=source, keeps_weights=False),
    )


def _is_importable(name: str, function: Callable[..., Any]) -> bool:
    """Whether any process that has the module finds this function by its name."""
    if name.startswith("__main__:") or "<" in name:
        return False
    try:
        return pkgutil.resolve_name(name) is function
    except (ImportError, AttributeError, ValueError):
        return False


def place(settings: Mapping[str, Any], role: str, network: Network) -> dict[str, Any]:
    """The section of a role with the `network` in it.

    Raises:
      ConfigError: it names another one.
    """
    own = dict(settings)
    if own.get("model", network.section.get("model")) != network.section.get("model"):
        raise ConfigError(
            f"{role}.model must be left out where {role} is given, got "
            f"{own['model']!r} in the config; give one of both"
        )
    options = own.get("options")
    merged = {**own, **network.section}
    if role == "teacher" and is_hub(network.section.get("model", "")):
        merged.setdefault("weights", OWN)
    if isinstance(options, Mapping):
        merged["options"] = {**network.section.get("options", {}), **options}
        if network.section.get("model") == MEMORY:
            # What identifies it is not the config's to say.
            merged["options"] = {**options, **network.section["options"]} | {
                name: options[name] for name in ("output",) if name in options
            }
    return merged
