"""Teachers that finished runs have left: what is taken over, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from etils import epath

from tests.helpers import configs
from tests.helpers.messages import assert_states, refused
from trainer.cluster.workers import Workers
from trainer.config import ConfigError, MlpOptions, from_resolved, load, resolve
from trainer.runs.generations import take_over
from trainer.session.named_models import NamedModels
from trainer.storage import folders, run_model, weight_checksums, workdir
from trainer.storage.files import StorageError

CLASSES = ["cat", "dog"]
OVERRIDES = (
    "seeds=[3, 4]",
    "teacher.options.hidden_sizes=[9]",
    "student.options.hidden_sizes=[5, 6]",
    "student.image_size=32",
)
TRAIN = "train = {global_batch_size = 8, epochs = 1}\n"
MEMBERS = """[[teacher.members]]
model = "mlp"
train = {global_batch_size = 8, epochs = 1}

[[teacher.members]]
model = "cnn"
train = {global_batch_size = 8, epochs = 1}

"""


def write(folder, *, text=configs.RUN, overrides=OVERRIDES, is_finished=True):
    """What the run of a config leaves, of models whose files hold their names."""
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text(text)
    config = load(str(folder / "run.toml"), overrides)
    entries = {"student": [], "baseline": [], "teacher": []}
    if len(config.teachers) > 1:
        entries["member"] = []
    trained = [
        *((role, config.teachers[role].seed) for role in config.teachers),
        *((role, seed) for role in ("student", "baseline") for seed in config.seeds),
    ]
    for role, seed in trained:
        file = workdir.training_folder(epath.Path(folder), role, seed) / "model.keras"
        file.parent.mkdir(parents=True)
        file.write_text(f"{role} {seed}")
        name = "member" if "members" in role else role
        entries[name].append({"seed": seed, "weights": f"{role} {seed}"})
    workdir.record(epath.Path(folder), config)
    if is_finished:
        found = {"models": {name: {"seeds": seeds} for name, seeds in entries.items()}}
        (folder / "results.json").write_text(json.dumps(found))
        np.savez(
            folder / "predictions.npz",
            class_names=np.array(CLASSES),
            example_images=np.zeros((1, 28, 28, 1), np.uint8),
        )
    return folder


def taught(folder, name, *settings, section=""):
    """The config of a run whose teacher is `name`, before the other run is read."""
    path = folder / "taught.toml"
    teacher = configs.RUN[configs.RUN.index("[teacher]") :].partition("[student]")[0]
    section = section or f'[teacher]\nweights = "{name}"\n\n'
    path.write_text(configs.RUN.replace(teacher, section))
    return load(str(path), settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write(tmp_path_factory.mktemp("generations") / "first")


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    text = configs.RUN.replace(
        configs.RUN[configs.RUN.index("[teacher]") : configs.RUN.index("[student]")],
        MEMBERS,
    )
    return write(tmp_path_factory.mktemp("ensemble") / "run", text=text, overrides=())


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("", "student 3"),
        ("/", "student 3"),
        ("/student", "student 3"),
        ("/student/seed-4", "student 4"),
        ("/baseline", "baseline 3"),
        ("/baseline/seed-4", "baseline 4"),
        ("/teacher", "teacher 0"),
    ],
)
def test_a_run_or_the_folder_of_a_training_names_a_model(part, told, finished):
    found = run_model.find(f"run:{finished}{part}", setting="teacher.weights")
    assert (found.file.read_text(), found.fingerprint) == (told, told)


def test_a_run_may_lie_in_a_folder_that_is_called_as_a_role(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "student")
    found = run_model.find(f"run:{tmp_path}/student", setting="teacher.weights")
    assert found.file == epath.Path(tmp_path / "student/student/seed-3/model.keras")


def test_a_member_of_an_ensemble_is_named_by_its_number(ensemble):
    found = run_model.find(
        f"run:{ensemble}/teacher/member-1", setting="teacher.weights"
    )
    assert (found.file.read_text(), found.section.model) == (
        "teacher.members[1] 0",
        "cnn",
    )
    for part in ("teacher", "teacher/member-2"):
        with refused(ConfigError, "teacher.weights", part, 2, "/member-0"):
            run_model.find(f"run:{ensemble}/{part}", setting="teacher.weights")


def test_the_architecture_is_that_of_the_run(finished, tmp_path):
    settings = taught(tmp_path, f"run:{finished}", "teacher.seed=7")
    teacher = take_over(settings, None).teacher
    assert teacher.model == "mlp"
    assert teacher.options == MlpOptions(hidden_sizes=(5, 6))
    assert (teacher.image_size, teacher.seed) == (32, 7)
    assert teacher.weights == f"run:{finished}"
    other = taught(tmp_path, f"run:{finished}/teacher")
    assert take_over(other, None).teacher.options.hidden_sizes == (9,)


def test_what_is_recorded_is_read_again(finished, tmp_path):
    config = take_over(taught(tmp_path, f"run:{finished}"), None)
    again = from_resolved(resolve(config), (), kept_in="config.json")
    assert take_over(again, None) == config


def test_members_of_an_ensemble_come_from_runs_too(finished, tmp_path):
    member = '[[teacher.members]]\nweights = "run:{}"\n\n'
    section = member.format(finished) + member.format(finished / "teacher")
    config = take_over(taught(tmp_path, "", section=section), None)
    sizes = [member.options.hidden_sizes for member in config.teacher.members]
    assert sizes == [(5, 6), (9,)]


def test_a_whole_model_of_a_run_is_taken_as_a_whole(tmp_path):
    text = configs.RUN.replace(
        '[student]\nmodel = "mlp"',
        '[student]\nmodel = "saved"\noptions = {path = "own.keras", '
        'input = "zero_to_one"}',
    )
    first = write(tmp_path / "first", text=text, overrides=())
    teacher = take_over(taught(tmp_path, f"run:{first}"), None).teacher
    assert (teacher.model, teacher.weights) == ("saved", "")
    # What the run saved normalises by itself.
    assert (teacher.options.path, teacher.options.input) == (
        f"run:{first}",
        "zero_to_255",
    )


@pytest.mark.parametrize(
    ("part", "facts"),
    [
        ("/student/seed-5", ["seed 5", "3, 4"]),
        ("/finetune", ["finetune", "3"]),
        ("/teacher/member-0", ["no members"]),
        ("/studnet", ["studnet"]),
        ("-missing", ["config.json", "working directory"]),
    ],
)
def test_a_model_that_a_run_has_not_is_refused(part, facts, finished):
    name = f"run:{finished}{part}"
    with refused(ConfigError, "teacher.weights", repr(name), *facts):
        run_model.find(name, setting="teacher.weights")


def test_an_unfinished_run_is_refused(tmp_path):
    first = write(tmp_path / "first", is_finished=False)
    config = taught(tmp_path, f"run:{first}")
    with refused(ConfigError, "teacher.weights", "not finished", "results.json"):
        take_over(config, None)
    (first / "results.json").write_text("[")
    with refused(StorageError, first / "results.json"):
        take_over(config, None)


def test_a_run_in_which_a_process_trains_is_refused(tmp_path):
    first = write(tmp_path / "first")
    (first / "lease.json").write_text("{}")
    with refused(ConfigError, "teacher.weights", f"'run:{first}'", "trains"):
        take_over(taught(tmp_path, f"run:{first}"), None)


def test_a_study_is_refused_with_its_runs(tmp_path):
    first = write(tmp_path / "first")
    (first / "study.json").write_text("{}")
    with refused(ConfigError, "teacher.weights", first / "cells"):
        take_over(taught(tmp_path, f"run:{first}"), None)


def test_a_model_that_is_gone_is_refused(tmp_path):
    first = write(tmp_path / "first")
    (first / "student/seed-3/model.keras").unlink()
    with refused(ConfigError, "teacher.weights", first / "student/seed-3/model.keras"):
        take_over(taught(tmp_path, f"run:{first}"), None)


@pytest.mark.parametrize(
    ("stated", "facts"),
    [
        (["teacher.model='cnn'"], ["teacher.model", "'mlp'", "'cnn'"]),
        (["teacher.model='mlp'"], ["teacher.options", "(5, 6)", "(800, 800)"]),
        (["teacher.image_size=64"], ["teacher.image_size", "32", "64"]),
    ],
)
def test_another_architecture_than_the_runs_is_refused(
    stated, facts, finished, tmp_path
):
    config = taught(tmp_path, f"run:{finished}", *stated)
    with refused(ConfigError, f"'run:{finished}'", *facts):
        take_over(config, None)


def test_the_same_architecture_may_be_stated(finished, tmp_path):
    stated = ("teacher.model='mlp'", "teacher.options.hidden_sizes=[5, 6]")
    name = f"run:{finished}"
    config = take_over(taught(tmp_path, name, *stated), None)
    assert config == take_over(taught(tmp_path, name), None)


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        (["student.weights='run:runs/first'"], ["student.weights", "model.keras"]),
        (["student.model='run'"], ["student.model", "student.weights"]),
        (["teacher.weights='a.keras'"], ["teacher.model"]),
        (["teacher.model='saved'"], ["teacher.options.path"]),
    ],
)
def test_runs_are_named_by_teachers_alone(settings, facts, tmp_path):
    with refused(ConfigError, *facts):
        taught(tmp_path, "run:runs/first", *settings)


def test_a_run_that_has_begun_goes_on_without_the_other(tmp_path):
    first = write(tmp_path / "first")
    own = epath.Path(tmp_path / "second")
    name = f"run:{first}"
    begun = take_over(taught(tmp_path, name), own)
    workdir.claim(own, begun)
    (own / "teacher").mkdir()
    (own / "teacher" / "model.keras").write_text("a copy")
    moved = first.rename(tmp_path / "moved")
    assert take_over(taught(tmp_path, name), own) == begun

    # It may go on from the place to which the other has moved, but with no other model.
    checksum = folders.checksum(epath.Path(moved / "student/seed-3/model.keras"))
    weight_checksums.keep(own, "teacher.weights", checksum)
    assert take_over(taught(tmp_path, f"run:{moved}"), own).teacher.model == "mlp"
    with refused(ConfigError, "teacher.weights", checksum, own / "weights.json"):
        take_over(taught(tmp_path, f"run:{moved}/student/seed-4"), own)


def test_classes_and_shape_of_the_run_must_be_the_datas(finished, tmp_path, capsys):
    name = f"run:{finished}"
    config = take_over(taught(tmp_path, name), None)

    def file(classes, shape):
        models = NamedModels(config, None, Workers(None))
        return models.file(name, classes, shape, setting="teacher.weights")

    assert file(CLASSES, (28, 28, 1)) == str(finished / "student/seed-3/model.keras")
    # Their names are the run's.
    assert "does not say" not in capsys.readouterr().err
    with refused(ConfigError, "teacher.weights", "emu", "cat, dog"):
        file(["cat", "emu"], (28, 28, 1))
    with refused(ConfigError, "teacher.weights", "another order"):
        file(["dog", "cat"], (28, 28, 1))
    with refused(ConfigError, "teacher.weights", "[32, 32, 1]", "[28, 28, 1]"):
        file(CLASSES, (32, 32, 1))


def test_the_home_folder_and_relative_paths_are_as_elsewhere(
    finished, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(finished.parent))
    config = taught(tmp_path, "run:~/first")
    assert config.teacher.weights == f"run:{finished}"
    monkeypatch.chdir(finished.parent)
    assert take_over(taught(tmp_path, "run:first"), None).teacher.model == "mlp"
    with refused(ConfigError, "teacher.weights", "run:second", "working directory"):
        take_over(taught(tmp_path, "run:second"), None)


def test_an_unreachable_store_is_told(tmp_path):
    with pytest.raises(StorageError) as caught:
        take_over(taught(tmp_path, "run:none://bucket/run"), None)
    assert_states(str(caught.value), "teacher.weights", "none://bucket/run")
