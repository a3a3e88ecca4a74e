"""Reports: of the run in a workdir, and of several beside each other."""

from trainer.commands import stages
from trainer.commands.command_line import CommandLine, UsageError
from trainer.exit_codes import DONE


def write(line: CommandLine) -> int:
    """Draws the run's report again, or compares the runs that the words name."""
    return _compare(line) if line.words else stages.run(("report",), line)


def _compare(line: CommandLine) -> int:
    if line.flags.config or line.flags.set:
        raise UsageError("report DIR DIR ... must come without --config and --set")
    # Loads NumPy.
    from trainer import report

    print(report.compare(line.words, line.workdir()))
    return DONE
