"""Parts of an epoch of records, each for its own places of a batch."""

import dataclasses
import functools
import itertools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from trainer.data.auxiliary import Views
from trainer.data.examples import InputShard
from trainer.data.read_parts import ReadParts
from trainer.data.record_files import RecordFiles
from trainer.data.records import RecordExamples

COUNTS = (12, 13, 1, 12, 23)  # records of the files: windows and batches straddle them
NUM_EXAMPLES = sum(COUNTS)
BATCH = 12


class Format:
    """Records of one number, and bytes that nobody reads."""

    encoded = None

    def decode(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        number = self.decode_labels(record[tf.newaxis])
        return {"input": number, "label": number[0]}

    def decode_labels(self, records: tf.Tensor) -> tf.Tensor:
        numbers = tf.strings.substr(records, 0, 8)
        return tf.io.decode_raw(numbers, tf.int64, fixed_length=8)[:, 0]


def write(folder: pathlib.Path, counts: tuple[int, ...], size: int = 8) -> RecordFiles:
    numbers = itertools.count()
    paths = [str(folder / f"{i}.tfrecord") for i in range(len(counts))]
    for path, count in zip(paths, counts, strict=True):
        with tf.io.TFRecordWriter(path) as writer:
            for number in itertools.islice(numbers, count):
                writer.write(np.int64(number).tobytes().ljust(size, b"."))
    return RecordFiles.whole(paths, counts, Format())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records"), COUNTS)


@functools.cache
def in_parts(files: RecordFiles, num_parts: int, window: int = 10) -> RecordExamples:
    rows = np.arange(len(files.ids))
    return RecordExamples(files=files, rows=rows, window=window, num_parts=num_parts)


def shard(worker: int, num_workers: int, batch: int = BATCH) -> InputShard:
    return InputShard(
        per_replica_batch_size=batch // num_workers,
        num_replicas=num_workers,
        first_replica=worker,
        local_replicas=1,
    )


@functools.cache
def trained_on(
    examples: RecordExamples, num_steps: int, num_workers: int = 1, first_step: int = 0
) -> np.ndarray:
    """The ids of global batches, put together from all workers: [num_steps, BATCH]."""
    shares = []
    for worker in range(num_workers):
        batches = examples.training(
            shard(worker, num_workers), seed=5, first_step=first_step, map_fn=dict
        )
        shares.append([])
        for batch in batches.take(num_steps).as_numpy_iterator():
            np.testing.assert_array_equal(batch["input"][:, 0], batch["id"])
            shares[-1].append(batch["id"])
    return np.concatenate(shares, axis=1)


@pytest.mark.parametrize(
    ("num_examples", "batch", "count"), [(61, 12, 5), (7, 12, 12), (10, 64, 3)]
)
def test_each_position_is_a_turn_of_one_part(num_examples, batch, count):
    parts = ReadParts(count=count, batch_size=batch, num_examples=num_examples, seed=1)
    turns = [0] * count
    for position in range(4 * num_examples):
        part = position % batch * count // batch
        assert parts.turns_before(position).numpy().tolist() == turns
        assert parts.position(part, turns[part]) == position
        turns[part] += 1
    assert parts.parts_of(shard(0, 1, batch)).tolist() == [
        place * count // batch for place in range(batch)
    ]


def test_the_stretches_of_an_epoch_are_all_of_it_in_another_order_each_time():
    parts = ReadParts(count=5, batch_size=12, num_examples=61, seed=1)
    orders = set()
    for epoch in range(6):
        stretches = [
            tuple(int(end) for end in parts.stretch(tf.constant(epoch, tf.int64), part))
            for part in range(5)
        ]
        places = np.concatenate([np.arange(*stretch) for stretch in stretches])
        assert sorted(places) == list(range(61))
        for part, (begin, end) in enumerate(stretches):
            positions = np.arange(61 * epoch, 61 * (epoch + 1))
            assert end - begin == (positions % 12 * 5 // 12 == part).sum()
        orders.add(tuple(np.argsort([begin for begin, _ in stretches])))
    assert len(orders) >= 4  # of 120; six draws are of three or fewer once in 10,000


@pytest.mark.parametrize(
    ("num_parts", "window"),
    [
        (4, 1000),
        pytest.param(5, 1, marks=pytest.mark.slow),
        pytest.param(BATCH, 30, marks=pytest.mark.slow),
        (1000, 100),
    ],
)
def test_each_epoch_shows_every_example_once(files, num_parts, window):
    ids = trained_on(in_parts(files, num_parts, window), 16).ravel()
    epochs = ids[: 3 * NUM_EXAMPLES].reshape(3, NUM_EXAMPLES)
    for epoch in epochs:
        assert sorted(epoch) == list(range(NUM_EXAMPLES))
    for a, b in itertools.combinations(epochs, 2):
        assert (a == b).sum() < 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "num_workers", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4))]
)
def test_workers_share_the_batches_of_one(files, num_workers):
    examples = in_parts(files, 5)
    shared = trained_on(examples, 16, num_workers)
    np.testing.assert_array_equal(shared, trained_on(examples, 16))


