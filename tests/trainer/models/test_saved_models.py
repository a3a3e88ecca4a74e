"""Whole models from files as teachers and students."""

import json
import pathlib
import shutil
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from tests.helpers.saved_models import NUM_CLASSES, SIDE, build, network, write
from trainer import models
from trainer.config import (
    ConfigError,
    PredictConfig,
    SavedOptions,
    differences,
    from_resolved,
    load,
    resolve,
)
from trainer.models.preprocessing import PREPROCESSING

KINDS = ("file.keras", "exported", "saved")


def images(shape=(SIDE, SIDE, 3), count=4):
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_gives_the_files_logits(kind, tmp_path):
    original = network()
    model = build(write(original, tmp_path, kind))
    expected = original(images() / 255, training=False)
    np.testing.assert_allclose(model(images()), expected, rtol=1e-5, atol=1e-5)
    assert model.count_params() == original.count_params()


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_input_size_is_made_of_the_datas(kind, tmp_path):
    original = network()
    model = build(write(original, tmp_path, kind), shape=(30, 20, 3))
    given = images((30, 20, 3))
    resized = tf.image.resize(given, (SIDE, SIDE), antialias=True)
    expected = original(resized / 255, training=False)
    np.testing.assert_allclose(model(given), expected, rtol=1e-4, atol=1e-4)


def test_a_file_of_any_input_size_takes_image_size(tmp_path):
    path = write(network(side=None), tmp_path, "file.keras")
    model = build(path, shape=(30, 30, 3), image_size=8)
    assert model.get_layer("resize").output.shape[1:] == (8, 8, 3)


def test_a_file_of_uint8_images_gets_whole_numbers(tmp_path):
    original = network(dtype="uint8")
    path = write(original, tmp_path, "file.keras")
    model = build(path, shape=(30, 30, 3), input="zero_to_255")
    given = images((30, 30, 3))
    resized = tf.image.resize(given, (SIDE, SIDE), antialias=True).numpy().round()
    expected = original(resized.astype(np.uint8), training=False)
    np.testing.assert_allclose(model(given), expected, rtol=1e-4, atol=1e-3)


def numpy_preprocessed(kind, given):
    """As keras.applications does it, and those that it has no name for."""
    given = given.astype(np.float32)
    if kind in ("zero_to_255", "zero_to_one", "as_given"):
        return given / (255 if kind == "zero_to_one" else 1)
    mode = {"minus_one_to_one": "tf"}.get(kind, kind.removeprefix("imagenet_"))
    return keras.applications.imagenet_utils.preprocess_input(given, mode=mode)


@pytest.mark.parametrize("kind", PREPROCESSING)
def test_images_are_preprocessed_as_the_option_says(kind):
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    model = keras.Model(image, PREPROCESSING[kind](image))
    expected = numpy_preprocessed(kind, images())
    np.testing.assert_allclose(model(images()), expected, rtol=1e-5, atol=1e-4)


def test_the_options_are_the_known_ways_to_preprocess():
    hints = SavedOptions.__annotations__["input"]
    assert set(hints.__args__) == PREPROCESSING.keys()


def test_grey_images_are_given_to_a_model_of_colours(tmp_path):
    original = network()
    model = build(write(original, tmp_path, "file.keras"), shape=(SIDE, SIDE, 1))
    grey = images((SIDE, SIDE, 1))
    expected = original(np.repeat(grey, 3, axis=-1) / 255, training=False)
    np.testing.assert_allclose(model(grey), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", [1, 4, 20])
def test_probabilities_become_logits_that_are_right_at_every_temperature(
    temperature, tmp_path
):
    original = network(softmax=True)
    path = write(original, tmp_path, "file.keras")
    logits = build(path, output="probabilities")(images()).numpy()
    before = keras.Model(original.input, original.layers[-2].output)(images() / 255)
    kernel, bias = original.layers[-1].get_weights()
    expected = (before.numpy() @ kernel + bias) / temperature
    np.testing.assert_allclose(
        tf.nn.softmax(logits / temperature), tf.nn.softmax(expected), rtol=1e-4
    )


def test_a_saved_teacher_of_probabilities_loads_again(tmp_path):
    path = write(network(softmax=True), tmp_path, "file.keras")
    model = build(path, output="probabilities")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images()), model(images()))


def test_a_probability_of_zero_has_a_finite_logarithm(tmp_path):
    original = network(softmax=True)
    original.layers[-1].bias.assign([900, 0, 0, 0, 0])
    model = build(write(original, tmp_path, "file.keras"), output="probabilities")
    assert np.isfinite(model(images())).all()


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_both_replicas_give_the_files_logits(kind, xla, tmp_path):
    strategy = strategy_of(2)
    original = network()
    path = write(original, tmp_path, kind)
    with strategy.scope():
        model = build(path)

    @tf.function(jit_compile=xla, autograph=False)
    def forward(given):
        return model(given, training=False)

    @tf.function(autograph=False)
    def both(given):
        results = strategy.run(lambda x: forward(x), args=(given,))
        return strategy.experimental_local_results(results)

    expected = original(images() / 255, training=False)
    for logits in both(tf.constant(images())):
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_teacher_stage_writes_loads_into_a_rebuilt_model(kind, tmp_path):
    path = write(network(), tmp_path, kind)
    first = build(path)
    first.save(tmp_path / "model.keras")
    moved = str(tmp_path / f"moved-{kind}")
    shutil.move(path, moved)
    second = build(moved)
    models.load_weights(second, str(tmp_path / "model.keras"), setting="teacher")
    np.testing.assert_array_equal(second(images()), first(images()))
    second.trainable = False
    assert second.trainable_variables == []


