"""A variant, and what it has from the run that it is a variant of."""

import dataclasses
import hashlib
import json
from typing import Any, TypeVar

from etils import epath

from trainer.config import (
    Config,
    EnsembleConfig,
    SavedOptions,
    Settings,
    TeacherConfig,
    flatten,
    plain_options,
    resolve,
    without_later,
)
from trainer.storage import workdir

# Settings of a teacher that is trained already, whatever accuracy it reached.
_TRAINED: dict[str, Any] = {"head": None, "train": None, "min_accuracy": 0.0}

Network = TypeVar("Network", bound=TeacherConfig)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One run of a study or of a sweep."""

    name: str
    settings: Settings  # what tells it from the others
    config: Config
    path: epath.Path  # its workdir

    @property
    def is_evaluated(self) -> bool:
        """Whether its models are trained and tested."""
        return workdir.is_evaluated(self.path, self.config)

    @property
    def is_diverged(self) -> bool:
        """Whether one of its trainings came to nothing."""
        return (self.path / workdir.DIVERGED).exists()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to be done."""
        return self.is_diverged or workdir.is_finished(self.path, self.config)


def share_teacher(config: Config, shared: Config, path: epath.Path) -> Config:
    """`config` with the teacher that the run `shared` trains in the workdir `path`.

    It shares that run's soft targets too where they would be the same.
    """
    distill = share_soft_targets(config, shared, path).distill
    teacher: TeacherConfig | EnsembleConfig | None = None
    if isinstance(shared.teacher, EnsembleConfig):
        members = [
            _as_trained(member, workdir.training_folder(path, role, member.seed))
            for role, member in zip(
                shared.teachers, shared.teacher.members, strict=True
            )
        ]
        teacher = EnsembleConfig(members=tuple(members))
    elif shared.teacher:
        teacher = _as_trained(
            shared.teacher, workdir.training_folder(path, "teacher", 0)
        )
    evaluate = config.evaluate.without_auto()
    return dataclasses.replace(
        config, teacher=teacher, distill=distill, evaluate=evaluate
    )


def share_soft_targets(config: Config, shared: Config, path: epath.Path) -> Config:
    """`config` with the soft targets of the run `shared` in the workdir `path`."""
    if not config.distill.is_cached:
        return config
    folder = workdir.soft_targets_folder(path, config)
    identity = _cache_identity(config)
    is_same = identity == _cache_identity(shared)
    if config.distill.is_imported and not is_same:
        return config  # it imports the answers for itself
    if not is_same:
        text = json.dumps(identity, sort_keys=True)
        folder = folder / hashlib.sha256(text.encode()).hexdigest()[:8]
    distill = dataclasses.replace(config.distill, soft_targets_dir=str(folder))
    return dataclasses.replace(config, distill=distill)


def _as_trained(network: Network, folder: epath.Path) -> Network:
    """The network as it is once it is trained in `folder`."""
    if not network.train:
        return network
    file, options = str(folder / workdir.FINISHED), network.options
    if not isinstance(options, SavedOptions):
        return dataclasses.replace(network, weights=file, **_TRAINED)
    saved = options.of_saved(file)
    return dataclasses.replace(network, options=saved, image_size=0, **_TRAINED)


def _cache_identity(config: Config) -> dict[str, Any]:
    """The settings that the caches of runs with the same teacher depend on.

    More views are added to a cache, and those of the whole split are in it.
    """
    settings = without_later(flatten(resolve(config)))
    names = ["distill.soft_targets_dtype", "distill.top_k"]
    later = ("data.unlabeled", "distill.cache_embedding")  # where they are set
    names += [name for name in settings if name.startswith(later)]
    identity = {name: settings[name] for name in names}
    if config.distill.top_k:
        # One temperature is written as before there were terms.
        first, *more = config.temperatures
        identity["distill.temperature"] = [first, *more] if more else first
        identity["distill.tail_temperatures"] = settings["distill.tail_temperatures"]
    transfer = str(settings.get("data.transfer_split", ""))
    return identity | {
        "whole split": transfer.partition("[")[0],
        **view_settings(config),
    }


def view_settings(config: Config) -> dict[str, Any]:
    """The settings that cached views depend on; none where all views are the same."""
    name, chosen = config.augmenting_section("student.train", config.student.train)
    if chosen.augment == "none":
        return {}
    setting = f"{name}.augment_options"
    return {
        "seed": config.seeds[0],
        "augment": chosen.augment,
        "options": plain_options(chosen.augment_options, setting=setting),
    }
