"""Models of a user's own code are known to be savable before their first step."""

import functools

from trainer import models
from trainer.config import (
    MEMORY,
    ConfigError,
    SavedOptions,
    StudentConfig,
    TeacherConfig,
    is_function,
    is_hub,
)
from trainer.session.networks import Networks
from trainer.storage import workdir


def check_saving(networks: Networks, network: str) -> None:
    """Looks whether the model of a section, "teacher" say, comes back from its file.

    The chief looks, once in a workdir: not where a training of the section has left
    something there. Models of known architectures are not looked at.

    Raises:
      ConfigError: it does not, on every worker.
    """
    section = networks.config.networks[network]
    if network in networks.savable or not _is_users_own(section):
        return
    if networks.given.is_live(network):
        return  # its file has weights alone
    problem = networks.devices.workers.broadcast(
        functools.partial(_problem, networks, network, section)
    )
    if problem:
        raise ConfigError(problem)
    networks.savable.add(network)


def _is_users_own(section: TeacherConfig | StudentConfig) -> bool:
    options = section.options
    if isinstance(options, SavedOptions):
        return options.is_keras_file
    return (
        section.model == MEMORY or is_function(section.model) or is_hub(section.model)
    )


def _problem(
    networks: Networks, network: str, section: TeacherConfig | StudentConfig
) -> str:
    """The reason why a model cannot be saved; "" where it can, or has been."""
    roles: tuple[str, ...] = ("student", "baseline", "finetune")
    if isinstance(section, TeacherConfig):
        roles = ("teacher", "teacher_head")
    if workdir.holds_training(networks.path, *roles):
        return ""
    seed = networks.config.seeds[0]
    build = functools.partial(networks.build_alone, network, seed)
    try:
        models.check_saving(build, networks.inputs(network).examples(), setting=network)
    except ConfigError as error:
        return str(error)
    return ""
