"""The teacher's prediction for one view of one example, as a record of fixed length.

Little-endian, without padding: an int64 of whose lower 40 bits are the example's id and
the others a tag of the view and the cache (0 in those of earlier versions), then either
all logits, or
the k largest: their classes as int32, the logits, and for each temperature T of the
cache, as float32, what the other classes have together, T * log(sum(exp(logit / T))).
That cannot be derived from one temperature for another.

Shapes: B = examples, C = classes, T = temperatures.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from trainer.data import Batch
from trainer.losses import Member, Scalar, SoftTargets, to_buckets


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitsFormat:
    """The part of the teacher's logits that a record keeps."""

    num_classes: int
    dtype: str  # of the logits, "float16" or "float32"
    top_k: int  # 0: all
    temperatures: tuple[float, ...]  # of the tail of the top k; none where all are kept

    @property
    def record(self) -> np.dtype:
        """A record as NumPy reads and writes it."""
        logits = np.dtype(self.dtype).newbyteorder("<")
        if not self.top_k:
            return np.dtype([("id", "<i8"), ("logits", logits, (self.num_classes,))])
        return np.dtype(
            [
                ("id", "<i8"),
                ("classes", "<i4", (self.top_k,)),
                ("logits", logits, (self.top_k,)),
                ("tails", "<f4", (len(self.temperatures),)),
            ]
        )

    @property
    def fields(self) -> list[str]:
        """The names of what a record holds beside the id."""
        return [name for name in self.record.names or () if name != "id"]

    def encode(self, logits: tf.Tensor) -> Batch:
        """The fields of records but the id, from float32 logits [B, C]."""
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

        return at
