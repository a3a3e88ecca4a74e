"""The record of each batch of new images so far, in watch.json."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from etils import epath

from trainer.config import Config, ConfigError
from trainer.runs.variant import Variant, share_teacher
from trainer.storage import files, json_text, seal
from trainer.storage.workdir import CELLS, FINISHED, WATCH, training_folder

_IMAGES = "images.json"  # of a batch: the files that it began with


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arrival:
    """Images that came together, and the student that learned from them too."""

    number: int  # from 1 on
    status: Literal["open", "registered", "refused"] = "open"
    num_images: int  # new ones, those set aside left out
    images: str = ""  # checksum of the list of all; "" of a batch of earlier versions
    # Why each of the others is no example, and why each earlier image is none any more
    # that was overwritten meanwhile, by its path.
    set_aside: dict[str, str] = dataclasses.field(default_factory=dict)
    accuracy: float | None = None  # of the student on the validation split
    reference: str = ""  # NAME@VERSION in the registry
    reason: str = ""  # of a refusal

    @property
    def name(self) -> str:
        """The name of its variant."""
        return f"batch-{self.number:04d}"


def read(path: epath.Path) -> list[Arrival]:
    """The batches in the workdir `path`, the first one first.

    Raises:
      ConfigError: the file that tells of them is damaged.
    """
    file = path / WATCH
    if not files.exists(file):
        return []
    try:
        found = seal.parse(file.read_bytes())
        return [Arrival(**fields) for fields in found["batches"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{file} must say which batches there were, got something else ({error}); "
            "restore it, or choose another --workdir"
        ) from error


def write(path: epath.Path, batches: Sequence[Arrival]) -> None:
    """Replaces what is told of the batches in the workdir `path`."""
    fields = [dataclasses.asdict(batch) for batch in batches]
    files.write_json(path / WATCH, seal.add_checksum({"batches": fields}))


def begin(path: epath.Path, images: Sequence[str]) -> Arrival:
    """A new batch of the files `images`."""
    before = read(path)
    batch = Arrival(
        number=len(before) + 1,
        num_images=len(images),
        images=seal.checksum(list(images)),
    )
    # First: a batch that is told of has its images.
    files.write_json(path / CELLS / batch.name / _IMAGES, list(images))
    write(path, [*before, batch])
    return batch


def replace(path: epath.Path, batch: Arrival) -> None:
    """Tells what became of a batch."""
    write(path, [batch if b.number == batch.number else b for b in read(path)])


def images(path: epath.Path, batch: Arrival) -> list[str]:
    """The files that a batch began with."""
    file = path / CELLS / batch.name / _IMAGES
    try:
        found = list(map(str, json_text.parse(file.read_text(encoding="utf-8"))))
        if batch.images and seal.checksum(found) != batch.images:
            raise ValueError("its checksum is another")
        return found
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{file} must list the images of the batch, got something else ({error}); "
            "restore it, or choose another --workdir"
        ) from error


def variant(settings: Config, path: epath.Path, batch: Arrival) -> Variant:
    """The run of a batch in the workdir `path`."""
    config = share_teacher(settings, settings, path)
    student = config.student
    if settings.watch and settings.watch.student == "last":
        weights = _last_student(settings, path, batch) or student.weights
        student = dataclasses.replace(student, weights=weights)
    return Variant(
        name=batch.name,
        settings={},
        config=dataclasses.replace(config, student=student, watch=None),
        path=path / CELLS / batch.name,
    )


def render(batches: Sequence[Arrival]) -> str:
    """A line for each batch."""
    return "\n".join(_line(batch) for batch in batches) or "no batches yet"


def _last_student(settings: Config, path: epath.Path, batch: Arrival) -> str:
    """The newest registered model before `batch`; "" where there is none."""
    section = settings.export
    seed = section.seed if section.seed != -1 else settings.seeds[0]
    for before in reversed(read(path)[: batch.number - 1]):
        if before.status == "registered":
            variant = path / CELLS / before.name
            return str(training_folder(variant, section.role, seed) / FINISHED)
    return ""


def _line(batch: Arrival) -> str:
    parts = [f"batch {batch.number}: {batch.num_images} new images"]
    if batch.set_aside:
        parts.append(f"{len(batch.set_aside)} set aside")
    if batch.accuracy is not None:
        parts.append(f"validation accuracy {100 * batch.accuracy:.2f} %")
    ends = {
        "open": "not done yet",
        "registered": f"registered as registry:{batch.reference}",
        "refused": f"refused: {batch.reason}",
    }
    return ", ".join([*parts, ends[batch.status]])
