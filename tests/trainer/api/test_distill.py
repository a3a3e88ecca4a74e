"""A run from Python: models in memory, what comes of them, and the same call again."""

import dataclasses
import json
import os
import pickle
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import trainer
from tests.helpers import python_runs
from tests.helpers.messages import assert_a_line_states, assert_states, refused
from tests.helpers.oracle import softmax
from tests.helpers.pages import undrawn
from tests.helpers.python_runs import SETTINGS, distill, same
from trainer import main
from trainer.config import ConfigError
from trainer.data import DataError

TRAINED = SETTINGS | {"teacher": {"train": {"global_batch_size": 30, "steps": 1}}}


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.events = []

    def on_train_begin(self, logs=None):
        self.events.append(("begin", self.model.name, self.params["epochs"]))

    def on_train_end(self, logs=None):
        self.events.append(("end", None, None))

    def on_epoch_end(self, epoch, logs=None):
        self.events.append(("epoch", epoch, dict(logs)))

    def on_test_end(self, logs=None):
        self.events.append(("test", None, dict(logs)))

    def of(self, kind):
        return [(where, what) for name, where, what in self.events if name == kind]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    return {
        name: python_runs.digits(split, folder)
        for name, split in (("train", "train[:600]"), ("test", "test[:500]"))
    }


@pytest.fixture(scope="module")
def teacher(digits):
    model = python_runs.new_teacher()
    model.fit(*digits["train"], epochs=3, verbose=0)
    return model


@pytest.fixture(scope="module")
def student():
    return python_runs.build_student((28, 28, 1), 10)


@pytest.fixture(scope="module")
def recorder():
    return Recorder()


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def before(teacher):
    return python_runs.weights(teacher)


@pytest.fixture(scope="module")
def refusals():
    """What a call says that comes to the workdir while another one trains in it."""
    return []


@pytest.fixture(scope="module")
def result(teacher, student, recorder, workdir, before, refusals):
    def intrude(logs):
        with pytest.raises(trainer.FolderInUseError) as caught:
            distill("cnn", "mlp", workdir=workdir, config=TRAINED)
        refusals.append(str(caught.value))

    intruder = keras.callbacks.LambdaCallback(on_train_begin=intrude)
    return distill(teacher, student, workdir=workdir, callbacks=[recorder, intruder])


def errors(model, digits):
    images, labels = digits["test"]
    return int((np.asarray(model(images)).argmax(axis=1) != labels).sum())


def test_the_table_and_the_gain_are_those_of_the_models(result, digits):
    student, baseline = (
        [errors(result.model(role, seed), digits) for seed in (0, 1)]
        for role in ("student", "baseline")
    )
    saved = np.subtract(baseline, student)
    assert result.gain.per_seed == tuple(saved)
    assert result.gain.mean == saved.mean()
    assert result.gain.standard_error == saved.std(ddof=1) / 2**0.5
    assert result.metrics["models"]["teacher"]["mean"]["errors"] == errors(
        result.teacher, digits
    )
    assert_states(result.table, f"{abs(result.gain.mean):.1f}", "teacher", "baseline")
    # The page, if there is one, stands before the verdict.
    *lines, verdict = result.table.splitlines()
    assert str(result).startswith("\n".join(lines))
    assert str(result).endswith(verdict)


def test_a_teacher_with_a_softmax_teaches_by_logarithms(result, teacher, digits):
    images = digits["test"][0]
    logarithms = np.log(teacher.predict(images, verbose=0))
    np.testing.assert_allclose(result.teacher(images), logarithms, atol=1e-5)


def test_the_models_of_the_program_stay_as_they_are(result, teacher, before):
    assert all(map(np.array_equal, before, python_runs.weights(teacher)))
    assert teacher.trainable
    assert teacher.optimizer is not None


def test_each_seed_begins_with_weights_of_its_own(result, student):
    first, second = (result.model("student", seed) for seed in (0, 1))
    assert not same(first, second)
    assert not same(first, student)


def test_callbacks_hear_of_epochs_and_evaluations_of_each_student(result, recorder):
    assert [epochs for _, epochs in recorder.of("begin")] == [3, 3]
    assert len(recorder.of("end")) == 2
    assert [epoch for epoch, _ in recorder.of("epoch")] == [0, 1, 2] * 2
    lines = [
        json.loads(line)
        for seed in (0, 1)
        for line in (result.workdir / f"student/seed-{seed}/metrics.jsonl")
        .read_text()
        .splitlines()
    ]
    evaluated = [line for line in lines if "eval/accuracy" in line]
    told = [logs for _, logs in recorder.of("test")]
    assert [logs["accuracy"] for logs in told] == [
        line["eval/accuracy"] for line in evaluated
    ]
    # An epoch is 20 steps, and every tenth is evaluated.
    by_step = [logs for _, logs in recorder.of("epoch")]
    assert [logs["val_accuracy"] for logs in by_step] == [
        line["eval/accuracy"] for line in evaluated if line["step"] % 20 == 0
    ]
    losses = [line["train/loss"] for line in lines]
    np.testing.assert_allclose(
        [logs["loss"] for logs in by_step], np.reshape(losses, (-1, 4)).mean(axis=1)
    )


