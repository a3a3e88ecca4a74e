"""Answers on disk that are damaged, or those of another run: none teaches a student."""

import dataclasses
import hashlib
import json
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from PIL import Image

from tests.helpers import cached_runs, whole_run
from tests.helpers.cached_runs import CACHED, SHIFTED, STREAMED, cached_session, session
from tests.helpers.messages import assert_states, refused
from trainer import data, exit_codes, main, models, soft_targets
from trainer.soft_targets import Cache, CachedTargets, Manifest, SoftTargetsError
from trainer.stages.soft_targets import build, caches

VIEWS = (SHIFTED, "distill.views=2")
BUILD = "python -m trainer soft-targets build"


@pytest.fixture(scope="module")
def built(world):
    """A run whose teacher has answered to two views."""
    return cached_session(world, world / "built", *VIEWS)


@pytest.fixture(scope="module")
def wanted(built) -> Manifest:
    (transfer,) = caches.transfer_sets(built.config, built.datasets)
    weights = models.fingerprint(built.networks.teachers[0])
    return caches.manifest(built.networks, 0, transfer, weights=weights)


@pytest.fixture
def folder(built, tmp_path) -> epath.Path:
    """A copy of the cache, to be damaged."""
    shutil.copytree(caches.root(built.config, built.path), tmp_path / "caches")
    return epath.Path(tmp_path / "caches" / "train")


def place(folder: epath.Path) -> str:
    """The setting of the folder of caches that one is in."""
    return f"distill.soft_targets_dir='{folder.parent}'"


def learn(folder: epath.Path, wanted: Manifest) -> CachedTargets:
    """Opens a cache as a run that has memory for it."""
    return CachedTargets(
        [[Cache(folder, wanted)]], views=wanted.views, memory_bytes=2**30
    )


# Damage.


def cut(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: pathlib.Path) -> None:
    path.write_bytes(b"")


def flip(offset: int) -> Callable[[pathlib.Path], None]:
    def damage(path: pathlib.Path) -> None:
        content = bytearray(path.read_bytes())
        content[offset] ^= 4
        path.write_bytes(content)

    return damage


def rewrite(change: Callable[[list[bytes]], list[bytes]]):
    """Whole records with right checksums, but others."""

    def damage(path: pathlib.Path) -> None:
        records = [r.numpy() for r in tf.data.TFRecordDataset(str(path))]
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in change(records):
                writer.write(record)

    return damage


def swap(records: list[bytes]) -> list[bytes]:
    """Two neighbours change places, with their ids."""
    return [*records[:40], records[41], records[40], *records[42:]]


def renumber(records: list[bytes]) -> list[bytes]:
    """Every record says that it is the one of the next example."""
    ids = [int.from_bytes(record[:8], "little") + 1 for record in records]
    return [i.to_bytes(8, "little") + r[8:] for i, r in zip(ids, records, strict=True)]


def repeat(records: list[bytes]) -> list[bytes]:
    """One twice, and another one not."""
    return [*records[:40], records[39], *records[41:]]


RECORD = 8 + 10 * 4 + 16  # id, logits, framing
IN_MEMORY = {
    "cut": (cut, "bytes"),
    "missing": (pathlib.Path.unlink, "no such file"),
    "empty": (empty, "0 bytes"),
    "a bit of a logit": (flip(40 * RECORD + 30), "corrupted record"),
    "a bit of an id": (flip(40 * RECORD + 12), "corrupted record"),
    "a bit of a length": (flip(40 * RECORD), "corrupted record"),
    "a bit of a checksum": (flip(-1), "corrupted record"),
    "swapped records": (rewrite(swap), "other examples"),
    "other ids": (rewrite(renumber), "other examples"),
    "one twice": (rewrite(repeat), "other examples"),
}


@pytest.mark.parametrize("view", [0, 1])
@pytest.mark.parametrize("kind", IN_MEMORY)
def test_a_damaged_shard_is_named(folder, wanted, kind, view):
    damage, words = IN_MEMORY[kind]
    path = soft_targets.shard_path(folder, view, 1)
    damage(pathlib.Path(path))
    with refused(SoftTargetsError, path, words, BUILD):
        learn(folder, wanted)


