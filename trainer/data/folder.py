"""Folders of images: PATH/SPLIT/CLASS/*, PATH/CLASS/*, or PATH/* without labels."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping

import numpy as np
from etils import epath

from trainer.config import DataConfig
from trainer.data import file_list, keeping, splits, transparency
from trainer.data.arrays import ArrayExamples
from trainer.data.class_names import order
from trainer.data.damage import check_damaged
from trainer.data.description import describe
from trainer.data.examples import DataError
from trainer.data.file_paths import FilePaths
from trainer.data.folder_classes import (
    check_classes,
    check_every_class,
    check_others,
    names_of,
)
from trainer.data.folder_lists import kept_and_new, whole
from trainer.data.image_files import FileExamples
from trainer.data.keeping import FILES, PIXELS
from trainer.data.layout import in_one_form, layout_of
from trainer.data.listed_files import ListedFiles
from trainer.data.small_classes import FEW, small_classes
from trainer.storage import lists


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderSource:
    """An opened folder of images; see trainer.data.source.Source.

    Its splits are stretches of the kept lists, and ids the lines of these. What the
    lists set aside has a line and an id, and is no example.
    """

    data: DataConfig
    listed: Mapping[str, ListedFiles]  # of the whole splits in use
    num_new: int  # files that came after the lists and are no part of this run
    num_others: int  # files in class folders that are no images by their extension
    class_names: tuple[str, ...]  # none where there are no labels
    channels: int  # 3 colours, or 1 for grey
    mean_and_variance: None = None  # images are normalised without the data's help
    input_dtype: str = "uint8"
    value_range: None = None  # all that 8 bits have

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Images are squares."""
        return self.data.image_size, self.data.image_size, self.channels

    @functools.cached_property
    def num_examples(self) -> tuple[int, ...]:
        """The number of examples in each split of the config."""
        return tuple(
            sum(len(rows) for _, rows in self._rows(split))
            for split in self.data.splits.values()
        )

    @property
    def num_bytes(self) -> int:
        """The size of the decoded images."""
        return sum(self.num_examples) * int(np.prod(self.input_shape))

    @functools.cached_property
    def num_encoded_bytes(self) -> int:
        """The size of the files of the config's splits."""
        chosen = map(self.lines, self.data.splits.values())
        return sum(int(lines.num_bytes.sum()) for lines in chosen)

    @property
    def num_set_aside(self) -> int:
        """Damaged files of the splits in use, which are no examples."""
        return sum(int(lines.are_damaged.sum()) for lines in self.listed.values())

    @property
    def num_transparent(self) -> int:
        """Images of the splits in use with transparent pixels."""
        chosen = {
            name: np.zeros(len(lines), bool) for name, lines in self.listed.items()
        }
        for split in self.data.splits.values():
            for name, rows in self._rows(split):
                chosen[name][rows] = True
        return sum(
            int(np.count_nonzero(transparency.are_transparent(lines) & chosen[name]))
            for name, lines in self.listed.items()
        )

    @property
    def description(self) -> str:
        """One line on what was opened."""
        small = small_classes(self.data, self.listed.values())
        notes = (
            (self.num_set_aside, "damaged files set aside"),
            (self.num_others, "files of other kinds set aside"),
            (self.num_new, "files newer than the run left out"),
            (len(small), f"classes below {FEW} images: {names_of(small)}"),
            (self.num_transparent, transparency.note(self.data)),
        )
        return describe(
            self.data,
            num_examples=self.num_examples,
            num_classes=len(self.class_names),
            input_shape=self.input_shape,
            num_bytes=self.num_bytes,
            pipeline=self._where,
            notes=[f"{count} {text}" for count, text in notes if count],
        )

    @property
    def whole_splits(self) -> splits.Whole:
        """The lists, and how many lines each has."""
        return whole(self.listed)

    @property
    def contents(self) -> Mapping[str, str]:
        """None, as the lists tell."""
        return {}

    def fingerprint(self, split: str, *, num_ids: int) -> str:
        """SHA-256 of paths, classes and contents, of files that are gone too.

        And of what is behind transparent pixels, where anything is.
        """
        digest = hashlib.sha256()
        lines = self.listed[split].take(slice(num_ids))
        are_blended = transparency.are_blended(lines).tolist()
        for line, is_blended in zip(lines, are_blended, strict=True):
            about = [line.path, line.class_name, line.sha256]
            if is_blended:
                about.append(line.background)
            digest.update(repr(tuple(about)).encode())
        return digest.hexdigest()

    def read(self, split: str) -> ArrayExamples | FileExamples:
        """The examples of `split`, in the order of the lists; without classes label -1.

        Raises:
          DataError: a file is gone or damaged since it was listed.
        """
        rows = self._rows(split)
        chosen = self._lines(rows)
        labels = {name: i for i, name in enumerate(self.class_names)}
        # Earlier lists have names as they were found, in either form.
        labels = {in_one_form(name): i for name, i in labels.items()} | labels
        label_of = [
            labels.get(name, labels.get(in_one_form(name), -1))
            for name in chosen.classes.names
        ]
        examples = FileExamples(
            paths=FilePaths.of(self.data.path, chosen.paths),
            image_size=self.data.image_size,
            channels=self.channels,
            labels=np.array(label_of, np.int32)[chosen.classes.codes],
            ids=np.concatenate([ids for _, ids in rows]),
            has_alpha=transparency.are_blended(chosen),
            background=self.data.background_colour,
            sizes=chosen.sizes,
            view=self.data.view,
            num_threads=self.data.num_threads,
        )
        if self._keeps == FILES:
            return examples.in_memory() if self._files_fit else examples
        return ArrayExamples(
            inputs=examples.read(np.arange(len(examples))),
            labels=examples.labels,
            ids=examples.ids,
        )

    def paths(self, split: str) -> list[str]:
        """The files of the examples of `split`."""
        return list(FilePaths.of(self.data.path, self.lines(split).paths))

    def lines(self, split: str) -> ListedFiles:
        """The lines of the lists, one for each example of `split`."""
        return self._lines(self._rows(split))

    def in_files(self, *, fit: bool) -> "FolderSource":
        """The same with no pixels in memory; encoded images are where they `fit`."""
        budget = self.data.memory_budget_bytes if fit else 0
        data = dataclasses.replace(self.data, keep="files", memory_budget_bytes=budget)
        return dataclasses.replace(self, data=data)

    def _lines(self, chosen: list[tuple[str, np.ndarray]]) -> ListedFiles:
        return ListedFiles.concatenate(
            [self.listed[name].take(ids) for name, ids in chosen]
        )

    def _rows(self, split: str) -> list[tuple[str, np.ndarray]]:
        """The lists, and the ids in them, of the examples of a split: int64 [M]."""
        return [
            (name, first + np.flatnonzero(self.listed[name].are_examples[first:last]))
            for name, first, last in splits.parts_of(whole(self.listed), split)
        ]

    @property
    def _where(self) -> str:
        """The place that batches are made from."""
        if self._keeps == PIXELS:
            return "in memory"
        return "decoded from memory" if self._files_fit else "decoded from files"

    @property
    def _keeps(self) -> str:
        return keeping.resolve(self.data, self.num_bytes)

    @property
    def _files_fit(self) -> bool:
        """Whether the encoded images may be in memory."""
        return self.num_encoded_bytes <= self.data.memory_budget_bytes


