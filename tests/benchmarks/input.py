"""The processor time of the input: from image files and records to batches.

    python -m tests.benchmarks.input [--images=N] [--rounds=N] [--json=FILE]

It draws JPEGs of 500 x 400 and of 2000 x 1500, in class folders and in TFRecords, and
makes batches of them in three ways: as a training here, its random crops antialiased or
not; as the plain tf.data recipe of TensorFlow's ResNets (box by
sample_distorted_bounding_box, decode_and_crop_jpeg, bilinear resize, flip; at 96 px
decode, bilinear resize, padded crop, flip); and by Keras's directory loader with its
random layers. The contenders of a row take turns of eight batches in one process, with
as many calls at a time as processors and no autotuning. A figure is the time of all
threads, from when a batch is asked for until the pipeline rests again, for each image.
Linux alone says when that is.
"""

import contextlib
import dataclasses
import functools
import json
import pathlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from etils import epath
from PIL import Image

from trainer import data
from trainer.config import DataConfig
from trainer.config.augmentations import AUGMENTATIONS, InceptionCropOptions
from trainer.config.datasets import TfrecordOptions
from trainer.devices import processors

_BATCH = 64
_CALLS = processors.count()  # at a time, as a training here makes them
_ROUND_TURNS = 2  # of each contender
_TURN_BATCHES = 8  # one after another, as a training asks for them
_QUIET = 5  # looks at a pipeline that rests, one after another
_CLASSES = ("first", "second")
_SMALL, _LARGE = (400, 500), (1500, 2000)
_LARGE_SHARE = 12  # as many small images are drawn for each large one

