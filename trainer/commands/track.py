"""The numbers and files of a workdir for a tracker: those that it does not have yet."""

from trainer.commands.command_line import CommandLine
from trainer.config import ConfigError
from trainer.exit_codes import DONE
from trainer.runs.kept_settings import kept_settings

# What --set may change of the settings that a workdir keeps.
FREE = ("tracking",)


def run(line: CommandLine) -> int:
    """Sends what is new, and tells how much it was."""
    # Loads NumPy.
    from trainer.tracking import opening

    path = line.workdir()
    settings = kept_settings(line.flags.config, line.overrides, path, FREE)
    section = settings.tracking
    if not section.tracker:
        raise ConfigError(
            "tracking.tracker must name what the runs are sent to, got none; for "
            "example --set='tracking.tracker=\"mlflow\"' "
            "--set='tracking.options.uri=\"sqlite:///runs/mlflow.db\"'"
        )
    # Loads NumPy.
    from trainer.tracking.sender import Sender

    sent = Sender(settings, path, opening(section, settings.name)).send()
    print(
        f"tracked: {sent.runs:,} runs and trainings, {sent.lines:,} lines of numbers, "
        f"{sent.files:,} files"
    )
    return DONE
