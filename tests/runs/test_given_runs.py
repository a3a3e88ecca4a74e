"""Runs on datasets that a user's own functions give."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import given_sets, groups, whole_run
from tests.helpers.kills import kill_between_two_saves
from tests.helpers.messages import assert_states
from tests.helpers.pages import undrawn
from trainer import main
from trainer.storage import seal
from trainer.train.events import read_metrics

CONFIG = """
name = "given"
[data]
dataset = "tests.helpers.given_sets:{function}"
memory_budget_bytes = {budget}
shuffle_window = 50
[teacher]
model = "mlp"
options = {{hidden_sizes = [16], input = "zero_to_one"}}
train = {{global_batch_size = 20, steps = {steps}}}
[student]
model = "cnn"
options = {{filters = [4, 4], input = "zero_to_one"}}
train = {{global_batch_size = 20, steps = 20, augment = "inception_crop"}}
[runtime]
steps_per_loop = 5
log_every_steps = 5
eval_every_steps = 100
save_every_steps = 100
"""


def write_config(folder, function, *, budget=2**30, steps=300):
    path = folder / "run.toml"
    text = CONFIG.format(function=function, budget=budget, steps=steps)
    path.write_text(text)
    return path


@pytest.mark.slow
def test_a_run_of_a_function_ends_in_a_table_and_refuses_other_data(tmp_path, capsys):
    config = write_config(tmp_path, "stream", budget=0, steps=100)
    command = whole_run.command("run", config, tmp_path / "run")
    with undrawn():
        assert main.main(command) == 0
    output = capsys.readouterr()
    assert "verdict: " in output.out
    assert_states(output.err, "240 + 30 + 30 examples of 4 classes", "8 x 8 x 1")
    results = seal.parse((tmp_path / "run" / "results.json").read_bytes())
    assert results["models"]["teacher"]["test"]["examples"] == 30
    kept = json.loads((tmp_path / "run" / "files" / "dataset.json").read_text())
    assert (kept["classes"], kept["input_dtype"]) == (list("0123"), "float32")
    assert main.main([*command, "--set=data.options={batch=7}"]) == 2
    assert_states(capsys.readouterr().err, "data.options.batch")
    # The same settings and other examples, of which streamed ones are compared too.
    own = given_sets.examples
    given_sets.examples = lambda count: tuple(part[::-1] for part in own(count))
    (tmp_path / "run" / "results.json").unlink()
    try:
        assert main.main(command) == 2
    finally:
        given_sets.examples = own
    assert_states(capsys.readouterr().err, "train of data.dataset", "--workdir")
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"")
    asked = whole_run.command("predict", config, tmp_path / "run", str(picture))
    assert main.main(asked) == 2
    assert_states(capsys.readouterr().err, "float32", "[8, 8, 1]")


@pytest.mark.slow
def test_killed_it_ends_bit_for_bit_the_same(tmp_path):
    config = write_config(tmp_path, "stream", budget=0, steps=600)
    code, _, err = whole_run.do("teacher", config, tmp_path / "a")
    assert code == 0, err
    process = whole_run.start("teacher", config, tmp_path / "b")
    kill_between_two_saves(process, tmp_path / "b" / "teacher")
    assert_goes_on_to_the_same(tmp_path, config)


def assert_begun_ends_as_whole(tmp_path, config) -> None:
    """A teacher whose last steps are taken by another start is one of a single one."""
    code, _, err = whole_run.do("teacher", config, tmp_path / "a")
    assert code == 0, err
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    folder = tmp_path / "b" / "teacher"
    for name in ("model.keras", "last.keras", "checkpoints/step-00000300.npz"):
        (folder / name).unlink()
    assert_goes_on_to_the_same(tmp_path, config)


def assert_goes_on_to_the_same(tmp_path, config) -> None:
    """What has begun in "b" ends as what is in "a"."""
    code, _, err = whole_run.do("teacher", config, tmp_path / "b")
    assert code == 0, err
    assert "from step" in err
    for file in ("last.keras", "model.keras"):
        ours, theirs = (
            whole_run.weights(tmp_path / name / "teacher" / file) for name in "ab"
        )
        for mine, its in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, its)


def write_list(folder) -> dict[str, str]:
    images, labels = given_sets.bytes_of_images()
    rows = ["path,label"]
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
        rows.append(f"{i}.png,{'abcd'[label]}")
    (folder / "images.csv").write_text("\n".join(rows) + "\n")
    return {"dataset": f'"list:{folder}/images.csv"', "image_size": "8"}


def write_records(folder) -> dict[str, str]:
    images, labels = given_sets.bytes_of_images()
    with tf.io.TFRecordWriter(str(folder / "a.tfrecord")) as writer:
        for image, label in zip(images, labels, strict=True):
            values = tf.train.BytesList(value=[image.tobytes()])
            number = tf.train.Int64List(value=[label])
            features = {
                "image": tf.train.Feature(bytes_list=values),
                "label": tf.train.Feature(int64_list=number),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    options = "{encoding = 'raw', shape = [8, 8, 1]}"
    return {
        "dataset": f'"tfrecord:{folder}/a.tfrecord"',
        "options": options,
        "memory_budget_bytes": "0",
    }


def named(folder, kind: str, world) -> dict[str, str]:
    """The data section of images in files of a kind, which it writes."""
    if kind == "list":
        return write_list(folder)
    if kind == "tfrecord":
        return write_records(folder)
    splits = {
        "train_split": '"train[:240]"',
        "validation_split": '"train[240:270]"',
        "test_split": '"train[270:300]"',
    }
    return {"dataset": f'"tfds:{world}/dots/1.0.0"', **splits}


@pytest.mark.slow
def test_begun_on_items_it_ends_bit_for_bit_the_same(tmp_path):
    assert_begun_ends_as_whole(tmp_path, write_config(tmp_path, "Items"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["list", "tfds", "tfrecord"])
def test_begun_on_files_it_ends_bit_for_bit_the_same(tmp_path, kind, world):
    (tmp_path / "data").mkdir()
    section = named(tmp_path / "data", kind, world)
    config = write_config(tmp_path, "stream")
    text = config.read_text().replace(', input = "zero_to_one"', "")
    before = text[text.index("dataset =") : text.index("[teacher]")]
    lines = "\n".join(f"{name} = {value}" for name, value in section.items())
    config.write_text(text.replace(before, lines + "\n"))
    assert_begun_ends_as_whole(tmp_path, config)


@pytest.mark.slow
def test_two_workers_stream_what_each_gets_from_the_function(tmp_path):
    config = write_config(tmp_path, "stream", budget=0, steps=20)
    workdirs = (tmp_path / "two", tmp_path / "one")
    groups.finish(tmp_path / "group", 2, "teacher", config, workdirs[0])
    assert main.main(whole_run.command("teacher", config, workdirs[1])) == 0
    two, one = (
        [
            line["train/loss"]
            for line in read_metrics(workdir / "teacher" / "metrics.jsonl")
        ]
        for workdir in workdirs
    )
    np.testing.assert_allclose(two, one, rtol=1e-4)
    write_config(tmp_path, "of_worker", steps=20)
    arguments = (tmp_path / "apart", 2, "teacher", config, tmp_path / "three")
    with groups.running(*arguments) as group:
        assert set(group.codes().values()) == {2}
        for rank in (0, 1):
            facts = ("all workers", "tests.helpers.given_sets:of_worker")
            assert_states(group.err(rank), *facts)
