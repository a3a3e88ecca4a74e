"""Batches decoded from files against those of the same images in memory."""

import itertools
import pathlib
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import drawn_images
from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from trainer import data, prng
from trainer.config import DataConfig, ShiftOptions
from trainer.data.examples import InputShard
from trainer.devices import processors

NUM_TRAIN = 29  # of 37: batches straddle the ends of epochs
BATCH = 8
SEED = 3
SIZE = 20

Batch = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("images")
    drawn_images.write(folder / "drawn", 37, size=48)
    return folder


def examples_of(
    folder: pathlib.Path, *, budget: int, **settings: object
) -> data.Examples:
    config = DataConfig(
        dataset=f"folder:{folder}/drawn",
        train_split=f"train[:{NUM_TRAIN}]",
        validation_split="train[29:33]",
        test_split="train[33:]",
        image_size=SIZE,
        memory_budget_bytes=budget,
        **settings,
    )
    examples = data.open_source(config, folder / "lists").read(config.train_split)
    # Rows are not ids where labels are excluded.
    return data.without_labels(examples, (2,))


@pytest.fixture(scope="module")
def in_files(folder) -> data.Examples:
    return examples_of(folder, budget=0)


@pytest.fixture(scope="module")
def in_memory(folder) -> data.Examples:
    return examples_of(folder, budget=2**30)


def shares(num_pipelines: int, replicas_each: int) -> list[InputShard]:
    num_replicas = num_pipelines * replicas_each
    return [
        InputShard(
            per_replica_batch_size=BATCH // num_replicas,
            num_replicas=num_replicas,
            first_replica=i * replicas_each,
            local_replicas=replicas_each,
        )
        for i in range(num_pipelines)
    ]


def finish(batch: Batch) -> Batch:
    """An augmentation that draws for each epoch and id."""
    keys = prng.key(SEED, batch.pop("epoch"), batch["id"])
    shift = data.augmentation(
        "shift",
        ShiftOptions(max_pixels=2),
        input_shape=(SIZE, SIZE, 3),
        setting="data",
    )
    return batch | {"input": shift(batch["input"], keys)}


def global_batches(
    pipelines: list[tf.data.Dataset], replicas_each: int, num_steps: int
) -> list[Batch]:
    """The elements of all replicas, step by step, one after the other."""
    readers = [dataset.as_numpy_iterator() for dataset in pipelines]
    steps = []
    for _ in range(num_steps):
        elements = [next(r) for r in readers for _ in range(replicas_each)]
        steps.append(
            {name: np.concatenate([e[name] for e in elements]) for name in elements[0]}
        )
    return steps


def trained_on(
    examples: data.Examples,
    num_steps: int,
    *,
    num_pipelines: int = 1,
    replicas_each: int = 1,
    first_step: int = 0,
) -> list[Batch]:
    pipelines = [
        examples.training(share, seed=SEED, first_step=first_step, map_fn=finish)
        for share in shares(num_pipelines, replicas_each)
    ]
    return global_batches(pipelines, replicas_each, num_steps)


def assert_same(actual: list[Batch], expected: list[Batch]) -> None:
    for a, b in zip(actual, expected, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            assert value.dtype == b[name].dtype
            np.testing.assert_array_equal(value, b[name], err_msg=name)


TOPOLOGIES = pytest.mark.parametrize(
    ("num_pipelines", "replicas_each"), [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2)]
)


def test_the_budget_chooses_where_images_are_kept(in_files, in_memory):
    names = type(in_files).__name__, type(in_memory).__name__
    assert names == ("FileExamples", "ArrayExamples")


# Several pipelines are in the next test too.
@pytest.mark.parametrize(
    ("num_pipelines", "replicas_each"),
    [
        (1, 1),
        (1, 2),
        *(
            pytest.param(*topology, marks=pytest.mark.slow)
            for topology in [(2, 1), (4, 1), (2, 2)]
        ),
    ],
)
def test_training_is_that_of_images_in_memory(
    in_files, in_memory, num_pipelines, replicas_each
):
    topology = {"num_pipelines": num_pipelines, "replicas_each": replicas_each}
    decoded = trained_on(in_files, 9, **topology)
    assert_same(decoded, trained_on(in_memory, 9))


@pytest.mark.parametrize(
    ("num_pipelines", "replicas_each", "first_step"),
    [(1, 2, 5), pytest.param(4, 1, 7, marks=pytest.mark.slow)],
)
def test_starting_at_a_step_is_skipping_the_steps_before(
    in_files, in_memory, num_pipelines, replicas_each, first_step
):
    topology = {"num_pipelines": num_pipelines, "replicas_each": replicas_each}
    resumed = trained_on(in_files, 3, first_step=first_step, **topology)
    assert_same(resumed, trained_on(in_memory, 3 + first_step)[first_step:])


