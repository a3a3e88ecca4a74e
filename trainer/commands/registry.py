"""The registry of models: versions made of a run, and what needs none."""

from trainer import config, console, registry
from trainer.commands import stages
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE, CheckFailedError
from trainer.progress.folded import show


def register(line: CommandLine) -> int:
    """Makes the model of a finished run the next version, which it prints."""
    stages.outcome(("registry register",), line)
    return DONE


def manage(action: str, line: CommandLine) -> int:
    """Does `action` with the models that the words name, and prints what it finds.

    Raises:
      CheckFailedError: some of the versions cannot be read.
    """
    if line.flags.config:
        section = line.settings().registry
    else:
        section = config.without_run(line.overrides).registry
    found, unread = registry.run_action(action, line.words, section)
    show(found)
    for problem in unread:
        console.log(problem)
    if unread:
        raise CheckFailedError(
            "what the registry has must be readable, got files that are not, as said "
            f"above: {len(unread)}; the models beside them are listed"
        )
    return DONE