def test_two_calls_at_once_in_a_workdir_are_one_too_many(result, refusals, workdir):
    assert len(refusals) == 2
    assert_states(refusals[0], str(workdir), os.getpid())


def test_the_page_shows_itself_in_a_notebook(result):
    shown = result.report._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "&lt;table" in shown
    assert "baseline" in result._repr_html_()


def test_the_same_call_gives_the_same_run_back(result, teacher, student, workdir):
    # As a second process has them: from a file, and built again.
    teacher.save(workdir.parent / "teacher.keras")
    again = distill(
        keras.models.load_model(workdir.parent / "teacher.keras"),
        python_runs.build_student((28, 28, 1), 10),
        workdir=workdir,
        callbacks=[silent := Recorder()],
    )
    assert silent.events == []
    assert again.metrics == result.metrics


@pytest.mark.slow
def test_an_interrupted_call_goes_on_bit_for_bit(result, teacher, student, tmp_path):
    def interrupt(epoch, logs):
        if epoch == 1 and not interrupted:
            interrupted.append(epoch)
            os.kill(os.getpid(), signal.SIGINT)

    interrupted = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=interrupt)
    begin = lambda: distill(  # noqa: E731
        teacher, student, workdir=tmp_path, seeds=(0,), callbacks=[callback]
    )
    # A shell has its background ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with undrawn(), pytest.raises(KeyboardInterrupt) as caught:
        begin()
    signal.signal(signal.SIGINT, before)
    assert_states(str(caught.value), str(tmp_path))
    assert not (tmp_path / "student/seed-0/model.keras").exists()
    with undrawn():
        again = begin()
    assert same(again.student, result.student)
    assert same(again.baseline, result.baseline)


def test_another_teacher_is_to_be_saved_and_loaded(result, student, workdir):
    with refused(ConfigError, "teacher.options.weights", "save", "load", str(workdir)):
        distill(python_runs.new_teacher(seed=8), student, workdir=workdir)


@pytest.mark.slow
def test_other_data_of_a_finished_run_are_refused(teacher, student, digits, tmp_path):
    images, labels = (part[:100] for part in digits["train"])
    test = tuple(part[:50] for part in digits["test"])

    def call(images):
        settings = {
            "config": {"runtime": SETTINGS["runtime"]},
            "epochs": 1,
            "batch_size": 30,
            "workdir": tmp_path,
        }
        parts = {"validation": test, "test": test}
        return trainer.distill(teacher, student, (images, labels), **parts, **settings)

    first = call(images)
    assert call(images).metrics == first.metrics
    with refused(DataError, "train", str(tmp_path)):
        call(images[::-1].copy())


def test_roles_and_seeds_that_there_are_not_are_told(result):
    with refused(ConfigError, "role", "'studnt'", "'student'"):
        result.model("studnt")
    with refused(ConfigError, "seed", 5, "[0, 1]"):
        result.model("student", 5)


def test_other_settings_are_another_run(result, teacher, student, workdir):
    with refused(ConfigError, "distill.temperature", "4.0", "8.0", str(workdir)):
        distill(teacher, student, workdir=workdir, temperature=8.0)
    with refused(ConfigError, "student.options.architecture"):
        distill(
            teacher,
            python_runs.build_student((28, 28, 1), 10, units=9),
            workdir=workdir,
        )


def test_a_finished_run_exports_its_student(result, digits):
    with undrawn():
        folder = result.export(["keras"], seed=1)
    images = digits["test"][0]
    exported = keras.models.load_model(folder / "model.keras", compile=False)
    np.testing.assert_array_equal(exported(images), result.model("student", 1)(images))
    # Of a call before the second seed was added.
    before = dict(result.job.settings) | {"seeds": [0]}
    earlier = dataclasses.replace(result.job, settings=before)
    with undrawn():
        assert trainer.Result(job=earlier).export(["keras"]) == folder
    with refused(ConfigError, "export.formats", "h5"):
        result.export(["h5"])


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ({"root": None}, ("root", "None")),
        ({"root": 3}, ("root", 3)),
        ({"root": "r", "seed": np.int64(5)}, ("export.seed", "[0, 1]", 5)),
        ({"root": "r", "name": "a/b"}, ("registry.name", "'a/b'")),
        ({"root": "r", "role": "teacher", "seed": 1}, ("export.seed", "teacher", 1)),
    ],
)
def test_what_cannot_be_registered_is_told(
    result, tmp_path, monkeypatch, arguments, facts
):
    monkeypatch.chdir(tmp_path)
    with refused(ConfigError, *facts):
        result.register(**arguments)
    assert not list(tmp_path.glob("r/*/*"))


@pytest.mark.parametrize("folder", ["export", "student", "student/seed-0", "report"])
def test_nothing_is_registered_where_the_run_itself_writes(result, workdir, folder):
    with refused(ConfigError, "registry.root", f"{workdir}/{folder}/distill"):
        result.register(workdir / folder)
    assert not (workdir / folder / "distill").exists()