def test_the_number_of_threads_is_a_setting_and_changes_no_batch(folder, in_memory):
    one = examples_of(folder, budget=0, num_threads=1)
    assert one.num_threads == 1
    assert_same(trained_on(one, 5), trained_on(in_memory, 5))


def test_few_batches_are_in_the_making_on_many_processors(in_files, monkeypatch):
    monkeypatch.setattr(processors, "count", lambda: 64)
    made = []

    def note(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        tf.py_function(lambda: made.append(1), [], [])
        return batch

    (share,) = shares(1, 1)
    batches = in_files.training(share, seed=SEED, first_step=0, map_fn=note)
    next(reader := iter(batches.with_options(data.pipeline_options())))
    for _ in range(50):
        time.sleep(0.01)
        if len(made) >= 5:
            break
    time.sleep(0.1)
    # One was taken, and four are ready or being made.
    assert len(made) == 5
    del reader


def test_each_epoch_holds_every_id_once(in_files):
    count = len(in_files)
    ids = np.concatenate([b["id"] for b in trained_on(in_files, count)])
    for epoch in ids.reshape(BATCH, count):
        assert sorted(epoch) == sorted(in_files.ids)


@TOPOLOGIES
def test_evaluation_is_that_of_images_in_memory(
    in_files, in_memory, num_pipelines, replicas_each
):
    def evaluated(examples: data.Examples) -> list[Batch]:
        pipelines = [
            examples.evaluation(share) for share in shares(num_pipelines, replicas_each)
        ]
        num_steps = -(-len(examples) // BATCH)
        return global_batches(pipelines, replicas_each, num_steps)

    decoded = evaluated(in_files)
    assert_same(decoded, evaluated(in_memory))
    images, weights = (
        np.concatenate([batch[name] for batch in decoded])
        for name in ("input", "weight")
    )
    np.testing.assert_array_equal(images[weights == 1], in_memory.inputs)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_all_shapes_are_static_under_a_strategy(in_files, num_replicas):
    batches = data.training_batches(
        in_files,
        augment=data.augmentation(
            "shift", ShiftOptions(), input_shape=(SIZE, SIZE, 3), setting="data"
        ),
        views=data.Views(seed=SEED, count=None),
        auxiliary=None,
        seed=SEED,
        per_replica_batch_size=BATCH // num_replicas,
        first_step=0,
        strategy=strategy_of(num_replicas),
    )
    specs = tf.nest.flatten(batches.element_spec["input"], expand_composites=True)
    assert {tuple(spec.shape) for spec in specs} == {
        (BATCH // num_replicas, SIZE, SIZE, 3)
    }
    for batch in itertools.islice(batches, 2):
        assert batch.keys() == {"input", "label", "id", "batch_position"}


def test_read_gives_images_in_the_order_that_was_asked_for(in_files, in_memory):
    rows = np.array([7, 0, 7, 3])
    np.testing.assert_array_equal(in_files.read(rows), in_memory.inputs[rows])
    assert in_files.read(rows[:0]).shape == (0, SIZE, SIZE, 3)


def test_a_file_that_is_damaged_after_the_listing_is_named(tmp_path):
    drawn_images.write(tmp_path / "drawn", 37, size=48)
    examples = examples_of(tmp_path, budget=0)
    path = pathlib.Path(examples.paths[4])
    path.write_bytes(path.read_bytes()[:-100])
    with refused(data.DataError, path):
        examples.read(np.arange(len(examples)))


# The drawn images themselves.


def test_drawn_images_are_the_same_each_time():
    for (a, x), (b, y) in zip(
        drawn_images.images(9), drawn_images.images(9), strict=True
    ):
        assert a == b
        np.testing.assert_array_equal(x, y)


def test_drawn_images_need_more_than_the_nearest_mean_of_a_class():
    names, images = zip(*drawn_images.images(size=32), strict=True)
    labels = np.array([drawn_images.CLASSES.index(name) for name in names])
    pixels = np.stack(images).reshape(len(images), -1).astype(np.float32)
    train, test = slice(0, 480), slice(480, None)
    means = np.stack([pixels[train][labels[train] == c].mean(0) for c in range(8)])
    distances = np.square(pixels[test][:, np.newaxis] - means).sum(axis=-1)
    accuracy = (distances.argmin(axis=1) == labels[test]).mean()
    # Chance is 1 in 8; colours are told by their mean, shapes are not.
    assert 0.2 < accuracy < 0.6