# What cannot be used.


def assert_refused(path, *facts, **options):
    with refused(ConfigError, "teacher.options.path", repr(str(path)), *facts):
        build(path, **options)


@pytest.mark.parametrize("name", ["none.keras", "folder"])
def test_a_missing_file_is_refused(name, tmp_path):
    assert_refused(tmp_path / name, "no such file")


def test_a_damaged_file_is_refused(tmp_path):
    path = pathlib.Path(write(network(), tmp_path, "file.keras"))
    content = path.read_bytes()
    for share in (0, 0.5, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        assert_refused(path, "save")


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
@pytest.mark.parametrize("content", [b"", b"\x07nonsense"])
def test_a_damaged_folder_is_refused(name, content, tmp_path):
    path = pathlib.Path(write(network(), tmp_path, "saved"))
    (path / name).write_bytes(content)
    assert_refused(path, "save")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"")
    assert_refused(tmp_path, "SavedModel", "save")


@pytest.mark.parametrize("kind", KINDS)
def test_another_number_of_classes_is_refused(kind, tmp_path):
    path = write(network(classes=7), tmp_path, kind)
    assert_refused(path, "5 classes", (7,))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_rows_is_refused(kind, tmp_path):
    row = keras.Input((4,))
    path = write(keras.Model(row, keras.layers.Dense(5)(row)), tmp_path, kind)
    assert_refused(path, "images", (None, 4))


def test_a_model_of_other_channels_is_refused(tmp_path):
    path = write(network(channels=2), tmp_path, "file.keras")
    assert_refused(path, "3 channels", 2)


def test_another_size_than_the_files_is_refused(tmp_path):
    path = write(network(), tmp_path, "file.keras")
    assert_refused(path, "image_size = 9", "12 x 12", "image_size = 0", image_size=9)


def test_two_inputs_are_refused(tmp_path):
    one, two = (keras.Input((SIDE, SIDE, 3)) for _ in range(2))
    pixels = keras.layers.Flatten()(keras.layers.Add()([one, two]))
    model = keras.Model([one, two], keras.layers.Dense(NUM_CLASSES)(pixels))
    assert_refused(write(model, tmp_path, "file.keras"), "2 inputs")


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_what_the_outputs_are_is_checked(output, tmp_path):
    path = write(network(softmax=output == "logits"), tmp_path, "file.keras")
    other = {"logits": "probabilities", "probabilities": "logits"}[output]
    facts = ("teacher.options.output", repr(path), repr(output), other)
    with refused(ConfigError, *facts):
        build(path, output=output)


CONFIG = """
name = "saved"
[data]
dataset = "mnist_mini"
data_dir = "{data_dir}"
train_split = "train[:200]"
validation_split = "train[9900:]"
test_split = "test[:100]"
[teacher]
model = "saved"
options = {{path = "{path}", input = "zero_to_one"}}
min_accuracy = 0.0
[student]
model = "mlp"
options.hidden_sizes = [8]
[student.train]
global_batch_size = 20
steps = 4
[runtime]
steps_per_loop = 2
log_every_steps = 2
eval_every_steps = 2
save_every_steps = 2
"""


def config(folder, path, data_dir=""):
    file = folder / "saved.toml"
    file.write_text(CONFIG.format(path=path, data_dir=data_dir))
    return str(file)


def test_a_saved_teacher_needs_neither_training_nor_weights(tmp_path):
    assert load(config(tmp_path, "folder")).teacher.train is None


def test_the_file_may_move_and_the_run_is_the_same(tmp_path):
    before, after = (
        resolve(load(config(tmp_path, path))) for path in ("a.keras", "b.keras")
    )
    assert differences(before, after) == []


TRAINED = ("teacher.options.path", ".keras", "'folder'", "inference")
WEIGHTS = ("teacher.weights", "'a.keras'", "'saved'", "teacher.options.path")
IMAGENET = ("student.weights", "'imagenet'", "student.model", "'mlp'")


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        (["teacher.train={global_batch_size=2,steps=1}"], TRAINED),
        (
            ["student.model='saved'", "student.options={path='f',input='zero_to_one'}"],
            ["student.options.path", ".keras", "'f'", "inference"],
        ),
        (["teacher.weights='a.keras'"], WEIGHTS),
        (["student.weights='imagenet'"], IMAGENET),
    ],
)
def test_what_a_saved_model_cannot_be_used_for_is_refused(settings, facts, tmp_path):
    with refused(ConfigError, *facts):
        load(config(tmp_path, "folder"), settings)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file.keras", "exported"])
