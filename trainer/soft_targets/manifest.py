"""The manifest of a cache of soft targets: its teacher, its examples, its format.

One JSON file beside the shards. Shard s holds the records of the ids from `first` on,
as many as `num_ids`, of which `count` are examples; it is one file for each view.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from etils import epath

from trainer.soft_targets.errors import SoftTargetsError
from trainer.soft_targets.record_format import LogitsFormat
from trainer.storage import files, json_text, seal

MANIFEST = "manifest.json"
VERSION = 1

_IDS_A_SHARD = 2048


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """A stretch of ids, whose records are written and renamed together."""

    first: int
    num_ids: int
    count: int  # of its ids that are examples, and have a record
    sha256: tuple[str, ...] = ()  # of the file of each view; "" where it is not known

    @property
    def last(self) -> int:
        """One past its last id."""
        return self.first + self.num_ids


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """The teacher of a cache, the views and examples that it predicts, and the format.

    The dataset is identified as it was each time that it grew: {"num_ids": how many
    ids its split had, "fingerprint": of what they are}.
    """

    teacher: dict[str, Any]  # model, options, image_size, weights (SHA-256)
    dataset: dict[str, Any]  # split, input_shape
    growth: tuple[dict[str, Any], ...]
    precision: str  # of the teacher where the cache was begun; others round otherwise
    class_names: tuple[str, ...]
    augment: dict[str, Any]  # name, options, seed
    views: int
    dtype: str
    top_k: int
    temperatures: tuple[float, ...]
    shards: tuple[Shard, ...]
    mark: int = 0  # what tags in records are made of; 0: there are none

    @property
    def num_ids(self) -> int:
        """The number of ids of the split when the cache was begun or last extended."""
        return int(self.growth[-1]["num_ids"])

    def until(self, num_ids: int) -> "Manifest":
        """The manifest as of when the split had `num_ids` ids, one of its `growth`."""
        return dataclasses.replace(
            self,
            growth=tuple(x for x in self.growth if x["num_ids"] <= num_ids),
            shards=tuple(shard for shard in self.shards if shard.last <= num_ids),
        )

    @property
    def num_examples(self) -> int:
        """The number of ids that have a record in each view."""
        return sum(shard.count for shard in self.shards)

    @property
    def num_records(self) -> int:
        """The number of records of all views."""
        return self.views * self.num_examples

    @property
    def num_files(self) -> int:
        """The number of files of all shards and views."""
        return len(self.shards) * self.views

    @property
    def num_bytes(self) -> int:
        """The size of all shards."""
        return self.num_records * (self.format.record.itemsize + FRAMING_BYTES)

    def memory_bytes(self, *, views: int) -> int:
        """The size in memory of the records of some views, where each id has one."""
        return views * self.num_ids * self.format.record.itemsize

    @property
    def format(self) -> LogitsFormat:
        """The format of a record."""
        return LogitsFormat(
            num_classes=len(self.class_names),
            dtype=self.dtype,
            top_k=self.top_k,
            temperatures=self.temperatures,
        )

    def tag(self, view: int) -> int:
        """Stands in each record of a view, above the bits of its id."""
        if not self.mark:
            return 0
        digest = hashlib.sha256(f"{self.mark} {view}".encode()).digest()
        # The sign stays free.
        return (1 + int.from_bytes(digest[:4], "little") % (2**23 - 1)) << ID_BITS

    def sha256(self, view: int, number: int) -> str:
        """The SHA-256 of a shard's file in a view; "" where it is not known."""
        known = self.shards[number].sha256
        return known[view] if view < len(known) else ""


ID_BITS = 40
FRAMING_BYTES = 16  # of a TFRecord: its length and two checksums


def shards_of(is_example: Sequence[bool], *, first: int = 0) -> tuple[Shard, ...]:
    """Cuts the ids from `first` on; entry i tells whether id `first` + i is one."""
    shards = []
    for begin in range(0, len(is_example), _IDS_A_SHARD):
        part = is_example[begin : begin + _IDS_A_SHARD]
        shards.append(
            Shard(first=first + begin, num_ids=len(part), count=int(sum(part)))
        )
    return tuple(shards)


