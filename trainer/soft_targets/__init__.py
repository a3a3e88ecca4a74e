"""Teacher signals: where the teacher's predictions for a batch come from.

A signal is a function of the batch, called inside the compiled step; the losses do not
know which kind they are given.
"""

from trainer.soft_targets import answer_files
from trainer.soft_targets.answer_files import Answers
from trainer.soft_targets.cache import Cache
from trainer.soft_targets.cached import CachedTargets
from trainer.soft_targets.checksums import are_known, forget_missing, keep
from trainer.soft_targets.comparison import check, check_ids
from trainer.soft_targets.dummy import DummyTargets
from trainer.soft_targets.errors import SoftTargetsError
from trainer.soft_targets.lock import alone, beside_others, deciding
from trainer.soft_targets.manifest import (
    FRAMING_BYTES,
    MANIFEST,
    Manifest,
    Shard,
    mark,
    read,
    shards_of,
    views_text,
    write,
)
from trainer.soft_targets.online import online
from trainer.soft_targets.record_format import (
    EmbeddingFormat,
    LogitsFormat,
    logits_format,
)
from trainer.soft_targets.shards import (
    damage,
    missing,
    read_shard,
    shard_path,
    write_shard,
)

__all__ = [
    "FRAMING_BYTES",
    "MANIFEST",
    "Answers",
    "Cache",
    "CachedTargets",
    "DummyTargets",
    "EmbeddingFormat",
    "LogitsFormat",
    "Manifest",
    "Shard",
    "SoftTargetsError",
    "alone",
    "answer_files",
    "are_known",
    "beside_others",
    "check",
    "check_ids",
    "damage",
    "deciding",
    "forget_missing",
    "keep",
    "logits_format",
    "mark",
    "missing",
    "online",
    "read",
    "read_shard",
    "shard_path",
    "shards_of",
    "views_text",
    "write",
    "write_shard",
]
