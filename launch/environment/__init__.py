"""The cluster that a system describes in its own words: `python -m launch env`.

A job of Slurm is `python -m launch slurm`.
"""

from launch.environment.batch import command as slurm_command
from launch.environment.process import command

__all__ = ["command", "slurm_command"]
