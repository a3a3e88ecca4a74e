"""Files of weights that change after a run has begun with them."""

import shutil

import keras
import numpy as np
import pytest

from tests.helpers import configs, whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from trainer import stages
from trainer.config import ConfigError, load
from trainer.session import weight_files

CNN = 'model = "cnn"\noptions.filters = [2]\n'
BY_WEIGHTS = f'{CNN}weights = "{{folder}}/own.keras"\n'
WHOLE = (
    'model = "saved"\noptions = {path = "{folder}/own.keras", input = "zero_to_255"}\n'
)


@pytest.fixture(scope="module")
def own(tmp_path_factory, tfds_dir):
    """Where own.keras is, which a run of these data has made, and its config."""
    folder = tmp_path_factory.mktemp("own")
    text = f'name = "own"\n{configs.DIGITS}'.format(tfds_dir=tfds_dir)
    text += "[teacher]\nmin_accuracy = 0.0\nTEACHER[student]\nSTUDENT"
    text += "train = {global_batch_size = 24, steps = 1}\n"
    (folder / "template").write_text(text)
    networks = session(folder, folder, CNN + "weights = 'none'\n", CNN).networks
    networks.build("student", 3).save(folder / "own.keras")
    return folder


def session(own, workdir, teacher, student):
    text = (own / "template").read_text()
    for name, section in (("TEACHER", teacher), ("STUDENT", student)):
        text = text.replace(name, section.replace("{folder}", str(workdir)))
    (workdir / "own.toml").write_text(text)
    settings = load(str(workdir / "own.toml"))
    return whole_run.session(settings, workdir, strategy_of(1))


def save_again(path, *, moved_by=0.0):
    """Writes the file anew, with weights that are others by a number."""
    model = keras.models.load_model(path, compile=False)
    for weight in model.weights:
        weight.assign(np.array(weight) + moved_by)
    model.save(path)


@pytest.mark.parametrize(
    ("teacher", "setting"),
    [(BY_WEIGHTS, "teacher.weights"), (WHOLE, "teacher.options.path")],
    ids=["weights", "whole"],
)
def test_a_teacher_that_is_taken_again_must_be_the_same(
    own, tmp_path, teacher, setting
):
    file = shutil.copy(own / "own.keras", tmp_path)
    take = stages.STAGES["teacher"]
    take(session(own, tmp_path, teacher, CNN))
    shutil.rmtree(tmp_path / "teacher")
    save_again(file)
    take(session(own, tmp_path, teacher, CNN))
    shutil.rmtree(tmp_path / "teacher")
    save_again(file, moved_by=0.5)
    with refused(ConfigError, setting, file, tmp_path / "weights.json"):
        take(session(own, tmp_path, teacher, CNN))
    assert not (tmp_path / "teacher" / "model.keras").exists()


def test_all_seeds_begin_with_the_same_weights(own, tmp_path):
    file = shutil.copy(own / "own.keras", tmp_path)
    networks = session(own, tmp_path, BY_WEIGHTS, BY_WEIGHTS).networks

    def begin(seed):
        model = networks.build("student", seed)
        weight_files.load(networks, model, file, setting="student.weights")

    begin(0)
    begin(1)
    save_again(file, moved_by=0.5)
    with refused(ConfigError, "student.weights", file):
        begin(2)


def test_whole_students_of_all_seeds_begin_alike(own, tmp_path):
    file = shutil.copy(own / "own.keras", tmp_path)
    train = stages.STAGES["baseline"]
    first = session(own, tmp_path, BY_WEIGHTS, WHOLE)
    train(first)
    shutil.rmtree(tmp_path / "baseline")
    save_again(file, moved_by=0.5)
    with refused(ConfigError, "student.options.path", file):
        train(session(own, tmp_path, BY_WEIGHTS, WHOLE))