def test_one_format_is_a_list_too(result):
    with refused(ConfigError, "formats", "'keras'", "formats=['keras']"):
        result.export("keras")


def test_a_model_that_is_gone_is_told_by_its_file(result, workdir):
    file = workdir / "baseline" / "seed-1" / "model.keras"
    file.rename(file.with_name("aside"))
    try:
        with refused(trainer.StorageError, file):
            result.model("baseline", 1)
    finally:
        file.with_name("aside").rename(file)


def test_another_process_can_have_a_result(result, digits):
    again = pickle.loads(pickle.dumps(result))
    assert (again.gain, again.workdir) == (result.gain, result.workdir)
    images = digits["test"][0][:50]
    for own, its in ((result.student, again.student), (result.teacher, again.teacher)):
        np.testing.assert_allclose(own(images), its(images), atol=1e-5)


def test_a_teacher_that_learned_from_other_values_is_told(
    student, digits, capsys, tmp_path
):
    images, labels = digits["train"]
    layers = [keras.layers.Flatten(), keras.layers.Dense(10, use_bias=False)]
    teacher = keras.Sequential([keras.Input((28, 28, 1)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile(keras.optimizers.Adam(1e-2), loss)
    teacher.fit(images / 255, labels, epochs=3, verbose=0)
    settings = SETTINGS | {"teacher": {"min_accuracy": 1.0}}
    with refused(ConfigError, "teacher.min_accuracy"):
        distill(teacher, student, workdir=tmp_path, config=settings)
    err = capsys.readouterr().err
    assert_a_line_states(err, "teacher", "'zero_to_one'", "as they are")


@pytest.mark.slow
def test_a_finished_run_registers_its_student(result, digits, tmp_path, capsys):
    assert result.register(tmp_path / "versions", seed=1) == "registry:distill@1"
    found = result.register(str(tmp_path / "versions"), "digits", role="baseline")
    assert found == "registry:digits@1"
    told = capsys.readouterr().err
    assert_a_line_states(told, "distill@1", "student of seed 1")
    assert_a_line_states(told, "digits@1", "baseline of seed 0")
    images = digits["test"][0][:50]
    chosen = {"distill": result.model("student", 1), "digits": result.baseline}
    for name, model in chosen.items():
        # As TensorFlow alone reads it.
        version = tf.saved_model.load(str(tmp_path / "versions" / name / "1"))
        served = version.signatures["serving_default"](image=tf.constant(images))
        own = softmax(np.asarray(model(images)))
        np.testing.assert_allclose(served["probabilities"], own, atol=1e-5)
    assert result.register(tmp_path / "versions", seed=1) == "registry:distill@2"
    with refused(ConfigError, "registry.name", "'my digits'"):
        result.register(tmp_path / "versions", "my digits")


def test_its_workdir_predicts_as_the_student_does(result, digits, workdir, tmp_path):
    images = digits["test"][0][:3]
    for i, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{i}.png")
    out = tmp_path / "classes.json"
    words = ["predict", str(tmp_path), f"--workdir={workdir}", f"--output={out}"]
    assert main.main(["trainer", *words]) == 0
    probs = softmax(np.asarray(result.model("student", 0)(images)))
    found = json.loads(out.read_text())
    assert [each["class"] for each in found] == list(map(str, probs.argmax(axis=1)))
    told = [each["probability"] for each in found]
    np.testing.assert_allclose(told, probs.max(axis=1), rtol=1e-5)


@pytest.mark.slow
def test_a_file_and_a_function_of_a_package_give_the_same_students(
    result, teacher, workdir, tmp_path
):
    file = tmp_path / "teacher.keras"
    teacher.save(file)
    toml = tmp_path / "run.toml"
    toml.write_text(
        f"""
        name = "toml"
        seeds = [0]
        data = {{dataset = "mnist_mini", train_split = "train[:600]",
            validation_split = "train[9500:]", test_split = "test[:500]"}}
        distill = {{temperature = 4.0, alpha = 0.9}}
        runtime = {{steps_per_loop = 5, log_every_steps = 5, eval_every_steps = 10,
            save_every_steps = 10}}
        [teacher]
        model = "saved"
        options = {{path = "{file}", input = "zero_to_255", output = "probabilities"}}
        [student]
        model = "tests.helpers.python_runs:build_student"
        [student.train]
        global_batch_size = 30
        epochs = 3
        """.replace(",\n", ",").replace("\n            ", " ")
    )
    with undrawn():
        of_file = trainer.run(toml, tmp_path / "run")
    assert same(of_file.student, result.student)
    assert same(of_file.baseline, result.baseline)


@pytest.mark.slow
def test_two_replicas_learn_as_one(result, teacher, student, tmp_path):
    runtime = SETTINGS["runtime"] | {"logical_cpus": 2}
    with undrawn():
        mirrored = distill(
            teacher,
            student,
            workdir=tmp_path,
            seeds=(0,),
            config=SETTINGS | {"runtime": runtime},
        )
    pairs = zip(
        python_runs.weights(mirrored.student),
        python_runs.weights(result.student),
        strict=True,
    )
    for mine, its in pairs:
        np.testing.assert_allclose(mine, its, atol=1e-4)
