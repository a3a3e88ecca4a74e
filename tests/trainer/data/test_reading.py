"""Files that go away while a model is trained or evaluated on them."""

import contextlib
import pathlib

import keras
import pytest
import tensorflow as tf
from etils import epath

from tests.helpers import drawn_images, pets, whole_run
from tests.helpers.caches import build, write_teacher
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_a_line_states, refused
from tests.helpers.students import SGD, Run
from trainer import data, main
from trainer.config import DataConfig, MlpOptions
from trainer.devices import distribution
from trainer.evaluation.predictor import predictor

SIZE = 6
EMPTIED = ("Input is empty", "the same command")


@pytest.fixture
def examples(tmp_path) -> data.Examples:
    drawn_images.write(tmp_path / "drawn", 40, size=24)
    config = DataConfig(
        dataset=f"folder:{tmp_path}/drawn",
        train_split="train[:32]",
        validation_split="train[32:36]",
        test_split="train[36:]",
        image_size=SIZE,
        memory_budget_bytes=0,
    )
    return data.open_source(config, epath.Path(tmp_path)).read(config.train_split)


def linear(
    options: MlpOptions | None = None, seed: int = 0, precision: str = "float32"
) -> keras.Model:
    del options, seed, precision
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(len(drawn_images.CLASSES))(x))


def lose(examples: data.Examples) -> None:
    for path in examples.paths:
        pathlib.Path(path).write_bytes(b"")


@pytest.mark.slow
@pytest.mark.parametrize("num_replicas", [1, 2])
def test_training_names_the_reason_and_the_way_out(examples, num_replicas):
    run = Run(
        train=SGD,
        num_replicas=num_replicas,
        build=linear,
        build_teacher=linear,
        images=examples,
    )
    run.compiled.run(1)
    lose(examples)
    with refused(data.DataError, *EMPTIED):
        run.compiled.run(100)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_evaluation_names_the_reason_and_the_way_out(examples, num_replicas):
    strategy = strategy_of(num_replicas)
    with strategy.scope():
        model = linear()
    predict = predictor(
        model,
        examples,
        batch_size=4,
        stop=distribution.stop_flag(),
        strategy=strategy,
        watched=contextlib.nullcontext,
        xla=False,
    )
    lose(examples)
    with refused(data.DataError, *EMPTIED, examples.paths[0], "data.verify"):
        predict()


@pytest.fixture
def folder(tmp_path):
    """A run of images, one of which is damaged between its two ends."""
    for name in ("cat", "dog"):
        first = 100 * (name == "dog")
        pets.draw(tmp_path / "pets" / "train" / name, range(first, first + 8))
        pets.draw(tmp_path / "pets" / "test" / name, range(first + 50, first + 52))
    write_teacher(tmp_path / "teacher.keras", (pets.SIZE, pets.SIZE, 3), 2)
    pets.write_config(tmp_path, "verify = 'ends'\n")
    path = tmp_path / "pets" / "train" / "dog" / "103.png"
    contents = bytearray(path.read_bytes())
    contents[contents.index(b"IDAT") + 12] ^= 255
    path.write_bytes(contents)
    return tmp_path


# In memory are 20 images of 192 bytes, their files of 80 bytes, or none.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "budget"),
    [("baseline", 3840), ("baseline", 3000), ("baseline", 500), ("cache", 500)],
)
def test_a_damaged_middle_ends_a_command_with_the_name_of_the_file(
    folder, capsys, stage, budget
):
    config, workdir = folder / "pets.toml", folder / "workdir"
    settings = [f"--set=data.memory_budget_bytes={budget}"]
    if stage == "cache":
        settings.append("--set=runtime.teacher_batch_size=3")
        assert build(config, workdir, *settings) == 2
    else:
        assert main.main(whole_run.command(stage, config, workdir, *settings)) == 2
    told = capsys.readouterr().err
    file = folder / "pets" / "train" / "dog" / "103.png"
    facts = ("Invalid PNG data", "'decode'", "data.skip_corrupt = true")
    assert_a_line_states(told, file, *facts)


def test_an_operation_of_a_model_that_fails_is_no_fault_of_the_data():
    with pytest.raises(tf.errors.InvalidArgumentError), data.reading():
        tf.debugging.assert_equal(tf.constant(1), tf.constant(2))
