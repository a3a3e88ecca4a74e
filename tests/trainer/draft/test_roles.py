"""Splits and sizes that a first config chooses."""

import pytest

from trainer.draft import image_sizes, roles


@pytest.mark.parametrize(
    ("counts", "chosen"),
    [
        ({"train": 9, "val": 3, "test": 4}, ("train", "val", "test")),
        ({"test_set": 4, "training_set": 9}, ("training_set[:90%]", "", "test_set")),
        ({"train": 9, "validation": 3}, ("train[:90%]", "", "validation")),
        ({"train": 9}, ("train[:80%]", "train[80%:90%]", "train[90%:]")),
        ({"test": 9}, ("test[:80%]", "test[80%:90%]", "test[90%:]")),
        ({"small": 2, "large": 9}, ("large[:80%]", "large[80%:90%]", "large[90%:]")),
        ({"train": 9, "eval": 5, "dev": 3}, ("train", "dev", "eval")),
        ({"train": 9, "extra": 90, "test": 5}, ("train[:90%]", "", "test")),
    ],
)
def test_splits_have_the_roles_of_their_names_and_what_is_missing_is_carved(
    counts, chosen
):
    splits, why = roles.choose(counts)
    train, validation, test = chosen
    validation = validation or train.replace("[:90%]", "[90%:]")
    assert tuple(splits.values()) == (train, validation, test)
    assert all(f"{name} ({count})" in why for name, count in counts.items())


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(28, 28)] * 3, 28),
        ([(100, 100)] * 3, 100),
        ([(100, 120)] * 3, 96),
        ([(20, 30), (24, 24), (90, 25)], 24),
        ([(480, 640), (640, 480), (100, 90)], 224),
        ([(1000, 1000)] * 2, 224),
        ([(150, 300), (170, 171), (161, 500)], 160),
    ],
)
def test_images_are_taken_at_a_usual_size_up_to_their_own(sizes, side):
    assert image_sizes.side(sizes) == side
