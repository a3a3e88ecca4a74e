"""Training jobs on Kubernetes: `python -m launch tfjob`."""

from launch.kubernetes.commands import command

__all__ = ["command"]
