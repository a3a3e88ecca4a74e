"""Teachers of a file whose images are given other values than they learned from."""

import keras
import numpy as np
import pytest

from tests.helpers import configs, whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.examinations import examine
from tests.helpers.messages import assert_a_line_states, assert_states
from trainer import stages
from trainer.config import load
from trainer.session import input_check, qualification

TEACHER = """
[teacher]
model = "saved"
options = {path = "{folder}/own.keras", input = "zero_to_255"}
"""
ZERO_TO_255 = "teacher.options.input='zero_to_255'"
MINUS_ONE_TO_ONE = "teacher.options.input='minus_one_to_one'"


@pytest.fixture(scope="module")
def config(tmp_path_factory, tfds_dir):
    """That of a run whose teacher learned from values from -1 to 1."""
    folder = tmp_path_factory.mktemp("teacher")
    text = f'name = "own"\n{configs.DIGITS}'.format(tfds_dir=tfds_dir)
    text += TEACHER.replace("{folder}", str(folder))
    text += f"{configs.STUDENT}global_batch_size = 24\nsteps = 1\n"
    (folder / "own.toml").write_text(text)
    examples = session(folder / "own.toml", folder).datasets.training
    images = examples.read(np.arange(len(examples))) / 127.5 - 1
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(images, examples.labels, batch_size=50, epochs=5, verbose=0)
    model.save(folder / "own.keras")
    return folder / "own.toml"


def session(config, workdir, *settings):
    return whole_run.session(load(str(config), settings), workdir, strategy_of(2))


def with_teacher(config, workdir, *settings):
    found = session(config, workdir, *settings)
    stages.STAGES["teacher"](found)
    return found


def test_another_range_that_suits_the_teacher_is_told_once(config, tmp_path, capsys):
    run = with_teacher(config, tmp_path, ZERO_TO_255)
    qualification.qualify(run.networks)
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(lines) == 1
    validation = run.datasets.validation
    model = keras.models.load_model(config.parent / "own.keras")
    rows = np.arange(128) * len(validation) // 128
    images, labels = validation.read(rows).astype(np.float32), validation.labels[rows]
    now, then = (
        100 * (model.predict(x, verbose=0).argmax(1) == labels).mean()
        for x in (images, images / 127.5 - 1)
    )
    assert_states(
        lines[0],
        "teacher.options.input",
        "'minus_one_to_one'",
        "'zero_to_255'",
        f"{now:.1f}",
        f"{then:.1f}",
        128,
    )


def test_the_right_range_is_not_told_of(config, tmp_path, capsys):
    with_teacher(config, tmp_path, MINUS_ONE_TO_ONE)
    assert "warning" not in capsys.readouterr().err


def test_logits_that_are_too_large_are_told_though_they_are_as_right(
    config, tmp_path, capsys
):
    examples = session(config, tmp_path).datasets.training
    linear = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, use_bias=False),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    linear.compile(keras.optimizers.Adam(1e-2), loss)
    images = examples.read(np.arange(len(examples))) / 255
    linear.fit(images, examples.labels, batch_size=50, epochs=3, verbose=0)
    linear.save(tmp_path / "linear.keras")
    path = f"teacher.options.path='{tmp_path}/linear.keras'"
    with_teacher(config, tmp_path / "run", path, ZERO_TO_255)
    err = capsys.readouterr().err
    assert_a_line_states(err, "teacher.options.input", "'zero_to_one'", "cross-entropy")
    assert "used as it is: right on 8" in err  # %, in either range


def answers(scale, *, num_wrong=8, num_classes=10):
    """Logits that are right but for some images, as large as `scale` makes them."""
    rng = np.random.default_rng(0)
    labels = np.arange(128) % num_classes
    logits = rng.normal(size=(128, num_classes))
    highest = logits.argmax(axis=1)
    rows = np.arange(num_wrong, 128)
    logits[rows, highest[rows]] -= 3
    logits[rows, labels[rows]] += 6
    return input_check.Answers.of(scale * logits, labels)


@pytest.mark.parametrize("scale", [255, 1 / 255])
def test_as_many_right_are_better_where_the_others_tell_nothing_but_the_class(scale):
    assert input_check.is_better(answers(scale), answers(1), 10)
    assert not input_check.is_better(answers(1), answers(scale), 10)
    assert not input_check.is_better(answers(scale), answers(scale), 10)
    assert not input_check.is_better(answers(scale), answers(1, num_wrong=40), 10)


@pytest.mark.parametrize("overflow", [np.inf, np.nan])
def test_answers_that_overflow_are_none(overflow):
    def ask(name, part):
        logits = np.zeros((128, 10))
        logits[:, 0] = overflow
        return input_check.Answers.of(logits[part], np.zeros(128, int)[part])

    assert input_check._ask(ask, "zero_to_255", answers(1, num_wrong=128)) is None


@pytest.mark.parametrize("scale", [0.7, 2])
def test_more_or_less_certain_answers_are_no_better(scale):
    assert not input_check.is_better(answers(scale), answers(1), 10)


def found(now, then, both=0):
    """Whether another range is better: right alone are `now` or `then` images."""
    ones, none = np.ones, np.zeros
    return input_check.is_right_more(
        np.concatenate([ones(both + now, bool), none(then, bool)]),
        np.concatenate([ones(both, bool), none(now, bool), ones(then, bool)]),
    )


def test_another_range_must_be_right_on_ten_more_and_beyond_three_standard_errors():
    assert found(0, 10, both=100)  # 10 > 3 sqrt(10) = 9.5
    assert not found(0, 9, both=100)
    assert found(1, 14)  # 13 > 3 sqrt(15) = 11.6
    assert not found(10, 24)  # 14 < 3 sqrt(34) = 17.5
    assert not found(24, 10)


@pytest.mark.parametrize("num_examples", [1, 5, 128, 129, 10_000])
def test_images_are_spread_over_the_split(num_examples):
    rows = input_check.evenly(num_examples)
    assert len(rows) == len(set(rows.tolist())) == min(128, num_examples)
    assert rows[0] == 0
    assert max(rows) < num_examples
    assert num_examples - rows[-1] <= -(-num_examples // 128)


def test_doctor_tells_it_too(config, tmp_path):
    _, findings = examine(config, tmp_path / "none", f"--set={ZERO_TO_255}")
    told = findings.text("teacher step")
    assert_states(told, "teacher.options.input", "'minus_one_to_one'")