@pytest.mark.slow
def test_what_build_repairs_is_whole_again(folder, wanted, built, world, tmp_path):
    for i, damage in enumerate((cut, empty, pathlib.Path.unlink)):
        damage(pathlib.Path(soft_targets.shard_path(folder, i % 2, i)))
    opened = session(world, tmp_path / "own", CACHED, *VIEWS, place(folder))
    build(opened)
    for view in (0, 1):
        for i in range(3):
            mended, whole = (
                soft_targets.shard_path(top, view, i).read_bytes()
                for top in (folder, caches.root(built.config, built.path) / "train")
            )
            assert mended == whole
    assert learn(folder, wanted).is_in_memory


def test_a_shard_of_a_view_that_is_not_used_may_be_damaged(folder, wanted):
    pathlib.Path(soft_targets.shard_path(folder, 1, 0)).unlink()
    fewer = dataclasses.replace(wanted, views=1)
    assert learn(folder, fewer).is_in_memory


def student(world, folder, workdir, *settings) -> int:
    """The exit code of a student that learns from the caches around `folder`."""
    sets = [f"--set={s}" for s in (CACHED, *VIEWS, place(folder), *settings)]
    settings = ["student", world / "one.toml", workdir]
    assert main.main(whole_run.command("teacher", *settings[1:], *sets)) == 0
    return main.main(whole_run.command(*settings, *sets))


STREAM = (*STREAMED, "runtime.steps_per_loop=10", "runtime.log_every_steps=10")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("a bit of a logit", ()),
        pytest.param("cut", STREAM, marks=pytest.mark.slow),
        ("a bit of a logit", STREAM),
        pytest.param("a bit of a length", STREAM, marks=pytest.mark.slow),
        pytest.param("swapped records", STREAM, marks=pytest.mark.slow),
        pytest.param("other ids", STREAM, marks=pytest.mark.slow),
        pytest.param("one twice", STREAM, marks=pytest.mark.slow),
    ],
)
def test_a_student_ends_with_2_and_names_the_shard(
    world, folder, tmp_path, capfd, kind, settings
):
    damage, words = IN_MEMORY[kind]
    # In the second epoch, and in ids that are trained on.
    path = soft_targets.shard_path(folder, 1, 0)
    at = {"a bit of a logit": flip(1500 * RECORD + 30)}
    at["a bit of a length"] = flip(1500 * RECORD)
    at["swapped records"] = rewrite(lambda r: [*r[:1500], r[1501], r[1500], *r[1502:]])
    at["one twice"] = rewrite(lambda r: [*r[:1500], r[1499], *r[1501:]])
    at.get(kind, damage)(pathlib.Path(path))
    assert student(world, folder, tmp_path / "own", *settings) == exit_codes.UNUSABLE
    message = capfd.readouterr().err.splitlines()[-1]
    assert_states(message, "trainer:", path, words, BUILD)
    assert not (tmp_path / "own" / "student" / "seed-0" / "last.keras").exists()


@pytest.mark.slow
def test_mirrored_students_end_with_2_and_name_the_shard(world, folder, tmp_path):
    path = soft_targets.shard_path(folder, 1, 0)
    damage, words = IN_MEMORY["other ids"]
    damage(pathlib.Path(path))
    settings = (*STREAM, "runtime.logical_cpus=2", "runtime.strategy='mirrored'")
    sets = [f"--set={s}" for s in (CACHED, *VIEWS, place(folder), *settings)]
    given = (world / "one.toml", tmp_path / "own", *sets)
    # In a process of its own: after a failure no collective of one works any more.
    assert whole_run.do("teacher", *given)[0] == 0
    code, _, told = whole_run.finish(whole_run.start("student", *given))
    assert code == exit_codes.UNUSABLE
    message = told.splitlines()[-1]
    assert_states(message, "trainer:", path, words)


# Manifests.


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no JSON",
        b'{"version": 1',
        b"\xff\xfe\x00",
        b"[]",
        b"5",
        b"null",
        b"{}",
        b'{"version": 1}',
    ],
)
def test_what_is_no_manifest_is_refused(folder, wanted, content):
    (folder / "manifest.json").write_bytes(content)
    with refused(SoftTargetsError, folder / "manifest.json", f"remove {folder}"):
        learn(folder, wanted)


def manifest_of(folder: epath.Path) -> dict:
    """What it says, as earlier versions wrote it: without its checksum."""
    fields = json.loads((folder / "manifest.json").read_text())
    del fields["checksum"]
    return fields


def write_manifest(folder: epath.Path, fields: dict) -> None:
    (folder / "manifest.json").write_text(json.dumps(fields))


FIELDS = ("teacher", "dataset", "growth", "class_names", "augment", "views", "dtype")


