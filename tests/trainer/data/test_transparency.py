"""Transparent pixels of folders: what they lie on, and that it stays so."""

import hashlib
import io
import json
import pathlib
import re
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image

from tests.helpers import tfds_sets
from tests.helpers.messages import assert_states, refused
from tests.helpers.versions import card
from trainer import data, registry
from trainer.config import (
    DataConfig,
    UnlabeledConfig,
    differences,
    from_resolved,
    resolve,
)
from trainer.data import DataError
from trainer.data.examples import InputShard
from trainer.data.folder import FolderSource, open_folder
from trainer.data.transparency import read_background
from trainer.session import suspicions

COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "[9, 200, 77]": (9, 200, 77)}
SETTINGS = {"white": "white", "black": "black", "[9, 200, 77]": [9, 200, 77]}
PART = 3  # every third image has transparent pixels


def drawn(i: int) -> Image.Image:
    """An image of noise; every third has alpha, and one of them all of it opaque."""
    pixels = np.random.default_rng(i).integers(0, 256, (9, 9, 4), dtype=np.uint8)
    if i == 0:
        pixels[..., 3] = 255
    return Image.fromarray(pixels if i % PART == 0 else pixels[..., :3])


def on(colour: tuple[int, int, int], image: Image.Image) -> Image.Image:
    """By PIL."""
    if image.mode == "RGB":
        return image
    sheet = Image.new("RGB", image.size, colour)
    sheet.paste(image, mask=image.getchannel("A"))
    return sheet


def write(root: pathlib.Path, change=lambda image: image) -> pathlib.Path:
    """12 images in two classes, 4 - 1 of them with transparent pixels."""
    for i in range(12):
        path = root / ("cat", "dog")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        change(drawn(i)).save(path)
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp("folder") / "icons")


@pytest.fixture
def lists(tmp_path):
    return epath.Path(tmp_path / "lists")


def section(root: pathlib.Path, **settings: object) -> DataConfig:
    splits = {
        "train_split": "train[:6]",
        "validation_split": "train[6:9]",
        "test_split": "train[9:]",
    }
    return DataConfig(dataset=f"folder:{root}", image_size=7, **{**splits, **settings})


def opened(root: pathlib.Path, lists: epath.Path, **settings: object) -> FolderSource:
    return open_folder(section(root, **settings), lists)


def inputs(source: FolderSource) -> np.ndarray:
    examples = source.read("train")
    return examples.read(np.arange(len(examples)))


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("budget", [0, 2**20], ids=["in files", "in memory"])
def test_a_folder_is_as_one_whose_images_pil_has_laid_on_the_background(
    root, tmp_path, name, budget
):
    own = opened(
        root,
        epath.Path(tmp_path / "own"),
        background=SETTINGS[name],
        memory_budget_bytes=budget,
    )
    flat = write(tmp_path / "flat", lambda image: on(COLOURS[name], image))
    other = opened(flat, epath.Path(tmp_path / "other"), memory_budget_bytes=budget)
    assert "transparent" not in other.description
    assert_states(own.description, "3 images", "transparent", name)
    expected = inputs(other)
    np.testing.assert_array_equal(inputs(own), expected)
    share = InputShard(
        per_replica_batch_size=4, num_replicas=1, first_replica=0, local_replicas=1
    )
    batches = own.read("train").evaluation(share).as_numpy_iterator()
    np.testing.assert_array_equal(
        np.concatenate([batch["input"] for batch in batches]), expected
    )


def test_ignore_drops_alpha_as_all_did_before(root, lists, tmp_path):
    dropped = write(tmp_path / "dropped", lambda image: image.convert("RGB"))
    other = opened(dropped, epath.Path(tmp_path / "other"))
    own = opened(root, lists, background="ignore")
    np.testing.assert_array_equal(inputs(own), inputs(other))
    assert_states(own.description, "3 images", "transparent", "alpha")


def made_by_an_earlier_version(lists: epath.Path) -> None:
    path = lists / "train.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        del line["background"]
        line.pop("list", None)  # the checksum of all lines
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("begun", "now"), [("white", "black"), ([0, 0, 1], "ignore"), ("ignore", "white")]
)
def test_a_list_holds_what_its_images_lie_on(root, lists, begun, now):
    opened(root, lists, background=begun)
    opened(root, lists, background=begun)
    shown = [f'"{x}"' if isinstance(x, str) else x for x in (begun, now)]
    facts = (f"data.background = {shown[0]}", shown[1], 3, lists / "train.jsonl")
    with refused(DataError, *facts):
        opened(root, lists, background=now)


