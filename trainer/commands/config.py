"""The config as a run would take it."""

import json

from trainer import config, console
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE


def show(line: CommandLine) -> int:
    """Prints every setting with its value, as JSON, and what "auto" comes to."""
    settings = line.settings()
    print(json.dumps(config.resolve(settings), indent=2))
    if settings.distill.soft_targets == "auto":
        console.log(config.describe_rule(settings))
    return DONE