def test_a_run_with_a_saved_teacher_resumes_where_the_file_has_moved(
    kind, tmp_path, tfds_dir
):
    path = write(network(channels=1, classes=10, side=28), tmp_path, kind)
    moved = str(tmp_path / f"moved-{kind}")
    workdir = tmp_path / "run"
    two = "--set=runtime.logical_cpus=2"
    code, _, err = whole_run.do(
        "teacher", config(tmp_path, path, tfds_dir), workdir, two
    )
    assert code == 0, err
    shutil.move(path, moved)
    code, _, err = whole_run.do("run", config(tmp_path, moved, tfds_dir), workdir, two)
    assert code == 0, err
    results = json.loads((workdir / "results.json").read_text())
    expected = network(channels=1, classes=10, side=28).count_params()
    assert results["models"]["teacher"]["parameters"] == expected


OWN_LAYERS = """
import keras

@keras.saving.register_keras_serializable(package="tests")
class Threefold(keras.layers.Layer):
    def call(self, inputs):
        return 3 * inputs
"""


def forget(module, name):
    """As in a process of its own."""
    keras.saving.get_custom_objects().pop(name)
    sys.modules.pop(module)


def network_of(layer, tmp_path):
    """The file of a network with a layer of somebody's own in it."""
    image = keras.Input((SIDE, SIDE, 3))
    row = keras.layers.Flatten()(layer(image))
    path = tmp_path / "own.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python code
        keras.Model(image, keras.layers.Dense(NUM_CLASSES)(row)).save(path)
    return path


def test_layers_of_a_module_that_is_imported_first_are_found(tmp_path, monkeypatch):
    (tmp_path / "threefold_layers.py").write_text(OWN_LAYERS)
    monkeypatch.syspath_prepend(tmp_path)
    import threefold_layers

    path = network_of(threefold_layers.Threefold(), tmp_path)
    expected = keras.models.load_model(path)(images() / 255)
    forget("threefold_layers", "tests>Threefold")
    assert_refused(path, "'Threefold'", "teacher.options.import")
    with refused(ConfigError, "teacher.options.import", "'threefold_layer'"):
        build(path, import_="threefold_layer")
    model = build(path, import_="threefold_layers")
    np.testing.assert_allclose(model(images()), expected, rtol=1e-5, atol=1e-5)
    forget("threefold_layers", "tests>Threefold")
    predict = PredictConfig(
        model=str(path), model_input="zero_to_one", model_import="threefold_layers"
    )
    again = models.alone(predict.saved, setting="predict.model")
    np.testing.assert_allclose(again(images()), expected, rtol=1e-5, atol=1e-5)
    forget("threefold_layers", "tests>Threefold")


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: keras.layers.Lambda(lambda y: 2 * y)(x),
        lambda x: keras.layers.Dense(3, activation=lambda y: 2 * y)(x),
    ],
)
def test_python_code_in_a_file_is_refused(layer, tmp_path):
    path = network_of(layer, tmp_path)
    assert_refused(path, "Lambda", "options.import", "model.export()")


def test_the_legacy_format_is_refused_with_the_way_to_the_new_one(tmp_path):
    path = tmp_path / "old.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network().save(path)
    assert_refused(path, "legacy", ".save('NEW.keras')")
    with refused(ConfigError, "teacher.weights", repr(str(path)), ".save('NEW.keras')"):
        models.load_weights(network(), str(path), setting="teacher.weights")


def test_a_config_says_what_is_imported_and_keeps_it(tmp_path):
    path = config(tmp_path, "a.keras")
    said = load(path, ["teacher.options.import='pkg.layers'"])
    assert said.teacher.options.import_ == "pkg.layers"
    kept = resolve(said)
    assert kept["teacher"]["options"]["import"] == "pkg.layers"
    assert from_resolved(kept, (), kept_in="config.json") == said
    # Where the classes are is not what they are.
    assert differences(resolve(load(path)), kept) == []
    with refused(ConfigError, "teacher.options.import", "package.module", "'a b'"):
        load(path, ["teacher.options.import='a b'"])


def test_outputs_in_a_list_are_counted(tmp_path):
    image = keras.Input((SIDE, SIDE, 3))
    row = keras.layers.Flatten()(image)
    one, two = (keras.layers.Dense(NUM_CLASSES)(row) for _ in range(2))
    for name, outputs in (("one", [one]), ("two", [one, two])):
        keras.Model(image, outputs).save(tmp_path / f"{name}.keras")
    assert build(tmp_path / "one.keras").output_shape == (None, NUM_CLASSES)
    assert_refused(tmp_path / "two.keras", "one output", 2, [(5,), (5,)])


def test_logits_that_are_not_finite_are_refused(tmp_path):
    model = network()
    model.weights[-1].assign([np.nan] * NUM_CLASSES)
    model.save(tmp_path / "nan.keras")
    with refused(ConfigError, "teacher.model 'saved'", "finite", "nan"):
        build(tmp_path / "nan.keras")
