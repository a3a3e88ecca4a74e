"""JPEGs have the pixels that PIL finds, wherever they are decoded."""

import io
import pathlib
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from tests.helpers import tfds_sets
from trainer import data
from trainer.config import DataConfig, EvaluateView, TfrecordOptions
from trainer.predict.images import ImageReader

SIDE, COUNT = 40, 6
RNG = np.random.default_rng(3)
SETTINGS = (
    {"quality": 90, "subsampling": "4:2:0"},
    {"quality": 60, "subsampling": "4:4:4"},
    {"quality": 90, "progressive": True},
)


def contents_of(i: int) -> bytes:
    file, mode = io.BytesIO(), "L" if i % 4 == 3 else "RGB"
    coarse = RNG.integers(0, 256, (10, 10, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    image.convert(mode).save(file, "JPEG", **SETTINGS[i % 3])
    return file.getvalue()


CONTENTS = [contents_of(i) for i in range(COUNT)]


def by_pil(channels: int) -> np.ndarray:
    """All images; grey is the luma that the file holds."""
    found = []
    for contents in CONTENTS:
        picture, mode = (
            Image.open(io.BytesIO(contents)),
            "RGB" if channels == 3 else "L",
        )
        picture.draft(mode, picture.size)
        found.append(np.asarray(picture.convert(mode)))
    return np.reshape(found, (COUNT, SIDE, SIDE, channels))


class Jpegs(tfds_sets.Tiny, skip_registration=True):
    """Images as their files hold them, all of one size."""

    CHANNELS = 3

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(SIDE, SIDE, self.CHANNELS)),
            "label": tfds.features.ClassLabel(names=["0", "1"]),
        }
        return tfds_sets.info(self, features, supervised_keys=("image", "label"))

    def _generate_examples(self, count: int) -> Iterator:
        del count
        for i, contents in enumerate(CONTENTS):
            yield i, {"image": io.BytesIO(contents), "label": i % 2}


class GreyJpegs(Jpegs, skip_registration=True):
    """The same, declared to be grey."""

    CHANNELS = 1


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("jpegs")
    with tf.io.TFRecordWriter(str(root / "a.tfrecord")) as writer:
        for i, contents in enumerate(CONTENTS):
            path = root / "images" / "train" / f"{i % 2}" / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)
            example = tf.train.Example()
            example.features.feature["image"].bytes_list.value.append(contents)
            example.features.feature["label"].int64_list.value.append(i % 2)
            writer.write(example.SerializeToString())
    for builder in (Jpegs, GreyJpegs):
        tfds_sets.prepare(builder, root)
    return root


RECORDS = TfrecordOptions(encoding="image")
SHAPED = TfrecordOptions(encoding="image", shape=(SIDE, SIDE, 3))
CONFIGS = {
    "folder": {"dataset": "folder:{root}/images", "image_size": SIDE},
    "records": {
        "dataset": "tfrecord:{root}/a.tfrecord",
        "options": RECORDS,
        "image_size": SIDE,
    },
    "records of one shape": {
        "dataset": "tfrecord:{root}/a.tfrecord",
        "options": SHAPED,
    },
    "tfds": {"dataset": "jpegs", "image_size": SIDE},
    "tfds of one shape": {"dataset": "jpegs"},
    "grey tfds of one shape": {"dataset": "grey_jpegs"},
}


@pytest.mark.parametrize("budget", [0, 2**30])
@pytest.mark.parametrize("name", CONFIGS)
def test_examples_have_the_pixels_of_pil(root, tmp_path, name, budget):
    settings = CONFIGS[name] | {"dataset": CONFIGS[name]["dataset"].format(root=root)}
    config = DataConfig(
        **settings,
        train_split="train[:4]",
        validation_split="train[4:5]",
        test_split="train[5:]",
        data_dir=str(root),
        memory_budget_bytes=budget,
    )
    examples = data.open_source(config, tmp_path / "lists").read("train")
    found = examples.read(np.arange(COUNT))
    expected = by_pil(found.shape[-1])
    assert found.shape[-1] == (1 if name.startswith("grey") else 3)
    # A set of TFDS, and a folder, have them in an order of their own.
    assert sorted(map(np.ndarray.tobytes, found)) == sorted(
        map(np.ndarray.tobytes, expected)
    )


def test_predict_sees_the_pixels_of_pil(root):
    paths = sorted(map(str, (root / "images").rglob("*.jpg")))
    reader = ImageReader(shape=(SIDE, SIDE, 3), view=EvaluateView(), background=None)
    read = {
        image.place: image.inputs
        for batch in reader.batches(paths, batch_size=4)
        for image in batch
    }
    for path in paths:
        expected = np.asarray(Image.open(path).convert("RGB"))
        np.testing.assert_array_equal(read[(path,)], expected)
