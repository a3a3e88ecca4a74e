"""A training that is refused before its first step leaves its records as they are."""

import pathlib
import shutil

from etils import epath

from tests.helpers import whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from trainer import config, data
from trainer.stages.teacher import teacher


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
