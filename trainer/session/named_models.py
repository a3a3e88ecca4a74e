"""The models that settings name, and whether they are of the classes of the data."""

import functools
from collections.abc import Sequence

from etils import epath

from trainer import console, registry, report
from trainer.cluster.workers import Workers
from trainer.config import (
    Config,
    ConfigError,
    EvaluateView,
    is_reference,
    is_run_model,
)
from trainer.config.errors import some_names
from trainer.storage import files, run_model


class NamedModels:
    """The files of models from elsewhere, each compared once with the data."""

    def __init__(self, config: Config, lock_dir: epath.Path, workers: Workers) -> None:
        self._config = config
        # The folder that says which registered ones a run began with.
        self._pins = lock_dir
        self._workers = workers
        self._compared: set[tuple[str, str]] = set()

    def file(
        self,
        name: str,
        class_names: Sequence[str],
        input_shape: tuple[int, ...],
        *,
        setting: str,
    ) -> str:
        """The path of the model that `setting` calls `name`.

        Of a name in the registry, and of another run too.

        Raises:
          ConfigError: it is of other classes than `class_names`, or in another order,
            or its run has inputs of another shape than `input_shape`.
          ReportError: its run has tested no model, or what says so is damaged.
          StorageError: the file that says its classes is damaged.
        """
        path, run = self._find(name, setting)
        if path != "imagenet" and (setting, path) not in self._compared:
            if run:
                _compare_inputs(name, run, input_shape, setting)
            self._compare(path, run, class_names, setting)
            self._compared.add((setting, path))
        return path

    def names(self, name: str, *, setting: str) -> list[str] | None:
        """The names of the classes of the model that `setting` calls `name`.

        None where nothing beside it says them.
        """
        path, run = self._find(name, setting)
        return _names(files.path_of(path, setting=setting), run)

    def _find(self, name: str, setting: str) -> tuple[str, epath.Path | None]:
        """The path of a model, and the workdir of the run that it is of, if any."""
        if is_reference(name):
            return self._registered[name], None
        if is_run_model(name):
            found = run_model.find(name, setting=setting)
            return str(found.file), found.folder
        return name, None

    @functools.cached_property
    def _registered(self) -> dict[str, str]:
        """The files that the config's references stand for, the same on all workers."""
        find = functools.partial(registry.locked_models, self._config, self._pins)
        return dict(self._workers.broadcast(find))

    def _compare(
        self,
        path: str,
        run: epath.Path | None,
        class_names: Sequence[str],
        setting: str,
    ) -> None:
        file = files.path_of(path, setting=setting)
        self._tell_other_view(path, registry.view_of_file(file), setting)
        own = _names(file, run)
        if own is None:
            section = self._config.networks[_owner(setting)]
            told = getattr(section, "class_names", "") or "the data"
            self._workers.log_once(
                f"{setting} {path!r} does not say the names of its classes; they are "
                f"taken for those of {told}, in their order"
            )
        if own is None or own == list(class_names):
            return
        missing, surplus = set(class_names) - set(own), set(own) - set(class_names)
        problem = "the same in another order"
        if missing or surplus:
            lacks, has = some_names(sorted(missing)), some_names(sorted(surplus))
            problem = f"without {lacks}, with {has}"
        found = f"{path!r} of {len(own)} ({some_names(own)}), {problem}"
        if self._is_trained(setting):
            if self._workers.is_chief:
                console.log(
                    f"{setting} names a model of other classes than the data's, "
                    f"{found}; its training goes on with the data's"
                )
            return
        raise ConfigError(
            f"{setting} must name a model of the data's {len(class_names)} classes in "
            f"their order ({some_names(class_names)}), got {found}; give another "
            "model, or train it on this data"
        )

    def _tell_other_view(
        self, path: str, before: EvaluateView | None, setting: str
    ) -> None:
        if before is None or not self._workers.is_chief:
            return
        section = self._config.data
        if section.is_fitted and before != section.view:
            console.log(
                f"{setting} {path!r} learned to see {before.text}, and is shown "
                f"{section.view.text} here (data.evaluate_view, data.center_crop)"
            )

    def _is_trained(self, setting: str) -> bool:
        """Whether the model that `setting` names learns this data's classes here."""
        return self._config.networks[_owner(setting)].train is not None


def _owner(setting: str) -> str:
    """The section of a network, one of whose settings names a model."""
    return setting.removesuffix(".weights").removesuffix(".options.path")


def _names(file: epath.Path, run: epath.Path | None) -> list[str] | None:
    """The names of the classes of the model in a file, maybe of a run."""
    own = registry.names_of_file(file)
    return report.read_classes(run)[0] if own is None and run else own


def _compare_inputs(
    name: str, run: epath.Path, input_shape: tuple[int, ...], setting: str
) -> None:
    """Finds that the run's images have the shape of the data's.

    Of a table the run keeps no shape; its weights have one.
    """
    shape = tuple(report.read_classes(run)[1])
    if len(input_shape) == 3 and shape != input_shape:
        raise ConfigError(
            f"{setting} must name a model of inputs of the data's shape "
            f"{list(input_shape)}, got {name!r}, whose run has {list(shape)}; set "
            "data.image_size or data.dataset to that run's, or name another"
        )
