"""The variants of a study: one for each combination of settings of its grid."""

from collections.abc import Iterable
from typing import Any

from etils import epath

from trainer.config import (
    Config,
    ConfigError,
    Override,
    flatten,
    load,
    resolve,
    without_later,
)
from trainer.runs.variant import Variant, share_teacher, view_settings
from trainer.storage import workdir


def variants_of(
    file: str, overrides: Iterable[Override], study: Config, path: epath.Path
) -> list[Variant]:
    """The variants of the config `study`, which is `file` with its `overrides`.

    They share the teacher and the soft targets in the workdir `path`.

    Raises:
      ConfigError: the config has no [study].
    """
    if not study.study:
        raise ConfigError(
            f"{file} must have a section [study.grid] for the study command, got none; "
            'add one, such as "distill.temperature" = [2.0, 8.0]'
        )
    overrides = list(overrides)
    return [
        Variant(
            name=name,
            settings=settings,
            config=share_teacher(load(file, overrides, variant=settings), study, path),
            path=path / workdir.CELLS / name,
        )
        for name, settings in study.study.variants.items()
    ]


def baseline_identity(config: Config) -> dict[str, Any]:
    """The settings that the baseline of a seed depends on, among variants of one study.

    It learns from the labels alone, so that the loss of distillation is nothing to it;
    but it sees the views that the student sees.
    """
    others = ("teacher", "distill", "finetune", "runtime", "seeds", "study", "sweep")
    settings = {
        path: value
        for path, value in without_later(flatten(resolve(config))).items()
        if path.split(".")[0] not in others
    }
    shown = view_settings(config)
    if not (config.distill.is_cached and shown):
        return settings  # online each seed has views of its own
    return settings | shown | {"views": config.distill.views}
