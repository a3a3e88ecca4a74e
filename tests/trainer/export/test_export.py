"""Models in other formats, in processes without this package, and from the registry."""

import contextlib
import io
import json
import pathlib
import shutil
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
from etils import epath

from tests.helpers import whole_run
from tests.helpers.messages import assert_states
from tests.helpers.oracle import softmax
from tests.helpers.pages import undrawn
from trainer import export, main
from trainer.config import ExportConfig
from trainer.stages import export as stage
from trainer.storage import files, locks, seal

SERVED = """
import sys
sys.modules["trainer"] = sys.modules["keras"] = None  # cannot be imported
import numpy as np, tensorflow as tf
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
images = np.load(sys.argv[2])
found = signature(image=tf.constant(images))
# Strings come as objects, which np.load does not take.
arrays = {name: np.array(value.numpy().tolist()) for name, value in found.items()}
np.savez(sys.argv[3], **arrays)
"""
RUN_ONNX = """
import sys
sys.modules["trainer"] = sys.modules["keras"] = sys.modules["tensorflow"] = None
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
np.save("out.npy", session.run(["probabilities"], {"image": np.load("images.npy")})[0])
"""


def values(*, accuracy: float, difference: float) -> export.Measured:
    return export.Measured(
        max_difference=difference,
        agreement=1.0,
        accuracy=accuracy,
        num_bytes=1,
        ms_per_example=1.0,
    )


@pytest.mark.parametrize(
    ("name", "accuracy", "difference", "is_wrong"),
    [
        ("saved_model", 0.9, 0.9e-5, False),
        ("saved_model", 0.9, 1.1e-5, True),
        ("keras", 0.9, float("nan"), True),
        ("onnx", 0.9, 0.9e-5, False),
        ("onnx", 0.9, 1.1e-5, True),
        ("tflite_float32", 0.8989, 1e-3, True),
        ("tflite_float16", 0.8991, 1e-3, False),
        ("tflite_float16", 0.9011, 1e-3, True),
        ("tflite_int8", 0.8951, 0.2, False),
        ("tflite_int8", 0.8949, 0.2, True),
        ("tflite_int8", 0.9, float("nan"), True),
    ],
)
def test_formats_are_judged_by_what_they_promise(name, accuracy, difference, is_wrong):
    found = {
        "model": values(accuracy=0.9, difference=0.0),
        name: values(accuracy=accuracy, difference=difference),
    }
    problems = export.find_problems(found, section=ExportConfig())
    assert len(problems) == is_wrong
    for problem in problems:
        assert_states(problem, name)


def test_another_export_in_a_workdir_is_waited_for(tmp_path, capsys):
    path, order, told = epath.Path(tmp_path), [], ""

    def second():
        with stage._alone(path):
            order.append("second")

    thread = threading.Thread(target=second)
    with locks.try_lock(path / "export.lock"):
        thread.start()
        while "waited for" not in told:
            told += capsys.readouterr().err
        assert_states(told, path)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_an_earlier_export_stays_until_another_one_is_whole(tmp_path):
    target = epath.Path(tmp_path) / "export"

    def export_as(text, *, fails=False):
        with stage._replacing(target) as folder:
            files.write_text(folder / f"{text}.keras", text)
            if fails:
                raise KeyboardInterrupt

    def contents():
        return {str(path.relative_to(tmp_path)) for path in files.walk(target.parent)}

    export_as("first")
    with pytest.raises(KeyboardInterrupt):
        export_as("second", fails=True)
    assert contents() == {"export/first.keras"}
    export_as("third")
    assert contents() == {"export/third.keras"}


def command(*words: object, draws: bool = False) -> tuple[int, str]:
    """Exit code and standard output."""
    with (
        contextlib.nullcontext() if draws else undrawn(),
        contextlib.redirect_stdout(io.StringIO()) as out,
    ):
        code = main.main(["trainer", *map(str, words)])
    return code, out.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tfds_dir) -> tuple[pathlib.Path, list[str]]:
    """A finished run in mixed precision, and the flags that it was started with."""
    folder = tmp_path_factory.mktemp("finished")
    config = whole_run.write_config(folder, tfds_dir)
    flags = [
        f"--config={config}",
        f"--workdir={folder / 'run'}",
        f'--set=registry.root="{folder / "registry"}"',
        "--set=seeds=[0]",
        '--set=student.precision="mixed_bfloat16"',
        # Of a model that has hardly learned, rounding decides too many classes.
        *("--set=student.train.steps=400", "--set=runtime.eval_every_steps=100"),
        *("--set=runtime.save_every_steps=100", '--set=data.test_split="test"'),
    ]
    assert command("run", *flags)[0] == 0
    return folder, flags


