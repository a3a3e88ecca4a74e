"""Stages of a run: all of them, one of them, and what is done beside them."""

from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE
from trainer.progress.folded import show
from trainer.runs import workflow


def run(names: tuple[str, ...], line: CommandLine) -> int:
    """Runs the stages `names`, and prints the table that the last of them has."""
    waits = line.flags.wait
    show(workflow.run_stages(line.settings(), line.workdir(), names, waits=waits))
    return DONE
