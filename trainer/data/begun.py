"""The meaning of a run's labels and inputs, kept beside its lists of files.

Models know classes by their labels, and features as the numbers that they are given.
"""

import dataclasses
import re
from collections.abc import Sequence

from etils import epath

from trainer import console
from trainer.config import IGNORE, DataConfig, colour_of
from trainer.data.examples import DataError
from trainer.data.pixel_version import has_changed, pixel_version
from trainer.data.source import Source
from trainer.data.tables import TableSource
from trainer.data.tfds_source import TfdsSource
from trainer.storage import files, seal

KEPT = "dataset.json"


def as_begun(
    source: Source,
    index_dir: epath.Path,
    *,
    has_begun: bool,
    crops: bool = False,
    may_write: bool = True,
) -> Source:
    """The source as the run has begun with it, which the folder `index_dir` tells.

    With `crops` one of its trainings begins with a random crop. A run that has begun
    without telling is of an earlier version: folders, and numbers with a point, had
    their classes in the order of the alphabet, and all tables were float32.

    Raises:
      DataError: the run has begun with another order of classes, with others, with
        something else behind transparent pixels, or with other pixels of its images.
    """
    now = _meaning_of(source, crops=crops)
    if _is_known_by_name(source) and not now.pixels:
        return source
    path = index_dir / KEPT
    is_told = files.exists(path)
    if not (is_told or has_begun):
        if may_write:
            _write(path, now)
        return source
    before = _read(path) if is_told else _earlier(source.data, now)
    _check_classes(source.data.dataset, before.classes, now.classes)
    # Folders have it in their lists, of each image.
    if isinstance(source, TfdsSource) and source.num_transparent:
        _check_background(source.data, before.background)
    if before.pixels != now.pixels:
        _check_pixels(source, before.pixels, now.pixels, crops=crops)
        if may_write:  # so that its files are not looked at again
            _write(path, dataclasses.replace(before, pixels=now.pixels))
    if isinstance(source, TableSource):
        return _with_type(source, before.input_dtype)
    return source


def _meaning_of(source: Source, *, crops: bool) -> "_Meaning":
    return _Meaning(
        classes=source.class_names,
        input_dtype=source.input_dtype,
        background=source.data.background_name,
        pixels=pixel_version(source, crops=crops),
    )


def _with_type(source: TableSource, dtype: str) -> Source:
    if source.input_dtype == dtype:
        return source
    console.log(
        f"{source.data.dataset!r} has features that {dtype} rounds; they stay as this "
        "run has begun with, and another --workdir has all digits"
    )
    return source.as_type(dtype)


def begun_dtype(index_dir: epath.Path) -> str:
    """Reads the type of the inputs that the run of the lists began with.

    It is "" where it is not told, as of the images of a set of TensorFlow Datasets.

    Raises:
      DataError: the file that tells it is damaged.
    """
    path = index_dir / KEPT
    return _read(path).input_dtype if files.exists(path) else ""


def begun_background(index_dir: epath.Path) -> str:
    """Reads the background that the run of the lists began with; "" if it is not told.

    Raises:
      DataError: the file that tells it is damaged.
    """
    path = index_dir / KEPT
    if not files.exists(path):
        return ""
    background = _read(path).background
    try:
        colour_of(background)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path} must say what transparent pixels lie on, got {background!r}; put "
            "it back, or set predict.background"
        ) from error
    return background


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Meaning:
    classes: tuple[str, ...]  # by their labels
    input_dtype: str
    background: str  # what transparent pixels lie on, where there are any
    pixels: str  # their version; "" where there is one alone, or of an earlier one


def _is_known_by_name(source: Source) -> bool:
    """Whether it is a set of TensorFlow Datasets, whose name says what labels mean."""
    is_named = isinstance(source, TfdsSource) and source.data.kind == "name"
    return is_named and not source.num_transparent


def _check_background(data: DataConfig, before: str) -> None:
    if before != data.background_name:
        raise DataError(
            f"data.background must be {before}, with which the run has begun, for the "
            f"images of {data.setting} {data.dataset!r} with transparent pixels, got "
            f"{data.background_name}; set it back, or choose another --workdir"
        )


def _check_pixels(source: Source, before: str, now: str, *, crops: bool) -> None:
    if not has_changed(source, crops=crops, before=before):
        return
    data = source.data
    raise DataError(
        f"the images of {data.setting} {data.dataset!r} must have the pixels that the "
        f"run has begun with, {before or 'those of an earlier version'!r}, got {now!r}:"
        " earlier versions decoded JPEGs by a coarser transform or rounded them "
        "otherwise, and resized random crops less exactly or before they were cut; "
        "start anew in another --workdir (with soft targets in another "
        "distill.soft_targets_dir), or go on with the release that it began with; "
        "models of this run can predict, and teach others as run:"
    )


def _check_classes(dataset: str, before: Sequence[str], after: Sequence[str]) -> None:
    if before == after:
        return
    count = max(len(before), len(after))
    pairs = [(_name(before, i), _name(after, i)) for i in range(count)]
    label, (old, new) = next((i, p) for i, p in enumerate(pairs) if p[0] != p[1])
    raise DataError(
        f"{dataset!r} must have its classes in the order that this run has begun with, "
        f"got another: label {label} was {old} and is {new} (names that are all "
        "numbers are in the order of the numbers; earlier versions had them in that of "
        "the alphabet); put the classes back, or choose another --workdir"
    )


def _earlier(data: DataConfig, now: _Meaning) -> _Meaning:
    """The meaning in earlier versions, which kept none."""
    whole_numbers = all(re.fullmatch(r"-?[0-9]+", name) for name in now.classes)
    is_alphabetic = data.is_folder or (data.is_table and not whole_numbers)
    return _Meaning(
        classes=tuple(sorted(now.classes)) if is_alphabetic else now.classes,
        input_dtype="float32" if data.is_table else now.input_dtype,
        background=IGNORE,
        pixels="",
    )


def _name(names: Sequence[str], label: int) -> str:
    return repr(names[label]) if label < len(names) else "none"


def _write(path: epath.Path, meaning: _Meaning) -> None:
    told = dataclasses.asdict(meaning)
    if not meaning.pixels:
        del told["pixels"]
    files.write_json(path, seal.add_checksum(told))


def _read(path: epath.Path) -> _Meaning:
    try:
        with files.wrap_read_errors(path):
            found = seal.parse(path.read_bytes())
        return _Meaning(
            classes=tuple(map(str, found["classes"])),
            input_dtype=str(found["input_dtype"]),
            background=str(found.get("background", IGNORE)),
            pixels=str(found.get("pixels", "")),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} must say which classes a run has begun with, got something else "
            f"({error!r}); choose another --workdir"
        ) from error
