"""Runs that an earlier version began, whose images had other pixels."""

import io
import json
import pathlib
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from tests.helpers import tfds_sets
from tests.helpers.messages import refused
from trainer import data
from trainer.config import DataConfig, TfrecordOptions
from trainer.storage import seal

SIDE, COUNT = 12, 20
FORMS = ("png", "jpeg", "webp")


def contents_of(form: str, i: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE, 3), 10 * i, np.uint8)).save(file, form)
    return file.getvalue()


class Stored(tfds_sets.Tiny, skip_registration=True):
    """Images of one size, as PNG files have them."""

    FORM = "png"

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(SIDE, SIDE, 3)),
            "label": tfds.features.ClassLabel(names=["0", "1"]),
        }
        return tfds_sets.info(self, features, supervised_keys=("image", "label"))

    def _generate_examples(self, count: int) -> Iterator:
        for i in range(count):
            image = io.BytesIO(contents_of(self.FORM, i % COUNT))
            yield i, {"image": image, "label": i % 2}


class StoredJpeg(Stored, skip_registration=True):
    """The same of JPEG files."""

    FORM = "jpeg"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("pixels")
    for form in FORMS:
        with tf.io.TFRecordWriter(str(root / f"{form}.tfrecord")) as writer:
            for i in range(COUNT):
                contents = contents_of(form, i)
                path = root / form / f"{i % 2}" / f"{i}.{form}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents)
                example = tf.train.Example()
                example.features.feature["image"].bytes_list.value.append(contents)
                example.features.feature["label"].int64_list.value.append(i % 2)
                writer.write(example.SerializeToString())
    # One JPEG under another name, between PNG files.
    for i in range(COUNT):
        path = root / "named" / f"{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents_of("jpeg" if i == 11 else "png", i))
    for builder in (Stored, StoredJpeg):
        tfds_sets.prepare(builder, root)
    (root / "rows.csv").write_text(
        "size,label\n" + "".join(f"{i},{i % 2}\n" for i in range(COUNT))
    )
    return root


def settings_of(root: pathlib.Path, kind: str, form: str) -> dict[str, object]:
    name = {"png": "stored", "jpeg": "stored_jpeg"}.get(form)
    return {
        "folder": {"dataset": f"folder:{root}/{form}", "image_size": 8},
        "records": {
            "dataset": f"tfrecord:{root}/{form}.tfrecord",
            "options": TfrecordOptions(encoding="image"),
            "image_size": 8,
        },
        "tfds": {"dataset": name, "data_dir": str(root)},
        "prepared": {"dataset": f"tfds:{root}/{name}/1.0.0", "image_size": 8},
        "table": {"dataset": f"csv:{root}/rows.csv"},
    }[kind]


def opened(settings: dict[str, object], lists: pathlib.Path) -> data.Source:
    config = DataConfig(
        train_split="train[:80%]",
        validation_split="train[80%:90%]",
        test_split="train[90%:]",
        **settings,
    )
    return data.open_source(config, lists)


def told(lists: pathlib.Path) -> dict:
    return json.loads((lists / "dataset.json").read_text())


SECOND = "JPEGs decoded exactly, crops cut before they are resized"


def make_earlier(lists: pathlib.Path, version: str | None) -> None:
    """What an earlier version left: a file with or without the pixels, or none."""
    path = lists / "dataset.json"
    if version is None or not path.exists():
        path.unlink(missing_ok=True)
        return
    kept = seal.parse(path.read_bytes())
    if kept.pop("pixels", None) and version:
        kept["pixels"] = version
    path.write_text(json.dumps(seal.add_checksum(kept)))


@pytest.mark.parametrize("version", [SECOND, "", None])
@pytest.mark.parametrize(
    ("kind", "form", "settings", "crops", "is_refused"),
    [
        ("folder", "jpeg", {}, False, True),
        ("folder", "png", {}, False, False),
        ("folder", "webp", {}, False, False),
        ("folder", "named", {}, False, True),
        ("folder", "png", {"keep": "files"}, True, True),
        ("folder", "png", {"keep": "pixels"}, True, False),
        ("records", "jpeg", {}, False, True),
        ("records", "png", {}, False, False),
        ("tfds", "jpeg", {}, False, True),
        ("tfds", "png", {}, False, False),
        ("tfds", "png", {"image_size": 8, "keep": "files"}, True, True),
        ("prepared", "jpeg", {}, False, True),
        ("prepared", "png", {}, True, False),
        ("table", "", {}, False, False),
    ],
)
def test_an_earlier_run_goes_on_where_its_pixels_are_the_same(
    root, tmp_path, kind, form, settings, crops, is_refused, version
):
    source = opened(settings_of(root, kind, form) | settings, tmp_path)
    data.as_begun(source, tmp_path, has_begun=False, crops=crops)
    begun = (tmp_path / "dataset.json").exists() and told(tmp_path)
    data.as_begun(source, tmp_path, has_begun=True, crops=crops)
    make_earlier(tmp_path, version)
    if is_refused:
        facts = ("data.dataset", source.data.dataset, "JPEGs", "--workdir")
        with refused(data.DataError, *facts, "distill.soft_targets_dir"):
            data.as_begun(source, tmp_path, has_begun=True, crops=crops)
        return
    data.as_begun(source, tmp_path, has_begun=True, crops=crops)
    if begun and "pixels" in begun:  # and its files are not looked at again
        assert told(tmp_path)["pixels"] == begun["pixels"]


def test_what_has_one_kind_of_pixels_keeps_no_version(root, tmp_path):
    for name, settings in {
        "table": settings_of(root, "table", ""),
        "tfds": settings_of(root, "tfds", "png"),
        "prepared": settings_of(root, "prepared", "png"),
    }.items():
        source = opened(settings, tmp_path / name)
        data.as_begun(source, tmp_path / name, has_begun=False)
        assert not data.pixel_version(source, crops=False)
        kept = tmp_path / name / "dataset.json"
        assert "pixels" not in (told(kept.parent) if kept.exists() else {})
    assert not (tmp_path / "tfds" / "dataset.json").exists()  # its name says enough


def test_a_version_that_is_not_known_made_other_pixels(root, tmp_path):
    source = opened(settings_of(root, "folder", "png"), tmp_path)
    data.as_begun(source, tmp_path, has_begun=False)
    make_earlier(tmp_path, "of a later release")
    facts = ("data.dataset", "of a later release", "--workdir")
    with refused(data.DataError, *facts):
        data.as_begun(source, tmp_path, has_begun=True)