@pytest.mark.slow
@pytest.mark.parametrize(
    "first_step",
    [6, *(pytest.param(i, marks=pytest.mark.slow) for i in (1, 2, 3, 4, 5, 11, 15))],
)
def test_resuming_at_any_step_is_not_stopping(files, first_step):
    examples = in_parts(files, 5)
    resumed = trained_on(examples, 16 - first_step, 2, first_step)
    np.testing.assert_array_equal(resumed, trained_on(examples, 16)[first_step:])


def test_parts_of_chosen_examples_hold_each_once(files):
    kept = np.zeros(NUM_EXAMPLES, bool)
    kept[[3, 30, 41, 42, 60]] = True
    for epoch in trained_on(in_parts(files, 3).select(kept), 5).reshape(12, 5):
        assert sorted(epoch) == [3, 30, 41, 42, 60]


def test_the_first_places_of_a_batch_are_of_one_stretch(files):
    """Of records in the order of their files, as windows of one are."""
    ids = trained_on(in_parts(files, 2, window=1), 4)
    ends = np.cumsum(COUNTS)
    for half in (ids[:, :6].ravel(), ids[:, 6:].ravel()):
        breaks = np.flatnonzero(np.diff(half) != 1)
        assert set(half[breaks] + 1) <= set(ends)


@dataclasses.dataclass
class Answers:
    """Streamed features that say whose they are."""

    is_in_memory = False

    def stream(self, view, first, last):
        return tf.data.Dataset.range(first, last).map(
            lambda number: tf.strings.format("{} {}", (number, view))
        )

    def decode(self, records, ids, views):
        del ids, views
        return {"answer": records}


def test_what_is_streamed_beside_the_records_is_theirs(files):
    examples = dataclasses.replace(
        in_parts(files, 4), auxiliary=Answers(), views=Views(seed=5, count=2)
    )
    training = examples.training(shard(1, 2), seed=5, first_step=3, map_fn=dict)
    for batch in training.take(12).as_numpy_iterator():
        views = batch["epoch"] % 2
        expected = [f"{i} {v}" for i, v in zip(batch["id"], views, strict=True)]
        assert [text.decode() for text in batch["answer"]] == expected


def bytes_read(examples: RecordExamples, worker: int, num_steps: int) -> int:
    """The bytes that this process reads, from files of all kinds."""

    def so_far() -> int:
        told = pathlib.Path("/proc/self/io").read_text().split()
        return int(told[told.index("rchar:") + 1])

    before = so_far()
    for _ in examples.training(
        shard(worker, 2, batch=32), seed=5, first_step=0, map_fn=dict
    ).take(num_steps):
        pass
    return so_far() - before


@pytest.mark.slow
def test_a_worker_of_two_reads_half_of_the_bytes(tmp_path):
    size, counts = 2**16, (16,) * 32  # 1 MiB each, which is what is read at a time
    files = write(tmp_path, counts, size)
    of_all = sum(counts) * size
    for worker in (0, 1):
        # An epoch, and what is read ahead of the next.
        assert bytes_read(in_parts(files, 1, 64), worker, 16) > of_all
        found = bytes_read(in_parts(files, 4, 64), worker, 16)
        assert of_all / 2 < found < 0.75 * of_all