def mark(manifest: Manifest) -> Manifest:
    """Adds a mark that records of other teachers, examples or views do not have."""
    names = (
        *("teacher", "dataset", "class_names", "augment", "dtype", "top_k"),
        *("temperatures", "growth"),
    )
    text = json.dumps({name: getattr(manifest, name) for name in names}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()
    return dataclasses.replace(manifest, mark=int.from_bytes(digest[:4], "little") or 1)


def views_text(count: int) -> str:
    """Such as "1 view"."""
    return f"{count} view" if count == 1 else f"{count} views"


def write(folder: epath.Path, manifest: Manifest) -> None:
    """Replaces the manifest in `folder`."""
    files.write_json(
        folder / MANIFEST,
        seal.add_checksum({"version": VERSION, **dataclasses.asdict(manifest)}),
    )


def read(folder: epath.Path) -> Manifest | None:
    """The manifest in `folder`; None where there is none.

    Raises:
      SoftTargetsError: it is of another version, or no manifest.
    """
    path = folder / MANIFEST
    with files.wrap_read_errors(path):
        if not path.exists():
            return None
        content = path.read_bytes()
    try:
        fields = dict(json_text.parse(content))
        version = fields["version"]
        if version != VERSION:
            raise SoftTargetsError(
                f"{path} must have version {VERSION}, got {version!r}; build the soft "
                "targets anew in another distill.soft_targets_dir, or use the release "
                "of Alambic that wrote it"
            )
        manifest = _manifest(seal.check_checksum(fields))
        _check_ids(manifest)
        return manifest
    except SoftTargetsError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise SoftTargetsError(
            f"{path} must be the manifest of soft targets, got something else "
            f"({error!r}); remove {folder} and build them again"
        ) from error


def check(folder: epath.Path, found: Manifest, wanted: Manifest) -> None:
    """Refuses a cache of other predictions than the `wanted` ones.

    It may hold more: views, temperatures, and ids that came later.

    Raises:
      SoftTargetsError: it names the field that differs.
    """
    for field in ("teacher", "dataset", "class_names", "augment", "dtype", "top_k"):
        _check_field(folder, field, getattr(found, field), getattr(wanted, field))
    sizes = {stage["num_ids"]: stage["fingerprint"] for stage in found.growth}
    stage = wanted.growth[-1]
    if wanted.num_ids in sizes:
        known = {"num_ids": wanted.num_ids, "fingerprint": sizes[wanted.num_ids]}
        _check_field(folder, "dataset", known, stage)
    elif wanted.num_ids < found.num_ids:
        _check_field(folder, "dataset", found.growth[-1], stage)
    missing = sorted(set(wanted.temperatures) - set(found.temperatures))
    if missing:
        raise SoftTargetsError(
            f"{folder} must hold the tail of the top {found.top_k} at temperature "
            f"{missing[0]:g}, got {_join(found.temperatures)}; it cannot be derived "
            "from these: set distill.temperature to one of them, or build in another "
            "distill.soft_targets_dir with distill.tail_temperatures"
        )


def check_ids(folder: epath.Path, found: Manifest, wanted: Manifest) -> None:
    """Looks whether a cache has all ids of the `wanted` one.

    Raises:
      SoftTargetsError: it has fewer.
    """
    if found.num_ids < wanted.num_ids:
        raise SoftTargetsError(
            f"{folder} must hold {wanted.num_ids} ids, got {found.num_ids}; run "
            "`python -m trainer soft-targets extend`, which adds the others"
        )


def _check_field(folder: epath.Path, field: str, found: Any, wanted: Any) -> None:
    if isinstance(found, dict) and isinstance(wanted, dict):
        # In their order, in which the kind of an augmentation is before its options.
        for name in [*wanted, *(found.keys() - wanted.keys())]:
            inner = f"{field}.{name}"
            _check_field(folder, inner, found.get(name), wanted.get(name))
        return
    if found != wanted:
        same = field == "class_names" and sorted(found) == sorted(wanted)
        order = " (in another order: earlier versions had folders by text)" * same
        raise SoftTargetsError(
            f"{folder} must hold the soft targets of this run, got another {field}: "
            f"{_format(found)} there, {_format(wanted)} here{order}; set the config "
            "back, or build in another distill.soft_targets_dir"
        )


def _format(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _join(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values) or "none"


def _manifest(fields: dict[str, Any]) -> Manifest:
    return Manifest(
        teacher=dict(fields["teacher"]),
        dataset=dict(fields["dataset"]),
        growth=tuple(
            {
                "num_ids": int(stage["num_ids"]),
                "fingerprint": str(stage["fingerprint"]),
            }
            for stage in fields["growth"]
        ),
        precision=str(fields["precision"]),
        class_names=tuple(map(str, fields["class_names"])),
        augment=dict(fields["augment"]),
        views=int(fields["views"]),
        dtype=str(fields["dtype"]),
        top_k=int(fields["top_k"]),
        temperatures=tuple(map(float, fields["temperatures"])),
        shards=tuple(_shard(**shard) for shard in fields["shards"]),
        mark=int(fields.get("mark", 0)),
    )


def _shard(sha256: Sequence[str] = (), **numbers: int) -> Shard:
    return Shard(**numbers, sha256=tuple(map(str, sha256)))


def _check_ids(manifest: Manifest) -> None:
    """Looks whether each id has its place in one shard."""
    bounds = [0, *(shard.last for shard in manifest.shards)]
    firsts = [shard.first for shard in manifest.shards]
    if firsts != bounds[:-1] or bounds[-1] != manifest.num_ids:
        raise ValueError(f"shards of {bounds[-1]} of {manifest.num_ids} ids")
    if any(not 0 <= shard.count <= shard.num_ids for shard in manifest.shards):
        raise ValueError("a shard of more examples than ids")
    if manifest.views < 1:
        raise ValueError(f"{manifest.views} views")
