"""Predictions for rows of tables, against NumPy and the run's own evaluation."""

import csv
import io
import json
import shutil

import keras
import numpy as np
import pytest
from etils import epath

from tests.helpers.messages import assert_a_line_states, assert_states
from tests.helpers.oracle import softmax
from trainer import config, data, exit_codes, main, models
from trainer.config import EvaluateView
from trainer.storage import model_classes

CONFIG = """
name = "rows"
[data]
dataset = "csv:{table}"
label_column = "kind"
train_split = "train[:50%]"
validation_split = "train[50%:70%]"
test_split = "train[70%:]"
[teacher]
model = "mlp"
options.hidden_sizes = [4]
train = {{global_batch_size = 8, steps = 2}}
[student]
model = "mlp"
options.hidden_sizes = [3]
train = {{global_batch_size = 8, steps = 4}}
[runtime]
steps_per_loop = 2
log_every_steps = 2
eval_every_steps = 4
save_every_steps = 4
eval_batch_size = 16
"""
COUNT = 60
NAMES = ("b", "wide, or high")
MEAN, VARIANCE = np.array([5.0, -1e3]), np.array([4.0, 1600.0])


def write_table(path):
    """A table in which labels stand between the features, which it gives: [M, 2]."""
    rng = np.random.default_rng(0)
    width, height = rng.normal(5, 2, COUNT), rng.normal(-1e3, 40, COUNT)
    kinds = np.where(width + height / 20 > -45, *NAMES)
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["width", "kind", "height"])
        table.writerows(zip(width, kinds, height, strict=True))
    return np.stack([width, height], axis=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run whose student is untrained, and the rows of its table."""
    folder = tmp_path_factory.mktemp("rows")
    features = write_table(folder / "table.csv")
    (folder / "rows.toml").write_text(CONFIG.format(table=folder / "table.csv"))
    settings = config.load(str(folder / "rows.toml"))
    student = folder / "run" / "student" / "seed-0"
    student.mkdir(parents=True)
    (folder / "run" / "config.json").write_text(json.dumps(config.resolve(settings)))
    model = models.build(
        "mlp",
        settings.student.options,
        inputs=models.Inputs(
            shape=(2,), mean_and_variance=(MEAN, VARIANCE), dtype="float32"
        ),
        num_classes=len(NAMES),
        seed=1,
        precision="float32",
        setting="student",
    )
    model.save(student / "model.keras")
    columns = ("width", "height")
    file = epath.Path(student / "model.keras")
    model_classes.write(file, NAMES, EvaluateView(), columns)
    np.savez(
        folder / "run" / "predictions.npz",
        class_names=np.array(NAMES),
        example_images=np.zeros((0, 2), np.float32),
    )
    return folder, features


def predict(run, *words):
    workdir = f"--workdir={run[0] / 'run'}"
    return main.main(["trainer", "predict", workdir, *map(str, words)])


def expected(run):
    """Probabilities of all rows, by the weights of the file in NumPy: [M, C]."""
    folder, features = run
    file = folder / "run" / "student" / "seed-0" / "model.keras"
    model = keras.models.load_model(file, compile=False)
    weights = [weight.astype(np.float64) for weight in model.get_weights()[-4:]]
    rows = (features - MEAN) / np.sqrt(VARIANCE)
    hidden = np.maximum(rows @ weights[0] + weights[1], 0)
    return softmax(hidden @ weights[2] + weights[3])


def test_each_row_of_a_table_is_predicted_and_numbered(run, capsys):
    folder, _ = run
    out = folder / "out.json"
    more = ("--set=predict.all_probabilities=true", f"--output={out}")
    assert predict(run, folder / "table.csv", *more) == 0
    assert_states(capsys.readouterr().out, out, f"{COUNT} of {COUNT} rows")
    answers = json.loads(out.read_text())
    assert [one["row"] for one in answers] == list(range(COUNT))
    assert {one["path"] for one in answers} == {str(folder / "table.csv")}
    probs = [[one["probabilities"][name] for name in NAMES] for one in answers]
    np.testing.assert_allclose(probs, expected(run), atol=1e-5)
    assert [one["class"] for one in answers] == [
        NAMES[i] for i in expected(run).argmax(axis=1)
    ]


def test_features_are_known_by_their_names_in_any_file(run, tmp_path, capsys):
    _, features = run
    rows = features[:3].tolist()
    text = "\n".join(
        f"{i},{height!r},{width!r}" for i, (width, height) in enumerate(rows)
    )
    (tmp_path / "a.csv").write_text(f"id,height,width\n{text}\n")
    np.savez(
        tmp_path / "b.npz",
        height=features[:3, 1],
        width=features[:3, 0],
        more=np.eye(3),
    )
    (tmp_path / "notes.txt").write_text("no table")
    assert predict(run, tmp_path) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    places = [(row["path"], row["row"]) for row in table]
    names = [str(tmp_path / name) for name in ("a.csv", "b.npz")]
    assert places == [(name, str(i)) for name in names for i in range(3)]
    found = [float(row["probability"]) for row in table]
    right = expected(run)[:3].max(axis=1)
    np.testing.assert_allclose(found, np.concatenate([right, right]), atol=1e-5)


def test_what_is_no_row_of_the_model_is_told_and_the_others_are_answered(
    run, tmp_path, capsys
):
    lines = ["width,height", "1,2", "1_0,2", "1,", "1,nan", "1,2,3", "1e39,2", "3,4"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "b.csv").write_text("width,depth\n1,2\n")
    np.savez(tmp_path / "c.npz", width=np.ones(2), height=np.ones(3))
    np.savez(tmp_path / "d.npz", width=np.ones(2), height=np.array(["1", "2"]))
    (tmp_path / "e.csv").write_text("width,width,height\n1,2,3\n")
    (tmp_path / "f.txt").write_text("width,height\n1,2\n")
    words = [tmp_path / name for name in ("a.csv", "b.csv", "c.npz", "d.npz", "e.csv")]
    assert predict(run, *words, tmp_path / "f.txt") == exit_codes.CHECK_FAILED
    printed = capsys.readouterr()
    table = list(csv.DictReader(io.StringIO(printed.out, newline="")))
    assert [row["row"] for row in table] == ["0", "6"]
    for facts in (
        ("line 3", "'width'", "'1_0'"),
        ("line 4", "'height'", "empty"),
        ("line 5", "'height'", "'nan'"),
        ("line 6", "2 cells", 3),
        ("'width'", "float32", "1e+39"),
        ("b.csv", "'height'", "'depth'"),
        ("c.npz", "'height'", 3),
        ("d.npz", "'height'", "<U1"),
        ("e.csv", "'width'"),
        ("f.txt", ".csv"),
    ):
        assert_a_line_states(printed.err, *facts)
    assert_states(printed.err.splitlines()[-1], "2 of 7 rows", 10)


def test_a_file_alone_does_not_tell_its_features(run, tmp_path, capsys):
    folder, _ = run
    alone = shutil.copy(folder / "run" / "student/seed-0/model.keras", tmp_path)
    words = [str(folder / "table.csv"), f"--set=predict.model='{alone}'"]
    assert main.main(["trainer", "predict", *words]) == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, alone, "2 features", "--workdir")


def test_a_run_that_kept_no_names_has_those_of_its_table(run, tmp_path, capsys):
    folder, _ = run
    workdir = shutil.copytree(folder / "run", tmp_path / "run")
    (workdir / "student" / "seed-0" / "classes.model.keras.json").unlink()
    table = folder / "table.csv"
    settings = config.load(str(folder / "rows.toml"))
    lists = epath.Path(workdir / "files")
    data.hold_contents(data.open_source(settings.data, lists), lists, may_write=True)
    words = ["trainer", "predict", f"--workdir={workdir}", str(table)]
    assert main.main(words) == 0
    rows = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    found = [float(row["probability"]) for row in rows]
    np.testing.assert_allclose(found, expected(run).max(axis=1), atol=1e-5)
    text = table.read_text()
    try:
        table.write_text(text.replace("width,kind", "depth,kind"))
        assert main.main(words) == exit_codes.UNUSABLE
        assert_states(capsys.readouterr().err, table, "SHA-256")
    finally:
        table.write_text(text)


@pytest.mark.slow
def test_a_run_predicts_its_own_rows_as_it_was_evaluated(tmp_path, capsys):
    write_table(tmp_path / "table.csv")
    (tmp_path / "rows.toml").write_text(CONFIG.format(table=tmp_path / "table.csv"))
    own = [f"--config={tmp_path / 'rows.toml'}", f"--workdir={tmp_path / 'run'}"]
    root = f"--set=registry.root='{tmp_path / 'root'}'"
    formats = "--set=export.formats=['keras']"
    for words in (["run"], ["export", formats], ["registry", "register", root]):
        assert main.main(["trainer", *words, *own]) == 0
    with np.load(tmp_path / "run" / "predictions.npz") as arrays:
        ids, logits = arrays["ids"], arrays["student_logits"]
    right = softmax(logits)
    # By the run, by its file and by its version, which tell their features.
    for words in (
        [f"--workdir={tmp_path / 'run'}"],
        [f"--set=predict.model='{tmp_path / 'run'}/export/model.keras'"],
        ["--set=predict.model='registry:rows@1'", root],
    ):
        out = tmp_path / "out.json"
        more = ("--set=predict.all_probabilities=true", f"--output={out}")
        words = ["trainer", "predict", str(tmp_path / "table.csv"), *words, *more]
        assert main.main(words) == 0, capsys.readouterr().err
        answers = json.loads(out.read_text())
        names = sorted(answers[0]["probabilities"])
        probs = [[one["probabilities"][name] for name in names] for one in answers]
        np.testing.assert_allclose(np.array(probs)[ids], right, atol=1e-5)
