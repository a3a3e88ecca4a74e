"""Settings of a command that reads a workdir, which may do without a config file."""

from collections.abc import Sequence

from etils import epath

from trainer import config
from trainer.config import Config, ConfigError, Override
from trainer.config.overrides import typed
from trainer.storage import workdir


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
    flags = typed(overrides).items()
    others = [flag for name, flag in flags if name.partition(".")[0] not in free]
    if others:
        *first, last = free
        sections = f"sections {', '.join(first)} and {last}" if first else last
        raise ConfigError(
            f"--set and --unset must be of {sections} where the config is that of "
            f"--workdir, got {others[0]}; leave it out, or give --config too"
        )
    return config.from_resolved(kept, overrides, kept_in=path / workdir.CONFIG)