@pytest.mark.slow
def test_every_format_answers_as_the_model_does(finished):
    folder, flags = finished
    code, told = command("export", *flags)
    assert code == 0, told
    written = json.loads((folder / "run" / "export" / "export.json").read_text())
    found = written["formats"]
    assert list(found) == ["model", *ExportConfig().formats]
    assert written["problems"] == []
    right = found["model"]["accuracy"]
    for name in ("keras", "saved_model"):
        assert found[name]["max_difference"] <= 1e-5
    assert abs(found["tflite_float16"]["accuracy"] - right) <= 0.001
    assert abs(found["tflite_int8"]["accuracy"] - right) <= 0.005
    # A quarter of the bits, and the format's own bytes.
    int8, float32 = (
        found[f"tflite_{kind}"]["num_bytes"] for kind in ("int8", "float32")
    )
    assert int8 < 0.4 * float32
    assert float32 == (folder / "run" / "export" / "float32.tflite").stat().st_size
    assert "tflite_int8" in told
    # Of 2,000 test examples the bfloat16 that trained differs in a few.
    results = json.loads((folder / "run" / "results.json").read_text())
    tested = results["models"]["student"]["test"]["accuracy"]
    assert abs(tested - right) <= 0.01

    assert command("report", *flags, draws=True)[0] == 0
    page = (folder / "run" / "report" / "index.html").read_text()
    assert "<h2>Export</h2>" in page


@pytest.mark.slow
def test_a_format_that_is_too_far_off_fails_the_check(finished, capsys):
    folder, flags = finished
    # Ranges learnt from one image do not hold for others.
    only = ['--set=export.formats=["tflite_int8"]', "--set=export.int8_tolerance=0.0"]
    code, told = command("export", *flags, *only, "--set=export.calibration_examples=1")
    assert code == 5, told
    assert_states(capsys.readouterr().err, "tflite_int8", "export.int8_tolerance")
    exported = folder / "run" / "export"
    # Of the export before nothing is left that could be taken for this one's.
    assert {path.name for path in exported.iterdir()} == {
        *("export.json", "int8.tflite", "classes.int8.tflite.json")
    }
    written = json.loads((exported / "export.json").read_text())
    assert [text.partition(" ")[0] for text in written["problems"]] == ["tflite_int8"]


@pytest.mark.slow
def test_a_registered_model_serves_without_this_package_and_teaches(finished, tmp_path):
    folder, flags = finished
    code, told = command("registry", "register", *flags)
    assert (code, told.split(" in ")[0]) == (0, "registered: registry:small@1")
    version = folder / "registry" / "small" / "1"
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    subprocess.run(
        [sys.executable, "-c", SERVED, str(version), "images.npy", "answers.npz"],
        cwd=tmp_path,
        check=True,
    )
    answers = np.load(tmp_path / "answers.npz")
    model = keras.models.load_model(version / "model.keras", compile=False)
    own = softmax(model(images).numpy())
    np.testing.assert_allclose(answers["probabilities"], own, atol=1e-5)
    assert answers["class_names"].tolist() == [[b"%d" % i for i in range(10)]] * 5

    card = json.loads((version / "card.json").read_text())
    results = json.loads((folder / "run" / "results.json").read_text())
    assert (
        card["metrics"]["test"]["errors"]
        == (results["models"]["student"]["test"]["errors"])
    )
    assert card["model"]["parameters"] == 12_730  # 785 * 16 + 17 * 10
    assert set(card["latency"]["ms_per_example"]) == {"1", "256"}

    config = tmp_path / "taught.toml"
    text = (folder / "small.toml").read_text()
    train = text[text.index("[teacher]") : text.index("[student]")]
    taught = '[teacher]\nmodel = "mlp"\noptions.hidden_sizes = [16]\n'
    config.write_text(
        text.replace(train, f'{taught}weights = "registry:small@latest"\n\n')
    )
    ways = {
        "weights": [],
        "whole": [
            '--set=teacher.model="saved"',
            '--set=teacher.weights=""',
            "--set=teacher.options={path = 'registry:small@1', input = 'zero_to_255'}",
        ],
    }
    for name, more in ways.items():
        code, told = command(
            *("teacher", f"--config={config}", f"--workdir={tmp_path / name}"),
            *(f'--set=registry.root="{folder / "registry"}"', *more),
        )
        assert code == 0, told
        copied = whole_run.weights(tmp_path / name / "teacher" / "model.keras")
        for own_weights, its in zip(model.weights, copied, strict=True):
            np.testing.assert_array_equal(own_weights.numpy(), its)
    lock_dir = seal.parse((tmp_path / "weights" / "registered.json").read_bytes())
    assert lock_dir == {"teacher.weights": "small@1"}


