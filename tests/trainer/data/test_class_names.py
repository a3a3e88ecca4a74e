"""Which label is which class: one order for folders and tables, kept by runs."""

import contextlib
import io
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image

from tests.helpers import whole_run
from tests.helpers.configs import RUN
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_states, refused
from trainer import data, main
from trainer.config import DataConfig, load
from trainer.data import begun, class_names
from trainer.storage import seal

NUMBERS = [str(number) for number in range(12)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "9", "-1", "+3"], ["-1", "+3", "9", "10"]),
        (["10.0", "9.0", "0.5", "1e1"], ["0.5", "9.0", "10.0", "1e1"]),
        (["1", "01", "001", "0"], ["0", "001", "01", "1"]),
        (["10", "9", "a"], ["10", "9", "a"]),
        (["10", "9", "٣"], ["10", "9", "٣"]),  # a digit of another script
        (["10", "9", "1_0"], ["10", "1_0", "9"]),
        (["b", "a", "B"], ["B", "a", "b"]),
    ],
)
def test_the_order_is_of_numbers_where_all_names_are_numbers(names, expected):
    for given in (names, names[::-1], set(names)):
        assert class_names.order(given) == tuple(expected)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve classes named by numbers, each image as dark as its number."""
    root = tmp_path_factory.mktemp("numbers")
    for split, count in (("train", 4), ("test", 2)):
        for name in NUMBERS:
            inner = root / "data" / split / name
            inner.mkdir(parents=True)
            for i in range(count):
                # No two alike.
                pixels = np.full((4, 4, 3), 20 * int(name), np.uint8)
                pixels[0, 0] = i + (100 if split == "test" else 0)
                Image.fromarray(pixels).save(inner / f"{i}.png")
    return root


def folder_config(folder):
    return DataConfig(
        dataset=f"folder:{folder}/data",
        image_size=4,
        train_split="train[:50%]",
        validation_split="train[50%:]",
    )


def test_class_folders_that_are_numbers_are_labelled_by_them(folder, tmp_path):
    source = data.open_source(folder_config(folder), epath.Path(tmp_path))
    assert source.class_names == tuple(NUMBERS)
    examples = source.read("train")
    shades = examples.read(np.arange(len(examples)))[:, 2, 2, 0]
    assert (shades == 20 * examples.labels).all()
    kept = data.without_labels(examples, (2,))
    assert 40 not in kept.read(np.arange(len(kept)))[:, 2, 2, 0]


def opened(labels, path, **more):
    np.savez(path / "train.npz", label=labels, x=np.arange(len(labels)) % 7)
    config = DataConfig(
        dataset=f"npz:{path}/train.npz",
        train_split="train[:50%]",
        validation_split="train[50%:75%]",
        test_split="train[75%:]",
        **more,
    )
    return data.open_source(config, epath.Path("/nowhere"))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.arange(24.0) % 12, [f"{i}.0" for i in range(12)]),
        (np.arange(24) % 12, NUMBERS),
        (np.array([b"cat", b"dog"] * 12), ["cat", "dog"]),
        (np.array([" 10", "9 "] * 12), ["9", "10"]),
        (np.array(["01", "1"] * 12), ["01", "1"]),
        (np.array(["10_20", "0_10"] * 12), ["0_10", "10_20"]),
    ],
)
def test_labels_of_arrays_are_text_in_the_order_of_numbers(tmp_path, labels, expected):
    assert opened(labels, tmp_path).class_names == tuple(expected)


@pytest.mark.parametrize(
    ("label", "got"),
    [
        (np.nan, "'nan'"),
        (np.inf, "'inf'"),
        ("NaN", "'NaN'"),
        ("1_000", "'1_000'"),
    ],
)
def test_what_is_no_label_is_refused_by_row(tmp_path, label, got):
    labels = np.array([1, label] * 12) if isinstance(label, float) else ["1", label] * 6
    path = tmp_path / "train.npz"
    with refused(data.DataError, f"{path}, row 1, column 'label'", f"got {got}"):
        opened(np.array(labels), tmp_path)


def test_a_set_of_tensorflow_datasets_keeps_its_builders_order(tmp_path):
    class Shuffled(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(2, 2, 1)),
                        "label": tfds.features.ClassLabel(names=["10", "9", "b", "a"]),
                    }
                ),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, dl_manager):
            del dl_manager
            return {"train": self._generate_examples(), "test": self._examples()}

        def _generate_examples(self):
            for i in range(8):
                yield i, {"image": np.full((2, 2, 1), i, np.uint8), "label": i % 4}

        _examples = _generate_examples

    Shuffled(data_dir=tmp_path).download_and_prepare()
    config = DataConfig(dataset="shuffled", data_dir=str(tmp_path))
    assert data.open_source(config, epath.Path(tmp_path)).class_names == (
        *("10", "9", "b", "a"),
    )


# What a run has begun with.


def session(folder, workdir, *overrides):
    text = RUN.replace(
        'dataset = "mnist_mini"',
        f'dataset = "folder:{folder}/data"\nimage_size = 4\n'
        'train_split = "train[:50%]"\nvalidation_split = "train[50%:]"',
    )
    path = workdir.parent / "run.toml"
    path.write_text(text)
    return whole_run.session(load(str(path), overrides), workdir, strategy_of(1))


def begin(workdir):
    (workdir / "teacher").mkdir(parents=True)
    (workdir / "teacher/model.keras").write_bytes(b"")


def test_a_run_goes_on_with_the_classes_that_it_has_begun_with(folder, tmp_path):
    workdir = tmp_path / "workdir"
    assert session(folder, workdir).datasets.source.class_names == tuple(NUMBERS)
    begin(workdir)
    assert session(folder, workdir).datasets.source.class_names == tuple(NUMBERS)
    kept = workdir / "files" / begun.KEPT
    found = seal.parse(kept.read_bytes())
    found["classes"][:2] = ["1", "0"]
    kept.write_text(json.dumps(seal.add_checksum(found)))
    with refused(data.DataError, "label 0", "was '1'", "is '0'", "--workdir"):
        _ = session(folder, workdir).datasets.sources
    kept.write_text("1e999")
    with refused(data.DataError, kept):
        _ = session(folder, workdir).datasets.sources


def test_a_run_that_began_with_the_order_of_the_alphabet_is_refused(folder, tmp_path):
    workdir = tmp_path / "workdir"
    begin(workdir)  # as earlier versions did, which kept no order
    facts = ("label 2", "was '10'", "is '2'")
    with refused(data.DataError, *facts):
        _ = session(folder, workdir).datasets.sources
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main.main(whole_run.command("doctor", tmp_path / "run.toml", workdir))
    assert code == 5
    assert_states(out.getvalue(), *facts)


def test_a_run_that_began_before_with_names_goes_on(folder, tmp_path):
    workdir, root = tmp_path / "workdir", tmp_path / "named"
    for split in ("train", "test"):
        for name in NUMBERS[:2]:
            (root / "data" / split).mkdir(parents=True, exist_ok=True)
            target = root / "data" / split / f"class {name}"
            target.symlink_to(folder / "data" / split / name)
    begin(workdir)
    assert session(root, workdir).datasets.source.class_names == ("class 0", "class 1")
    kept = seal.parse((workdir / "files" / begun.KEPT).read_bytes())
    assert kept["classes"] == ["class 0", "class 1"]
