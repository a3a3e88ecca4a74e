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
from trainer.soft_targets.record_format import EmbeddingFormat, LogitsFormat
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
    embedding: EmbeddingFormat | None = None  # that is kept too

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
            embedding=self.embedding,
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
    identity = {name: getattr(manifest, name) for name in names}
    if manifest.embedding:
        identity["embedding"] = dataclasses.asdict(manifest.embedding)
    text = json.dumps(identity, sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()
    return dataclasses.replace(manifest, mark=int.from_bytes(digest[:4], "little") or 1)


def views_text(count: int) -> str:
    """Formats a number of views, such as "1 view"."""
    return f"{count} view" if count == 1 else f"{count} views"


def write(folder: epath.Path, manifest: Manifest) -> None:
    """Replaces the manifest in `folder`."""
    fields = dataclasses.asdict(manifest)
    if manifest.embedding is None:
        del fields["embedding"]  # as in earlier versions
    files.write_json(
        folder / MANIFEST, seal.add_checksum({"version": VERSION, **fields})
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
        embedding=EmbeddingFormat(
            layer=str(fields["embedding"]["layer"]),
            size=int(fields["embedding"]["size"]),
            dtype=str(fields["embedding"]["dtype"]),
        )
        if "embedding" in fields
        else None,
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
