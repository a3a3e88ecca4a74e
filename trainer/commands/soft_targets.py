"""Commands on soft targets that take more than a config and a workdir."""

from trainer.commands import stages
from trainer.commands.command_line import CommandLine, UsageError
from trainer.exit_codes import DONE


def build(line: CommandLine) -> int:
    """Has the teacher predict all images, or those of --part."""
    if not line.flags.part:
        return stages.run(("soft-targets",), line)
    if line.flags.wait:
        raise UsageError("soft-targets build must come with --part or --wait, got both")
    return _run("soft-targets part", line, {"part": line.flags.part})


def verify(line: CommandLine) -> int:
    """Asks the teacher again, or takes the answers that a word names."""
    options = {"again": line.words[0]} if line.words else {}
    return _run("soft-targets verify", line, options)


def ids(line: CommandLine) -> int:
    """Writes the list of examples on which there have to be answers."""
    return _run(
        "soft-targets ids", line, {"output": line.words[0]} if line.words else {}
    )


def _run(name: str, line: CommandLine, options: dict[str, str]) -> int:
    stages.outcome((name,), line, options)
    return DONE
