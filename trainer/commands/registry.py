"""The registry of models, as far as it needs no run."""

from trainer import config
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE


def manage(action: str, line: CommandLine) -> int:
    """Does `action` with the models that the words name, and prints what it finds."""
    from trainer import registry

    if line.flags.config:
        section = line.settings().registry
    else:
        section = config.without_run(line.flags.set).registry
    print(registry.answer(action, line.words, section))
    return DONE
