"""Batches as a function of the step."""

import functools
import itertools
from collections.abc import Iterable

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.devices import strategy_of
from trainer import data
from trainer.config import (
    CropFlipOptions,
    InceptionCropOptions,
    NoAugmentOptions,
    ShiftOptions,
)
from trainer.data import arrays

NUM_EXAMPLES = 101  # a prime: batches straddle the ends of epochs
BATCH = 8
STEPS = 38  # 304 positions: three epochs and one more
SEED = 5


def augmentation(name: str, options: object) -> data.Augment:
    return data.augmentation(name, options, input_shape=(6, 5, 2), setting="data")


PLAIN = augmentation("none", NoAugmentOptions())
SHIFTED = augmentation("shift", ShiftOptions(max_pixels=2))
CROPPED = augmentation("crop_flip", CropFlipOptions())
INCEPTION = augmentation("inception_crop", InceptionCropOptions())
AUGMENTATIONS = pytest.mark.parametrize(
    "augment",
    [PLAIN, SHIFTED, CROPPED, INCEPTION],
    ids=["none", "shift", "crop_flip", "inception_crop"],
)

Batch = dict[str, np.ndarray]


def examples_of(num_examples: int = NUM_EXAMPLES) -> data.ArrayExamples:
    """Random images whose ids and labels are not their rows."""
    rng = np.random.default_rng(1)
    return data.ArrayExamples(
        inputs=rng.integers(0, 256, (num_examples, 6, 5, 2), dtype=np.uint8),
        labels=rng.integers(0, 10, num_examples, dtype=np.int32),
        ids=1000 + 3 * np.arange(num_examples),
    )


def training(
    *,
    num_replicas: int = 1,
    num_examples: int = NUM_EXAMPLES,
    seed: int = SEED,
    batch_size: int = BATCH,
    first_step: int = 0,
    augment: data.Augment = PLAIN,
    together: int = 1,
) -> tuple[tf.distribute.Strategy, data.Batches]:
    strategy = strategy_of(num_replicas)
    batches = data.training_batches(
        examples_of(num_examples),
        augment=augment,
        views=data.Views(seed=seed, count=None),
        auxiliary=None,
        seed=seed,
        per_replica_batch_size=batch_size // num_replicas,
        first_step=first_step,
        strategy=strategy,
        steps_per_execution=together,
    )
    return strategy, batches


def global_batches(
    strategy: tf.distribute.Strategy, batches: data.Batches, num_steps: int
) -> list[Batch]:
    """The first steps, the shares of all replicas one after the other."""
    return [
        {
            name: np.concatenate(strategy.experimental_local_results(value))
            for name, value in batch.items()
        }
        for batch in itertools.islice(batches, num_steps)
    ]


@functools.cache
def trained_on(num_steps: int = STEPS, **settings: object) -> list[Batch]:
    return global_batches(*training(**settings), num_steps)


def all_ids(batches: list[Batch]) -> np.ndarray:
    return np.concatenate([batch["id"] for batch in batches])


