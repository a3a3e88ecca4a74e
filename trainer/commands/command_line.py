"""The command line: flags, and the words between them."""

import dataclasses
from collections.abc import Sequence

from absl import flags
from etils import epath

from trainer import config
from trainer.config import errors
from trainer.runs.generations import take_over
from trainer.runs.kept_settings import kept_settings
from trainer.storage import files, workdir

HELP = "see python -m trainer --help"


class UsageError(ValueError):
    """The command line cannot be used."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag, before, after or between the words of a command."""

    meaning: str
    value: str = ""  # what it takes, such as FILE; nothing where it is a switch
    is_list: bool = False  # it may be repeated


# These and no others: settings belong into the file.
FLAGS = {
    "config": Flag(value="FILE", meaning="the TOML file of the run"),
    "workdir": Flag(
        value="DIR", meaning="where the run's files go; a run started again goes on"
    ),
    "set": Flag(
        value="section.field=VALUE",
        meaning="a setting in place of the file's; may be repeated",
        is_list=True,
    ),
    "unset": Flag(
        value="section.field",
        meaning="a setting or section to take out of the file; likewise",
        is_list=True,
    ),
    "schema": Flag(meaning="print the schema of all settings, for editors"),
    "explain": Flag(value="SETTING", meaning="print what a setting means and may be"),
    "measure": Flag(meaning="find the quickest way to compile the step"),
    "once": Flag(meaning="look once, and end when too few images have come"),
    "part": Flag(value="I/N", meaning="the I-th of N parts of a cache"),
    "wait": Flag(meaning="await parts of others"),
    "output": Flag(value="FILE", meaning="a .csv, .jsonl or .json file"),
    "verbose": Flag(meaning="show all that TensorFlow logs"),
    "help": Flag(meaning="this page; after a COMMAND the page of that one"),
    "version": Flag(meaning="the version of Alambic"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandLine:
    """The flags with their values, and the words between them."""

    flags: flags.FlagValues
    words: Sequence[str]  # to a command, those that follow its name

    def settings(self, free: Sequence[str] = ()) -> config.Config:
        """The config of --config, --set and --unset.

        Without --config that of the workdir, if --set may change its sections `free`.

        Raises:
          UsageError: no file is named, and nothing is kept.
          ConfigError: a setting cannot be used.
          StorageError: the run that a teacher comes from cannot be read.
        """
        path = self.workdir() if self.flags.workdir else None
        if self.flags.config:
            return take_over(config.load(self.flags.config, self.overrides), path)
        if not (free and path):
            raise UsageError("--config must name the TOML file of the run, got none")
        if not files.exists(path / workdir.CONFIG):
            raise UsageError(
                "--config must name the TOML file of a run that has not begun, got "
                f"none, and {path} has no {workdir.CONFIG}"
            )
        return take_over(kept_settings(None, self.overrides, path, free), path)

    def describe(self, command: str) -> str:
        """The `command` with the files that it is about, as they were typed."""
        workdir = f"in {self.flags.workdir}" if self.flags.workdir else ""
        return " ".join(filter(None, (command, self.flags.config, workdir)))

    @property
    def overrides(self) -> list[config.Override]:
        """All that --set and --unset say."""
        return [*map(config.Unset, self.flags.unset), *self.flags.set]

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
    """The FLAGS as absl parses them."""
    values = flags.FlagValues()
    for name, flag in FLAGS.items():
        if flag.is_list:
            flags.DEFINE_multi_string(name, [], flag.meaning, flag_values=values)
        elif flag.value:
            flags.DEFINE_string(name, None, flag.meaning, flag_values=values)
        else:
            flags.DEFINE_boolean(name, False, flag.meaning, flag_values=values)
    return values


def read(argv: Sequence[str]) -> CommandLine:
    """Parses `argv`, whose first is the program.

    Raises:
      UsageError: a flag is unknown, or has no value.
    """
    values = define_flags()
    try:
        words = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        refuse_setting(error.flagvalue)
        known = errors.nearest(f"--{error.flagname}", [f"--{name}" for name in FLAGS])
        raise UsageError(
            f"a flag must be a known one, got {error.flagvalue}; {known}; {HELP}"
        ) from None
    except flags.Error as error:
        raise UsageError(f"{error}; {HELP}") from None
    return CommandLine(flags=values, words=words)


def refuse_setting(typed: str, *, is_among_paths: bool = False) -> None:
    """Refuses a setting that comes without --set, as flag or word, `typed` like this.

    Raises:
      UsageError: it is one; a path with a "=" is left to the command.
    """
    name, is_given, value = typed.lstrip("-").partition("=")
    section, is_deep, _ = name.partition(".")
    is_section = section in {field.name for field in dataclasses.fields(config.Config)}
    is_meant = is_section and is_deep if is_among_paths else is_section or is_deep
    if is_meant and (is_given or typed.startswith("-")) and "/" not in name:
        raise UsageError(
            f"a setting must come by --set, got {typed}; write "
            f"--set={name}={value or 'VALUE'}"
        )
