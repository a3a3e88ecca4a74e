"""Errors of soft targets on disk."""

from trainer.data import DataError


class SoftTargetsError(DataError):
    """A cache cannot be used; the message names the file or field, and a way out."""
