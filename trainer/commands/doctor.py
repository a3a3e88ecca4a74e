"""Examinations before a run."""

from trainer.cluster import tf_config
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import CHECK_FAILED, DONE


def examine(line: CommandLine) -> int:
    """Tells whether the run can be done here."""
    settings = line.settings()
    path = line.workdir()
    own = tf_config.read()
    # Loads TensorFlow.
    from trainer import doctor

    failed = doctor.examine(settings, path, own, measures=line.flags.measure)
    return CHECK_FAILED if failed else DONE
