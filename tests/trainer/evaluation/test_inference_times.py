"""How long models take to answer: which one is slower, and how it is looked at."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import data
from trainer.evaluation import inference_times


def network(*sizes: int) -> keras.Model:
    layers = [keras.layers.Dense(size) for size in sizes]
    return keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(3)])


def test_two_members_take_longer_than_a_small_student(monkeypatch):
    monkeypatch.setattr(inference_times, "_ROUNDS", 20)
    rows = np.ones((5, 64), np.float32)  # fewer than a batch
    examples = data.ArrayExamples(
        inputs=rows, labels=np.zeros(5, np.int32), ids=np.arange(5)
    )
    members = [network(1024, 1024), network(1024, 1024)]
    times = inference_times.measure(
        {"teacher": members, "student": [network()]},
        examples,
        device="/cpu:0",
        compiles=lambda role: False,
    )
    for found in times.values():
        assert found.rounds == {"1": 20, "256": 20}
        assert 0 < found.ms_per_example["256"] < found.ms_per_example["1"]
    teacher, student = (times[r].ms_per_example["256"] for r in ("teacher", "student"))
    # 300 times the multiplications.
    assert teacher > 3 * student


def test_nothing_begins_after_the_deadline():
    turns = []
    steps = {"student": lambda batch: turns.append(1) or batch}
    past = time.monotonic() - 1
    assert inference_times._rounds(steps, tf.zeros((1, 2)), deadline=past) == {}
    assert not turns
    soon = time.monotonic() + 0.2
    steps = {"student": lambda batch: time.sleep(0.03) or batch}
    assert inference_times._rounds(steps, tf.zeros((1, 2)), deadline=soon) == {}
    assert time.monotonic() < soon + 0.2


@pytest.mark.parametrize("xla", [False, True])
def test_all_members_answer_in_one_compiled_call(xla):
    models = [network(), network(4)]
    forward = inference_times._compile(models, xla=xla)
    batch = tf.ones((7, 64))
    for _ in range(2):
        answers = forward(batch)
    assert forward.experimental_get_tracing_count() == 1
    assert answers.shape == (7, 6)
    for answer, model in zip(tf.split(answers, 2, axis=1), models, strict=True):
        np.testing.assert_allclose(answer, model(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("enough_secs", "num_rounds"), [(60, 30), (0, 5)])
def test_the_roles_take_turns_after_a_warm_up(monkeypatch, enough_secs, num_rounds):
    monkeypatch.setattr(inference_times, "_ENOUGH_SECS", enough_secs)
    monkeypatch.setattr(inference_times, "_ROUNDS", 30)
    turns = []

    def answering(role, secs):
        def step(batch):
            turns.append(role)
            time.sleep(secs)
            return batch

        return step

    steps = {"teacher": answering("teacher", 4e-3), "student": answering("student", 0)}
    secs = inference_times._rounds(steps, tf.zeros((1, 2)))
    assert turns == ["teacher", "student"] * (5 + num_rounds)
    assert {role: len(values) for role, values in secs.items()} == dict.fromkeys(
        steps, num_rounds
    )
    assert min(secs["teacher"]) >= 4e-3 > np.median(secs["student"])
