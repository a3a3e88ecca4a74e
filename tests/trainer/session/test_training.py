"""Records of a training: of one that is refused, and of one with odd periods."""

import pathlib
import shutil

from etils import epath

from tests.helpers import whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_a_line_states, refused
from trainer import config, data
from trainer.stages.teacher import teacher
from trainer.train.events import read_metrics


def test_validation_examples_that_cannot_be_read_leave_the_lines_as_they_are(
    tfds_dir, tmp_path
):
    path = whole_run.write_config(tmp_path, tfds_dir)
    text = path.read_text().replace('"test[:500]"', '"test[500:]"')
    path.write_text(text.replace('"train[9500:]"', '"test[:500]"'))
    settings = config.load(str(path))
    data.open_source(settings.data, epath.Path(tmp_path))  # which prepares the set
    own = shutil.copytree(tfds_dir, tmp_path / "tfds")
    (records,) = pathlib.Path(own).rglob("*-test.tfrecord*")
    content = bytearray(records.read_bytes())
    content[len(content) // 20] ^= 1
    records.write_bytes(content)
    path.write_text(path.read_text().replace(tfds_dir, str(own)))
    workdir = tmp_path / "work"
    metrics = workdir / "teacher" / "metrics.jsonl"
    metrics.parent.mkdir(parents=True)
    metrics.write_text('{"step": 5, "train/loss": 1.0}\n')
    with refused(data.DataError, "'test[:500]'", "mnist_mini"):
        teacher(whole_run.session(config.load(str(path)), workdir, strategy_of(1)))
    assert metrics.read_text() == '{"step": 5, "train/loss": 1.0}\n'
    assert [each.name for each in metrics.parent.iterdir()] == ["metrics.jsonl"]


def test_periods_of_a_training_are_the_nearest_multiples_and_told(tfds_dir, tmp_path):
    path = whole_run.write_config(tmp_path, tfds_dir)
    # 1,000 examples in batches of 24 are 41.6667 steps an epoch.
    periods = {"steps_per_loop": 10, "log_every_steps": 18, "eval_every_steps": "epoch"}
    sets = [f"--set=runtime.{name}={value}" for name, value in periods.items()]
    sets += ["--set=seeds=[0]", "--set=student.train.steps=90"]
    code, _, err = whole_run.do("baseline", path, tmp_path / "work", *sets)
    assert code == 0, err
    found = read_metrics(epath.Path(tmp_path / "work/baseline/seed-0/metrics.jsonl"))
    lines = {line["step"]: "eval/accuracy" in line for line in found}
    assert lines == {20: False, 40: True, 60: False, 80: True, 90: True}
    told = (
        "runtime.eval_every_steps = 'epoch'",
        41.6667,
        40,
        "runtime.log_every_steps (20)",
    )
    assert_a_line_states(err, "baseline seed 0", *told)
    assert_a_line_states(
        err, "runtime.log_every_steps = 18", 20, "runtime.steps_per_loop (10)"
    )
