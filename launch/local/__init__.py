"""The processes of one cluster on this machine: `python -m launch local`."""

from launch.local.job import command

__all__ = ["command"]
