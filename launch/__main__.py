"""`python -m launch`, which is called `alambic-launch` where it is installed."""

import sys

from launch.main import main


def alambic_launch() -> int:
    """The installed command; returns the exit code."""
    return main(sys.argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