def test_names_of_one_colour_are_one(root, lists):
    opened(root, lists, background="white")
    opened(root, lists, background=[255, 255, 255])


def test_a_list_of_an_earlier_version_means_that_alpha_was_dropped(root, lists):
    before = inputs(opened(root, lists, background="ignore"))
    made_by_an_earlier_version(lists)
    with refused(DataError, 'data.background = "ignore"'):
        opened(root, lists)
    assert read_background(lists) == "ignore"
    made_by_an_earlier_version(lists)
    after = inputs(opened(root, lists, background="ignore"))
    np.testing.assert_array_equal(after, before)


@pytest.mark.slow
def test_without_transparent_pixels_all_backgrounds_are_one(tmp_path, lists):
    root = write(tmp_path / "opaque", lambda image: on((1, 2, 3), image))
    before = opened(root, lists, background="ignore")
    made_by_an_earlier_version(lists)
    for background in ("white", "black", [4, 5, 6], "ignore"):
        now = opened(root, lists, background=background)
        assert now.description == before.description
        assert now.fingerprint("train", num_ids=12) == before.fingerprint(
            "train", num_ids=12
        )
        np.testing.assert_array_equal(inputs(now), inputs(before))
    assert read_background(lists) == ""


def test_the_background_is_part_of_what_a_cache_answered(root, tmp_path):
    found = {
        str(background): opened(
            root, epath.Path(tmp_path / str(background)), background=background
        )
        for background in ("ignore", "white", "black", [255, 255, 255])
    }
    prints = {name: x.fingerprint("train", num_ids=12) for name, x in found.items()}
    assert prints["white"] == prints["[255, 255, 255]"]
    assert len(set(prints.values())) == 3
    # As earlier versions had it.
    digest = hashlib.sha256()
    for line in found["ignore"].listed["train"]:
        digest.update(repr((line.path, line.class_name, line.sha256)).encode())
    assert prints["ignore"] == digest.hexdigest()


def test_a_list_grows_on_its_own_background_alone(tmp_path, lists):
    root = write(tmp_path / "icons")
    opened(root, lists, background="black")
    drawn(15).save(root / "cat" / "15.png")
    before = (lists / "train.jsonl").read_bytes()
    with refused(DataError, 'data.background = "black"'):
        data.extend_lists(section(root), lists)
    assert (lists / "train.jsonl").read_bytes() == before
    (told,) = data.extend_lists(section(root, background="black"), lists)
    assert re.search(r"\b1 .*\bcome\b.*\b0 .*\bgone\b", told)
    grown = opened(root, lists, background="black", test_split="train[9:]")
    assert_states(grown.description, "4 images", "transparent")


def test_images_of_both_sets_of_a_run_lie_on_the_background(root, tmp_path, lists):
    wild = write(tmp_path / "wild")
    unlabeled = UnlabeledConfig(dataset=f"folder:{wild}")
    both = section(root, unlabeled=unlabeled, memory_budget_bytes=0)
    sources = data.open_sources(both, lists)
    labeled, other = (source.read("train") for source in sources)
    joined = data.concatenate(labeled, other)
    images = joined.read(np.arange(len(joined)))
    np.testing.assert_array_equal(images[:12], images[12:])
    np.testing.assert_array_equal(images[:12], labeled.read(np.arange(12)))


def test_a_kept_config_without_the_setting_means_that_alpha_was_dropped(root):
    model = {"model": "mlp", "train": {"steps": 1, "global_batch_size": 2}}
    written = {
        "name": "icons",
        "data": {"dataset": f"folder:{root}", "image_size": 7},
        "teacher": model,
        "student": model,
    }
    before = from_resolved(written, (), kept_in="config.json")
    assert before.data.background_colour is None
    written["data"]["background"] = "white"
    after = from_resolved(written, (), kept_in="config.json")
    assert after.data.background_colour == (255, 255, 255)
    # The lists tell the runs apart, where there is something to tell.
    old = resolve(before)
    del old["data"]["background"]
    assert not differences(old, resolve(after))


