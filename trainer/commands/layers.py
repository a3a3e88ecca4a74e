"""The layers of the models of a run."""

from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE


def show(line: CommandLine) -> int:
    """Prints what losses between layers can name."""
    settings = line.settings()
    # Loads TensorFlow.
    from trainer.doctor.layers import print_layers

    print_layers(settings)
    return DONE
