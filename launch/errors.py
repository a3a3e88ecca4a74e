"""Errors that a user can mend."""


class LaunchError(ValueError):
    """A flag, a file or the environment cannot be used; the message says a way out."""
