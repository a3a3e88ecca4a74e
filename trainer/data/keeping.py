"""Images that are brought to another size: kept fitted, or encoded as they were."""

from trainer.config import DataConfig
from trainer.data.examples import DataError

PIXELS, FILES = "pixels", "files"


def resolve(data: DataConfig, num_bytes: int) -> str:
    """PIXELS or FILES, for images that take so many bytes when they are fitted."""
    if data.keep != "auto":
        return data.keep
    return PIXELS if num_bytes <= data.memory_budget_bytes else FILES


def check(data: DataConfig, num_bytes: int) -> None:
    """Refuses pixels that do not fit, because crops of files would be others.

    Raises:
      DataError: data.keep asks for more than the memory budget.
    """
    if data.keep == PIXELS and num_bytes > data.memory_budget_bytes:
        raise DataError(
            f"data.memory_budget_bytes must cover the fitted images of "
            f"{data.dataset!r}, {num_bytes} bytes, with data.keep = 'pixels', got "
            f"{data.memory_budget_bytes}; raise it, or remove data.keep"
        )


def check_files(data: DataConfig, num_bytes: int, file_format: str) -> None:
    """Refuses what cannot be read when it is asked for; see `check` also.

    Raises:
      DataError: the files of a set are of another kind than TFRecord.
    """
    check(data, num_bytes)
    if resolve(data, num_bytes) == PIXELS or file_format == "tfrecord":
        return
    why = f"for its files are {file_format} and only tfrecord can be streamed"
    if data.keep == FILES:
        raise DataError(
            f"data.keep must be 'pixels' for {data.dataset!r}, {why}, got 'files', of "
            "which random crops are made; set it, or prepare the set anew as tfrecord"
        )
    raise DataError(
        f"data.memory_budget_bytes must cover the decoded images of "
        f"{data.dataset!r}, {num_bytes} bytes, {why}, got "
        f"{data.memory_budget_bytes}; raise it, lower data.image_size, or take "
        "smaller splits"
    )
