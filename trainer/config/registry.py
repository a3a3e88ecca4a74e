"""The registry section, and what `registry:NAME@VERSION` says in other settings."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from trainer.config.errors import ConfigError, gathering
from trainer.config.models import SavedOptions
from trainer.config.rules import Place

SCHEME = "registry:"
LATEST, PROMOTED = "latest", "promoted"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(rf"[1-9][0-9]*|{LATEST}|{PROMOTED}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegistryConfig:
    """The place of registered models; another root does not make another run."""

    root: Place = ""  # the folder of all models, on a disk or in a store
    # The model that the run's is a version of; "": the name of the run.
    name: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """A model of the registry."""

    name: str
    version: str  # a number from 1 on, "latest" or "promoted"
    setting: str  # where a user wrote it, for messages

    @property
    def number(self) -> int | None:
        """The version; None of one that may become another."""
        return int(self.version) if self.version.isdecimal() else None

    def __str__(self) -> str:
        return f"{SCHEME}{self.name}@{self.version}"


def is_reference(value: object) -> bool:
    """Whether a setting or a word names a model of the registry."""
    return isinstance(value, str) and value.startswith(SCHEME)


def reference(text: str, *, setting: str) -> Reference:
    """Parses NAME@VERSION, with or without "registry:" before it.

    Raises:
      ConfigError: it is not NAME@VERSION.
    """
    name, _, version = text.removeprefix(SCHEME).partition("@")
    if not (_NAME.fullmatch(name) and _VERSION.fullmatch(version)):
        raise ConfigError(
            f"{setting} must name a registered model as {SCHEME}NAME@VERSION, whose "
            f"version is a number, {LATEST} or {PROMOTED}, got {text!r}; for example "
            f"{SCHEME}digits@{LATEST}"
        )
    return Reference(name=name, version=version, setting=setting)


def references(networks: Mapping[str, Any]) -> tuple[Reference, ...]:
    """The references in the sections of `networks`, by the names of these."""
    found = {}
    for path, network in networks.items():
        found[f"{path}.weights"] = network.weights
        if isinstance(network.options, SavedOptions):
            found[f"{path}.options.path"] = network.options.path
    return tuple(
        reference(text, setting=setting)
        for setting, text in found.items()
        if is_reference(text)
    )


def check(section: RegistryConfig, networks: Mapping[str, Any]) -> None:
    """Refuses references to nowhere, and a name that cannot be that of a folder.

    Raises:
      ConfigError: it names the setting.
    """
    with gathering() as gather:
        if section.name:
            gather(check_name, section.name, setting="registry.name")
        gather(_check_root, section, networks)


def _check_root(section: RegistryConfig, networks: Mapping[str, Any]) -> None:
    used = references(networks)
    if used and not section.root:
        raise ConfigError(
            f"registry.root must name the folder of the registry for "
            f"{used[0].setting} = '{used[0]}', got none; for example "
            "--set='registry.root=\"runs/registry\"'"
        )


def check_name(name: str, *, setting: str) -> None:
    """Refuses the name of a model that cannot be that of a folder everywhere.

    Raises:
      ConfigError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{setting} must be made of letters, digits, '.', '_' and '-', and begin "
            f"with a letter or digit, to name a registered model, got {name!r}; set "
            "registry.name"
        )
