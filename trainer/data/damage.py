"""Damaged images of a folder, which stop a run or are set aside."""

import os
import re
from collections.abc import Mapping

from trainer.config import DataConfig
from trainer.data.examples import DataError
from trainer.data.listed_files import ListedFiles


def check_damaged(data: DataConfig, listed: Mapping[str, ListedFiles]) -> None:
    """Refuses images that cannot be decoded, unless data.skip_corrupt."""
    damaged = [lines.take(lines.are_damaged) for lines in listed.values()]
    count = sum(map(len, damaged))
    if count and not data.skip_corrupt:
        first = next(line for lines in damaged for line in lines)
        raise DataError(
            f"{os.path.join(data.path, first.path)} must be a JPEG, PNG or WebP "
            f"image, got {without_kinds(first.state)} ({such_files(count)}); mend or "
            "remove it, or set data.skip_corrupt = true to leave such files out"
        )


def damage_error(path: str, found: str) -> DataError:
    """The error of an image that was listed and cannot be decoded when it is read."""
    return DataError(
        f"{path} must be a JPEG, PNG or WebP image, got {without_kinds(found)}; put it "
        "back as it was when the run began, and start the same command again, which "
        "goes on from the last checkpoint; or start anew in another --workdir with "
        "data.verify = 'decode', which finds such images before anything trains, and "
        "data.skip_corrupt = true, which leaves them out"
    )


def such_files(count: int) -> str:
    """The number of files of a kind, in words for a message."""
    return f"{count:,} such file{'s' if count != 1 else ''}"


def without_kinds(found: str) -> str:
    """Leaves TensorFlow's list of the kinds that it decodes out of what is `found`.

    Some of these are no examples: a message names those that are.
    """
    return re.sub(r"\.? One of [\w, ]+ required\.?$", "", found)
