"""Teachers that finished runs have left: their architectures are taken over.

Importing this loads no TensorFlow.
"""

import dataclasses
from typing import Any, TypeVar

from etils import epath

from trainer.cluster import hold
from trainer.config import (
    RUN,
    Config,
    ConfigError,
    EnsembleConfig,
    MemoryOptions,
    RunOptions,
    SavedOptions,
    TeacherConfig,
    from_resolved,
    run_model_setting,
)
from trainer.storage import (
    files,
    folders,
    lease,
    run_model,
    weight_checksums,
    workdir,
)

Network = TypeVar("Network", bound=TeacherConfig)

# The values of settings that nobody has stated.
_UNSTATED: dict[str, Any] = {"model": RUN, "options": RunOptions(), "image_size": 0}


def take_over(config: Config, path: epath.Path | None) -> Config:
    """`config`, whose teachers of finished runs have the architectures of these.

    A run that has begun in the workdir `path` knows them already.

    Raises:
      ConfigError: there is no such run or model, it is not finished, another process
        trains there, or a setting says otherwise than the run.
      StorageError: a file of the run is damaged, or cannot be read.
    """
    if not any(map(run_model_setting, config.teachers.values())):
        return config
    teacher: TeacherConfig | EnsembleConfig | None = None
    if isinstance(config.teacher, EnsembleConfig):
        members = zip(config.teachers, config.teacher.members, strict=True)
        teacher = EnsembleConfig(
            members=tuple(_with_model(member, role, path) for role, member in members)
        )
    elif config.teacher:
        teacher = _with_model(config.teacher, "teacher", path)
    return dataclasses.replace(config, teacher=teacher)


def _with_model(network: Network, role: str, path: epath.Path | None) -> Network:
    named = run_model_setting(network)
    if named is None:
        return network
    setting, text = f"{role}.{named[0]}", named[1]
    begun = _begun(role, path)
    if begun and (run_model_setting(begun) or ("", ""))[1] == text:
        return _agreed(network, begun, role, text)
    found = run_model.find(text, setting=setting)
    if not hold.is_free(found.folder):
        raise ConfigError(
            f"{setting} must name a finished run, got {text!r}, in which a process "
            f"trains or was killed; go on when that run has ended (until then there is "
            f"{found.folder / lease.FILE})"
        )
    if begun and path:
        known = weight_checksums.read(path).get(setting)
        checksum = folders.checksum(found.file)
        weight_checksums.check(path, setting, text, checksum, known or checksum)
    return _agreed(network, found.section, role, text)


def _begun(role: str, path: epath.Path | None) -> Any:
    """The teacher's section of the run that has begun in the workdir `path`, if any."""
    if path is None or not files.exists(path / workdir.CONFIG):
        return None
    with files.wrap_read_errors(path):
        if not workdir.holds_training(path):
            return None
    kept = workdir.read_config(path)
    before = from_resolved(kept, (), kept_in=path / workdir.CONFIG)
    return before.teachers.get(role)


def _agreed(network: Network, of_run: Any, role: str, text: str) -> Network:
    """The section `network` with the architecture of the section `of_run`."""
    if isinstance(network.options, SavedOptions):
        return network
    own = {name: getattr(of_run, name) for name in _UNSTATED}
    if isinstance(of_run.options, SavedOptions | MemoryOptions):
        saved = SavedOptions(path=text, input="as_given")
        if isinstance(of_run.options, SavedOptions):
            saved = of_run.options.of_saved(text)
        own |= {"model": "saved", "options": saved, "image_size": 0, "weights": ""}
    for name, unstated in _UNSTATED.items():
        stated = getattr(network, name)
        if stated not in (unstated, own[name]):
            raise ConfigError(
                f"{role}.{name} must be that of the run that {role} comes from, "
                f"{own[name]!r}, got {stated!r} beside {text!r}; leave {role}.model, "
                "its options and image_size out"
            )
    return dataclasses.replace(network, **own)