@pytest.mark.parametrize("field", [*FIELDS, "top_k", "temperatures", "shards"])
@pytest.mark.parametrize("other", ["absent", "many", None, {"a": 2}])
def test_a_manifest_without_a_field_or_with_another_kind_is_refused(
    folder, wanted, field, other
):
    fields = manifest_of(folder)
    fields[field] = other
    if other == "absent":
        del fields[field]
    write_manifest(folder, fields)
    with refused(SoftTargetsError, folder):
        learn(folder, wanted)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_manifest_without_a_shard_is_refused(folder, wanted, number):
    fields = manifest_of(folder)
    del fields["shards"][number]
    write_manifest(folder, fields)
    with refused(SoftTargetsError, folder / "manifest.json", f"remove {folder}"):
        learn(folder, wanted)


@pytest.mark.parametrize("key", ["first", "num_ids", "count"])
@pytest.mark.parametrize("number", [0, 2])
def test_a_manifest_with_other_numbers_is_refused(folder, wanted, number, key):
    fields = manifest_of(folder)
    for change in (-1, 2):
        fields["shards"][number][key] += change
        write_manifest(folder, fields)
        with refused(SoftTargetsError, folder):
            learn(folder, wanted)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused(folder, wanted, version):
    write_manifest(folder, manifest_of(folder) | {"version": version})
    facts = ("version 1", repr(version), "distill.soft_targets_dir")
    with refused(SoftTargetsError, folder / "manifest.json", *facts):
        learn(folder, wanted)


def test_no_cache_is_refused(wanted, tmp_path):
    folder = epath.Path(tmp_path / "none")
    with refused(SoftTargetsError, folder, "none", BUILD):
        learn(folder, wanted)


# Shards of other views and caches, whole and with right checksums of their own.


def as_before(folder: epath.Path) -> None:
    """Makes a cache what an earlier version would have built."""
    for path in pathlib.Path(folder).rglob("*.tfrecord"):
        rewrite(lambda records: [r[:5] + bytes(3) + r[8:] for r in records])(
            pathlib.Path(path)
        )
    fields = manifest_of(folder)
    del fields["mark"]
    for shard in fields["shards"]:
        del shard["sha256"]
    write_manifest(folder, fields)


def test_a_shard_of_another_view_is_refused(folder, wanted):
    first, second = (soft_targets.shard_path(folder, view, 1) for view in (0, 1))
    first.copy(second, overwrite=True)
    with refused(SoftTargetsError, second, "view 0"):
        learn(folder, wanted)


@pytest.fixture(scope="module")
def of_other(world):
    """A cache of the same examples by another teacher."""
    other = f"teacher.weights='{world}/other.keras'"
    opened = cached_session(world, world / "by-other", *VIEWS, other)
    return caches.root(opened.config, opened.path) / "train"


def test_a_shard_of_another_cache_is_refused(folder, wanted, of_other):
    path = soft_targets.shard_path(folder, 1, 1)
    soft_targets.shard_path(of_other, 1, 1).copy(path, overwrite=True)
    with refused(SoftTargetsError, path, "another"):
        learn(folder, wanted)


@pytest.mark.slow
def test_a_streamed_shard_of_another_cache_is_refused(
    world, folder, of_other, tmp_path, capfd
):
    path = soft_targets.shard_path(folder, 1, 0)
    soft_targets.shard_path(of_other, 1, 0).copy(path, overwrite=True)
    assert student(world, folder, tmp_path / "own", *STREAM) == exit_codes.UNUSABLE
    message = capfd.readouterr().err.splitlines()[-1]
    assert_states(message, "trainer:", path, "records")


def test_other_logits_under_the_right_ids_are_refused(folder, wanted):
    path = soft_targets.shard_path(folder, 1, 1)
    rewrite(lambda records: [r[:8] + records[0][8:] for r in records])(
        pathlib.Path(path)
    )
    with refused(SoftTargetsError, path, "checksum"):
        learn(folder, wanted)


def test_the_manifest_has_the_checksum_of_each_file(folder):
    for number, shard in enumerate(manifest_of(folder)["shards"]):
        for view, known in enumerate(shard["sha256"]):
            path = soft_targets.shard_path(folder, view, number)
            assert hashlib.sha256(path.read_bytes()).hexdigest() == known
        assert len(shard["sha256"]) == 2


def test_a_changed_manifest_is_refused(folder, wanted):
    fields = json.loads((folder / "manifest.json").read_text())
    fields["precision"] = "mixed_bfloat16"
    write_manifest(folder, fields)
    with refused(SoftTargetsError, folder / "manifest.json", "checksum"):
        learn(folder, wanted)