Batches = Iterator[object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A kind of input, and what it is held against."""

    title: str
    contenders: dict[str, Callable[[], Batches]]
    bounds: dict[str, float]  # of the time of a contender / ours


def main(words: Sequence[str]) -> None:
    """Prints a table of images a second and processor, and the ratios."""
    options = dict(word.removeprefix("--").split("=", 1) for word in words)
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        rows = list(_rows(pathlib.Path(folder), int(options.get("images", 600))))
        told = [_measure(row, int(options.get("rounds", 7))) for row in rows]
    if "json" in options:
        pathlib.Path(options["json"]).write_text(json.dumps(told, indent=2))


def _measure(row: Row, num_rounds: int) -> dict[str, object]:
    batches = {name: make() for name, make in row.contenders.items()}
    for each in batches.values():  # the first batches compile
        _secs_an_image(each)
    rounds = [_round(batches) for _ in range(num_rounds)]
    medians = {name: statistics.median(x[name] for x in rounds) for name in batches}
    ratios = {
        (ours, name): statistics.median(x[name] / x[ours] for x in rounds)
        for ours in medians
        if ours.startswith("ours")
        for name in row.bounds
    }
    print(f"{row.title}: medians of {num_rounds} rounds in turn")
    for name, secs in medians.items():
        print(f"  {name}: {1000 * secs:.2f} ms, {1 / secs:,.0f} images/s a processor")
    for (ours, name), ratio in ratios.items():
        bound = row.bounds[name]
        verdict = "met" if ratio >= bound else "missed"
        print(f"  {name} / {ours}: {ratio:.2f}, at least {bound:g} asked: {verdict}")
    sys.stdout.flush()
    told = {f"{name} / {ours}": ratio for (ours, name), ratio in ratios.items()}
    return {"title": row.title, "secs": medians, "ratios": told}


def _round(batches: dict[str, Batches]) -> dict[str, float]:
    turns = [
        {name: _secs_an_image(each) for name, each in batches.items()}
        for _ in range(_ROUND_TURNS)
    ]
    return {name: statistics.mean(turn[name] for turn in turns) for name in batches}


def _secs_an_image(batches: Batches) -> float:
    started = time.process_time()
    for _ in range(_TURN_BATCHES):
        next(batches)
    # What was made ahead was made before this turn, and is made again now.
    num_quiet = 0
    while num_quiet < _QUIET:
        time.sleep(0.01)
        num_quiet = 0 if _is_at_work() else num_quiet + 1
    return (time.process_time() - started) / _BATCH / _TURN_BATCHES


def _is_at_work() -> bool:
    """Whether another thread works, or would if it had a processor."""
    own = str(threading.get_native_id())
    states = []
    for task in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            stat = (task / "stat").read_text()
            if task.name != own:
                states.append(stat.rpartition(")")[2].split()[0])
    return "R" in states or "D" in states


def _rows(folder: pathlib.Path, num_images: int) -> Iterator[Row]:
    small, large = folder / "small", folder / "large"
    _draw(small, num_images, _SMALL)
    _draw(large, max(_BATCH, num_images // _LARGE_SHARE), _LARGE)
    records = _write_records(small, folder / "train-00000.tfrecord")
    yield _folder_row("500 x 400 JPEGs", small, folder, "inception_crop", 224, 256)
    yield Row(
        title="the same from TFRecords",
        contenders={
            **_of_ours(f"tfrecord:{records}", folder, 224, "inception_crop"),
            "recipe": lambda: _recipe(_records(records), 224),
        },
        bounds={"recipe": 0.95},
    )
    yield _folder_row("500 x 400 JPEGs", small, folder, "crop_flip", 96, 104)
    yield _folder_row("2000 x 1500 JPEGs", large, folder, "inception_crop", 224, 256)


def _folder_row(
    what: str,
    images: pathlib.Path,
    folder: pathlib.Path,
    augment: str,
    size: int,
    loaded_size: int,
) -> Row:
    """Images of a folder, of which Keras crops those of the loaded size."""
    recipe = {"inception_crop": _recipe, "crop_flip": _padded_crop}[augment]
    return Row(
        title=f"{what}, {augment} at {size}",
        contenders={
            **_of_ours(f"folder:{images}", folder, size, augment),
            "recipe": lambda: recipe(_files(images), size),
            "keras": lambda: _keras(images, loaded_size, size),
        },
        bounds={"recipe": 0.95, "keras": 1.0},
    )


def _draw(folder: pathlib.Path, count: int, shape: tuple[int, int]) -> None:
    """Photographs as their spectrum falls: JPEGs of about 93 KB at 500 x 400."""
    rng = np.random.default_rng(0)
    height, width = shape
    rows, columns = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    frequency = np.hypot(rows[:, np.newaxis], columns) + 1 / width
    for i in range(count):
        channels = []
        for _ in range(3):
            noise = np.fft.rfft2(rng.standard_normal(shape)) / frequency**1.1
            channel = np.fft.irfft2(noise, shape)
            channels.append(128 + 50 * channel / channel.std())
        pixels = np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)
        path = folder / _CLASSES[i % len(_CLASSES)] / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)


def _write_records(images: pathlib.Path, path: pathlib.Path) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for file in sorted(images.rglob("*.jpg")):
            label = _CLASSES.index(file.parent.name)
            features = {
                "image": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[file.read_bytes()])
                ),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return str(path).replace("train", "{split}")


def _of_ours(
    dataset: str, folder: pathlib.Path, size: int, augment: str
) -> dict[str, Callable[[], Batches]]:
    """A training here, with the default options and, of crops, not antialiased."""
    chosen = {"ours": AUGMENTATIONS[augment]()}
    if augment == "inception_crop":
        chosen["ours, bilinear"] = InceptionCropOptions(antialias=False)
    return {
        name: functools.partial(_ours, dataset, folder, size, augment, options)
        for name, options in chosen.items()
    }


def _ours(
    dataset: str,
    folder: pathlib.Path,
    size: int,
    augment: str,
    augment_options: object,
) -> Batches:
    options = {"options": TfrecordOptions()} if dataset.startswith("tfrecord") else {}
    section = DataConfig(
        dataset=dataset,
        train_split="train[:80%]",
        validation_split="train[80%:90%]",
        test_split="train[90%:]",
        image_size=size,
        augment=augment,
        augment_options=augment_options,
        memory_budget_bytes=0,
        **options,
    )
    lists = epath.Path(tempfile.mkdtemp(dir=folder))
    source = data.open_source(section, lists)
    shown = data.augmentation(
        augment,
        section.augment_options,
        input_shape=source.input_shape,
        setting="data",
    )
    return iter(
        data.training_batches(
            source.read(section.train_split),
            augment=shown,
            views=data.Views(seed=0, count=None),
            auxiliary=None,
            seed=0,
            per_replica_batch_size=_BATCH,
            first_step=0,
            strategy=tf.distribute.OneDeviceStrategy("/cpu:0"),
        )
    )


def _files(folder: pathlib.Path) -> tf.data.Dataset:
    """Encoded images and labels, shuffled anew in each pass."""
    paths = sorted(map(str, folder.rglob("*.jpg")))
    labels = [_CLASSES.index(pathlib.Path(path).parent.name) for path in paths]
    shuffled = tf.data.Dataset.from_tensor_slices((paths, labels)).shuffle(len(paths))
    return shuffled.repeat().map(
        lambda path, label: (tf.io.read_file(path), label), num_parallel_calls=_CALLS
    )


def _records(pattern: str) -> tf.data.Dataset:
    features = {
        "image": tf.io.FixedLenFeature((), tf.string),
        "label": tf.io.FixedLenFeature((), tf.int64),
    }

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = tf.io.parse_single_example(record, features)
        return example["image"], example["label"]

    records = tf.data.TFRecordDataset(pattern.replace("{split}", "train"))
    return records.shuffle(256).repeat().map(parse, num_parallel_calls=_CALLS)


def _recipe(encoded: tf.data.Dataset, size: int) -> Batches:
    def show(contents: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            tf.io.extract_jpeg_shape(contents),
            bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            min_object_covered=0.1,
            aspect_ratio_range=(3 / 4, 4 / 3),
            area_range=(0.08, 1.0),
            max_attempts=10,
            use_image_if_no_bounding_boxes=True,
        )
        window = tf.concat([begin[:2], extent[:2]], axis=0)
        image = tf.image.decode_and_crop_jpeg(contents, window, channels=3)
        image = tf.image.resize(image, (size, size))
        return tf.image.random_flip_left_right(image), label

    return _batched(encoded.map(show, num_parallel_calls=_CALLS))


def _padded_crop(encoded: tf.data.Dataset, size: int) -> Batches:
    def show(contents: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.decode_jpeg(contents, channels=3)
        image = tf.image.resize(image, (size, size))
        image = tf.image.resize_with_crop_or_pad(image, size + 8, size + 8)
        image = tf.image.random_crop(image, (size, size, 3))
        return tf.image.random_flip_left_right(image), label

    return _batched(encoded.map(show, num_parallel_calls=_CALLS))


def _keras(folder: pathlib.Path, size: int, crop: int) -> Batches:
    loaded = keras.utils.image_dataset_from_directory(
        str(folder), image_size=(size, size), batch_size=_BATCH, verbose=False
    )
    layers = [
        keras.layers.RandomCrop(crop, crop),
        keras.layers.RandomFlip("horizontal"),
    ]

    def show(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in layers:
            images = layer(images, training=True)
        return images, labels

    shown = loaded.repeat().map(show, num_parallel_calls=_CALLS)
    return iter(shown.with_options(data.pipeline_options()))


def _batched(examples: tf.data.Dataset) -> Batches:
    batches = examples.batch(_BATCH, drop_remainder=True).prefetch(2)
    return iter(batches.with_options(data.pipeline_options()))


if __name__ == "__main__":
    main(sys.argv[1:])
