"""The config as a run would take it."""

import json

from trainer import config
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE


def show(line: CommandLine) -> int:
    """Prints every setting with its value, as JSON."""
    print(json.dumps(config.resolve(line.settings()), indent=2))
    return DONE
