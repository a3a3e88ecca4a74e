"""A whole run on colour images: Xception from random weights teaches SqueezeNet."""

import json

import pytest

from tests.helpers import drawn_images, whole_run
from trainer import exit_codes
from trainer.train.events import read_metrics

# Minutes alone, and more beside the tests of another process.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]

CONFIG = """
name = "shapes"

[data]
dataset = "folder:{folder}"
train_split = "train[:80%]"
validation_split = "train[80%:90%]"
test_split = "train[90%:]"
image_size = 96
augment = "crop_flip"

[teacher]
model = "Xception"
image_size = 71

[teacher.train]
global_batch_size = 16
epochs = 3
learning_rate = 1e-3
schedule = "cosine"

[student]
model = "squeezenet"
options.dropout = 0.0

[student.train]
global_batch_size = 8
epochs = 4
learning_rate = 5e-4
schedule = "cosine"

[runtime]
steps_per_loop = 10
log_every_steps = 10
eval_every_steps = 30
save_every_steps = 90
eval_batch_size = 60
keep_checkpoints = 1
"""

# A part of the steps, of smaller networks, shows whether two replicas take them.
SHORT = (
    'teacher={model="MobileNet",options={alpha=0.25},image_size=32,train={global_batch_size=16,epochs=0.5}}',
    "student.train.epochs=0.5",
    "data.image_size=48",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colour")
    drawn_images.write(folder / "drawn")
    path = folder / "shapes.toml"
    path.write_text(CONFIG.format(folder=folder / "drawn"))
    return path


def outcome(config, workdir, *settings: str) -> dict[str, dict]:
    """The models of a finished run, by name."""
    sets = [f"--set={setting}" for setting in settings]
    process = whole_run.start("run", config, workdir, *sets)
    out, err = process.communicate(timeout=900)
    assert process.returncode == exit_codes.DONE, err
    assert f"report: {workdir}" in out
    return json.loads((workdir / "results.json").read_text())["models"]


def test_one_device_learns_to_tell_shapes_and_colours(config, tmp_path):
    models = outcome(config, tmp_path / "run")
    assert models["teacher"]["parameters"] == 20_877_872  # Keras's, with 8 classes
    assert models["student"]["parameters"] == 726_600
    for name, model in models.items():
        assert model["test"]["examples"] == 60
        # By chance 7.5 of 60 are right, and 20 once in 100,000 times.
        assert model["test"]["errors"] < 40, name


def test_two_mirrored_devices_take_the_same_run(config, tmp_path):
    models = outcome(config, tmp_path / "run", "runtime.logical_cpus=2", *SHORT)
    steps = {name: model["seeds"][0]["last"]["step"] for name, model in models.items()}
    assert steps == {"teacher": 15, "student": 30, "baseline": 30}
    for folder in ("teacher", "baseline/seed-0"):
        lines = read_metrics(tmp_path / "run" / folder / "metrics.jsonl")
        assert lines[-1]["train/loss"] < lines[0]["train/loss"]
