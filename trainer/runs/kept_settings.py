"""Settings of a command that reads a workdir, which may do without a config file."""

from collections.abc import Sequence

from etils import epath

from trainer import config, stages
from trainer.config import Config, ConfigError, Override, memory
from trainer.config.overrides import typed
from trainer.storage import kinds, workdir


def kept_settings(
    file: str | None,
    overrides: Sequence[Override],
    path: epath.Path,
    free: Sequence[str],
) -> Config:
    """The settings of a config `file`, or those kept in the workdir `path`.

    Of the latter `overrides` change those of the sections `free`.

    Raises:
      ConfigError: they break a rule, or the run in the workdir has others.
    """
    kept = workdir.read_config(path)
    if file:
        settings = config.load(file, overrides)
        workdir.check(path, settings)
        return settings
    flags = typed(overrides)
    others = [
        flag for name, flag in flags.items() if name.partition(".")[0] not in free
    ]
    if others:
        *first, last = free
        names = f"{', '.join(first)} or {last}" if first else last
        raise ConfigError(
            f"--set and --unset must be of {names} where the config is that of "
            f"--workdir, got {others[0]}; leave it out, or give --config too"
        )
    if "seeds" in flags:
        kinds.check_own_seeds(path)
    return config.from_resolved(kept, overrides, kept_in=path / workdir.CONFIG)


def check_complete(settings: Config, path: epath.Path, names: Sequence[str]) -> None:
    """Finds that stages `names` need no more than the `settings` kept in `path`.

    Raises:
      ConfigError: it is the workdir of many runs, or a Python program gave the run
        what its config cannot say.
    """
    kinds.check_one_run(path)
    given = memory.given(settings.data, settings.networks)
    if given and any(stages.ALL[name].has_data for name in names):
        *first, last = given
        objects = f"{', '.join(first)} and {last}" if first else last
        call = stages.ALL[names[0]].call
        raise ConfigError(
            f"--workdir must be of a run whose {workdir.CONFIG} says all of it, got "
            f"{path}, whose {objects} a Python program gave in memory; in Python do it "
            f"by {call}"
        )


def free_sections(names: Sequence[str]) -> tuple[str, ...]:
    """The settings in a workdir that --set may change for the stages `names`."""
    whole = tuple(names) == stages.WHOLE_RUN
    return stages.FREE_OF_ALL if whole else stages.ALL[names[0]].free