def assert_same(actual: list[Batch], expected: list[Batch]) -> None:
    for a, b in zip(actual, expected, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            np.testing.assert_array_equal(value, b[name], err_msg=name)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_each_epoch_holds_every_id_once(num_replicas):
    ids = all_ids(trained_on(num_replicas=num_replicas))
    for epoch in ids[: 3 * NUM_EXAMPLES].reshape(3, NUM_EXAMPLES):
        assert sorted(epoch) == examples_of().ids.tolist()


@pytest.mark.parametrize("num_examples", [1, 2, 3, 7])
def test_a_set_smaller_than_the_batch_gives_every_id_once_an_epoch(num_examples):
    ids = all_ids(trained_on(num_examples, num_examples=num_examples))
    for epoch in ids.reshape(BATCH, num_examples):
        assert sorted(epoch) == examples_of(num_examples).ids.tolist()


def orders(num_epochs: int, *, seed: int) -> np.ndarray:
    """The ids of whole epochs: [E, M]."""
    epochs = trained_on(num_epochs, seed=seed, batch_size=NUM_EXAMPLES)
    return np.stack([epoch["id"] for epoch in epochs])


def assert_unlike(orders: Iterable[np.ndarray]) -> None:
    """Two random orders of 101 agree in one place, in 8 or more once in 100,000."""
    for a, b in itertools.combinations(orders, 2):
        assert (a == b).sum() < 8


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_epochs_have_orders_of_their_own(seed):
    assert_unlike([examples_of().ids, *orders(3, seed=seed)])


def test_no_epoch_of_a_seed_is_an_epoch_of_another():
    assert_unlike(np.concatenate([orders(3, seed=seed) for seed in (0, 1, 2)]))


@pytest.mark.parametrize("distance", [2**8, 2**16, 2**24])
def test_seeds_far_apart_have_orders_of_their_own(distance):
    assert_unlike([orders(3, seed=1)[0], orders(1, seed=1 + distance)[0]])


def test_an_order_does_not_come_back_in_500_epochs():
    assert len(np.unique(orders(500, seed=0), axis=0)) == 500


def test_each_example_is_as_likely_to_come_first_as_another():
    first = (orders(500, seed=0)[:, 0] - 1000) // 3
    counts, expected = np.bincount(first, minlength=NUM_EXAMPLES), 500 / NUM_EXAMPLES
    # Chi-square with 100 degrees of freedom is above 182 once in a million.
    assert (np.square(counts - expected) / expected).sum() < 182


def test_neighbours_in_the_set_are_no_neighbours_in_an_epoch():
    # A random order of M has (M - 1) / M = 0.99 such pairs, nearly by Poisson's law:
    # 500 orders have 495, and five standard deviations more once in a million times.
    assert (np.diff(orders(500, seed=0), axis=1) == 3).sum() < 495 + 5 * 22.3


def test_each_image_and_label_is_that_of_its_id():
    examples = examples_of()
    for batch in trained_on():
        rows = (batch["id"] - 1000) // 3
        np.testing.assert_array_equal(batch["input"], examples.inputs[rows])
        np.testing.assert_array_equal(batch["label"], examples.labels[rows])


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_slots_are_places_in_the_global_batch(num_replicas):
    for batch in trained_on(3, num_replicas=num_replicas):
        assert batch["batch_position"].tolist() == list(range(BATCH))


@AUGMENTATIONS
def test_two_replicas_share_the_batches_of_one(augment):
    assert_same(
        trained_on(augment=augment, num_replicas=2), trained_on(augment=augment)
    )


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize("first_step", [1, 13])
def test_starting_at_a_step_is_skipping_the_steps_before(first_step, num_replicas):
    settings = {"augment": SHIFTED, "num_replicas": num_replicas}
    resumed = trained_on(STEPS - first_step, first_step=first_step, **settings)
    assert_same(resumed, trained_on(**settings)[first_step:])


def test_a_late_step_does_not_need_the_steps_before():
    # Past 2**31 positions, which no machine runs through in a test.
    last = 2**31 // BATCH + 1
    ids = all_ids(trained_on(26, first_step=last))
    start = -last * BATCH % NUM_EXAMPLES  # the rest of the epoch that `last` is in
    assert sorted(ids[start : start + NUM_EXAMPLES]) == examples_of().ids.tolist()


def test_batches_start_anew_for_each_reader():
    strategy, batches = training(augment=SHIFTED)
    first, second = (global_batches(strategy, batches, 3) for _ in range(2))
    assert_same(first, second)


SHARE = {
    "input": ((6, 5, 2), tf.uint8),
    "label": ((), tf.int32),
    "id": ((), tf.int64),
    "batch_position": ((), tf.int32),
}


def signature(batches: data.Batches) -> dict[str, set[tuple]]:
    """Of each element, on every replica: static shape and type."""
    return {
        name: {
            (tuple(tensor.shape), tensor.dtype)
            for tensor in tf.nest.flatten(spec, expand_composites=True)
        }
        for name, spec in batches.element_spec.items()
    }


@AUGMENTATIONS
@pytest.mark.parametrize("num_replicas", [1, 2])
def test_all_shapes_are_static(num_replicas, augment):
    _, batches = training(num_replicas=num_replicas, augment=augment)
    assert signature(batches) == {
        name: {((BATCH // num_replicas, *shape), dtype)}
        for name, (shape, dtype) in SHARE.items()
    }


# Views.


def views(batches: list[Batch]) -> dict[tuple[int, int], bytes]:
    """The image of each (epoch, id)."""
    ids, images = all_ids(batches), np.concatenate([b["input"] for b in batches])
    return {
        (position // NUM_EXAMPLES, int(example)): image.tobytes()
        for position, (example, image) in enumerate(zip(ids, images, strict=True))
    }


@AUGMENTATIONS
@pytest.mark.parametrize("batch_size", [4, 19])
def test_a_view_does_not_depend_on_the_batch(batch_size, augment):
    whole = views(trained_on(augment=augment))
    num_steps = len(whole) // batch_size
    other = views(trained_on(num_steps, batch_size=batch_size, augment=augment))
    assert other.items() <= whole.items()


def test_views_belong_to_ids_rather_than_to_places_in_the_set():
    def of_part(part: slice) -> dict[tuple[int, int], bytes]:
        whole = examples_of()
        examples = data.ArrayExamples(
            inputs=whole.inputs[part], labels=whole.labels[part], ids=whole.ids[part]
        )
        strategy = strategy_of(1)
        batches = data.training_batches(
            examples,
            augment=SHIFTED,
            views=data.Views(seed=SEED, count=None),
            auxiliary=None,
            seed=SEED,
            per_replica_batch_size=len(examples),
            first_step=0,
            strategy=strategy,
        )
        return views(global_batches(strategy, batches, 1))

    assert of_part(slice(40, None)).items() <= of_part(slice(None)).items()


def test_views_differ_between_epochs():
    seen = views(trained_on(augment=SHIFTED))
    same = [seen[0, i] == seen[1, i] for i in examples_of().ids.tolist()]
    # One of 25 shifts comes twice in a row: 4 of 101, 15 or more once in 80,000.
    assert sum(same) < 15


def test_views_differ_between_seeds():
    first, second = (views(trained_on(seed=s, augment=SHIFTED)) for s in (0, 1))
    for epoch in range(3):
        ids = examples_of().ids.tolist()
        assert sum(first[epoch, i] == second[epoch, i] for i in ids) < 15


def test_batches_that_come_together_are_those_that_come_alone():
    strategy, batches = training(augment=SHIFTED, first_step=3, together=4)
    alone = trained_on(augment=SHIFTED)
    for i, several in enumerate(global_batches(strategy, batches, 3)):
        each = [{name: v[k] for name, v in several.items()} for k in range(4)]
        assert_same(each, alone[3 + 4 * i : 7 + 4 * i])


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize("at_once", [1, 3])
def test_how_many_batches_are_gathered_at_once_changes_nothing(
    monkeypatch, num_replicas, at_once
):
    monkeypatch.setattr(arrays, "_GATHER_BATCHES", at_once)
    gathered = training(augment=SHIFTED, num_replicas=num_replicas, first_step=3)
    expected = trained_on(augment=SHIFTED)[3:13]
    assert_same(global_batches(*gathered, 10), expected)


# Evaluation.


def evaluation(
    num_examples: int, num_replicas: int
) -> tuple[np.ndarray, list[Batch], int]:
    examples = examples_of(num_examples)
    strategy = strategy_of(num_replicas)
    batches, num_steps = data.evaluation_batches(
        examples, per_replica_batch_size=BATCH // num_replicas, strategy=strategy
    )
    return examples.inputs, global_batches(strategy, batches, num_steps), num_steps


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize("num_examples", [101, 96, 5])
def test_evaluation_shows_each_image_once_in_order(num_examples, num_replicas):
    images, batches, _ = evaluation(num_examples, num_replicas)
    shown, weights = (
        np.concatenate([batch[name] for batch in batches])
        for name in ("input", "weight")
    )
    np.testing.assert_array_equal(shown[weights == 1], images)


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize("num_examples", [101, 96, 5])
def test_evaluation_weights_add_up_to_the_examples(num_examples, num_replicas):
    _, batches, _ = evaluation(num_examples, num_replicas)
    weights = np.concatenate([batch["weight"] for batch in batches])
    assert (weights.sum(), set(weights) <= {0, 1}) == (num_examples, True)


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize(("num_examples", "steps"), [(101, 13), (96, 12), (5, 1)])
def test_evaluation_takes_the_fewest_steps(num_examples, steps, num_replicas):
    assert evaluation(num_examples, num_replicas)[2] == steps


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_after_its_steps_evaluation_begins_anew(num_replicas):
    batches, num_steps = data.evaluation_batches(
        examples_of(),
        per_replica_batch_size=BATCH // num_replicas,
        strategy=strategy_of(num_replicas),
    )
    # A worker never runs out of batches while others still have some.
    first, *_, after_the_last = itertools.islice(batches, num_steps + 1)
    for one, other in zip(
        tf.nest.flatten(first, expand_composites=True),
        tf.nest.flatten(after_the_last, expand_composites=True),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_all_shapes_of_evaluation_are_static(num_replicas):
    size = BATCH // num_replicas
    batches, _ = data.evaluation_batches(
        examples_of(),
        per_replica_batch_size=size,
        strategy=strategy_of(num_replicas),
    )
    assert signature(batches) == {
        "input": {((size, 6, 5, 2), tf.uint8)},
        "weight": {((size,), tf.float32)},
    }
