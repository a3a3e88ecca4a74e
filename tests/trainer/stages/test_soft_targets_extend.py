"""Caches that grow with their folders: ids, shards, and the lists that give them."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from tests.helpers import groups, whole_run
from tests.helpers.caches import act, build, contents, records, write_teacher
from tests.helpers.messages import assert_states
from tests.helpers.pets import DENSE, SIZE, draw, extend, kept, lines, write_config
from trainer import main
from trainer.storage import seal


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """20 + 8 images of two classes, with a cache and the workdir that built it."""
    root = tmp_path_factory.mktemp("begun")
    draw(root / "pets" / "train" / "cat", range(10))
    draw(root / "pets" / "train" / "dog", range(100, 110))
    draw(root / "pets" / "test" / "cat", range(50, 54))
    draw(root / "pets" / "test" / "dog", range(150, 154))
    write_teacher(root / "teacher.keras", (SIZE, SIZE, 3), 2)
    write_config(root)
    assert build(root / "pets.toml", root / "first") == 0
    return root


@pytest.fixture
def root(begun, tmp_path):
    """A copy of all that to grow; paths in it are its own."""
    shutil.copytree(begun, tmp_path / "root")
    write_config(tmp_path / "root")
    return tmp_path / "root"


def run(stage: str, root: pathlib.Path, workdir: str, *more: str) -> int:
    """The exit code of a stage after the teacher's."""
    config, folder = root / "pets.toml", root / workdir
    return main.main(whole_run.command("teacher", config, folder, *more)) or main.main(
        whole_run.command(stage, config, folder, *more)
    )


def predicted(
    root: pathlib.Path, listed: list[dict], folder: str = "pets"
) -> np.ndarray:
    """What Keras alone says of listed files: float32 [M, 2]."""
    images = np.stack(
        [np.asarray(Image.open(root / folder / line["path"])) for line in listed]
    )
    model = keras.models.load_model(root / "teacher.keras", compile=False)
    return model.predict(images, verbose=0)


def stamps(root: pathlib.Path) -> dict[pathlib.Path, int]:
    """When each shard of the cache was written."""
    paths = (root / "shared").rglob("*.tfrecord")
    return {path: path.stat().st_mtime_ns for path in paths}


def stages_of(root: pathlib.Path) -> list[int]:
    """How many ids the cache had each time it grew."""
    manifest = json.loads((root / "shared" / "train" / "manifest.json").read_text())
    return [stage["num_ids"] for stage in manifest["growth"]]


def told(capsys) -> str:
    return " ".join(capsys.readouterr().err.split())


# New files.


def test_new_files_get_new_ids_and_shards_of_their_own(root, capsys):
    before, stamped = kept(root), stamps(root)
    assert len(before) == 20
    draw(root / "pets" / "train" / "cat", range(20, 25))
    assert extend(root) == 0
    assert_states(told(capsys), "5 files", "0 are gone")
    assert kept(root)[:20] == before
    names = {line["path"] for line in kept(root)[20:]}
    assert names == {f"train/cat/{shade}.png" for shade in range(20, 25)}
    found = records(root / "shared" / "train", 0, DENSE)
    assert found["id"].tolist() == list(range(25))
    expected = predicted(root, kept(root))
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-4)
    assert stages_of(root) == [20, 25]
    after = stamps(root)
    assert {path: after[path] for path in stamped} == stamped
    assert [path.name for path in after.keys() - stamped.keys()] == [
        "shard-00001.tfrecord"
    ]


def test_where_nothing_came_nothing_changes(root):
    before, stamped = contents(root / "shared"), stamps(root)
    assert extend(root) == 0
    after = contents(root / "shared")
    del after["files/building"]  # the lock
    assert after == before
    assert stamps(root) == stamped


