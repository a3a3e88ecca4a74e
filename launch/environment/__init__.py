"""The cluster that a system describes in its own words: `python -m launch env`."""

from launch.environment.process import command

__all__ = ["command"]
