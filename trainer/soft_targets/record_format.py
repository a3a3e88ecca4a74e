"""The teacher's prediction for one view of one example, as a record of fixed length.

Little-endian, without padding: an int64 of whose lower 40 bits are the example's id and
the others a tag of the view and the cache (0 in those of earlier versions), then either
all logits, or
the k largest: their classes as int32, the logits, and for each temperature T of the
cache, as float32, what the other classes have together, T * log(sum(exp(logit / T))).
That cannot be derived from one temperature for another. A cache of embeddings has the
teacher's after these.

Shapes: B = examples, C = classes, T = temperatures, D = values of an embedding.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.config import EMBEDDING, Config, ConfigError
from trainer.data import Batch
from trainer.losses import Member, Scalar, SoftTargets, to_buckets


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddingFormat:
    """The embedding in a record: the input of the teacher's last Dense layer."""

    layer: str  # the path of that layer
    size: int
    dtype: str  # "float16" or "float32"

    @property
    def text(self) -> str:
        """A clause for people."""
        return f"the embedding, {self.size} values into {self.layer!r} in {self.dtype}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitsFormat:
    """The part of the teacher's logits that a record keeps, and its embedding."""

    num_classes: int
    dtype: str  # of the logits, "float16" or "float32"
    top_k: int  # 0: all
    temperatures: tuple[float, ...]  # of the tail of the top k; none where all are kept
    embedding: EmbeddingFormat | None = None  # None: it is not kept

    @property
    def record(self) -> np.dtype:
        """A record as NumPy reads and writes it."""
        logits = np.dtype(self.dtype).newbyteorder("<")
        fields: list[tuple[str, Any, tuple[int, ...]]] = [
            ("logits", logits, (self.num_classes,))
        ]
        if self.top_k:
            fields = [
                ("classes", "<i4", (self.top_k,)),
                ("logits", logits, (self.top_k,)),
                ("tails", "<f4", (len(self.temperatures),)),
            ]
        if self.embedding:
            kind = np.dtype(self.embedding.dtype).newbyteorder("<")
            fields.append((EMBEDDING, kind, (self.embedding.size,)))
        return np.dtype([("id", "<i8"), *fields])

    @property
    def fields(self) -> list[str]:
        """The names of what a record holds beside the id."""
        return [name for name in self.record.names or () if name != "id"]

    def encode(self, logits: tf.Tensor, features: Mapping[str, tf.Tensor]) -> Batch:
        """The fields of records but the id, from float32 logits [B, C].

        `features` have the embedding [B, D] where the record keeps it.
        """
        fields = self._encode_logits(logits)
        if self.embedding:
            fields[EMBEDDING] = tf.cast(features[EMBEDDING], self.embedding.dtype)
        return fields

    def _encode_logits(self, logits: tf.Tensor) -> Batch:
        if not self.top_k:
            return {"logits": tf.cast(logits, self.dtype)}
        largest, classes = tf.math.top_k(logits, self.top_k)
        tails = [
            to_buckets(logits, classes, temperature=temperature)[:, -1]
            for temperature in self.temperatures
        ]
        return {
            "classes": classes,
            "logits": tf.cast(largest, self.dtype),
            "tails": tf.stack(tails, axis=1),
        }

    def decode(self, records: tf.Tensor) -> tuple[tf.Tensor, Batch]:
        """Ids with tags, and the other fields: string [B] -> int64 [B], [B, ...].

        Raises:
          tf.errors.InvalidArgumentError: a record has another length.
        """
        record = self.record
        raw = tf.io.decode_raw(records, tf.uint8)
        raw = tf.ensure_shape(raw, (None, record.itemsize))
        fields: Batch = {}
        for name in record.names or ():
            kind, first = record.fields[name][:2]  # type: ignore[index]
            scalar, shape = kind.subdtype or (kind, ())
            count = int(np.prod(shape, dtype=int))
            part = raw[:, first : first + count * scalar.itemsize]
            part = tf.reshape(part, [-1, *shape, scalar.itemsize])
            fields[name] = tf.bitcast(part, scalar.newbyteorder("="))
        return fields.pop("id"), fields

    def targets(self, fields: Batch) -> Member:
        """The predictions in records' fields, at any of the temperatures kept there."""
        logits = tf.cast(fields["logits"], tf.float32)

        def at(temperature: Scalar) -> SoftTargets:
            if not self.top_k:
                return SoftTargets(logits=logits)
            place = self.temperatures.index(temperature)
            tail = fields["tails"][:, place : place + 1]
            return SoftTargets(
                logits=tf.concat([logits, tail], axis=1), classes=fields["classes"]
            )

        features = {EMBEDDING: fields[EMBEDDING]} if self.embedding else {}
        return Member(at=at, features=features)


def logits_format(config: Config, num_classes: int) -> LogitsFormat:
    """The part of the logits of a teacher of so many classes that a record keeps.

    Raises:
      ConfigError: `top_k` would leave nothing to the tail.
    """
    distill = config.distill
    if distill.top_k >= num_classes:
        raise ConfigError(
            f"distill.top_k must be below the {num_classes} classes, got "
            f"{distill.top_k}; lower it, or set it to 0 to keep all logits"
        )
    temperatures = {*config.temperatures, *distill.tail_temperatures}
    return LogitsFormat(
        num_classes=num_classes,
        dtype=distill.soft_targets_dtype,
        top_k=distill.top_k,
        temperatures=tuple(sorted(temperatures)) if distill.top_k else (),
    )
