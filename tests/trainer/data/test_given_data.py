"""Datasets of Python objects, against the same examples as other sources have them."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from PIL import Image

from tests.helpers.messages import refusal, refused
from tests.helpers.tfds_sets import open_source
from trainer import data
from trainer.config import ConfigError, DataConfig
from trainer.data import given_records
from trainer.data.examples import InputShard
from trainer.data.unlabeled import open_sources

COUNT = 90
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 5, 3), np.uint8)
LABELS = np.arange(COUNT) % 3
WHOLE = {"train_split": "train", "validation_split": "validation", "test_split": "test"}


@dataclasses.dataclass
class Items:
    """What Grain, Hugging Face's datasets and PyTorch's have in common."""

    inputs: object
    labels: object
    keys: tuple[str, str] | None = None

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        pair = self.inputs[i], self.labels[i]
        return dict(zip(self.keys, pair, strict=True)) if self.keys else pair


def tensors(x=IMAGES, y=LABELS):
    return tf.data.Dataset.from_tensor_slices((x, y))


def opened(part, folder=None, *, columns=None, class_names=None, **settings):
    """The source of one part; a workdir `folder` keeps what it was."""
    given = data.GivenData(train=part, columns=columns, class_names=class_names)
    return opened_parts(given, folder, **settings)


def opened_parts(given, folder=None, **settings):
    lists = epath.Path(folder or "/nowhere") / "files"
    config = DataConfig(dataset="memory:", **settings)
    (source,) = open_sources(config, lists, given=given)
    data.hold_contents(source, lists, may_write=folder is not None)
    return source


def all_of(source, split="train"):
    examples = source.read(split)
    return examples.read(np.arange(len(examples))), examples.labels, examples.ids


def assert_are(found, inputs, labels=LABELS):
    np.testing.assert_array_equal(found[0], inputs)
    assert found[0].dtype == inputs.dtype
    np.testing.assert_array_equal(found[1], labels)
    assert found[1].dtype == np.int32


KINDS = {
    "arrays": lambda: (IMAGES, LABELS),
    "lists": lambda: [list(IMAGES), list(LABELS)],
    "tf.data": tensors,
    "batched tf.data": lambda: tensors().batch(40),
    "a batch of all": lambda: tensors().batch(100),
    "tf.data of one label in a list": lambda: tensors(y=LABELS[:, None]),
    "items": lambda: Items(IMAGES, LABELS),
    "examples": lambda: list(zip(IMAGES, LABELS, strict=True)),
    "labels as floats": lambda: (IMAGES, LABELS.astype(np.float32)[:, None]),
}


@pytest.mark.parametrize(
    ("kind", "budget"),
    [
        *((kind, 2**30) for kind in KINDS),
        *((kind, 0) for kind in ("arrays", "tf.data", "batched tf.data")),
    ],
)
def test_models_get_what_the_objects_yield(kind, budget, tmp_path):
    source = opened(KINDS[kind](), tmp_path, memory_budget_bytes=budget)
    assert_are(all_of(source), IMAGES)
    assert source.class_names == ("0", "1", "2")
    assert (source.input_shape, source.input_dtype) == ((6, 5, 3), "uint8")
    parts = [all_of(source, split) for split in source.data.splits.values()]
    assert [len(ids) for *_, ids in parts] == [72, 9, 9]
    assert sorted(np.concatenate([ids for *_, ids in parts])) == list(range(COUNT))
    for inputs, labels, ids in parts:
        assert_are((inputs, labels), IMAGES[ids], LABELS[ids])


@pytest.mark.parametrize(
    "part",
    [
        Items(IMAGES, LABELS, ("pixels", "kind")),
        tf.data.Dataset.from_tensor_slices(
            {"pixels": IMAGES, "kind": LABELS, "name": [b"a"] * COUNT}
        ),
        {"pixels": IMAGES, "kind": LABELS},
    ],
)
def test_columns_name_what_is_taken_of_dicts(part):
    assert_are(all_of(opened(part, columns=("pixels", "kind"))), IMAGES)
    if not isinstance(part, dict):
        with refused(data.DataError, "columns", "'pixels'", "'kind'"):
            opened(part)
    with refused(data.DataError, "train of data.dataset 'memory:'"):
        opened(part, columns=("pixels", "other"))


def test_the_bundled_digits_are_the_same_from_arrays():
    bundled = open_source(DataConfig(dataset="mnist_mini"))
    parts = {name: all_of(bundled, name)[:2] for name in ("train", "test")}
    given = data.GivenData(**parts)
    splits = {"train_split": "train", "validation_split": "test[:50%]"}
    source = opened_parts(given, **splits, test_split="test[50%:]")
    ours, theirs = source.read("train"), bundled.read("train")
    for array in ("inputs", "labels", "ids"):
        np.testing.assert_array_equal(getattr(ours, array), getattr(theirs, array))
    assert source.class_names == bundled.class_names


def test_rows_are_those_of_a_table(tmp_path):
    rng = np.random.default_rng(1)
    rows = np.stack([rng.normal(size=COUNT), 1e8 + np.arange(COUNT) % 9], axis=1)
    np.savez(tmp_path / "rows.npz", x=rows, label=LABELS)
    splits = {"train_split": "train[:60%]", "validation_split": "train[60%:80%]"}
    splits["test_split"] = "train[80%:]"
    table = open_source(DataConfig(dataset=f"npz:{tmp_path}/rows.npz", **splits))
    source = opened((rows, LABELS), **splits)
    assert source.input_dtype == table.input_dtype == "float64"
    for split in splits.values():
        inputs, labels, ids = all_of(table, split)
        order = np.argsort(ids)
        assert_are(all_of(source, split), inputs[order], labels[order])
    ours, theirs = source.mean_and_variance, table.mean_and_variance
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert opened((rows[:, :1], LABELS)).input_dtype == "float32"


def test_streamed_batches_are_of_the_same_examples(tmp_path):
    shard = InputShard(
        per_replica_batch_size=8, num_replicas=1, first_replica=0, local_replicas=1
    )
    memory, streamed = (
        opened(tensors(), tmp_path / str(budget), memory_budget_bytes=budget)
        for budget in (2**30, 0)
    )
    kept, read = memory.read("train[:70%]"), streamed.read("train[:70%]")
    for ours, theirs in zip(
        read.evaluation(shard).as_numpy_iterator(),
        kept.evaluation(shard).as_numpy_iterator(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours["weight"], theirs["weight"])
        np.testing.assert_array_equal(ours["input"], theirs["input"])
    whole, resumed = (
        list(read.training(shard, seed=1, first_step=step, map_fn=dict).take(20))
        for step in (0, 3)
    )
    for batch, again in zip(whole[3:], resumed, strict=False):
        np.testing.assert_array_equal(batch["input"], IMAGES[batch["id"]])
        np.testing.assert_array_equal(batch["label"], LABELS[batch["id"]])
        for name, values in batch.items():
            np.testing.assert_array_equal(again[name], values)


def test_records_are_written_once_and_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(given_records, "_FILE_BYTES", 20 * IMAGES[0].nbytes)

    class Failing(Items):
        def __getitem__(self, i):
            if i == 70:
                read.append(i)
                if len(read) == 2:  # after the first look at some of the examples
                    raise OSError("lost")
            return super().__getitem__(i)

    read = []
    with refused(data.DataError, "item 70 of train", "lost"):
        opened(Failing(IMAGES, LABELS), tmp_path, memory_budget_bytes=0)
    records = tmp_path / "records"
    begun = {file.name: file.stat().st_mtime_ns for file in records.iterdir()}
    files = [f"train-{i:05d}.tfrecord" for i in range(5)]
    assert sorted(begun) == [*files[:3], "train.json"]
    for _ in range(2):
        source = opened(Items(IMAGES, LABELS), tmp_path, memory_budget_bytes=0)
        assert_are(all_of(source), IMAGES)
        now = {file.name: file.stat().st_mtime_ns for file in records.iterdir()}
        assert sorted(now) == [*files, "train.json"]
        assert [now[name] for name in files[:3]] == [begun[name] for name in files[:3]]
        begun = now

    # Damage is told, and what is cut is written anew.
    path = records / files[1]
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    with refused(data.DataError, "train", records):
        all_of(opened(Items(IMAGES, LABELS), tmp_path, memory_budget_bytes=0))
    path.write_bytes(whole[:-1])
    source = opened(Items(IMAGES, LABELS), tmp_path, memory_budget_bytes=0)
    assert_are(all_of(source), IMAGES)
    assert path.read_bytes() == whole


def test_who_may_not_write_reads_what_is_there(tmp_path):
    config = DataConfig(dataset="memory:", memory_budget_bytes=0)
    given, lists = data.GivenData(train=tensors()), epath.Path(tmp_path / "files")
    with refused(data.DataError, tmp_path / "records", "nothing"):
        open_sources(config, lists, given=given, may_write=False)
    assert not list(tmp_path.iterdir())
    opened(tensors(), tmp_path, memory_budget_bytes=0)
    (source,) = open_sources(config, lists, given=given, may_write=False)
    assert_are(all_of(source), IMAGES)


def changed(array, place, value):
    copy = array.copy()
    copy[place] = value
    return copy


@pytest.mark.parametrize("budget", [2**30, 0])
@pytest.mark.parametrize(
    "other",
    [
        (changed(IMAGES, (7, 0, 0, 0), 1), LABELS),
        (IMAGES, changed(LABELS, 7, 0)),
        (IMAGES[::-1], LABELS[::-1]),
        (IMAGES[:-3], LABELS[:-3]),
        (IMAGES.astype(np.float32), LABELS),
    ],
)
def test_a_begun_run_refuses_other_contents(other, budget, tmp_path):
    opened((IMAGES, LABELS), tmp_path, memory_budget_bytes=budget)
    kept = sorted((path, path.read_bytes()) for path in tmp_path.rglob("*.*"))
    with refused(data.DataError, "train of data.dataset 'memory:'", "--workdir"):
        opened(other, tmp_path, memory_budget_bytes=budget)
    assert sorted((path, path.read_bytes()) for path in tmp_path.rglob("*.*")) == kept


@pytest.mark.parametrize(
    ("labels", "facts"),
    [
        (changed(LABELS, 70, -1), (-1, 70)),
        (changed(LABELS.astype(float), 70, np.nan), ("nan", 70)),
        (changed(LABELS.astype(float), 70, 0.5), (0.5, 70)),
        (changed(LABELS, 70, 2**40), (2**40, 70)),
        (np.eye(3)[LABELS], ("[3]", "argmax(axis=-1)")),
        (LABELS.astype(str), ("<U21", "class_names")),
        (LABELS[:-1], ("[90, 6, 5, 3]", "[89]")),
    ],
)
def test_labels_of_no_class_are_refused(labels, facts):
    with refused(data.DataError, "train of data.dataset 'memory:'", *facts):
        opened((IMAGES, labels))


def test_labels_are_of_the_classes_that_are_named():
    source = opened((IMAGES, LABELS), class_names=["a", "b", "c", "d"])
    assert source.class_names == ("a", "b", "c", "d")
    assert "no example of class d" in source.description
    with refused(data.DataError, "0 to 1", 2, "class_names"):
        opened((IMAGES, LABELS), class_names=["a", "b"])
    with refused(data.DataError, "class_names", "['a', 'b', 'a']"):
        opened((IMAGES, LABELS), class_names=["a", "b", "a"])


FLOATS = IMAGES.astype(np.float32) / 255


@pytest.mark.parametrize(
    ("inputs", "expected", "note"),
    [
        (FLOATS, FLOATS, ""),
        (FLOATS.astype(np.float64), FLOATS, "converted from float64"),
        (FLOATS.astype(np.float16), FLOATS.astype(np.float16), "from float16"),
        (IMAGES.astype(np.int64), IMAGES, "converted from int64"),
        (IMAGES[..., 0], IMAGES[..., 0], ""),
        (FLOATS[..., 0], FLOATS[..., 0], ""),
        (FLOATS[:, None], FLOATS[:, None], ""),
        (IMAGES.transpose(0, 3, 1, 2), IMAGES.transpose(0, 3, 1, 2), "come first"),
        (IMAGES[:, 0, :, 0], IMAGES[:, 0, :, 0].astype(np.float32), "from uint8"),
    ],
)
def test_what_can_be_kept_is_converted_and_said(inputs, expected, note):
    source = opened((inputs, LABELS))
    if expected.dtype != np.uint8:
        expected = expected.astype(np.float32)
    assert_are(all_of(source), expected)
    assert note in source.description
    is_told = expected.dtype == np.float32 and expected.ndim > 2
    ends = (expected.min(), expected.max()) if is_told else None
    assert source.value_range == ends


@pytest.mark.parametrize(
    ("inputs", "facts"),
    [
        (IMAGES > 9, ("bool",)),
        (IMAGES.astype(str), ("<U3",)),
        (LABELS.astype(np.float32), ("[]",)),
        (IMAGES.astype(np.int64) + 200, ("0 to 255", "int64")),
        (changed(FLOATS, (80, 1, 2, 0), np.nan), ("nan", 80, "[1, 2, 0]")),
        (changed(FLOATS, (80, 1, 2, 0), np.inf), ("inf", 80, "[1, 2, 0]")),
        (changed(FLOATS.astype(float), (80, 1, 2, 0), 1e300), ("1e+300", "float32")),
        (changed(FLOATS[:, 0, 0], (80, 1), np.nan), ("nan", 80, "[1]")),
    ],
)
def test_inputs_that_cannot_be_used_are_refused(inputs, facts):
    with refused(data.DataError, *facts):
        opened((inputs, LABELS))


SIZES = [IMAGES[0], *IMAGES[1:-1], np.zeros((9, 5, 3), np.uint8)]


@pytest.mark.parametrize(
    "part",
    [
        Items(SIZES, LABELS),
        tf.data.Dataset.from_generator(
            lambda: zip(SIZES, LABELS, strict=True),
            output_signature=(
                tf.TensorSpec((None, None, 3), tf.uint8),
                tf.TensorSpec((), tf.int64),
            ),
        ).apply(tf.data.experimental.assert_cardinality(COUNT)),
    ],
)
def test_images_of_several_sizes_need_one(part):
    with refused(data.DataError, 89, "[6, 5, 3]", "[9, 5, 3]", "data.image_size"):
        opened(part)
    inputs, labels, _ = all_of(opened(part, image_size=4))
    assert inputs.shape == (COUNT, 4, 4, 3)
    pixels = tf.image.resize(IMAGES[5], (4, 4), antialias=True)
    np.testing.assert_array_equal(inputs[5], np.round(pixels))
    np.testing.assert_array_equal(labels, LABELS)
    floats = all_of(opened((FLOATS, LABELS), image_size=4))[0]
    expected = tf.image.resize(FLOATS[5], (4, 4), antialias=True)
    np.testing.assert_allclose(floats[5], expected, atol=1e-6)
    squares = all_of(
        opened(
            (IMAGES, LABELS), image_size=4, evaluate_view="center_crop", center_crop=0.8
        )
    )[0]
    np.testing.assert_array_equal(squares, IMAGES[:, 1:5, :4])
    with refused(data.DataError, "data.image_size", 4, "[5]"):
        opened((FLOATS[:, 0, :, 0], LABELS), image_size=4)


@pytest.mark.parametrize(
    ("mode", "background", "expected"),
    [
        ("RGB", "white", [[10, 20, 30]]),
        ("P", "white", [[10, 20, 30]]),
        ("L", "white", [[18]]),
        ("RGBA", "white", [[255, 255, 255]]),
        ("RGBA", "ignore", [[10, 20, 30]]),
    ],
)
def test_images_of_pil_are_colours_or_grey(mode, background, expected):
    image = Image.new("RGBA", (1, 1), (10, 20, 30, 0))
    if mode != "RGBA":
        image = image.convert("RGB")
        image = image.quantize() if mode == "P" else image.convert(mode)
    items = Items([image] * 60, [0, 1] * 30)
    inputs, *_ = all_of(opened(items, background=background))
    assert inputs[0].tolist() == [expected]


@pytest.mark.parametrize(
    ("part", "facts"),
    [
        (tensors().repeat(), ("endless", "take(N)")),
        (
            tensors().filter(lambda x, y: y > 0),
            ("unknown", "tf.data.experimental.assert_cardinality(N)"),
        ),
        (tensors().take(0), ("none",)),
        ((IMAGES[:0], LABELS[:0]), ("none",)),
        (Items(IMAGES[:0], LABELS[:0]), ("none",)),
        (IMAGES, ("ndarray", "[90, 6, 5, 3]")),
        (None, ("none",)),
        ({"x": IMAGES}, ("dict",)),
        ((IMAGES, LABELS, LABELS), ("(x, y)",)),
        (Items(IMAGES, [None] * COUNT), ("object",)),
        (Items([IMAGES[:8]] * 20, [LABELS[:8]] * 20), ("[8]", "argmax(axis=-1)")),
        (tensors().batch(10).map(lambda x, y: (x, y[:7])), (10, 7)),
        (tf.data.Dataset.from_tensor_slices(IMAGES), ("(x, y)",)),
        (tensors().map(lambda x, y: (x, y, y)), ("3 values",)),
        (tensors().map(lambda x, y: (tf.sparse.from_dense(x), y)), ("dense",)),
        (tensors(y=np.eye(3)[LABELS]), ("[3]", "argmax(axis=-1)")),
        (tensors().shuffle(COUNT), ("shuffle()", "data.augment")),
        (tensors().batch(9).shuffle(COUNT), ("reshuffle_each_iteration=False",)),
    ],
)
def test_what_is_no_dataset_is_refused(part, facts):
    with refused(data.DataError, "train", *facts):
        opened(part)


def test_what_is_drawn_anew_at_each_reading_is_refused():
    class Random(Items):
        def __getitem__(self, i):
            x, y = super().__getitem__(i)
            return x ^ np.random.randint(0, 256, x.shape, np.uint8), y

    with refused(data.DataError, "train", "random"):
        opened(Random(IMAGES, LABELS))


def test_parts_are_splits_and_all_are_used():
    given = data.GivenData(
        train=(IMAGES[:50], LABELS[:50]),
        validation=tensors(IMAGES[50:70], LABELS[50:70]),
        test=Items(IMAGES[70:], LABELS[70:]),
    )
    source = opened_parts(given, **WHOLE)
    for split, rows in (("train", slice(50)), ("validation", slice(50, 70))):
        assert_are(all_of(source, split), IMAGES[rows], LABELS[rows])
    with refused(data.DataError, "'validation'", "data.validation_split"):
        opened_parts(given)
    with refused(data.DataError, "data.test_split", "'test'", "train (90)"):
        opened((IMAGES, LABELS), train_split="train[:9]", test_split="test")


def test_a_dataset_in_memory_is_given():
    with refused(
        data.DataError, "data.dataset", "'memory:'", "package.module:function"
    ):
        opened_parts(None)


@pytest.mark.parametrize("form", ["given", "dict", "tuple", "train"])
def test_a_function_gives_the_same(form, tmp_path, monkeypatch):
    (tmp_path / "own_sets.py").write_text(
        "import numpy as np\n"
        "from trainer import data\n"
        "def load(form, count=30):\n"
        "    x = np.zeros((count, 4, 4, 1), np.uint8)\n"
        "    pair = (x, np.arange(count) % 2)\n"
        "    parts = dict(train=pair, validation=pair, test=pair)\n"
        "    return {'given': data.GivenData(**parts), 'dict': parts,\n"
        "            'tuple': (pair, pair, pair), 'train': pair}.get(form)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    splits = {} if form == "train" else WHOLE

    def source(options):
        config = DataConfig(dataset="own_sets:load", options=options, **splits)
        return open_sources(config, epath.Path("/nowhere"))[0]

    assert len(source({"form": form}).read("train")) == 30
    assert len(source({"form": form, "count": 40}).read("train")) == 40
    with refused(ConfigError, "own_sets:load", "{'other': 1}"):
        source({"other": 1})
    with refused(data.DataError, "own_sets:load", "ValueError"):
        source({"form": form, "count": -1})
    message = refusal(lambda: source({"form": "nothing"}), data.DataError)
    assert "NoneType" in message


@pytest.mark.parametrize("package", ["datasets", "grain", "torch"])
def test_real_packages_give_the_same(package):
    module = pytest.importorskip(package)
    if package == "datasets":
        part = module.Dataset.from_dict({"x": IMAGES.tolist(), "y": LABELS.tolist()})
        part = part.with_format("numpy")
        found = all_of(opened(part, columns=("x", "y")))
    elif package == "grain":
        pairs = list(zip(IMAGES, LABELS, strict=True))
        found = all_of(opened(module.MapDataset.source(pairs)))
    else:
        pair = module.from_numpy(IMAGES), module.from_numpy(LABELS)
        found = all_of(opened(module.utils.data.TensorDataset(*pair)))
    assert_are(found, IMAGES)
