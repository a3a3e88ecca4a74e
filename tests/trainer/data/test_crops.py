"""Parts of encoded images against PIL, and random crops that are cut out of files."""

import dataclasses
import functools
import io
import itertools
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers import worker_batches
from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from trainer import data, prng
from trainer.config import (
    DataConfig,
    EvaluateView,
    InceptionCropOptions,
    TfrecordOptions,
)
from trainer.data.box_decoder import BoxDecoder, crop_cuts
from trainer.data.decode import pixels, to_grey
from trainer.data.file_crops import with_crop
from trainer.data.image_box import evaluation_box, size_of
from trainer.data.image_parts import inception_boxes
from trainer.data.resizing import BETWEEN, EXACT, MEAN

# Of 255, mean absolute differences: of rounding and JPEG's own 1/2 and 1/4, which crops
# take sooner, and of what is resized quickly.
MOST, MOST_OF_A_CROP, MOST_QUICKLY = 0.5, 1.0, 2.0


def drawn(height: int, width: int, seed: int = 0) -> Image.Image:
    """Smooth colours and fine noise, as photographs have them."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float)
    pixels += rng.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


PICTURE = drawn(203, 260)
SIXTEEN = np.asarray(PICTURE.convert("L")).astype(np.uint16) * 256 + 77
FORMS = {
    "jpeg": encoded(PICTURE, "JPEG", quality=95),
    "jpeg grey": encoded(PICTURE.convert("L"), "JPEG", quality=95),
    "jpeg progressive": encoded(PICTURE, "JPEG", quality=95, progressive=True),
    "png": encoded(PICTURE, "PNG"),
    "png grey": encoded(PICTURE.convert("L"), "PNG"),
    "png palette": encoded(PICTURE.quantize(64), "PNG"),
    "png 16 bit": encoded(Image.fromarray(SIXTEEN), "PNG"),
    "webp": encoded(PICTURE, "WEBP", lossless=True),
}
CMYK = encoded(PICTURE.convert("CMYK"), "JPEG", quality=95)
BOXES = [(0, 0, 203, 260), (11, 23, 64, 77), (100, 131, 103, 129), (7, 9, 24, 20)]


def pixels_of(contents: bytes) -> np.ndarray:
    """All of the image, by PIL, which says nothing of the sizes that crops have."""
    image = Image.open(io.BytesIO(contents))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


def by_pil(pixels: np.ndarray, box: tuple[int, ...], size: int) -> np.ndarray:
    top, left, height, width = box
    part = Image.fromarray(pixels[top : top + height, left : left + width])
    return np.asarray(part.resize((size, size), Image.Resampling.BILINEAR), int)


def decoder_of(size: int, channels: int = 3) -> BoxDecoder:
    return BoxDecoder(shape=(size, size, channels), view=EvaluateView())


@functools.cache
def crop_of(size: int, channels: int, antialias: bool, quickly: bool):
    """Cuts one box out, and resizes it quickly or by how much of a pixel is covered."""

    @tf.function(autograph=False)
    def crop(contents: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
        cut = crop_cuts(box, (size, size), antialias=antialias)
        if not quickly:
            cut = cut._replace(fit=cut.fit._replace(way=tf.constant(EXACT)))
        return decoder_of(size, channels).crop(contents, cut, antialias=antialias)

    return crop


def decoded(
    contents, box, size, channels=3, *, antialias=True, quickly=False
) -> np.ndarray:
    crop = crop_of(size, channels, antialias, quickly)
    image = crop(tf.constant(contents), tf.constant(box))
    assert (image.shape, image.dtype) == ((size, size, channels), tf.uint8)
    return image.numpy().astype(int)


# Larger, alike, half, and an eighth: JPEG's own 1/2 and 1/4 are in it.
@pytest.mark.parametrize("size", [230, 64, 24])
@pytest.mark.parametrize("name", FORMS)
def test_a_box_is_what_pil_resizes_of_it(name, size):
    for box in BOXES:
        expected = by_pil(pixels_of(FORMS[name]), box, size)
        found = decoded(FORMS[name], box, size)
        assert np.abs(found - expected).mean() < MOST_OF_A_CROP
        grey = decoded(FORMS[name], box, size, channels=1)
        luma = to_grey(tf.constant(expected, tf.uint8)).numpy()
        assert np.abs(grey - luma).mean() < MOST_OF_A_CROP


@pytest.mark.parametrize("size", [230, 64, 24])
@pytest.mark.parametrize("name", FORMS)
def test_evaluation_is_what_pil_resizes_of_it(name, size):
    found = decoder_of(size).evaluation(tf.constant(FORMS[name])).numpy()
    expected = by_pil(pixels_of(FORMS[name]), BOXES[0], size)
    assert np.abs(found - expected).mean() < MOST


# Larger, alike, one side larger, smaller, and half.
SIDES_OF_100 = {
    (80, 90): BETWEEN,
    (98, 125): MEAN,
    (125, 98): BETWEEN,
    (100, 100): MEAN,
    (110, 140): MEAN,
    (170, 200): MEAN,
    (180, 222): MEAN,
    (200, 200): MEAN,
    (203, 260): MEAN,
    (203, 90): BETWEEN,
}


@pytest.mark.parametrize("name", ["jpeg", "jpeg grey", "png", "webp"])
def test_what_is_resized_quickly_is_near_what_pil_resizes(name):
    pixels = pixels_of(FORMS[name])
    for (height, width), way in SIDES_OF_100.items():
        box = (203 - height, 260 - width, height, width)
        cut = crop_cuts(tf.constant(box), (100, 100), antialias=True)
        assert cut.fit.way == way
        found = decoded(FORMS[name], box, 100, quickly=True)
        assert np.abs(found - by_pil(pixels, box, 100)).mean() < MOST_QUICKLY


def between(pixels: np.ndarray, size: int) -> np.ndarray:
    """Between the nearest pixels, of which the centres are half a pixel from edges."""
    for axis in (0, 1):
        count = pixels.shape[axis]
        places = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
        first = places.astype(int)
        last = np.minimum(first + 1, count - 1)
        share = np.expand_dims(places - first, (1 - axis, 2))
        pixels = (1 - share) * pixels.take(first, axis) + share * pixels.take(
            last, axis
        )
    return pixels


@pytest.mark.parametrize("size", [230, 64, 24])
@pytest.mark.parametrize("name", [*FORMS, "jpeg cmyk"])
def test_without_antialiasing_pixels_lie_between_the_nearest_ones(name, size):
    contents = (FORMS | {"jpeg cmyk": CMYK})[name]
    for box in BOXES:
        top, left, height, width = box
        if name.startswith("jpeg"):
            # As TensorFlow's ResNets have it; the colours of edges differ from those
            # of the whole image.
            part = tf.image.decode_and_crop_jpeg(
                contents, box, channels=3, dct_method="INTEGER_ACCURATE"
            ).numpy()
        else:
            whole = pixels_of(contents)
            part = whole[top : top + height, left : left + width]
        found = decoded(contents, box, size, antialias=False)
        assert np.abs(found - between(part.astype(float), size)).max() < 0.51
        grey = decoded(contents, box, size, 1, antialias=False)
        luma = to_grey(tf.constant(part)).numpy().astype(float)
        assert np.abs(grey - between(luma, size)).max() < 0.51


def test_a_box_of_cmyk_is_what_tensorflow_decodes_of_it():
    # PIL converts its colours by another formula.
    pixels = tf.io.decode_jpeg(CMYK, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    for box, size in itertools.product(BOXES, (64, 24)):
        found = decoded(CMYK, box, size)
        assert np.abs(found - by_pil(pixels, box, size)).mean() < MOST_OF_A_CROP


@pytest.mark.parametrize("name", FORMS)
def test_sizes_are_those_of_pil(name):
    assert size_of(tf.constant(FORMS[name]), pixels).numpy().tolist() == [203, 260]


def test_evaluation_shows_the_whole_image_or_its_middle():
    sizes = tf.constant([[203, 260], [100, 50], [1, 3]])
    whole = evaluation_box(EvaluateView())(sizes)
    assert whole.numpy().tolist() == [[0, 0, 203, 260], [0, 0, 100, 50], [0, 0, 1, 3]]
    # 0.875 of 203, 50 and 1 is 177.6, 43.75 and 0.875.
    middle = evaluation_box(EvaluateView(name="center_crop"))(sizes)
    assert middle.numpy().tolist() == [
        [12, 41, 178, 178],
        [28, 3, 44, 44],
        [0, 1, 1, 1],
    ]
    one = evaluation_box(EvaluateView(name="center_crop", center_crop=0.01))(
        tf.constant([20, 30])
    )
    assert one.numpy().tolist() == [9, 14, 1, 1]


SIZE, BATCH, SEED, STEPS = 24, 8, 5, 5
SIDES = [(60 + 14 * (i % 5), 68 + 10 * (i % 4)) for i in range(22)]
SUFFIXES = ("jpg", "png", "webp")


def contents_of(i: int) -> bytes:
    kind, settings = (
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
    )[i % 3]
    return encoded(drawn(*SIDES[i], seed=i), kind, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crops")
    examples = []
    for i in range(len(SIDES)):
        path = folder / "images" / f"{i % 2}" / f"{i:02}.{SUFFIXES[i % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents_of(i))
        features = {
            "image": tf.train.BytesList(value=[contents_of(i)]),
            "label": tf.train.Int64List(value=[i % 2]),
        }
        examples.append(
            tf.train.Example(
                features=tf.train.Features(
                    feature={
                        "image": tf.train.Feature(bytes_list=features["image"]),
                        "label": tf.train.Feature(int64_list=features["label"]),
                    }
                )
            ).SerializeToString()
        )
    with tf.io.TFRecordWriter(str(folder / "a.tfrecord")) as writer:
        for example in examples:
            writer.write(example)
    return folder


def file_of(path: str) -> np.ndarray:
    return pixels_of(pathlib.Path(path).read_bytes())


def examples_of(folder, kept: str) -> data.Examples:
    """The same images as files, in memory, with sizes known, or in records."""
    is_records = kept == "records"
    name = f"tfrecord:{folder}/a.tfrecord" if is_records else f"folder:{folder}/images"
    config = DataConfig(
        dataset=name,
        **({"options": TfrecordOptions(encoding="image")} if is_records else {}),
        image_size=SIZE,
        keep="files",
        memory_budget_bytes=2**30 if kept == "memory" else 0,
    )
    source = data.open_source(config, folder / "lists" / kept)
    examples = source.read("train")
    if kept == "sizes":
        sizes = [file_of(path).shape[:2] for path in examples.paths]
        examples = dataclasses.replace(examples, sizes=np.array(sizes, np.int32))
    return examples


CROP = data.augmentation(
    "inception_crop",
    InceptionCropOptions(),
    input_shape=(SIZE, SIZE, 3),
    setting="data",
)


@functools.cache
def trained_on(folder, kept, *, num_replicas=1, first_step=0, num_steps=STEPS):
    strategy = strategy_of(num_replicas)
    batches = data.training_batches(
        examples_of(folder, kept),
        augment=CROP,
        views=data.Views(seed=SEED, count=None),
        auxiliary=None,
        seed=SEED,
        per_replica_batch_size=BATCH // num_replicas,
        first_step=first_step,
        strategy=strategy,
    )
    return [
        {
            name: np.concatenate(strategy.experimental_local_results(value))
            for name, value in batch.items()
        }
        for batch in itertools.islice(batches, num_steps)
    ]


def crop_by_pil(pixels: np.ndarray, epoch: int, id_: int) -> np.ndarray:
    """The view of an example, by the sizes of its own file."""
    draws = prng.uniforms(prng.key(SEED, [epoch], [id_]), 5)
    height, width = pixels.shape[:2]
    box = inception_boxes(draws[:, :4], height=height, width=width, min_area=0.08)
    shown = by_pil(pixels, box.numpy()[0].tolist(), SIZE)
    return shown[:, ::-1] if draws[0, 4] < 0.5 else shown


KEPT = ["files", "memory", "sizes", "records"]
# Where it is a pipeline of its own that shows a fact, and not how crops are decoded.
SOME = [
    *("sizes", "records"),
    *(pytest.param(kept, marks=pytest.mark.slow) for kept in ("files", "memory")),
]


@pytest.mark.slow
@pytest.mark.parametrize("kept", KEPT)
def test_a_crop_is_of_the_pixels_of_the_file(folder, kept):
    examples = examples_of(folder, kept)
    place = {id_: row for row, id_ in enumerate(examples.ids.tolist())}
    if kept == "records":
        pixels = [pixels_of(contents_of(i)) for i in range(len(SIDES))]
    else:
        pixels = [file_of(path) for path in examples.paths]
    seen = 0
    for batch in trained_on(folder, kept):
        for id_, image in zip(batch["id"].tolist(), batch["input"], strict=True):
            epoch, seen = seen // len(SIDES), seen + 1
            expected = crop_by_pil(pixels[place[id_]], epoch, id_)
            assert np.abs(image - expected).mean() < MOST_QUICKLY


def test_a_training_crops_without_antialiasing_where_it_is_asked_for(folder):
    plain = data.augmentation(
        "inception_crop",
        InceptionCropOptions(antialias=False, flip=False),
        input_shape=(SIZE, SIZE, 3),
        setting="data",
    )
    examples = examples_of(folder, "sizes")
    shard = data.InputShard(
        per_replica_batch_size=BATCH, num_replicas=1, first_replica=0, local_replicas=1
    )
    shown = data.view_batches(
        examples, shard, augment=plain, seed=SEED, views=[3], first_id=0
    )
    found = np.concatenate([images.numpy() for images in shown])
    for row, id_ in enumerate(examples.ids.tolist()):
        pixels = file_of(examples.paths[row])
        height, width = pixels.shape[:2]
        draws = prng.uniforms(prng.key(SEED, [3], [id_]), 5)[:, :4]
        box = inception_boxes(draws, height=height, width=width, min_area=0.08)
        top, left, height, width = box.numpy()[0].tolist()
        part = pixels[top : top + height, left : left + width].astype(float)
        assert np.abs(found[row] - between(part, SIZE)).max() < 0.51


def assert_same(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        for name in ("input", "label", "id", "batch_position"):
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("kept", ["memory", "sizes"])
def test_crops_are_the_same_wherever_files_are_kept(folder, kept):
    assert_same(trained_on(folder, kept), trained_on(folder, "files"))


@pytest.mark.parametrize(
    ("kept", "num_replicas"),
    [("records", 2), pytest.param("sizes", 4, marks=pytest.mark.slow)],
)
def test_replicas_share_the_crops_of_one(folder, kept, num_replicas):
    shared = trained_on(folder, kept, num_replicas=num_replicas)
    assert_same(shared, trained_on(folder, kept))


@pytest.mark.parametrize("kept", SOME)
def test_crops_go_on_from_any_step(folder, kept):
    resumed = trained_on(folder, kept, first_step=3, num_steps=2)
    assert_same(resumed, trained_on(folder, kept)[3:])


FIRST_ID = 1000  # of what is joined to others


@pytest.mark.slow
@pytest.mark.parametrize("kept", SOME)
def test_a_teacher_is_asked_about_the_crops_that_students_see(folder, kept):
    examples = examples_of(folder, kept)
    shard = data.InputShard(
        per_replica_batch_size=BATCH, num_replicas=1, first_replica=0, local_replicas=1
    )
    shown = data.view_batches(
        examples, shard, augment=CROP, seed=SEED, views=[0, 1], first_id=0
    )
    asked = [images.numpy() for images in shown]
    assert len(asked) == 2 * 3  # 22 examples, eight at a time, in two views
    row_of = {id_: row for row, id_ in enumerate(examples.ids.tolist())}
    seen = 0
    for batch in trained_on(folder, kept):
        for id_, image in zip(batch["id"].tolist(), batch["input"], strict=True):
            view, seen = seen // len(SIDES), seen + 1
            place, within = divmod(row_of[id_], BATCH)
            np.testing.assert_array_equal(asked[2 * place + view][within], image)
    assert seen > len(SIDES)


def test_views_of_joined_images_are_those_of_the_ids_that_they_have_then(folder):
    examples = examples_of(folder, "sizes")
    joined = dataclasses.replace(examples, ids=examples.ids + FIRST_ID)
    shard = data.InputShard(
        per_replica_batch_size=BATCH, num_replicas=1, first_replica=0, local_replicas=1
    )
    apart, together = (
        data.view_batches(
            each, shard, augment=CROP, seed=SEED, views=[2], first_id=first_id
        )
        for each, first_id in ((examples, FIRST_ID), (joined, 0))
    )
    for a, b in zip(apart, together, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kept", ["records", pytest.param("sizes", marks=pytest.mark.slow)]
)
def test_two_workers_share_the_crops_of_one(folder, kept):
    def keys_of(batch: data.Batch) -> tf.Tensor:
        return prng.key(SEED, batch["epoch"], batch["id"])

    cut, show = with_crop(examples_of(folder, kept), CROP, keys_of)
    parts = worker_batches.of_workers(
        cut,
        lambda x: x | {"input": show(x["input"], keys_of(x))},
        batch_size=BATCH,
        num_replicas=2,
        num_workers=2,
        seed=SEED,
        first_step=1,
        num_steps=STEPS - 1,
    )
    shared = worker_batches.join(parts)
    assert_same(shared, trained_on(folder, kept)[1:])


def test_pixels_that_do_not_fit_are_refused(folder):
    config = DataConfig(
        dataset=f"folder:{folder}/images",
        image_size=SIZE,
        keep="pixels",
        memory_budget_bytes=1000,
    )
    facts = ("data.memory_budget_bytes", 22 * SIZE * SIZE * 3, 1000, "data.keep")
    with refused(data.DataError, *facts):
        data.open_source(config, folder / "lists" / "pixels")
