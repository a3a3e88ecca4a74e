"""Classes that teachers predict, where they are not the data's."""

import functools
from collections.abc import Sequence

from etils import epath

from trainer.config import (
    ClassMap,
    Config,
    ConfigError,
    SavedOptions,
    TeacherConfig,
    places,
    resolve_class_map,
)
from trainer.config.errors import some_names
from trainer.session.named_models import NamedModels
from trainer.storage import files, model_classes, workdir


class TeacherClasses:
    """The classes of each of a run's teachers, and which of the data's they are."""

    def __init__(
        self, config: Config, path: epath.Path, own: Sequence[str], models: NamedModels
    ) -> None:
        """`path` is the workdir, `own` are the names of the data's classes."""
        self._teachers = config.teachers
        self._path = path
        self._own = tuple(own)
        self._models = models
        self._names: dict[str, tuple[str, ...]] = {}

    def names(self, role: str) -> tuple[str, ...]:
        """The names of the classes that the model in a role predicts, in their order.

        Raises:
          ConfigError: nothing says them, or two say something else.
        """
        section = self._teachers.get(role)
        if section is None or section.class_map is None:
            return self._own
        if role not in self._names:
            folder = workdir.training_folder(self._path, role, section.seed)
            trained = folder / workdir.FINISHED
            self._names[role] = _find(section, role, self._models, trained)
        return self._names[role]

    @functools.cached_property
    def maps(self) -> list[ClassMap | None]:
        """The map of each teacher's classes; None where they are the data's.

        Raises:
          ConfigError: one names what is not there.
        """
        return [self._map(role, x.class_map) for role, x in self._teachers.items()]

    def _map(self, role: str, class_map: dict[str, str] | None) -> ClassMap | None:
        if class_map is None:
            return None
        setting = f"{role}.class_map"
        return resolve_class_map(
            class_map, teacher=self.names(role), data=self._own, setting=setting
        )


def _find(
    section: TeacherConfig, role: str, models: NamedModels, trained: epath.Path
) -> tuple[str, ...]:
    """The names of the classes of the teacher in a role, in the order of its outputs.

    They are those of its file, or else of class_names; once it is in the workdir, as
    `trained`, those that it has there.

    Raises:
      ConfigError: nothing says them, or two say something else.
      StorageError: what says them is damaged.
    """
    told = (
        _read_names(section.class_names, setting=f"{role}.class_names")
        if section.class_names
        else None
    )
    options, kept = section.options, model_classes.read(trained)
    own = kept.classes if kept else None
    if own is None and isinstance(options, SavedOptions):
        own = models.names(options.path, setting=f"{role}.options.path")
    elif own is None and section.weights not in ("", "imagenet"):
        own = models.names(section.weights, setting=f"{role}.weights")
    if own is None and told is None:
        raise ConfigError(
            f"{role}.class_map needs the names of the teacher's classes, got none "
            f"beside its file; set {role}.class_names to a text of one name a line"
        )
    if own is not None and told is not None and list(told) != list(own):
        raise ConfigError(
            f"{role}.class_names must name the classes of the teacher in their order, "
            f"got {section.class_names!r} of {len(told)} ({some_names(told)}), and the "
            f"teacher has {len(own)} ({some_names(own)}); remove it"
        )
    return tuple(own if own is not None else told or ())


def _read_names(name: str, *, setting: str) -> Sequence[str]:
    """The lines of the text `name`, without spaces around them.

    Raises:
      ConfigError: it is no text, or a line is empty.
    """
    path = files.path_of(name, setting=setting)
    content = files.read(path)
    if content is None:
        raise ConfigError(
            f"{setting} must name a text, got {name!r}: no such file; "
            f"{places.path_hint(name)}"
        )
    try:
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{setting} must be text in UTF-8, got {name!r}: {error}; save it as such"
        ) from error
    if len(lines) < 2 or "" in lines:
        raise ConfigError(
            f"{setting} must have one name a line, of two classes or more, got "
            f"{name!r} of {len(lines)} lines, of which {lines.count('')} are empty"
        )
    return lines
