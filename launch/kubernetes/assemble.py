"""The job that the flags, the command and its config describe together."""

import re
from collections.abc import Sequence

from launch import program
from launch.errors import LaunchError
from launch.kubernetes import storage, trainer_command, trainer_config
from launch.kubernetes.job import ConfigFile, Job, Resources
from launch.kubernetes.job_flags import JobFlags
from launch.kubernetes.settings_rules import GRACE_MARGIN_SECS
from launch.kubernetes.trainer_config import Settings


def job_of(flags: JobFlags, command: Sequence[str]) -> tuple[Job, Settings]:
    """The job, and every setting of its run.

    Raises:
      LaunchError: the flags contradict one another or the command, or the trainer
        refuses the command's settings.
    """
    workdir, data = _folders(flags, is_watch=trainer_command.is_watch(command))
    config, settings = _config_of(command)
    if data:
        _require_no_other_data(settings["data"]["data_dir"])
    job = Job(
        name=flags.name,
        namespace=flags.namespace,
        image=flags.image,
        workers=flags.workers,
        resources=Resources(
            gpus=flags.gpus_per_worker,
            cpu=flags.cpu,
            memory=flags.memory,
            shared_memory=flags.shared_memory,
        ),
        command=(
            *_words(command, config, settings, gpus=flags.gpus_per_worker),
            f"--workdir={workdir.path}",
        ),
        config=config,
        volumes=storage.volumes_of(workdir, data),
        environment=(("TFDS_DATA_DIR", data.path),) if data else (),
        grace_secs=flags.grace_secs
        or settings["runtime"]["grace_secs"] + GRACE_MARGIN_SECS,
        deadline_secs=flags.deadline_secs,
        ttl_secs=flags.ttl_secs,
        service_account=flags.service_account,
        node_selector=flags.node_selector,
        is_repeated=bool(flags.cron),
    )
    return job, settings


def _config_of(command: Sequence[str]) -> tuple[ConfigFile, Settings]:
    if program.flag_values(command, "workdir"):
        raise LaunchError(
            "COMMAND must not have --workdir, which the launcher adds; give the folder "
            "as the launcher's own --workdir, before the --"
        )
    file = trainer_config.config_file(command)
    settings = trainer_config.resolve(file, command)
    if not re.fullmatch(r"[-._a-zA-Z0-9]+", file.name):
        raise LaunchError(
            "--config must name a file of letters, digits, dots, - and _, which can be "
            f"a key of a ConfigMap, got {file.name!r}; rename it"
        )
    return ConfigFile(name=file.name, text=file.read_text(encoding="utf-8")), settings


def _folders(
    flags: JobFlags, *, is_watch: bool
) -> tuple[storage.Folder, storage.Folder | None]:
    """The folders of the run's files and of its data."""
    workdir = storage.folder(flags.workdir, flag="--workdir", role="workdir")
    if flags.cron and not is_watch:
        # Jobs of one schedule may overlap: each has a folder of its own.
        workdir = workdir.below("$(JOB_NAME)")
    if not flags.data_dir:
        return workdir, None
    return workdir, storage.folder(flags.data_dir, flag="--data-dir", role="data")


def _require_no_other_data(folder: str) -> None:
    if folder:
        raise LaunchError(
            "data.data_dir must be empty where --data-dir names the folder, got "
            f"{folder!r}; remove one of them"
        )


def _words(
    command: Sequence[str], config: ConfigFile, settings: Settings, *, gpus: int
) -> list[str]:
    """The command with its config where the containers find it."""
    # Kubernetes would put a variable's value in place of $(NAME).
    words = [
        word.replace("$(", "$$(")
        for word in trainer_config.with_config(command, config.path)
    ]
    if gpus and not settings["runtime"]["min_gpus"]:
        # A worker that sees no GPU would otherwise train on its CPU, and all with it.
        words.append(f"--set=runtime.min_gpus={gpus}")
    return words
