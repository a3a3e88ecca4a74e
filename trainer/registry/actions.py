"""The commands of a registry that need no run."""

import dataclasses
from collections.abc import Callable, Sequence

from etils import epath

from trainer.config import ConfigError, Reference, RegistryConfig, reference
from trainer.registry import tables, versions
from trainer.storage import files

# What to print, and why each file that it should tell of cannot be read.
Result = tuple[str, list[str]]


def root_of(section: RegistryConfig) -> epath.Path:
    """The folder of all models.

    Raises:
      ConfigError: the section names none.
      StorageError: it names a store that cannot be reached from here.
    """
    if not section.root:
        raise ConfigError(
            "registry.root must name the folder of the registry, got none; for example "
            "--set='registry.root=\"runs/registry\"'"
        )
    return files.path_of(section.root, setting="registry.root")


def run_action(action: str, words: Sequence[str], section: RegistryConfig) -> Result:
    """Does `action` with the models that `words` name.

    Raises:
      ConfigError: a word names no model, or one that is not there.
      StorageError: a file is damaged, or the registry cannot be written.
    """
    root = root_of(section)
    given = [reference(word, setting=f"registry {action}") for word in words]
    return ACTIONS[action].run(root, given)


def _list(root: epath.Path, _: Sequence[Reference]) -> Result:
    return tables.listing(root)


def _show(root: epath.Path, given: Sequence[Reference]) -> Result:
    return tables.show(root, given[0]), []


def _promote(root: epath.Path, given: Sequence[Reference]) -> Result:
    number = versions.promote(root, given[0])
    return f"promoted: registry:{given[0].name}@{number}", []


def _compare(root: epath.Path, given: Sequence[Reference]) -> Result:
    return tables.compare(root, given), []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Action:
    """One of these commands."""

    run: Callable[[epath.Path, Sequence[Reference]], Result]
    summary: str  # for people, in a line
    words: str = ""  # that follow its name: see trainer.commands.table.Command


ACTIONS = {
    "list": Action(run=_list, summary="list the models and their versions"),
    "show": Action(
        run=_show, summary="show the card of a version", words="NAME@VERSION"
    ),
    "promote": Action(
        run=_promote,
        summary="make a version the one that is promoted",
        words="NAME@VERSION",
    ),
    "compare": Action(
        run=_compare,
        summary="compare the cards of versions",
        words="NAME@VERSION NAME@VERSION ...",
    ),
}
