"""Runs whose teacher has answered on disk, small enough for a test.

The set has 5,000 images in three files; a cache of it has three shards, which begin at
other ids than the files. The students' share lies across both.
"""

import itertools
import pathlib
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.helpers import configs, whole_run
from tests.helpers.devices import numpy_of, strategy_of
from tests.helpers.tfds_sets import info
from trainer import config, models, stages
from trainer.config import MlpOptions
from trainer.data import Batch
from trainer.session import Session, train_state
from trainer.stages import soft_targets
from trainer.stages.soft_targets import caches
from trainer.stages.student import distillation, online
from trainer.storage import workdir
from trainer.train.events import read_metrics

NUM_IMAGES, NUM_FILES, SHAPE, NUM_CLASSES = 5000, 3, (6, 6, 1), 10

CACHED = "distill.soft_targets='cached'"
STREAMED = ("data.memory_budget_bytes=1000", "data.shuffle_window=300")
SHIFTED = "student.train.augment='shift'"


class Dots(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Noise in ten classes, of which each image is brightest at its class's pixel."""

    VERSION = tfds.core.Version("1.0.0")
    SEED = 0

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=SHAPE),
            "label": tfds.features.ClassLabel(num_classes=NUM_CLASSES),
        }
        return info(
            self,
            features,
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        del dl_manager  # nothing to download
        return {
            "train": self._generate_examples(NUM_IMAGES),
            "test": self._generate_examples(100),
        }

    def _generate_examples(self, count: int) -> Iterator:
        rng = np.random.default_rng(count + self.SEED)
        images = rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
        labels = images.reshape(count, -1)[:, :NUM_CLASSES].argmax(axis=1)
        pngs = tf.io.encode_png(images).numpy()
        for i, (png, label) in enumerate(zip(pngs, labels, strict=True)):
            yield i, {"image": png, "label": int(label)}


def prepare(folder: pathlib.Path, *, seed: int = 0) -> None:
    """The set, two teachers of it and the configs of runs with one, both and none."""
    builder = Dots(data_dir=folder)
    builder.SEED = seed
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=NUM_FILES)
    )
    for seed, name in enumerate(("teacher", "other")):
        write_teacher(folder / f"{name}.keras", seed=seed)
    text = configs.DOTS.format(folder=folder)
    (folder / "one.toml").write_text(text)
    teacher = text[text.index("[teacher]") : text.index("[student]")]
    members = configs.DOTS_MEMBERS.format(folder=folder)
    (folder / "members.toml").write_text(text.replace(teacher, members + "\n"))
    # Students of a teacher that is elsewhere, whose answers are in a folder.
    (folder / "elsewhere.toml").write_text(text.replace(teacher, ""))


def write_teacher(path: pathlib.Path, *, seed: int, hidden: int = 12) -> None:
    """A network that is certain of some images and in doubt about others."""
    model = models.build(
        "mlp",
        MlpOptions(hidden_sizes=(hidden,)),
        inputs=models.Inputs(shape=SHAPE),
        num_classes=NUM_CLASSES,
        seed=seed,
        precision="float32",
        setting="teacher",
    )
    model.trainable_variables[-2].assign(4 * model.trainable_variables[-2])
    model.save(path)


def session(
    world: pathlib.Path,
    folder: pathlib.Path,
    *settings: str,
    name: str = "one",
    num_replicas: int = 1,
) -> Session:
    """A run in the workdir `folder`, whose teacher is ready."""
    chosen = config.load(str(world / f"{name}.toml"), list(settings))
    opened = whole_run.session(chosen, folder, strategy_of(num_replicas))
    workdir.claim(opened.path, chosen)
    stages.STAGES["teacher"](opened)
    return opened


def cached_session(
    world: pathlib.Path, folder: pathlib.Path, *settings: str, **kind: object
) -> Session:
    """A run in the workdir `folder`, whose teacher has answered."""
    opened = session(world, folder, CACHED, *settings, **kind)
    soft_targets.build(opened)
    return opened


def taught(opened: Session, seed: int = 0) -> train_state.TrainSpec:
    """The training of the student of a seed, as its stage plans it."""
    networks, auxiliary = opened.networks, None
    model = networks.build("student", seed)
    if opened.config.distill.is_cached:
        auxiliary = caches.open_caches(networks)
        signals = auxiliary.signals()
    else:
        signals = online(networks, networks.teachers)
    return distillation(
        networks,
        model,
        signals,
        seed,
        teachers=networks.teachers,
        auxiliary=auxiliary,
    )


def batches(
    opened: Session,
    training: train_state.TrainSpec,
    num_steps: int,
    *,
    first_step: int = 0,
) -> list[Batch]:
    """The global batches of a training: arrays of all replicas, one after the other."""
    dataset = train_state.batches(opened.datasets, training, first_step)
    local = opened.devices.strategy.experimental_local_results
    return [
        {
            name: np.concatenate([part.numpy() for part in local(values)])
            for name, values in batch.items()
        }
        for batch in itertools.islice(dataset, num_steps)
    ]


def answers(opened: Session, images: np.ndarray) -> np.ndarray:
    """The first teacher's logits of some images: [B, C]."""
    logits: np.ndarray = opened.networks.teachers[0](images, training=False).numpy()
    return logits


def assert_same(actual: list[Batch], expected: list[Batch]) -> None:
    """The batches are equal in all that both have."""
    for ours, theirs in zip(actual, expected, strict=True):
        for name in ours.keys() & theirs.keys():
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def values(model: keras.Model) -> list[np.ndarray]:
    """Of all variables."""
    return [numpy_of(variable) for variable in model.variables]


def trained(opened: Session) -> tuple[list[np.ndarray], list[dict]]:
    """The last weights of a student, and what was written of its training."""
    stages.STAGES["student"](opened)
    folder = opened.networks.folder("student", opened.config.seeds[0])
    lines = [
        {k: v for k, v in line.items() if k == "step" or k.startswith("train/")}
        for line in read_metrics(folder / "metrics.jsonl")
    ]
    return whole_run.weights(folder / "last.keras"), lines


def assert_same_trainings(ours, theirs) -> None:
    """Two students have the same weights, and the same history of some lines."""
    for a, b in zip(ours[0], theirs[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert ours[1] == theirs[1]
    assert len(ours[1]) >= 5
