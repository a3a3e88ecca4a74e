"""Predictions of a run's student for files: the same answers, and nothing lost."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from etils import epath
from PIL import Image

from tests.helpers import drawn_images, whole_run
from tests.helpers.messages import assert_a_line_states, assert_states
from tests.helpers.repository import REPOSITORY
from tests.helpers.versions import card
from trainer import config, exit_codes, main, models, registry
from trainer.evaluation.metrics import probabilities
from trainer.predict import prediction_lines

CONFIG = """
name = "shapes"
[data]
dataset = "folder:{folder}"
train_split = "train[:50%]"
validation_split = "train[50%:70%]"
test_split = "train[70%:]"
image_size = 12
[teacher]
model = "cnn"
options.filters = [4]
train = {{global_batch_size = 8, steps = 4}}
[student]
model = "mlp"
options.hidden_sizes = [6]
[student.train]
global_batch_size = 8
steps = 4
[runtime]
steps_per_loop = 2
log_every_steps = 2
eval_every_steps = 4
save_every_steps = 4
eval_batch_size = 16
"""
# As names of files and classes may be, and CSV may not.
NAMES = ('a,"b"', "line\nbreak\rreturn", "7")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The workdir of a run whose student is untrained, with what predict reads."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "shapes.toml").write_text(CONFIG.format(folder="absent"))
    settings = config.load(str(folder / "shapes.toml"))
    workdir = folder / "workdir"
    student = workdir / "student" / "seed-0"
    student.mkdir(parents=True)
    (workdir / "config.json").write_text(json.dumps(config.resolve(settings)))
    model = models.build(
        "mlp",
        settings.student.options,
        inputs=models.Inputs(shape=(12, 12, 3)),
        num_classes=len(NAMES),
        seed=1,
        precision="float32",
        setting="student",
    )
    model.save(student / "model.keras")
    np.savez(
        workdir / "predictions.npz",
        class_names=np.array(NAMES),
        example_images=np.zeros((0, 12, 12, 3), np.uint8),
    )
    return workdir


def write_images(folder, names, *, size=12):
    """Noise images in PNG, which decode to themselves: {path: pixels}."""
    rng = np.random.default_rng(0)
    written = {}
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, format="png")
        written[str(path)] = pixels
    return written


def predict(workdir, *words):
    return main.main(["trainer", "predict", f"--workdir={workdir}", *map(str, words)])


def expected(workdir, images):
    """Probabilities by Keras itself: [M, C]."""
    model = keras.models.load_model(workdir / "student/seed-0/model.keras")
    return probabilities(model(np.stack(list(images.values()))).numpy())


def test_each_image_has_a_line_in_the_order_of_names_whatever_they_hold(
    run, tmp_path, capsys
):
    odd = 'b,"c"\nd\re/1,5.png'
    images = write_images(
        tmp_path / "in",
        ["a/2.png", "a/3.PNG", odd, "z.jpeg", *map("{}.png".format, range(20))],
    )
    write_images(tmp_path / "in", [".hidden.png", ".cache/x.png", "notes.txt"])
    assert predict(run, tmp_path / "in") == 0
    table = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))
    assert table[0] == ["path", "class", "probability"]
    names = ["0.png", "1.png", *(f"{i}.png" for i in range(10, 20)), "2.png"]
    names += [*(f"{i}.png" for i in range(3, 10)), "a/2.png", "a/3.PNG", odd, "z.jpeg"]
    assert [row[0] for row in table[1:]] == [str(tmp_path / "in" / n) for n in names]
    ordered = {row[0]: images[row[0]] for row in table[1:]}
    probs = expected(run, ordered)
    assert [row[1] for row in table[1:]] == [NAMES[i] for i in probs.argmax(axis=1)]
    found = [float(row[2]) for row in table[1:]]
    np.testing.assert_allclose(found, probs.max(axis=1), rtol=1e-5)


def test_no_text_of_a_csv_is_a_formula_to_a_spreadsheet(tmp_path):
    names = ("=1+1", "+1+1", "-1", "+2.5", "-a", "@a", "\t=1", "  =1", "\uff1d1", "a=1")
    numbers = ("-1", "+2.5")
    section = config.PredictConfig(top_k=1, all_probabilities=True)
    for kind in ("csv", "jsonl"):
        file = io.StringIO()
        lines = prediction_lines.PredictionWriter(
            file, names, section, keys=["path"], format=kind
        )
        lines.write([(name,) for name in names], np.eye(len(names), dtype=np.float32))
        lines.end()
        if kind == "jsonl":
            found = [json.loads(line) for line in file.getvalue().splitlines()]
            assert [row["path"] for row in found] == list(names)
            continue
        rows = list(csv.reader(io.StringIO(file.getvalue(), newline="")))
        texts = [cell for row in rows[1:] for cell in row[:2]]
        expected = [x if x in (*numbers, "a=1") else f"'{x}" for x in names]
        assert texts == [x for x in expected for _ in range(2)]
        assert not [x for x in rows[0] if x[0] in "=+-@"]


def test_json_lines_have_the_top_classes_and_all_probabilities(run, tmp_path, capsys):
    images = write_images(tmp_path, ["1.png", "2.png"])
    out = tmp_path / "out" / "answers.jsonl"
    more = ("--set=predict.top_k=2", "--set=predict.all_probabilities=true")
    assert predict(run, *images, f"--output={out}", *more) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert_states(line, out, "2 of 2")
    probs = expected(run, images)
    for line, path, row in zip(
        out.read_text().splitlines(), images, probs, strict=True
    ):
        answer = json.loads(line)
        first, second = np.argsort(-row)[:2]
        assert answer["path"] == path
        assert answer["class"] == NAMES[first]
        assert [one["class"] for one in answer["top"]] == [NAMES[first], NAMES[second]]
        assert answer["top"][1]["probability"] == pytest.approx(row[second], rel=1e-5)
        assert list(answer["probabilities"]) == list(NAMES)
        assert list(answer["probabilities"].values()) == pytest.approx(row, rel=1e-5)


def test_what_cannot_be_read_is_told_and_the_others_are_answered(run, tmp_path, capsys):
    images = write_images(tmp_path / "in", ["1.png", "3.png"])
    (tmp_path / "in" / "2.png").write_text("no image")
    (tmp_path / "in" / "4.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "empty").mkdir()
    not_text = os.fsencode(tmp_path / "in") + b"/\xff.png"
    with open(not_text, "wb") as file:
        file.write(b"")
    out = tmp_path / "out.csv"
    words = [tmp_path / "in", tmp_path / "absent.png", tmp_path / "empty"]
    assert predict(run, *words, f"--output={out}") == exit_codes.CHECK_FAILED
    told = capsys.readouterr().err
    for name, reason in (
        ("in/2.png", "Unknown image file format"),
        ("in/4.png", "No such file or directory"),
        ("absent.png", "No such file or directory"),
        ("empty", "(.jpg, .jpeg, .png, .webp)"),
        (r"\udcff.png", "UTF-8"),
    ):
        [line] = [line for line in told.splitlines() if f"{name}'" in line]
        assert reason in line
        assert "GIF" not in line  # which TensorFlow decodes, and predict does not
    assert_a_line_states(told, "2 of 5 images")
    assert_states(told.splitlines()[-1], 5)
    with open(out, newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == list(images)


def test_files_that_go_between_listing_and_reading_are_left_out(
    run, tmp_path, capsys, monkeypatch
):
    images = write_images(tmp_path / "in", ["a/1.png", "b/2.png"])
    from trainer.predict import paths

    listed = paths.list_files

    def and_gone(*arguments):
        found = listed(*arguments)
        (tmp_path / "in/a/1.png").unlink()
        (tmp_path / "in/a").rmdir()
        return found

    monkeypatch.setattr(paths, "list_files", and_gone)
    assert predict(run, tmp_path / "in") == exit_codes.CHECK_FAILED
    printed = capsys.readouterr()
    assert "a/1.png': " in printed.err
    rows = list(csv.DictReader(io.StringIO(printed.out, newline="")))
    assert [row["path"] for row in rows] == [list(images)[1]]


def test_any_keras_file_answers_and_classes_without_a_run_are_numbers(
    run, tmp_path, capsys
):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    model.add(keras.layers.Softmax())
    path = tmp_path / "foreign.keras"
    model.save(path)
    images = write_images(tmp_path, ["1.png"], size=8)
    words = [
        *("trainer", "predict", *images, f'--set=predict.model="{path}"'),
        '--set=predict.model_input="zero_to_one"',
    ]
    assert main.main(words) == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, "predict.model_output")
    words.append('--set=predict.model_output="probabilities"')
    assert main.main(words) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    grey = np.asarray(Image.open(next(iter(images))).convert("L"))
    probs = model(grey[np.newaxis, :, :, np.newaxis] / np.float32(255)).numpy()[0]
    assert row["class"] == str(probs.argmax())
    assert float(row["probability"]) == pytest.approx(probs.max(), rel=1e-4)
    assert main.main([*words, f"--workdir={run}"]) == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, "predict.model", "3 classes", 4)


def test_a_registered_model_answers_with_the_classes_on_its_card(run, tmp_path, capsys):
    (tmp_path / "version").mkdir()
    shutil.copy(run / "student/seed-0/model.keras", tmp_path / "version")
    with registry.publishing(epath.Path(tmp_path / "root"), "shapes") as publish:
        publish(tmp_path / "version", card() | {"classes": list(NAMES)})
    images = write_images(tmp_path, ["1.png"])
    words = [*("trainer", "predict"), *images]
    words.append('--set=predict.model="registry:shapes@latest"')
    assert main.main(words) == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, "registry.root")
    assert main.main([*words, f'--set=registry.root="{tmp_path / "root"}"']) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert row["class"] == NAMES[expected(run, images)[0].argmax()]


@pytest.fixture
def icon(tmp_path):
    """A file with alpha, and its colours on each background, by PIL."""
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (12, 12, 4), dtype=np.uint8))
    image.save(tmp_path / "icon.png")
    colours = {"white": (255, 255, 255), "black": (0, 0, 0), "[9, 8, 7]": (9, 8, 7)}
    on = {"ignore": np.asarray(image.convert("RGB"))}
    for name, colour in colours.items():
        sheet = Image.new("RGB", image.size, colour)
        sheet.paste(image, mask=image.getchannel("A"))
        on[name] = np.asarray(sheet)
    return tmp_path / "icon.png", on


def answered(words, run, on, capsys):
    """On which background the only image lay, by the answer and by what is told."""
    assert main.main(["trainer", "predict", *map(str, words)]) == 0
    printed = capsys.readouterr()
    [row] = csv.DictReader(io.StringIO(printed.out, newline=""))
    found = [
        name
        for name, pixels in on.items()
        if float(row["probability"])
        == pytest.approx(expected(run, {"": pixels})[0].max(), rel=1e-5)
    ]
    assert_a_line_states(printed.err, "transparent", f"1 ({found[0]})")
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("kept", "listed", "said", "background"),
    [
        ("white", None, None, "white"),
        (None, None, None, "ignore"),
        ("white", "opaque", None, "white"),
        ("white", "[9, 8, 7]", None, "[9, 8, 7]"),
        ("white", "black", "[9, 8, 7]", "[9, 8, 7]"),
        ("black", None, '"ignore"', "ignore"),
    ],
)
def test_transparent_pixels_lie_on_what_they_did_in_the_run(
    run, tmp_path, icon, capsys, kept, listed, said, background
):
    file, on = icon
    own = shutil.copytree(run, tmp_path / "own")
    settings = json.loads((own / "config.json").read_text())
    settings["data"] = {
        name: value for name, value in settings["data"].items() if name != "background"
    } | ({"background": kept} if kept else {})
    (own / "config.json").write_text(json.dumps(settings))
    if listed:
        (own / "files").mkdir()
        line = json.dumps({"path": "a.png", "background": listed})
        (own / "files" / "train.jsonl").write_text(line + "\n")
    words = [file, f"--workdir={own}"]
    words += [f"--set=predict.background={said}"] if said else []
    assert answered(words, run, on, capsys) == background


@pytest.mark.parametrize(
    ("data", "background"),
    [({"background": "black"}, "black"), ({}, "ignore"), (None, "ignore")],
)
def test_transparent_pixels_lie_on_what_is_on_the_card(
    run, tmp_path, icon, capsys, data, background
):
    file, on = icon
    (tmp_path / "version").mkdir()
    shutil.copy(run / "student/seed-0/model.keras", tmp_path / "version")
    own = card() | {"classes": list(NAMES), "config": {"data": data}}
    with registry.publishing(epath.Path(tmp_path / "root"), "shapes") as publish:
        publish(tmp_path / "version", own)
    words = [
        *(file, '--set=predict.model="registry:shapes@1"'),
        f'--set=registry.root="{tmp_path / "root"}"',
    ]
    assert answered(words, run, on, capsys) == background


CENTRE = {"evaluate_view": "center_crop", "center_crop": 0.5}
SAID = ("evaluate_view='center_crop'", "center_crop=0.5")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kept", "said", "on_card"),
    [
        (CENTRE, (), False),
        ({}, SAID, False),
        (CENTRE | {"center_crop": 0.9}, SAID[1:], False),
        (CENTRE, (), True),
        ({}, SAID, True),
    ],
)
def test_images_are_fitted_as_the_model_learned_to_see_them(
    run, tmp_path, capsys, kept, said, on_card
):
    # In the middle of each lies an image of the model's size.
    images = write_images(tmp_path, [f"{i}.png" for i in range(6)], size=24)
    inner = {path: pixels[6:18, 6:18] for path, pixels in images.items()}
    (tmp_path / "version").mkdir()
    shutil.copy(run / "student/seed-0/model.keras", tmp_path / "version")
    own = shutil.copytree(run, tmp_path / "own")
    settings = json.loads((own / "config.json").read_text())
    settings["data"] |= kept
    (own / "config.json").write_text(json.dumps(settings))
    words = [f"--workdir={own}"]
    if on_card:
        told = card() | {"classes": list(NAMES), "config": {"data": kept}}
        with registry.publishing(epath.Path(tmp_path / "root"), "shapes") as publish:
            publish(tmp_path / "version", told)
        words = ['--set=predict.model="registry:shapes@1"']
        words.append(f'--set=registry.root="{tmp_path / "root"}"')

    def answers(*more):
        assert main.main(["trainer", "predict", *images, *words, *more]) == 0
        rows = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
        return [float(row["probability"]) for row in rows]

    centre = expected(run, inner).max(axis=1)
    flags = [f"--set=predict.{setting}" for setting in said]
    np.testing.assert_allclose(answers(*flags), centre, rtol=1e-5)
    whole = answers("--set=predict.evaluate_view='squash'")
    halves = {
        path: np.asarray(Image.fromarray(pixels).resize((12, 12), Image.BILINEAR))
        for path, pixels in images.items()
    }
    np.testing.assert_allclose(whole, expected(run, halves).max(axis=1), rtol=0.01)
    assert not np.allclose(whole, centre, rtol=1e-3)


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (
            ["predict", "--workdir=RUN", "x", "--set=predict.center_crop=0.5"],
            ["predict.center_crop", "'squash'", "0.5", "predict.evaluate_view"],
        ),
        (["predict"], ["predict", "PATH ...", "none"]),
        (["predict", "x.png"], ["--workdir", "predict.model"]),
        (["predict", "x.png", "--workdir=absent"], ["absent", "config.json"]),
        (["predict", "--workdir=RUN", "s9://b/x.png"], ["'s9://b/x.png'"]),
        (["predict", "--workdir=RUN", "x", "--output=/"], ["--output", "'/'"]),
        (
            ["predict", "--workdir=RUN", "x", "--set=predict.top_k=4"],
            ["predict.top_k", "3 classes", "got 4"],
        ),
        (
            ["predict", "--workdir=RUN", "x", "--set=name='y'"],
            ["--set", "predict", "registry", "runtime"],
        ),
        (
            ["predict", "--workdir=RUN", "x", "--set=predict.model='absent.keras'"],
            ["predict.model", "'absent.keras'", "no such file"],
        ),
        (["run", "--output=x.csv"], ["--output", "predict", "run"]),
        (["run", "--measure"], ["--measure", "doctor", "run"]),
    ],
)
def test_a_wrong_command_line_ends_with_one_sentence_and_2(words, facts, run, capsys):
    words = [word.replace("RUN", str(run)) for word in words]
    assert main.main(["trainer", *words]) == exit_codes.UNUSABLE
    printed = capsys.readouterr()
    assert_states(printed.err, *facts)
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""


def test_a_run_of_vectors_and_one_that_is_not_evaluated_are_refused(
    run, tmp_path, capsys
):
    kept = json.loads((run / "config.json").read_text())
    kept["data"] |= {"dataset": "memory:", "image_size": 0}
    (tmp_path / "config.json").write_text(json.dumps(kept))
    assert predict(tmp_path, "x.png") == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, tmp_path / "predictions.npz")
    np.savez(
        tmp_path / "predictions.npz",
        class_names=np.array(NAMES),
        example_images=np.zeros((0, 2), np.float32),
    )
    assert predict(tmp_path, "x.png") == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, "images", f"--workdir={tmp_path}")


def test_json_is_one_list_also_of_nothing(run, tmp_path, capsys):
    images = write_images(tmp_path, ["1.png", "2.png", "3.png"])
    out = tmp_path / "answers.json"
    # Two batches.
    small = "--set=runtime.eval_batch_size=2"
    assert predict(run, *images, f"--output={out}", small) == 0
    answers = json.loads(out.read_text())
    probs = expected(run, images)
    assert [one["path"] for one in answers] == list(images)
    assert [one["class"] for one in answers] == [NAMES[i] for i in probs.argmax(axis=1)]
    capsys.readouterr()
    assert predict(run, *images, "--set=predict.format='json'") == 0
    assert json.loads(capsys.readouterr().out) == answers
    (tmp_path / "none").mkdir()
    assert predict(run, tmp_path / "none", f"--output={out}") == 5
    assert json.loads(out.read_text()) == []


def test_a_kept_config_reads_as_the_file_it_came_from():
    for path in sorted((REPOSITORY / "configs").glob("*.toml")):
        settings = config.load(str(path))
        kept = json.loads(json.dumps(config.resolve(settings)))
        assert config.from_resolved(kept, (), kept_in=path) == settings


@pytest.mark.slow
@pytest.mark.parametrize("view", ["squash", "center_crop"])
def test_a_run_predicts_its_own_files_as_it_was_evaluated(tmp_path, capsys, view):
    drawn_images.write(tmp_path / "images", 96, size=20)
    settings = tmp_path / "shapes.toml"
    written = CONFIG.format(folder=tmp_path / "images")
    settings.write_text(
        written.replace("[teacher]", f'evaluate_view = "{view}"\n[teacher]')
    )
    workdir = tmp_path / "workdir"
    assert whole_run.do("run", settings, workdir)[0] == 0
    with np.load(workdir / "predictions.npz") as arrays:
        ids, labels, logits, names = (
            arrays[name] for name in ("ids", "labels", "student_logits", "class_names")
        )
    listing = (workdir / "files" / "train.jsonl").read_text().splitlines()
    lines = [json.loads(listing[i]) for i in ids]
    paths = [str(tmp_path / "images" / line["path"]) for line in lines]
    out = tmp_path / "out.jsonl"
    more = ("--set=predict.all_probabilities=true", f"--output={out}")
    assert predict(workdir, *paths, *more) == 0
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert [answer["path"] for answer in answers] == paths
    probs = [[answer["probabilities"][name] for name in names] for answer in answers]
    np.testing.assert_allclose(probs, probabilities(logits), rtol=1e-5)
    errors = sum(
        answer["class"] != names[label]
        for answer, label in zip(answers, labels, strict=True)
    )
    results = json.loads((workdir / "results.json").read_text())
    assert errors == results["models"]["student"]["test"]["errors"]
    # Whole folders too, and the file of the run as any other.
    model = f'--set=predict.model="{workdir}/student/seed-0/model.keras"'
    capsys.readouterr()
    assert predict(workdir, tmp_path / "images", model) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert len(table) == 96
    chosen = {row["path"]: row["class"] for row in table}
    assert [chosen[path] for path in paths] == [answer["class"] for answer in answers]
    # And what left the run, whose card tells how images are fitted.
    root = f'--set=registry.root="{tmp_path}/root"'
    formats = "--set=export.formats=['keras']"
    for command in (("export", formats), ("registry", "register", root)):
        words = (command[0], settings, workdir, *command[1:])
        assert main.main(whole_run.command(*words)) == 0
    (version,) = (tmp_path / "root").glob("*/1")
    told = {"evaluate_view": view}
    if view == "center_crop":
        told["center_crop"] = 0.875
        assert "87.5 %" in (version / "card.md").read_text()
    assert json.loads((version / "card.json").read_text())["input"].items() >= (
        told.items()
    )
    assert json.loads((workdir / "export" / "export.json").read_text())["input"] == told
    for model in ("registry:shapes@1", f"{workdir}/export/model.keras"):
        words = ("trainer", "predict", *paths, *more, f'--set=predict.model="{model}"')
        assert main.main([*words, root]) == 0
        again = [json.loads(line) for line in out.read_text().splitlines()]
        assert [x["class"] for x in again] == [x["class"] for x in answers]


@pytest.mark.slow
def test_in_a_process_of_its_own_it_ends_with_its_reader_and_by_sigterm(run, tmp_path):
    write_images(tmp_path / "in", [f"{i}.png" for i in range(3000)])
    command = [sys.executable, "-m", "trainer", "predict", f"--workdir={run}"]
    command += ["--set=runtime.eval_batch_size=4", str(tmp_path / "in")]
    given = {"cwd": REPOSITORY, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, stdout=subprocess.PIPE, **given) as process:
        assert process.stdout.readline() == '"path","class","probability"\n'
        process.stdout.close()
        told = process.stderr.read()
    assert process.returncode == exit_codes.UNUSABLE
    assert_states(told.splitlines()[-1], "trainer:", "standard output")
    assert "Traceback" not in told
    out = tmp_path / "out.csv"
    with subprocess.Popen([*command, f"--output={out}"], **given) as process:
        while not (tmp_path / ".writing-out.csv").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        told = process.stderr.read()
    assert process.returncode == 143
    assert_states(told.splitlines()[-1], "SIGTERM")
    assert not out.exists()
