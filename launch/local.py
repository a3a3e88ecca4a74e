"""The processes of one cluster on this machine."""

from launch.errors import LaunchError


def command(argv: list[str]) -> int:
    """Runs the command with the words that follow its name; returns the exit code."""
    raise LaunchError(f"not there yet, got {argv}")
