"""The command line: `python -m launch COMMAND ... -- PROGRAM ...`."""

import sys
from collections.abc import Callable

from launch import environment, local, tfjob
from launch.errors import LaunchError

UNUSABLE, INTERRUPTED = 2, 130

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "local": local.command,
    "env": environment.command,
    "tfjob": tfjob.command,
}

_USAGE = """\
usage: python -m launch COMMAND [FLAG ...] -- PROGRAM [ARGUMENT ...]

commands:
  local     that many processes of one cluster on this machine
  env       one process of a cluster that Slurm or a JobSet describes
  tfjob     a job on Kubernetes: print, check, submit, watch

python -m launch COMMAND --help tells a command's flags.
"""


def main(argv: list[str]) -> int:
    """Runs one command; returns the exit code."""
    name = argv[1] if len(argv) > 1 else "none"
    if name in ("--help", "-h", "help"):
        print(_USAGE, end="")
        return 0
    try:
        if name not in COMMANDS:
            raise LaunchError(
                f"COMMAND must be one of {', '.join(COMMANDS)}, got {name}; "
                "see python -m launch --help"
            )
        return COMMANDS[name](argv[2:])
    except KeyboardInterrupt:
        return INTERRUPTED
    except LaunchError as error:
        print(f"launch: {error}", file=sys.stderr, flush=True)
        return UNUSABLE
