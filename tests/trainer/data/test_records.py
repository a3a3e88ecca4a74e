"""Streamed record files against the same sets in memory."""

import functools
import itertools
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from tests.helpers.tfds_sets import open_source
from trainer import data
from trainer.config import DataConfig, load
from trainer.data.examples import InputShard

NUM_EXAMPLES = 61  # a prime: windows and batches straddle files and epochs
NUM_FILES = 5
BATCH = 8
SEED = 5

Batch = dict[str, np.ndarray]


class Several(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """61 + 6 random images in three classes, and a feature nobody asked for."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(num_classes=3),
            "note": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        del dl_manager  # nothing to download
        return {
            "train": self._generate_examples(NUM_EXAMPLES),
            "test": self._generate_examples(6),
        }

    def _generate_examples(self, count: int) -> Iterator:
        for i in range(count):
            image = np.random.default_rng(i).integers(
                0, 256, (7 + i % 3, 5, 3), dtype=np.uint8
            )
            yield i, {"image": image, "label": i % 3, "note": "a"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("several")
    Several(data_dir=path).download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=NUM_FILES)
    )
    return path


@pytest.fixture
def own_folder(folder, tmp_path):
    """A copy of the prepared set, to be damaged."""
    return pathlib.Path(shutil.copytree(folder, tmp_path / "copy"))


def files_of(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.glob("several/1.0.0/several-train.tfrecord-*"))


@functools.cache
def read(
    folder: pathlib.Path, split: str = "train", **settings: object
) -> data.Examples:
    """The examples of a split, streamed unless the settings have a budget."""
    others = {"validation_split": "test[:3]", "test_split": "test[3:]"}
    if "test" in split:
        others = {"train_split": "train[:1]", "validation_split": "train[1:2]"}
        others["test_split"] = split
    config = DataConfig(
        dataset="several",
        data_dir=str(folder),
        image_size=4,
        **({"memory_budget_bytes": 0, "train_split": split} | others | settings),
    )
    return open_source(config).read(split)


def in_memory(folder: pathlib.Path, split: str = "train") -> data.Examples:
    return read(folder, split, memory_budget_bytes=2**20)


def share(pipeline: int = 0, num_pipelines: int = 1, *, local_replicas: int = 1):
    """Of one global batch of 8."""
    num_replicas = num_pipelines * local_replicas
    return InputShard(
        per_replica_batch_size=BATCH // num_replicas,
        num_replicas=num_replicas,
        first_replica=pipeline * local_replicas,
        local_replicas=local_replicas,
    )


@functools.cache
def trained_on(
    examples: data.Examples,
    num_steps: int,
    *,
    num_pipelines: int = 1,
    local_replicas: int = 1,
    first_step: int = 0,
    seed: int = SEED,
) -> list[Batch]:
    """Global batches, put together from the elements of all pipelines."""
    elements = []
    for pipeline in range(num_pipelines):
        dataset = examples.training(
            share(pipeline, num_pipelines, local_replicas=local_replicas),
            seed=seed,
            first_step=first_step,
            map_fn=dict,
        )
        num_elements = num_steps * local_replicas
        elements.append(list(dataset.take(num_elements).as_numpy_iterator()))
    return [
        {
            name: np.concatenate(
                [
                    element[name]
                    for of_pipeline in elements
                    for element in of_pipeline[
                        step * local_replicas : (step + 1) * local_replicas
                    ]
                ]
            )
            for name in elements[0][0]
        }
        for step in range(num_steps)
    ]


def all_ids(batches: list[Batch]) -> np.ndarray:
    return np.concatenate([batch["id"] for batch in batches])


def assert_same(actual: list[Batch], expected: list[Batch]) -> None:
    for a, b in zip(actual, expected, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            np.testing.assert_array_equal(value, b[name], err_msg=name)
            assert value.dtype == b[name].dtype


def test_a_budget_of_0_is_a_setting(tmp_path):
    file = tmp_path / "run.toml"
    train = "train = {global_batch_size = 8, steps = 1}"
    file.write_text(
        f'name = "a"\n[data]\ndataset = "several"\nmemory_budget_bytes = 0\n'
        f'[teacher]\nmodel = "mlp"\n{train}\n[student]\nmodel = "mlp"\n{train}\n'
    )
    assert load(str(file)).data.memory_budget_bytes == 0


# Training.


@pytest.mark.slow
@pytest.mark.parametrize(
    "window",
    [7, 1000, *(pytest.param(x, marks=pytest.mark.slow) for x in (1, NUM_EXAMPLES))],
)
def test_each_epoch_shows_every_example_once_as_it_is(folder, window):
    batches = trained_on(read(folder, shuffle_window=window), 16)
    for epoch in all_ids(batches)[: 2 * NUM_EXAMPLES].reshape(2, NUM_EXAMPLES):
        assert sorted(epoch) == list(range(NUM_EXAMPLES))
    expected = in_memory(folder)
    for step, batch in enumerate(batches):
        np.testing.assert_array_equal(batch["input"], expected.read(batch["id"]))
        np.testing.assert_array_equal(batch["label"], expected.labels[batch["id"]])
        assert batch["batch_position"].tolist() == list(range(BATCH))
        positions = np.arange(step * BATCH, (step + 1) * BATCH)
        assert batch["epoch"].tolist() == (positions // NUM_EXAMPLES).tolist()


def test_elements_are_those_of_the_set_in_memory(folder):
    streamed, kept = (
        examples.training(share(), seed=SEED, first_step=0, map_fn=dict).element_spec
        for examples in (read(folder), in_memory(folder))
    )
    assert streamed == kept


def test_one_thread_makes_the_same_batches(folder):
    examples = read(folder, shuffle_window=7, num_threads=1)
    assert examples.num_threads == 1
    assert_same(
        trained_on(examples, 10), trained_on(read(folder, shuffle_window=7), 10)
    )


@pytest.mark.parametrize(
    ("num_pipelines", "local_replicas", "window"),
    [
        (2, 2, 7),
        pytest.param(4, 1, 7, marks=pytest.mark.slow),
        pytest.param(2, 1, 1000, marks=pytest.mark.slow),
    ],
)
def test_pipelines_share_the_batches_of_one(
    folder, num_pipelines, local_replicas, window
):
    examples = read(folder, shuffle_window=window)
    shared = trained_on(
        examples, 10, num_pipelines=num_pipelines, local_replicas=local_replicas
    )
    assert_same(shared, trained_on(examples, 10))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "num_steps"),
    [("train[5:28]", 6), pytest.param("train", 20, marks=pytest.mark.slow)],
)
def test_resuming_at_any_step_is_not_stopping(folder, split, num_steps):
    examples = read(folder, split, shuffle_window=5)
    whole = trained_on(examples, num_steps)
    for step in range(1, num_steps):
        resumed = trained_on(examples, num_steps - step, first_step=step)
        assert_same(resumed, whole[step:])


@pytest.mark.slow
def test_a_second_pipeline_resumes_too(folder):
    examples = read(folder, shuffle_window=9)
    resumed = trained_on(examples, 7, first_step=11, num_pipelines=2)
    assert_same(resumed, trained_on(examples, 18)[11:])


@pytest.mark.slow
def test_resuming_passes_over_what_is_before_its_window(own_folder):
    examples = read(own_folder, "train[:24]", shuffle_window=8)  # two whole files
    whole = trained_on(examples, 2)
    first_file = files_of(own_folder)[whole[0]["id"][0] // 12]
    content = bytearray(first_file.read_bytes())
    content[20] ^= 1  # in the first record, whose checksum is read with it alone
    first_file.write_bytes(content)
    assert_same(trained_on(examples, 1, first_step=1), whole[1:])
    with pytest.raises(tf.errors.DataLossError):
        trained_on(examples, 1)


def test_a_late_step_does_not_need_the_steps_before(folder):
    # Past 2**31 positions, which no machine runs through in a test.
    last = 2**31 // BATCH + 1
    ids = all_ids(trained_on(read(folder, shuffle_window=9), 16, first_step=last))
    start = -last * BATCH % NUM_EXAMPLES  # the rest of the epoch that `last` is in
    assert sorted(ids[start : start + NUM_EXAMPLES]) == list(range(NUM_EXAMPLES))


def test_a_batch_larger_than_the_set_holds_several_epochs(folder):
    ids = all_ids(trained_on(read(folder, "train[:3]", shuffle_window=2), 3))
    for epoch in ids.reshape(8, 3):
        assert sorted(epoch) == [0, 1, 2]


def test_epochs_and_seeds_have_orders_of_their_own(folder):
    examples = read(folder, shuffle_window=20)
    orders = [np.arange(NUM_EXAMPLES)]
    for seed in (0, 1):
        ids = all_ids(trained_on(examples, 16, seed=seed))
        orders += [ids[:NUM_EXAMPLES], ids[NUM_EXAMPLES : 2 * NUM_EXAMPLES]]
    for a, b in itertools.combinations(orders, 2):
        # Two random orders agree in one place, in 9 or more once in 1,000,000.
        assert (a == b).sum() < 9


def test_windows_of_an_epoch_have_orders_of_their_own(folder):
    """Of one file, in which nothing but the windows is shuffled."""
    examples = read(folder, "train[:12]", shuffle_window=6)
    first, second = all_ids(trained_on(examples, 3))[:12].reshape(2, 6)
    assert sorted(first) == [*range(6)]
    assert sorted(second) == [*range(6, 12)]
    assert first.tolist() != (second - 6).tolist()


def test_windows_of_one_record_leave_the_files_in_order(folder):
    ids = all_ids(trained_on(read(folder, shuffle_window=1), 8))[:NUM_EXAMPLES]
    ends = [12, 24, 37, 49]  # of the first four of five files, rounded
    breaks = np.flatnonzero(np.diff(ids) != 1)
    assert len(breaks) <= NUM_FILES - 1
    assert {int(ids[i]) + 1 for i in breaks} <= {*ends, NUM_EXAMPLES}


def test_files_change_places_between_epochs(folder):
    ids = all_ids(trained_on(read(folder, shuffle_window=1), 77))
    first = ids[: 10 * NUM_EXAMPLES : NUM_EXAMPLES]
    # Ten draws of the first of five files are of two files alone once in 1,000 times.
    assert len(set(first.tolist())) >= 3


SPLITS = [
    ("train[10%:60%]", range(6, 37)),
    ("train[:3]+train[7:]", [*range(3), *range(7, NUM_EXAMPLES)]),
    ("train[20:]+train[:4]", [*range(20, NUM_EXAMPLES), *range(4)]),
    ("train[5:5]+train[30:40]", range(30, 40)),
]


@pytest.mark.parametrize(("split", "ids"), SPLITS)
def test_a_part_of_a_split_holds_its_examples(folder, split, ids):
    examples, expected = read(folder, split, shuffle_window=9), in_memory(folder, split)
    assert len(examples) == len(ids)
    assert examples.ids.tolist() == list(ids)
    np.testing.assert_array_equal(examples.labels, expected.labels)
    rows = np.arange(len(ids))
    np.testing.assert_array_equal(examples.read(rows), expected.read(rows))


@pytest.mark.parametrize(
    ("split", "ids"),
    [
        *(pytest.param(*part, marks=pytest.mark.slow) for part in SPLITS[::2]),
        *SPLITS[1::2],
    ],
)
def test_a_part_of_a_split_trains_on_its_examples(folder, split, ids):
    examples = read(folder, split, shuffle_window=9)
    seen = trained_on(examples, 2 * len(ids) // BATCH)
    first = all_ids(seen)[: len(ids)]
    assert sorted(first.tolist()) == sorted(ids)
    whole = in_memory(folder)
    for batch in seen:
        np.testing.assert_array_equal(batch["input"], whole.read(batch["id"]))


# Examples without some labels.


@pytest.mark.parametrize(
    "excluded", [(1,), pytest.param((0, 2), marks=pytest.mark.slow)]
)
def test_without_labels_the_rest_is_seen_once_an_epoch(folder, excluded):
    left = data.without_labels(read(folder, shuffle_window=9), excluded)
    expected = data.without_labels(in_memory(folder), excluded)
    assert left.ids.tolist() == expected.ids.tolist()
    np.testing.assert_array_equal(left.labels, expected.labels)
    batches = trained_on(left, 12)
    epoch = all_ids(batches)[: len(left)]
    assert sorted(epoch.tolist()) == expected.ids.tolist()
    assert not np.isin(np.concatenate([b["label"] for b in batches]), excluded).any()


@pytest.mark.slow
def test_without_labels_resuming_is_not_stopping(folder):
    left = data.without_labels(read(folder, shuffle_window=9), (1,))
    whole = trained_on(left, 9)
    resumed = trained_on(left, 5, first_step=4, num_pipelines=2)
    assert_same(resumed, whole[4:])


def test_a_file_of_which_no_example_is_left_is_passed_over(folder):
    kept = np.zeros(NUM_EXAMPLES, bool)
    kept[[3, 40, 41, 60]] = True
    left = read(folder, shuffle_window=3).select(kept)
    for epoch in all_ids(trained_on(left, 2)).reshape(4, 4):
        assert sorted(epoch.tolist()) == [3, 40, 41, 60]


# Single examples and evaluation.


@pytest.mark.parametrize(
    "rows", [[0], [60, 0, 17, 17, 59], [], list(range(NUM_EXAMPLES))[::-1]]
)
def test_rows_are_read_in_any_order(folder, rows):
    rows = np.array(rows, np.int64)
    read_back = read(folder).read(rows)
    expected = in_memory(folder).read(rows)
    assert (read_back.dtype, read_back.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(read_back, expected)


@pytest.mark.parametrize(
    ("num_pipelines", "local_replicas"),
    [(2, 2), *(pytest.param(x, 1, marks=pytest.mark.slow) for x in (1, 4))],
)
@pytest.mark.parametrize("split", ["train", "train[:56]", "train[:3]", "test[:6]"])
def test_evaluation_is_that_of_the_set_in_memory(
    folder, split, num_pipelines, local_replicas
):
    for pipeline in range(num_pipelines):
        own = share(pipeline, num_pipelines, local_replicas=local_replicas)
        streamed, kept = (
            examples.evaluation(own)
            for examples in (read(folder, split), in_memory(folder, split))
        )
        assert streamed.element_spec == kept.element_spec
        assert_same(list(streamed.as_numpy_iterator()), list(kept.as_numpy_iterator()))


@pytest.mark.slow
def test_two_replicas_of_a_strategy_share_the_batches_of_one(folder):
    examples = read(folder, shuffle_window=9)

    def batches(num_replicas: int) -> list[np.ndarray]:
        strategy = strategy_of(num_replicas)
        dataset = data.training_batches(
            examples,
            augment=data.Augment(operations=(), crop=None),
            views=data.Views(seed=SEED, count=None),
            auxiliary=None,
            seed=SEED,
            per_replica_batch_size=BATCH // num_replicas,
            first_step=3,
            strategy=strategy,
        )
        return [
            np.concatenate(strategy.experimental_local_results(batch["id"]))
            for batch in itertools.islice(dataset, 10)
        ]

    one = batches(1)
    np.testing.assert_array_equal(batches(2), one)
    expected = trained_on(examples, 10, first_step=3)
    np.testing.assert_array_equal(np.concatenate(one), all_ids(expected))


# Damage.


def flip_a_bit(file: pathlib.Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def drop_the_last_record(file: pathlib.Path) -> None:
    *kept, _ = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in kept:
            writer.write(record)


DAMAGES = pytest.mark.parametrize(
    "damage", [flip_a_bit, drop_the_last_record, pathlib.Path.unlink]
)


def damaged(folder: pathlib.Path) -> tuple[str, ...]:
    """Facts about a damaged file of the training split, with the way out."""
    return ("'train'", "'several'", f"{folder}/several/1.0.0", "damaged", "delete")


@DAMAGES
def test_labels_of_a_damaged_file_are_refused_with_the_way_out(own_folder, damage):
    examples = read(own_folder)
    damage(files_of(own_folder)[2])
    with refused(data.DataError, *damaged(own_folder)):
        _ = examples.labels


@pytest.mark.parametrize(
    "damage",
    [
        drop_the_last_record,
        pytest.param(flip_a_bit, marks=pytest.mark.slow),
        pytest.param(pathlib.Path.unlink, marks=pytest.mark.slow),
    ],
)
def test_training_on_a_damaged_file_fails_rather_than_hangs(own_folder, damage):
    examples = read(own_folder, shuffle_window=9)
    damage(files_of(own_folder)[2])
    with pytest.raises(tf.errors.OpError):
        trained_on(examples, 8)


def test_a_damaged_image_is_refused_where_it_is_read(own_folder):
    examples = read(own_folder)
    file = files_of(own_folder)[0]
    content = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in content:
            writer.write(record.replace(b"IHDR", b"IHDX"))
    assert len(examples.labels) == NUM_EXAMPLES
    with refused(data.DataError, *damaged(own_folder)):
        examples.read(np.array([0]))


def change_the_labels(file: pathlib.Path) -> None:
    """To one that is no class."""
    content = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in content:
            example = tf.train.Example.FromString(record)
            example.features.feature["label"].int64_list.value[:] = [3]
            writer.write(example.SerializeToString())


def test_labels_outside_the_classes_are_refused_by_name(own_folder):
    examples = read(own_folder)
    change_the_labels(files_of(own_folder)[1])
    with refused(data.DataError, "'several'", 0, 2, "got 3", "'train'", 12):
        _ = examples.labels


def test_training_on_labels_outside_the_classes_fails(own_folder):
    examples = read(own_folder, shuffle_window=9)
    change_the_labels(files_of(own_folder)[1])
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"several.* 0 to 2.* \[3\]"
    ):
        trained_on(examples, 8)


def test_files_other_than_tfrecord_are_refused_above_the_budget(own_folder):
    description = own_folder / "several/1.0.0/dataset_info.json"
    text = description.read_text(encoding="utf-8")
    changed = text.replace('"fileFormat": "tfrecord"', '"fileFormat": "array_record"')
    description.write_text(changed, encoding="utf-8")
    facts = ("data.memory_budget_bytes", "'several'", 67 * 4 * 4 * 3, "array_record", 0)
    with refused(data.DataError, *facts):
        read(own_folder)