@pytest.mark.slow
def test_a_cache_that_grew_in_steps_is_what_each_left(root):
    for step in range(2):
        draw(root / "pets" / "train" / "dog", range(200 + step, 202 + step))
        assert extend(root) == 0
    assert stages_of(root) == [20, 22, 23]
    assert len(stamps(root)) == 3
    assert act("verify", root / "pets.toml", root / "second") == 2  # no teacher yet
    assert run("student", root, "second") == 0
    assert act("verify", root / "pets.toml", root / "second") == 0


@pytest.mark.slow
def test_an_extension_that_was_killed_goes_on(root, capsys):
    draw(root / "pets" / "train" / "cat", range(20, 25))
    before = contents(root / "shared")
    assert extend(root) == 0
    whole = contents(root / "shared")
    # Killed after the manifest, and after the list.
    (root / "shared/train/view-0000/shard-00001.tfrecord").unlink()
    assert run("student", root, "second") == 2
    assert_states(told(capsys), "shard-00001.tfrecord")
    assert extend(root) == 0
    assert contents(root / "shared") == whole
    (root / "shared/train/view-0000/shard-00001.tfrecord").unlink()
    manifest = root / "shared" / "train" / "manifest.json"
    manifest.write_bytes(before["train/manifest.json"])
    assert run("soft-targets", root, "third") == 2
    extending = "python -m trainer soft-targets extend"
    assert_states(told(capsys), "25 ids", "got 20", extending)
    assert extend(root) == 0
    assert contents(root / "shared") == whole


@pytest.mark.slow
def test_two_workers_extend_like_one_process(root, tmp_path):
    draw(root / "pets" / "train" / "cat", range(20, 25))
    before = contents(root / "shared")
    assert extend(root) == 0
    whole = contents(root / "shared")
    (root / "shared/train/view-0000/shard-00001.tfrecord").unlink()
    for name, held in before.items():
        (root / "shared" / name).write_bytes(held)
    groups.finish(
        tmp_path, 2, "soft-targets", root / "pets.toml", root / "first", "extend"
    )
    assert contents(root / "shared") == whole


# Files that are gone.


@pytest.mark.slow
def test_a_deleted_file_keeps_its_id_and_others_train_without_it(root, capsys):
    gone = kept(root)[7]
    (root / "pets" / gone["path"]).unlink()
    # What has begun with it cannot go on.
    assert run("student", root, "first") == 2
    assert_states(told(capsys), gone["path"])
    draw(root / "pets" / "train" / "cat", range(20, 22))
    stamped = stamps(root)
    assert extend(root) == 0
    assert_states(told(capsys), "2 files", "1 are gone")
    assert [line["state"] for line in kept(root)] == [
        "gone" if i == 7 else "example" for i in range(22)
    ]
    assert {path: stamps(root)[path] for path in stamped} == stamped
    assert run("student", root, "second") == 0
    assert_states(told(capsys), "21 + 4 + 4")
    # It was a record before, and nobody can be asked of it again.
    assert 7 in records(root / "shared" / "train", 0, DENSE)["id"]
    assert act("verify", root / "pets.toml", root / "second") == 0
    assert_states(capsys.readouterr().out, "of 21")


@pytest.mark.slow
def test_a_file_that_comes_back_stays_gone(root):
    path = root / "pets" / kept(root)[3]["path"]
    held = path.read_bytes()
    path.unlink()
    assert extend(root) == 0
    path.write_bytes(held)
    assert extend(root) == 0
    assert [line["state"] for line in kept(root)].count("gone") == 1
    assert (len(kept(root)), stages_of(root)) == (20, [20])


@pytest.mark.slow
def make_earlier(root: pathlib.Path) -> dict:
    """The manifest as earlier versions wrote it, without the version of the pixels."""
    path = root / "shared" / "train" / "manifest.json"
    manifest = seal.parse(path.read_bytes())
    before = json.loads(json.dumps(manifest))
    del manifest["dataset"]["pixels"]
    path.write_text(json.dumps(seal.add_checksum(manifest)))
    return before["dataset"]