@pytest.mark.slow
def test_a_workdir_says_all_of_its_run(finished, tmp_path):
    folder, flags = finished
    run = shutil.copytree(folder / "run", tmp_path / "run")
    own = f"--workdir={run}"
    student = run / "student" / "seed-0" / "model.keras"
    code, told = command("export", own, '--set=export.formats=["keras"]')
    assert code == 0, told
    assert_same(run / "export" / "model.keras", student)
    code, told = command(
        *("registry", "register", own, f"--set=registry.root={tmp_path / 'versions'}")
    )
    assert (code, told.split(" in ")[0]) == (0, "registered: registry:small@1")
    assert_same(tmp_path / "versions" / "small" / "1" / "model.keras", student)
    before = student.read_bytes()
    code, told = command("run", own, "--set=seeds=[0, 1]")
    assert code == 0, told
    assert (run / "student" / "seed-1" / "model.keras").is_file()
    assert student.read_bytes() == before
    again = [*flags, own, "--set=seeds=[0, 1]"]
    for name in ("evaluate", "report"):
        assert command(name, own) == command(name, *again) == (0, told)


def assert_same(file: pathlib.Path, other: pathlib.Path) -> None:
    """Both files hold the same weights."""
    pairs = zip(whole_run.weights(file), whole_run.weights(other), strict=True)
    for own, its in pairs:
        np.testing.assert_array_equal(own, its)


@pytest.mark.slow
def test_what_is_not_there_yet_is_told(finished, tmp_path, capsys):
    _, flags = finished
    elsewhere = [*flags, f"--workdir={tmp_path / 'empty'}"]
    assert command("export", *elsewhere)[0] == 2
    assert_states(capsys.readouterr().err, "python -m trainer student")
    assert command("registry", "register", *elsewhere)[0] == 2
    assert_states(capsys.readouterr().err, "python -m trainer evaluate")
    assert command("registry", "register", *flags, '--set=registry.root=""')[0] == 2
    assert_states(capsys.readouterr().err, "registry.root")


@pytest.mark.slow
def test_an_onnx_file_answers_without_tensorflow_and_this_package(finished, tmp_path):
    folder, flags = finished
    code, told = command("export", *flags, '--set=export.formats=["onnx"]')
    assert code == 0, told
    exported = folder / "run" / "export"
    [entry] = [
        values
        for name, values in json.loads((exported / "export.json").read_text())[
            "formats"
        ].items()
        if name == "onnx"
    ]
    assert entry["max_difference"] <= 1e-5
    assert entry["num_bytes"] == (exported / "model.onnx").stat().st_size
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    subprocess.run(
        [sys.executable, "-c", RUN_ONNX, str(exported / "model.onnx")],
        cwd=tmp_path,
        check=True,
    )
    trained = folder / "run" / "student" / "seed-0" / "model.keras"
    model = keras.models.load_model(trained, compile=False)
    # Which trained in bfloat16, and leaves in float32.
    own = softmax(model(images).numpy().astype(np.float32))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), own, atol=0.02)


@pytest.mark.slow
def test_formats_whose_packages_are_missing_name_their_extra(
    finished, monkeypatch, capsys
):
    _, flags = finished
    for package, name, extra in (
        ("tf2onnx", "onnx", "onnx"),
        ("ai_edge_litert", "tflite_int8", "export"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            assert command("export", *flags, f"--set=export.formats=['{name}']")[0] == 2
        assert_states(capsys.readouterr().err, "export.formats", f"alambic[{extra}]")
