"""Damaged images of a folder, which stop a run or are set aside."""

import os
from collections.abc import Mapping

from trainer.config import DataConfig
from trainer.data.examples import DataError
from trainer.data.file_list import ListedFile


def check_damaged(data: DataConfig, listed: Mapping[str, list[ListedFile]]) -> None:
    """Refuses images that cannot be decoded, unless data.skip_corrupt."""
    damaged = [line for lines in listed.values() for line in lines if line.is_damaged]
    if damaged and not data.skip_corrupt:
        raise DataError(
            f"{os.path.join(data.path, damaged[0].path)} must be a JPEG, PNG or WebP "
            f"image, got {damaged[0].state} ({len(damaged)} such files); mend or "
            "remove it, or set data.skip_corrupt = true to leave such files out"
        )