@pytest.mark.slow
def test_a_cache_of_an_earlier_version_teaches_the_same(
    world, folder, tmp_path, built, capfd
):
    as_before(folder)
    sets = (CACHED, *VIEWS, place(folder))
    own = session(world, tmp_path / "own", *sets)
    build(own)
    capfd.readouterr()
    before = caches.open_caches(own.networks)
    assert_states(capfd.readouterr().err, "earlier version")
    now = caches.open_caches(built.networks)
    ids = tf.range(1000, 3000, dtype=tf.int64)
    for view in (0, 1):
        views = tf.fill([2000], tf.constant(view, tf.int64))
        expected, found = (x.gather(ids, views) for x in (now, before))
        np.testing.assert_array_equal(*expected.values(), *found.values())


def test_a_build_that_was_killed_before_its_checksums_keeps_them_then(
    world, folder, tmp_path, wanted
):
    whole = (folder / "manifest.json").read_bytes()
    fields = manifest_of(folder)
    for shard in fields["shards"]:
        del shard["sha256"]
    write_manifest(folder, fields)
    build(session(world, tmp_path / "own", CACHED, *VIEWS, place(folder)))
    assert (folder / "manifest.json").read_bytes() == whole


# Answers of another run.


def opened(world, folder, workdir, *settings: str) -> CachedTargets:
    """The caches around `folder`, for a run with some settings."""
    sets = (CACHED, *VIEWS, place(folder), *settings)
    return caches.open_caches(session(world, workdir, *sets).networks)


OTHERS = {
    "weights": (["teacher.weights='{world}/other.keras'"], ["teacher.weights"]),
    "options": (
        ["teacher.options.activation='gelu'"],
        ["teacher.options.activation", "'gelu' here"],
    ),
    "split": (
        [
            "data.train_split='test[:60]'",
            "data.validation_split='test[60:80]'",
            "data.test_split='test[80:]'",
        ],
        ["dataset.split", "'train' there", "'test' here"],
    ),
    "augmentation": (
        ["student.train.augment='crop_flip'"],
        ["augment.name", "'shift' there", "'crop_flip' here"],
    ),
    "no augmentation": (
        ["student.train.augment='none'", "distill.views=1"],
        ["augment.name", "'shift' there", "'none' here"],
    ),
    "augmentation's options": (
        ["student.train.augment_options.max_pixels=1"],
        ["augment.max_pixels", "2 there", "1 here"],
    ),
    "first seed": (["seeds=[1, 0]"], ["augment.seed", "0 there", "1 here"]),
    "dtype": (
        ["distill.soft_targets_dtype='float16'"],
        ["dtype", "'float32' there", "'float16' here"],
    ),
    "top k": (["distill.top_k=3"], ["top_k", "0 there", "3 here"]),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_answers_of_another_run_are_refused(world, folder, tmp_path, kind):
    settings, facts = OTHERS[kind]
    settings = [setting.format(world=world) for setting in settings]
    with refused(SoftTargetsError, folder, *facts, "distill.soft_targets_dir"):
        opened(world, folder, tmp_path / "own", *settings)


def test_a_whole_run_with_other_answers_ends_with_2(world, folder, tmp_path, capfd):
    other = f"teacher.weights='{world}/other.keras'"
    assert student(world, folder, tmp_path / "own", other) == exit_codes.UNUSABLE
    assert_states(capfd.readouterr().err, folder, "teacher.weights")


def test_fewer_views_are_refused_and_more_are_not(world, folder, tmp_path):
    with refused(SoftTargetsError, folder, "3 views", 2, BUILD):
        opened(world, folder, tmp_path / "a", "distill.views=3")
    opened(world, folder, tmp_path / "b", "distill.views=1")


def test_the_manifest_names_another_set_or_other_classes(folder, wanted):
    for field, other in (
        ("class_names", wanted.class_names[::-1]),
        ("class_names", wanted.class_names[:-1]),
        ("dataset", wanted.dataset | {"input_shape": [7, 6, 1]}),
        ("growth", (wanted.growth[0] | {"fingerprint": "0123"},)),
    ):
        others = dataclasses.replace(wanted, **{field: other})
        name = {"growth": "dataset.fingerprint", "dataset": "dataset.input_shape"}
        with refused(SoftTargetsError, name.get(field, field)):
            Cache(folder, others)


def test_a_set_with_other_images_is_refused(world, folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    cached_runs.prepare(other, seed=1)
    with refused(SoftTargetsError, "dataset.fingerprint"):
        opened(world, folder, tmp_path / "own", f"data.data_dir='{other}'")


# Tables.


def test_answers_to_another_table_or_to_one_scaled_otherwise_are_refused(
    world, tmp_path
):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 4)).astype(np.float32)
    labels = np.where(rows[:, 0] > 0, "up", "down")
    table = tmp_path / "table.npz"
    np.savez(table, features=rows, label=labels)
    settings = [
        f"data.dataset='npz:{table}'",
        "data.train_split='train[:100]'",
        "data.validation_split='train[100:150]'",
        "data.test_split='train[150:]'",
        "teacher.weights=''",
        "teacher.train={global_batch_size = 10, steps = 20}",
    ]
    first = cached_session(world, tmp_path / "first", *settings)
    folder = caches.root(first.config, first.path) / "train"
    weights = tmp_path / "first" / "teacher" / "model.keras"
    taken = [CACHED, *settings[:-2], f"teacher.weights='{weights}'", place(folder)]

    def again(name: str, *more: str) -> CachedTargets:
        return caches.open_caches(
            session(world, tmp_path / name, *taken, *more).networks
        )

    again("same")
    # A feature's mean over the training split is part of the teacher.
    with refused(SoftTargetsError, "teacher.weights"):
        again("fewer", "data.train_split='train[:90]'")
    labels = labels[::-1]
    np.savez(table, features=rows, label=labels)
    with refused(SoftTargetsError, "dataset.fingerprint"):
        again("changed")


