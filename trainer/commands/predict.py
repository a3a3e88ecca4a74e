"""Predictions of a user's own images or rows."""

from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE


def run(line: CommandLine) -> int:
    """Classifies the images, or the rows of the tables, that the words name."""
    from trainer import predict

    path = line.workdir() if line.flags.workdir else None
    settings = predict.settings_of(line.flags.config, line.overrides, path)
    predict.run(settings, path, line.words, output=line.flags.output or "")
    return DONE
