"""What a user has typed: flags, and words."""

import dataclasses
from collections.abc import Sequence

from absl import flags
from etils import epath

from trainer import config
from trainer.storage import files


class UsageError(ValueError):
    """The command line cannot be used."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandLine:
    """The flags with their values, and the words between them."""

    flags: flags.FlagValues
    words: Sequence[str]  # to a command, those that follow its name

    def settings(self) -> config.Config:
        """The config of --config and --set.

        Raises:
          UsageError: no file is named.
          ConfigError: a setting cannot be used.
        """
        if not self.flags.config:
            raise UsageError("--config must name the TOML file of the run, got none")
        return config.load(self.flags.config, self.flags.set)

    def workdir(self) -> epath.Path:
        """The folder of --workdir.

        Raises:
          UsageError: none is named.
          StorageError: it names a store that cannot be reached from here.
        """
        if not self.flags.workdir:
            raise UsageError(
                "--workdir must name the folder of the run's files, got none"
            )
        return files.path_of(self.flags.workdir, setting="--workdir")


def define_flags() -> flags.FlagValues:
    """The flags: these and no others, settings belong into the file."""
    values = flags.FlagValues()
    flags.DEFINE_string("config", None, "TOML file of the run", flag_values=values)
    flags.DEFINE_string(
        "workdir", None, "folder of the run's files", flag_values=values
    )
    flags.DEFINE_multi_string(
        "set", [], "section.field=VALUE in place of the file's", flag_values=values
    )
    flags.DEFINE_string("output", None, "file of the predictions", flag_values=values)
    flags.DEFINE_boolean("measure", False, "compilers too", flag_values=values)
    flags.DEFINE_boolean("once", False, "one look", flag_values=values)
    flags.DEFINE_boolean("help", False, "show this help", flag_values=values)
    return values


def read(argv: Sequence[str]) -> CommandLine:
    """Parses `argv`, whose first is the program.

    Raises:
      UsageError: a flag is unknown, or has no value.
    """
    values = define_flags()
    try:
        words = values(argv)[1:]
    except flags.Error as error:
        raise UsageError(f"{error}; see python -m trainer --help") from None
    return CommandLine(flags=values, words=words)
