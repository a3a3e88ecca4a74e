"""Teachers of other classes than the data's, against NumPy on the logits they give."""

import keras
import numpy as np
import pytest
from etils import epath

from tests.helpers import small_models
from tests.helpers.cached_runs import (
    CACHED,
    NUM_CLASSES,
    SHAPE,
    assert_same_trainings,
    session,
    trained,
)
from tests.helpers.messages import refused
from trainer import stages
from trainer.config import ConfigError, EvaluateView, MlpOptions
from trainer.session.predictions import predictions
from trainer.storage import model_classes

WIDE = tuple(f"kind {i:02}" for i in range(25))
# Of the first 20 two are a class of the data each, and the others are none of it.
MAP = {name: str(i % NUM_CLASSES) for i, name in enumerate(WIDE[:20])}
AS_SETTING = "class_map={" + ", ".join(f"'{k}'='{v}'" for k, v in MAP.items()) + "}"
RUN = (
    *("data.train_split='train[2000:2200]'", "student.train.steps=20"),
    *("runtime.steps_per_loop=4", "runtime.log_every_steps=4"),
    *("runtime.eval_every_steps=20", "runtime.save_every_steps=20"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a network of 25 classes, and their names."""
    folder = tmp_path_factory.mktemp("wide")
    model = small_models.build(
        "mlp",
        MlpOptions(hidden_sizes=(12,)),
        image_shape=SHAPE,
        num_classes=len(WIDE),
    )
    small_models.randomise(model)
    model.save(folder / "wide.keras")
    (folder / "names.txt").write_text("\n".join(WIDE) + "\n")
    return folder


def of_mlp(folder, *more):
    """The settings of a teacher whose architecture is known, with these weights."""
    return (
        *RUN,
        f"teacher.weights='{folder}/wide.keras'",
        f"teacher.{AS_SETTING}",
        *(f"teacher.class_names='{folder}/names.txt'", *more),
    )


def of_file(folder, *more):
    """The settings of the same teacher as a whole file."""
    return (
        *RUN,
        "teacher={model='saved', min_accuracy=0.0, options={input='zero_to_255', "
        f"path='{folder}/wide.keras'}}, {AS_SETTING}, "
        f"class_names='{folder}/names.txt'}}",
        *more,
    )


def wide_logits(folder, examples):
    model = keras.models.load_model(folder / "wide.keras", compile=False)
    return model(examples.read(np.arange(len(examples))), training=False).numpy()


def summed(logits, temperature=1.0):
    """Probabilities of 25 classes at T, summed for each of 10, and normalised."""
    scaled = logits.astype(np.float64) / temperature
    every = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    sums = every[:, :20].reshape(len(logits), 2, 10).sum(axis=1)
    return sums / sums.sum(axis=1, keepdims=True)


def softmax(logits):
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [of_mlp, of_file])
def test_a_live_teacher_is_judged_and_tested_by_the_data_s_classes(
    world, folder, tmp_path, settings
):
    opened = session(world, tmp_path, *settings(folder))
    networks, datasets = opened.networks, opened.datasets
    raw = wide_logits(folder, datasets.validation)
    for temperature in (1.0, 4.0):
        found = networks.teacher_validation_logits_at(temperature)
        expected = summed(raw, temperature)
        np.testing.assert_allclose(softmax(found / temperature), expected, rtol=1e-4)
    test = datasets.read(opened.config.data.test_split)
    stages.STAGES["student"](opened)
    stages.STAGES["baseline"](opened)
    (name, (tested,)) = next(predictions(networks, test))
    assert name == "teacher"
    expected = summed(wide_logits(folder, test))
    np.testing.assert_allclose(softmax(tested.logits["best"]), expected, rtol=1e-4)
    # Whoever takes the teacher from there has the names of its own classes.
    kept = model_classes.read(networks.folder("teacher", 0) / "model.keras")
    assert tuple(kept.classes) == WIDE


@pytest.mark.slow
def test_a_cache_keeps_all_of_its_classes_and_teaches_as_it_does(
    world, folder, tmp_path
):
    online = session(world, tmp_path / "a", *of_mlp(folder))
    cached = session(world, tmp_path / "b", *of_mlp(folder, CACHED))
    stages.STAGES["soft-targets"](cached)
    manifest = cached.path / "soft_targets" / "train" / "manifest.json"
    assert WIDE[24] in manifest.read_text()
    assert_same_trainings(trained(cached), trained(online))


def test_members_of_different_classes_teach_together(world, folder, tmp_path):
    member = "model='mlp', options={hidden_sizes=[12]}, min_accuracy=0.0"
    members = (
        f"teacher={{members=[{{{member}, weights='{world}/teacher.keras', "
        f"weight=3.0}}, {{{member}, weights='{folder}/wide.keras', {AS_SETTING}, "
        f"class_names='{folder}/names.txt'}}]}}"
    )
    opened = session(world, tmp_path, *RUN, members)
    validation = opened.datasets.validation
    own = keras.models.load_model(world / "teacher.keras", compile=False)
    first = own(validation.read(np.arange(len(validation))), training=False).numpy()
    for temperature in (1.0, 4.0):
        found = opened.networks.teacher_validation_logits_at(temperature)
        expected = 3 * softmax(first / temperature)
        expected += summed(wide_logits(folder, validation), temperature)
        np.testing.assert_allclose(
            softmax(found / temperature), expected / 4, rtol=1e-4
        )
    stages.STAGES["student"](opened)


def test_names_beside_a_file_are_those_of_its_classes(world, folder, tmp_path):
    path = epath.Path(tmp_path / "told" / "wide.keras")
    path.parent.mkdir()
    path.write_bytes((folder / "wide.keras").read_bytes())
    model_classes.write(path, WIDE[::-1], EvaluateView())
    sets = (*RUN, f"teacher.weights='{path}'", f"teacher.{AS_SETTING}")
    opened = session(world, tmp_path / "run", *sets)
    assert opened.networks.classes("teacher") == WIDE[::-1]
    found = opened.networks.class_maps[0].groups
    assert found[0] == (14, 24)  # "kind 10" and "kind 00"
    names = f"teacher.class_names='{folder}/names.txt'"
    with refused(ConfigError, "teacher.class_names", 25):
        session(world, tmp_path / "other", *sets, names)


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        (("teacher.class_names=''",), ("teacher.class_map", "teacher.class_names")),
        (("teacher.class_names='none.txt'",), ("teacher.class_names", "'none.txt'")),
        (
            ("teacher.class_map={'kind 1'='0'}",),
            ("teacher.class_map", "'kind 1'", "'kind 01'"),
        ),
        (
            ("teacher.class_map={'kind 01'='0'}",),
            ("teacher.class_map", "10", "'1'", "'2'"),
        ),
    ],
)
def test_maps_without_names_and_names_that_are_not_there_are_refused(
    world, folder, tmp_path, settings, facts
):
    with refused(ConfigError, *facts):
        opened = session(world, tmp_path, *of_mlp(folder), *settings)
        assert opened.networks.class_maps


def test_a_text_of_names_has_one_a_line(world, folder, tmp_path):
    for content, facts in ((b"a\n\nb\n", (3, 1)), (b"\xff\xfe", ("UTF-8",))):
        (tmp_path / "names.txt").write_bytes(content)
        setting = f"teacher.class_names='{tmp_path}/names.txt'"
        with refused(ConfigError, "teacher.class_names", *facts):
            session(world, tmp_path / "run", *of_mlp(folder), setting)


def test_a_teacher_with_as_many_names_as_outputs_is_needed(world, folder, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(WIDE[:24]))
    setting = f"teacher.class_names='{tmp_path}/names.txt'"
    with refused(ConfigError, "teacher.weights", 24, 25):
        session(world, tmp_path / "run", *of_mlp(folder), setting)
