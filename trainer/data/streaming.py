"""The way in which a run reads a dataset in record files, kept beside its lists.

The parts of an epoch, and what bounds the windows in which its records are shuffled,
belong to the order of its examples, so that they stay.
"""

import dataclasses
from typing import TypeGuard

from etils import epath

from trainer.config import DataConfig
from trainer.data.examples import DataError, Examples
from trainer.data.kept_labels import KeptLabels
from trainer.data.part_source import PartSource
from trainer.data.records import RecordExamples
from trainer.data.source import Source
from trainer.data.tfds_source import TfdsSource
from trainer.storage import files, seal

STREAMED = "streamed.json"

_MOST_PARTS = 8
# Of each part, so that little is passed over before the first record of a part, which
# is in the middle of a file.
_FEWEST_FILES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Streaming:
    """The way in which a run reads record files."""

    num_parts: int = 1  # of an epoch, read side by side
    window_bytes: int = 0  # of records shuffled together, by their mean size; 0: all
    labels: KeptLabels | None = None  # None: nothing is streamed

    def of(self, examples: Examples) -> Examples:
        """The examples as the run reads them; those in memory as they are."""
        if not isinstance(examples, RecordExamples):
            return examples
        kept = dataclasses.replace(examples.files, kept_labels=self.labels)
        window = examples.window
        if self.window_bytes and kept.record_bytes:
            window = min(window, max(1, int(self.window_bytes / kept.record_bytes)))
        return dataclasses.replace(
            examples, files=kept, num_parts=self.num_parts, window=window
        )

    def note(self, num_workers: int) -> str:
        """One line where workers read more than their share; "" where they do not."""
        if self.labels is None or self.num_parts >= num_workers:
            return ""
        share = f"one of {self.num_parts} parts" if self.num_parts > 1 else "all"
        return (
            f"each of {num_workers} workers reads {share} of the records of "
            f"data.dataset in every epoch; data.read_parts = {num_workers} in another "
            f"--workdir, or {_FEWEST_FILES} files for each worker, make it a share"
        )


def streaming(
    source: Source, index_dir: epath.Path, *, has_begun: bool, may_write: bool = True
) -> Streaming:
    """The way in which the run of the lists in `index_dir` reads the source.

    One that has begun without telling is of an earlier version, which read an epoch in
    one part, and bounded no window. One that has not is told of from now on.

    Raises:
      DataError: the file that tells it is damaged.
    """
    if not _is_streamed(source):
        return Streaming()
    path = index_dir / STREAMED
    if files.exists(path):
        way = _read(path)
    else:
        way = Streaming() if has_begun else _chosen(source)
        if may_write:
            told = {"read_parts": way.num_parts, "window_bytes": way.window_bytes}
            files.write_json(path, seal.add_checksum(told))
    labels = KeptLabels(folder=index_dir, may_write=may_write)
    return dataclasses.replace(way, labels=labels)


def unused_settings(source: Source) -> str:
    """One line on settings of streamed records, where none are streamed; or ""."""
    data = source.data
    names = ["read_parts", "shuffle_window", "shuffle_window_bytes"]
    if data.is_given:
        names.append("num_threads")  # nothing is left to decode
    found = [
        f"data.{name} = {value}"
        for name in names
        if (value := getattr(data, name)) != getattr(DataConfig, name)
    ]
    if not found or _is_streamed(source):
        return ""
    return (
        f"{', '.join(found)} without effect: only record files above "
        f"data.memory_budget_bytes are streamed, and {data.dataset!r} is read otherwise"
    )


def _is_streamed(source: Source) -> TypeGuard[TfdsSource | PartSource]:
    return isinstance(source, TfdsSource | PartSource) and source.is_streamed


def _chosen(source: Source) -> Streaming:
    return Streaming(
        num_parts=source.data.read_parts or _fitting(source),
        window_bytes=source.data.shuffle_window_bytes,
    )


def _fitting(source: Source) -> int:
    """The number of parts for as many files as the first split has, the training's."""
    examples = source.read(next(iter(source.data.splits.values())))
    num_files = len(examples.files.paths) if isinstance(examples, RecordExamples) else 0
    return max(1, min(_MOST_PARTS, num_files // _FEWEST_FILES))


def _read(path: epath.Path) -> Streaming:
    try:
        with files.wrap_read_errors(path):
            found = seal.parse(path.read_bytes())
        way = Streaming(
            num_parts=found["read_parts"], window_bytes=found["window_bytes"]
        )
        if {type(way.num_parts), type(way.window_bytes)} != {int} or way.num_parts < 1:
            raise ValueError(f"got {found}")
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} must say in which parts and windows a run reads its records, "
            f"got something else ({error!r}); put it back, or choose another "
            "--workdir"
        ) from error
    return way