def test_an_earlier_cache_goes_on_until_it_has_jpegs(root, capsys):
    wanted = make_earlier(root)
    draw(root / "pets" / "train" / "cat", range(20, 22), "jpeg")
    assert extend(root) == 0
    assert stages_of(root) == [20, 22]
    manifest = json.loads((root / "shared" / "train" / "manifest.json").read_text())
    assert manifest["dataset"] == wanted
    make_earlier(root)
    told(capsys)
    assert extend(root) == 2
    facts = ("dataset.pixels", "None", "JPEGs", "distill.soft_targets_dir")
    assert_states(told(capsys), *facts)


@pytest.mark.slow
def test_without_its_image_a_shard_cannot_be_made_again(root, capsys):
    (root / "pets" / kept(root)[7]["path"]).unlink()
    assert extend(root) == 0
    shard = root / "shared" / "train" / "view-0000" / "shard-00000.tfrecord"
    shard.unlink()
    assert run("soft-targets", root, "second") == 2
    message = told(capsys)
    assert_states(message, "0 to 19", "'train'", "20 examples", "got 19")
    assert not shard.exists()


# Runs that share a cache.


@pytest.mark.slow
def test_a_run_elsewhere_takes_the_list_over(root):
    draw(root / "pets" / "train" / "cat", range(20, 25))
    assert extend(root) == 0
    draw(root / "pets" / "train" / "cat", range(30, 33))  # not in the cache
    assert run("student", root, "second") == 0
    for name in ("train", "test"):
        ours = (root / "second" / "files" / f"{name}.jsonl").read_text()
        assert ours == (root / "shared" / "files" / f"{name}.jsonl").read_text()
    assert len(lines(root / "second" / "files" / "train.jsonl")) == 25


@pytest.mark.slow
def test_a_run_that_has_begun_keeps_its_list_and_opens_what_has_grown(root):
    own = (root / "first" / "files" / "train.jsonl").read_text()
    draw(root / "pets" / "train" / "cat", range(20, 25))
    assert extend(root) == 0
    whole = contents(root / "shared")
    assert (root / "first" / "files" / "train.jsonl").read_text() == own
    for action in ("plan", "build", "verify", "info"):
        assert act(action, root / "pets.toml", root / "first") == 0, action
    assert run("student", root, "first") == 0
    assert contents(root / "shared") == whole


@pytest.mark.slow
def test_a_run_that_has_begun_leaves_new_ids_to_others(root):
    draw(root / "pets" / "train" / "cat", range(20, 25))
    assert extend(root) == 0
    whole = contents(root / "shared")
    for path in stamps(root):
        path.unlink()
    assert act("build", root / "pets.toml", root / "first") == 0
    assert [path.name for path in stamps(root)] == ["shard-00000.tfrecord"]
    assert run("student", root, "first") == 0
    assert extend(root) == 0
    assert contents(root / "shared") == whole


def test_the_cache_of_another_folder_is_refused(root, capsys):
    shutil.rmtree(root / "pets")
    for split, count in (("train", 14), ("test", 8)):
        for place, name in enumerate(("cat", "dog")):
            first = 200 + 20 * place
            draw(root / "pets" / split / name, range(first, first + count))
    assert run("soft-targets", root, "second") == 2
    message = told(capsys)
    assert_states(message, "data.dataset", "0 of", "distill.soft_targets_dir")


@pytest.mark.slow
@pytest.mark.parametrize("more", [0, 3])
def test_a_run_with_another_list_writes_nothing_to_the_cache(root, capsys, more):
    """It began in a folder of its own before there was a cache."""
    draw(root / "pets" / "train" / "cat", range(30, 30 + more))
    (root / "pets" / kept(root)[0]["path"]).write_bytes(
        (root / "pets" / kept(root)[1]["path"]).read_bytes()
    )
    elsewhere = f"--set=distill.soft_targets_dir='{root}/elsewhere'"
    assert run("soft-targets", root, "second", elsewhere) == 0
    (root / "shared/train/view-0000/shard-00000.tfrecord").unlink()
    before = contents(root / "shared")
    assert act("build", root / "pets.toml", root / "second") == 2
    assert_states(told(capsys), "dataset.fingerprint")
    assert contents(root / "shared") == before


