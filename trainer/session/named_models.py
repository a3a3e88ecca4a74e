"""The models that settings name, and whether they are of the classes of the data."""

import functools
from collections.abc import Collection, Sequence

from etils import epath

from trainer import console, registry
from trainer.cluster.workers import Workers
from trainer.config import Config, ConfigError, is_reference
from trainer.storage import files

_SHOWN = 5  # names of classes in a message


class NamedModels:
    """The files of models from elsewhere, each compared once with the data."""

    def __init__(self, config: Config, lock_dir: epath.Path, workers: Workers) -> None:
        self._config = config
        self._pins = (
            lock_dir  # the folder that says which registered ones a run began with
        )
        self._workers = workers
        self._compared: set[tuple[str, str]] = set()

    def file(self, name: str, class_names: Sequence[str], *, setting: str) -> str:
        """The path of the model that `setting` calls `name`, also of a registered one.

        Raises:
          ConfigError: it is of other classes than `class_names`, or in another order.
          StorageError: the file that says its classes is damaged.
        """
        path = self._registered[name] if is_reference(name) else name
        if path != "imagenet" and (setting, path) not in self._compared:
            self._compared.add((setting, path))
            self._compare(path, class_names, setting)
        return path

    @functools.cached_property
    def _registered(self) -> dict[str, str]:
        """The files that the config's references stand for, the same on all workers."""
        find = functools.partial(registry.locked_models, self._config, self._pins)
        return dict(self._workers.broadcast(find))

    def _compare(self, path: str, class_names: Sequence[str], setting: str) -> None:
        own = registry.names_of_file(files.path_of(path, setting=setting))
        if own is None and self._workers.is_chief:
            console.log(
                f"{setting} {path!r} does not say the names of its classes; they are "
                "taken for those of the data, in their order"
            )
        if own is None or own == list(class_names):
            return
        missing, surplus = set(class_names) - set(own), set(own) - set(class_names)
        problem = "the same in another order"
        if missing or surplus:
            lacks, has = _text(sorted(missing)), _text(sorted(surplus))
            problem = f"without {lacks}, with {has}"
        found = f"{path!r} of {len(own)} ({_text(own)}), {problem}"
        if self._is_trained(setting):
            if self._workers.is_chief:
                console.log(
                    f"{setting} names a model of other classes than the data's, "
                    f"{found}; its training goes on with the data's"
                )
            return
        raise ConfigError(
            f"{setting} must name a model of the data's {len(class_names)} classes in "
            f"their order ({_text(class_names)}), got {found}; give another model, or "
            "train it on this data"
        )

    def _is_trained(self, setting: str) -> bool:
        """Whether the model that `setting` names learns this data's classes here."""
        owner = setting.removesuffix(".weights").removesuffix(".options.path")
        return self._config.networks[owner].train is not None


def _text(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_SHOWN]) or "none"
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
