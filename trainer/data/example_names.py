"""Names of examples, where they have some beside their ids."""

from trainer.data.folder import FolderSource
from trainer.data.source import Source
from trainer.data.texts import Texts


def example_names(source: Source, split: str) -> Texts | None:
    """The files of a whole split, in the order of their ids; None of no files.

    Their paths are relative to the dataset's folder.
    """
    return source.listed[split].paths if isinstance(source, FolderSource) else None
