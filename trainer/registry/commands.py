"""The commands of a registry that need no run."""

from collections.abc import Sequence

from etils import epath

from trainer import files
from trainer.config import ConfigError, RegistryConfig, reference
from trainer.registry import tables, versions

# By how many models they name, from the first number on; None: any more.
ACTIONS: dict[str, tuple[int, int | None]] = {
    "list": (0, 0),
    "show": (1, 1),
    "promote": (1, 1),
    "compare": (2, None),
}


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


def answer(action: str, words: Sequence[str], section: RegistryConfig) -> str:
    """Does `action` with the models that `words` name; gives what to print.

    Raises:
      ConfigError: they are too few or too many, or one is not there.
      StorageError: a file is damaged, or the registry cannot be written.
    """
    fewest, most = ACTIONS[action]
    if len(words) < fewest or (most is not None and len(words) > most):
        wanted = f"{fewest} or more" if most is None else str(fewest)
        raise ConfigError(
            f"registry {action} must be given {wanted} of NAME@VERSION, got "
            f"{len(words)}; see python -m trainer --help"
        )
    root = root_of(section)
    given = [reference(word, setting=f"registry {action}") for word in words]
    if action == "list":
        return tables.listing(root)
    if action == "show":
        return tables.show(root, given[0])
    if action == "compare":
        return tables.compare(root, given)
    number = versions.promote(root, given[0])
    return f"promoted: registry:{given[0].name}@{number}"
