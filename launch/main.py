"""The command line: `python -m launch COMMAND ... -- PROGRAM ...`."""

import sys
from collections.abc import Callable

from launch import environment, exit_codes, installed, kubernetes, local
from launch.errors import LaunchError

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "local": local.command,
    "env": environment.command,
    "slurm": environment.slurm_command,
    "tfjob": kubernetes.command,
}

_USAGE = """\
usage: python -m launch COMMAND [FLAG ...] -- PROGRAM [ARGUMENT ...]

commands:
  local     that many processes of one cluster on this machine
  env       one process of a cluster that Slurm or a JobSet describes
  slurm     the script of a Slurm job: its workers, and back into the queue
  tfjob     a job on Kubernetes: print, check, submit, watch

python -m launch COMMAND --help tells a command's flags.
"""


def main(argv: list[str]) -> int:
    """Runs one command; returns the exit code."""
    name = argv[1] if len(argv) > 1 else "none"
    if name in ("--help", "-h", "help"):
        print(installed.as_started(_USAGE), end="")
        return 0
    try:
        if name not in COMMANDS:
            raise LaunchError(
                f"COMMAND must be one of {', '.join(COMMANDS)}, got {name}; "
                "see python -m launch --help"
            )
        return COMMANDS[name](argv[2:])
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except LaunchError as error:
        print(
            f"launch: {installed.as_started(str(error))}", file=sys.stderr, flush=True
        )
        return exit_codes.UNUSABLE