# Folders.


def write_images(folder: pathlib.Path, *, seed: int) -> None:
    """Twenty images in two classes, of which one file is damaged."""
    rng = np.random.default_rng(seed)
    for i in range(20):
        pixels = rng.integers(0, 256, (6 + i % 3, 6, 3), dtype=np.uint8)
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (folder / "a" / "8.png").write_text("no image")


@pytest.fixture(scope="module")
def images(world, tmp_path_factory):
    """A run whose caches have the answers to a folder's images, and its settings."""
    folder = tmp_path_factory.mktemp("images")
    write_images(folder / "images", seed=0)
    settings = [
        f"data.dataset='folder:{folder}/images'",
        "data.image_size=6",
        "data.skip_corrupt=true",
        "data.train_split='train[:14]'",
        "data.validation_split='train[14:17]'",
        "data.test_split='train[17:]'",
        "teacher.weights=''",
        "teacher.train={global_batch_size = 5, steps = 20}",
        "student.train.global_batch_size=4",
    ]
    return cached_session(world, folder / "own", *VIEWS, *settings), settings


@pytest.mark.parametrize("view", [0, 1])
def test_an_example_without_an_answer_is_refused_though_others_may_have_none(
    images, view
):
    opened, _ = images
    folder = caches.root(opened.config, opened.path) / "train"
    path = pathlib.Path(soft_targets.shard_path(folder, view, 0))
    whole = path.read_bytes()
    ids = {int(i) for i in caches.transfer_sets(opened.config, opened.datasets)[0].used}
    (gap,) = set(range(20)) - ids_of(path)
    moved = gap - 1 if gap - 1 in ids else gap + 1
    rewrite(
        lambda records: [
            gap.to_bytes(5, "little") + record[5:]
            if int.from_bytes(record[:5], "little") == moved
            else record
            for record in records
        ]
    )(path)
    try:
        with refused(SoftTargetsError, path, f"id {moved}"):
            caches.open_caches(opened.networks)
    finally:
        path.write_bytes(whole)
    assert caches.open_caches(opened.networks).is_in_memory


def ids_of(path: pathlib.Path) -> set[int]:
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return {int.from_bytes(record[:5], "little") for record in records}


def test_answers_to_the_images_of_another_folder_are_refused(world, images, tmp_path):
    """Though all of its files have the same names, and most the same size."""
    opened, settings = images
    write_images(tmp_path / "images", seed=1)
    others = [f"data.dataset='folder:{tmp_path}/images'", *settings[1:]]
    place = f"distill.soft_targets_dir='{caches.root(opened.config, opened.path)}'"
    kept = caches.root(opened.config, opened.path) / "files" / "train.jsonl"
    facts = ("another content", 19, "distill.soft_targets_dir")
    with refused(data.DataError, kept, *facts):
        session(world, tmp_path / "own", CACHED, *VIEWS, *others, place)