class Icons(tfds_sets.Tiny, skip_registration=True):
    """Image files in their order; every third has transparent pixels."""

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(9, 9, 3)),
            "label": tfds.features.ClassLabel(num_classes=3),
        }
        return tfds_sets.info(self, features, disable_shuffling=True)

    def _generate_examples(self, count: int) -> Iterator:
        for i in range(1, count + 1):
            file = io.BytesIO()
            drawn(i).save(file, "PNG")
            yield i, {"image": file.getvalue(), "label": i % 3}


@pytest.fixture(scope="module")
def icons(tmp_path_factory):
    folder = tmp_path_factory.mktemp("icons")
    tfds_sets.prepare(Icons, folder)
    return folder


def of_set(
    folder: pathlib.Path,
    lists: epath.Path,
    *,
    has_begun: bool = False,
    **settings: object,
) -> data.Source:
    config = DataConfig(dataset="icons", data_dir=str(folder), **settings)
    return data.as_begun(data.open_source(config, lists), lists, has_begun=has_begun)


@pytest.mark.parametrize("budget", [1, 2**20], ids=["streamed", "in memory"])
@pytest.mark.parametrize("background", [*SETTINGS, "ignore"])
def test_images_that_a_set_was_made_of_lie_on_the_background(
    icons, tmp_path, background, budget
):
    setting = SETTINGS.get(background, "ignore")
    lists = epath.Path(tmp_path / "run" / "files")
    source = of_set(icons, lists, background=setting, memory_budget_bytes=budget)
    examples = source.read("train")
    expected = [
        on(COLOURS[background], drawn(i))
        if background in COLOURS
        else drawn(i).convert("RGB")
        for i in range(1, 31)
    ]
    np.testing.assert_array_equal(
        examples.read(np.arange(30)), np.stack([np.asarray(x) for x in expected])
    )
    assert_states(source.description, 12, 256, "transparent")  # 12 = 10 + 2
    other = "black" if background == "white" else "white"
    with refused(DataError, "data.background", background, "'icons'", other):
        of_set(icons, lists, background=other)


@pytest.mark.parametrize("told", [None, {"classes": ["0", "1", "2"]}])
def test_a_run_of_a_set_that_began_without_the_setting_drops_alpha(icons, lists, told):
    if told:
        lists.mkdir()
        (lists / "dataset.json").write_text(json.dumps(told | {"input_dtype": "uint8"}))
    with refused(DataError, "data.background", "ignore", "'icons'", "white"):
        of_set(icons, lists, has_begun=True)
    of_set(icons, lists, background="ignore", has_begun=True)


def test_a_registered_model_that_learned_on_another_background_is_told(
    root, tmp_path, lists
):
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "model.keras").write_bytes(b"keras")
    with registry.publishing(epath.Path(tmp_path / "root"), "icons") as publish:
        publish(tmp_path / "version", card())
    model = {"model": "mlp", "train": {"steps": 1, "global_batch_size": 2}}
    written = {
        "name": "icons",
        "registry": {"root": str(tmp_path / "root")},
        "data": {"dataset": f"folder:{root}", "image_size": 7, "background": "black"},
        "teacher": {"model": "mlp", "weights": "registry:icons@1"},
        "student": model,
    }
    config = from_resolved(written, (), kept_in="config.json")
    sources = (opened(root, lists, background="black"),)
    (line,) = suspicions.other_backgrounds(config, epath.Path(tmp_path), sources)
    setting = "teacher.weights 'registry:icons@1'"
    assert_states(line, setting, "data.background", "ignore", "3 images", "black")


@pytest.mark.parametrize(("said", "is_right"), [("[1, 2, 3]", True), ("[1, 2", False)])
def test_what_a_run_lies_on_is_read_or_refused_with_the_file(lists, said, is_right):
    lists.mkdir()
    told = {"classes": ["a", "b"], "input_dtype": "uint8", "background": said}
    (lists / "dataset.json").write_text(json.dumps(told))
    (lists / "train.jsonl").write_text(json.dumps({"background": said}) + "\n")
    for read, name in (
        (data.begun_background, "dataset.json"),
        (data.read_background, "train.jsonl"),
    ):
        if is_right:
            assert read(lists) == said
            continue
        with refused(DataError, lists / name, repr(said), "predict.background"):
            read(lists)
