"""Weights of classes: their values, and what cannot be weighted."""

import pytest

from tests.helpers import configs
from tests.helpers.messages import refused
from trainer.config import (
    ConfigError,
    differences,
    load,
    resolve,
    resolve_class_weights,
)

NAMES, COUNTS = ("ant", "bee", "cat"), (60, 30, 10)


def weights(given, counts=COUNTS):
    return resolve_class_weights(
        given, names=NAMES, counts=counts, split="data.train_split = 'train'"
    )


def test_balanced_classes_weigh_alike_together():
    assert weights("balanced") == pytest.approx((100 / 180, 100 / 90, 100 / 30))


def test_a_table_is_scaled_to_a_mean_of_1_over_the_examples():
    found = weights({"cat": 8.0, "ant": 1.0, "bee": 2.0})
    mean = (60 * 1 + 30 * 2 + 10 * 8) / 100
    assert found == pytest.approx((1 / mean, 2 / mean, 8 / mean))


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        ({"ant": 1.0, "bee": 1.0, "cats": 1.0}, ("'cats'", "'cat'?", "'bee'")),
        ({"ant": 1.0, "cat": 1.0}, ("'bee'", "3 classes", '"bee" = 1.0')),
        ({}, ("'ant', 'bee', 'cat'",)),
    ],
)
def test_a_table_names_all_classes_and_no_others(given, facts):
    with refused(ConfigError, "data.class_weights", *facts):
        weights(given)


def test_a_class_without_examples_is_balanced_by_nothing():
    with refused(ConfigError, "'balanced'", "data.train_split = 'train'", "'bee'"):
        weights("balanced", counts=(60, 0, 10))
    assert weights(dict.fromkeys(NAMES, 2.0), counts=(60, 0, 10)) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("value", ["nan", "-1.0", "0", "1e7", "'a'", "true"])
def test_a_weight_is_a_number_above_0(tmp_path, value):
    path = tmp_path / "run.toml"
    path.write_text(
        configs.RUN.replace("[teacher]", f"class_weights.ant = {value}\n[teacher]")
    )
    with refused(ConfigError, "data.class_weights.ant"):
        load(str(path))


def test_runs_of_other_weights_are_others_and_without_them_as_before(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(configs.RUN)

    def settings(*overrides):
        return resolve(load(str(path), overrides))

    plain = settings()
    earlier = {**plain, "data": {**plain["data"]}}
    del earlier["data"]["class_weights"]
    del earlier["student"]["train"]["select_by"]
    assert not differences(earlier, plain)
    balanced = settings("data.class_weights=balanced")
    (told,) = differences(earlier, balanced)
    assert told == "data.class_weights: None -> 'balanced'"
    table = settings('data.class_weights={"a.b" = 2, c = 1}')
    assert len(differences(balanced, table)) == 3
    (told,) = differences(plain, settings("student.train.select_by=nll"))
    assert told == "student.train.select_by: 'accuracy' -> 'nll'"