def open_folder(
    data: DataConfig,
    index_dir: epath.Path,
    *,
    channels: int = 3,
    may_write: bool = True,
) -> FolderSource:
    """Finds the images of a folder, or those of the lists kept under `index_dir`.

    Without lists every file of the splits in use is read once, and who may write keeps
    its lists. Class folders are only folders where the config asks for no labels.

    Raises:
      DataError: no such folder, another layout, unknown, empty or overlapping splits,
        classes that differ, damaged images unless data.skip_corrupt, or a changed file.
    """
    layout = layout_of(data)
    check_others(data, layout)
    kept, new = kept_and_new(data, layout.images, index_dir, may_write)
    listed = kept | new
    check_damaged(data, listed)
    class_names: tuple[str, ...] = ()
    if data.is_labeled:
        check_classes(data, {k: x.class_names for k, x in listed.items()})
        check_every_class(data, listed)
        class_names = order(next(iter(listed.values())).class_names)
    source = FolderSource(
        data=data,
        listed=listed,
        num_new=sum(_num_new(layout.images[k], lines) for k, lines in kept.items()),
        num_others=len(layout.others),
        class_names=class_names,
        channels=channels,
    )
    _check_filled(source)
    keeping.check(data, source.num_bytes)
    for name, lines in new.items() if may_write else ():
        file_list.write(file_list.list_path(index_dir, name), lines)
        lists.forget(index_dir, name)
    return source


def _num_new(found: Mapping[str, str], lines: ListedFiles) -> int:
    """Counts the images that are not in a list, whose examples are all there."""
    others = lines.paths.take(~lines.are_examples)
    num_known = int(lines.are_examples.sum()) + sum(path in found for path in others)
    return max(0, len(found) - num_known)


def _check_filled(source: FolderSource) -> None:
    """Refuses a split that nothing is left of."""
    pairs = zip(source.data.splits.values(), source.num_examples, strict=True)
    for split, count in pairs:
        if not count:
            raise DataError(
                f"split {split!r} of {source.data.dataset!r} must hold an image that "
                "can be decoded, got damaged files only; mend them"
            )