# What is refused.


def test_there_has_to_be_a_cache(root, capsys):
    shutil.rmtree(root / "shared")
    assert extend(root) == 2
    assert_states(told(capsys), "python -m trainer soft-targets build")


def test_a_damaged_new_image_stops_before_the_list_grows(root, capsys):
    before = contents(root / "shared")
    (root / "pets" / "train" / "dog" / "bad.png").write_text("no image")
    assert extend(root) == 2
    assert_states(told(capsys), "dog/bad.png", "JPEG", "PNG", "WebP", "damaged")
    assert contents(root / "shared").items() - {("files/building", b"")} == (
        before.items()
    )


@pytest.mark.slow
def test_a_damaged_new_image_that_is_skipped_has_an_id_and_no_record(root):
    skip = "--set=data.skip_corrupt=true"
    shutil.rmtree(root / "shared")
    assert run("soft-targets", root, "second", skip) == 0
    (root / "pets" / "train" / "dog" / "bad.png").write_text("no image")
    assert extend(root, skip, workdir="second") == 0
    assert stages_of(root) == [20, 21]
    (path,) = (p for p in stamps(root) if p.name == "shard-00001.tfrecord")
    assert path.stat().st_size == 0
    assert run("student", root, "third", skip) == 0
    assert act("verify", root / "pets.toml", root / "third", skip) == 0


def test_a_new_class_is_refused_before_the_list_grows(root, capsys):
    before = contents(root / "shared" / "files")
    draw(root / "pets" / "train" / "cow", range(60, 62))
    draw(root / "pets" / "test" / "cow", range(62, 64))
    assert extend(root) == 2
    assert_states(told(capsys), "classes", "cow")
    assert contents(root / "shared" / "files").items() - {("building", b"")} == (
        before.items()
    )


# Images without labels.


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "all"])
def test_a_folder_without_labels_grows_by_itself(root, split):
    draw(root / "wild", range(220, 226))
    shutil.rmtree(root / "shared")
    unlabeled = f'[data.unlabeled]\ndataset = "folder:{root}/wild"\n'
    write_config(root, more=f'{unlabeled}split = "{split}"\n\n')
    assert run("soft-targets", root, "second") == 0
    labeled = contents(root / "shared" / "train")
    draw(root / "wild", range(230, 233))
    assert extend(root, workdir="second") == 0
    assert contents(root / "shared" / "train") == labeled
    listed = lines(root / "shared" / "files" / "unlabeled" / "train.jsonl")
    assert {line["path"] for line in listed[6:]} == {"230.png", "231.png", "232.png"}
    found = records(root / "shared" / "unlabeled", 0, DENSE)
    assert found["id"].tolist() == list(range(9))
    expected = predicted(root, listed, "wild")
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-4)
    assert run("student", root, "third") == 0


@pytest.mark.slow
def test_images_that_go_before_they_were_answered_do_not_end_a_cache(root):
    draw(root / "pets" / "train" / "cat", range(20, 25))
    assert extend(root) == 0
    # As a process leaves it that is killed before it has answered.
    (root / "shared" / "train" / "view-0000" / "shard-00001.tfrecord").unlink()
    (root / "pets" / kept(root)[22]["path"]).unlink()
    draw(root / "pets" / "train" / "cat", range(30, 33))
    assert extend(root) == 0
    found = records(root / "shared" / "train", 0, DENSE)
    assert found["id"].tolist() == [i for i in range(28) if i != 22]
