"""Images that come one after another, and the students that follow them."""

import contextlib
import json
import os
import pathlib
import signal
import time

import pytest
from etils import epath

from tests.helpers import configs, whole_run
from tests.helpers.caches import records, write_teacher
from tests.helpers.messages import assert_a_line_states, assert_states, refused
from tests.helpers.pages import undrawn
from tests.helpers.pets import DENSE, SIZE, draw
from trainer import config, data, exit_codes, main
from trainer.config import ConfigError
from trainer.registry import card
from trainer.storage import locks
from trainer.watch import arrivals, inbox


@pytest.fixture
def root(tmp_path):
    """Dark cats and light dogs, and a teacher; no inbox yet."""
    draw(tmp_path / "pets" / "train" / "cat", range(10))
    draw(tmp_path / "pets" / "train" / "dog", range(200, 210))
    draw(tmp_path / "pets" / "test" / "cat", range(50, 54))
    draw(tmp_path / "pets" / "test" / "dog", range(150, 154))
    write_teacher(tmp_path / "teacher.keras", (SIZE, SIZE, 3), 2)
    write_config(tmp_path)
    return tmp_path


def write_config(root: pathlib.Path, *, steps: int = 4) -> None:
    (root / "pets.toml").write_text(configs.WATCHED.format(folder=root, steps=steps))


def watch(root: pathlib.Path, *more: str, draws: bool = False) -> int:
    command = whole_run.command("watch", root / "pets.toml", root / "workdir", *more)
    with contextlib.nullcontext() if draws else undrawn():
        return main.main([*command])


def once(root: pathlib.Path, *more: str, draws: bool = False) -> int:
    return watch(root, "--once", *more, draws=draws)


def told(root: pathlib.Path) -> list[dict]:
    return json.loads((root / "workdir" / "watch.json").read_text())["batches"]


def lines(root: pathlib.Path) -> list[dict]:
    folder = root / "workdir" / "soft_targets" / "files" / "unlabeled"
    text = (folder / "train.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


# Watching in this process, one look at a time.


def test_too_few_images_begin_nothing(root, capsys):
    assert once(root) == exit_codes.DONE
    draw(root / "inbox", range(100, 103))
    assert once(root) == exit_codes.DONE
    out, err = capsys.readouterr()
    for num_new in (0, 3):
        assert_a_line_states(err, f"{num_new} new images", "0 have settled", 4)
    assert [line.split()[0] for line in out.splitlines()] == ["no", "no"]
    assert told(root) == []


@pytest.mark.slow
def test_a_batch_ends_as_one_version_whenever_its_process_is_killed(root, capsys):
    draw(root / "inbox", range(100, 105))
    assert once(root, draws=True) == exit_codes.DONE
    [batch] = told(root)
    assert batch["status"] == "registered"
    assert batch["reference"] == "pets@1"
    assert (batch["num_images"], batch["set_aside"]) == (5, {})
    assert (root / "registry" / "pets" / "1" / "saved_model.pb").exists()
    own = json.loads((root / "registry" / "pets" / "1" / "card.json").read_text())
    assert own["metrics"]["validation"]["accuracy"] == batch["accuracy"]
    found = records(root / "workdir" / "soft_targets" / "unlabeled", 0, DENSE)
    assert found["id"].tolist() == list(range(5))
    accuracy = f"{100 * batch['accuracy']:.2f} %"
    assert_a_line_states(
        capsys.readouterr().out,
        *("batch 1", "5 new images", accuracy, "registry:pets@1"),
    )
    # Nothing is new any more.
    assert once(root) == exit_codes.DONE
    assert told(root) == [batch]
    # As a process would have left it that was killed right after the registration.
    left = batch | {"status": "open", "reference": "", "accuracy": None}
    (root / "workdir" / "watch.json").write_text(json.dumps({"batches": [left]}))
    assert once(root) == exit_codes.DONE
    assert told(root) == [batch]
    assert [path.name for path in (root / "registry" / "pets").glob("[0-9]*")] == ["1"]


@pytest.mark.slow
def test_a_student_goes_on_from_the_last_one(root):
    more = ('--set=watch.student="last"',)
    for number, shades in enumerate((range(100, 104), range(110, 114)), start=1):
        draw(root / "inbox", shades)
        assert once(root, *more) == exit_codes.DONE
        assert len(told(root)) == number
    found = json.loads(
        (root / "workdir" / "cells" / "batch-0002" / "config.json").read_text()
    )
    before = root / "workdir" / "cells" / "batch-0001" / "student" / "seed-0"
    assert found["student"]["weights"] == str(before / "model.keras")


@pytest.mark.slow
def test_a_worse_student_is_refused(root, capsys):
    write_config(root, steps=12)
    draw(root / "inbox", range(100, 104))
    assert once(root) == exit_codes.DONE
    path = root / "registry" / "pets" / "1" / "card.json"
    # No student is better than one whose every answer is right.
    own = json.loads(path.read_text())
    own["metrics"]["validation"]["accuracy"] = 1.5
    own = {key: own[key] for key in own.keys() - {"format", "checksum"}}
    path.write_text(card.texts(own)["card.json"])
    draw(root / "inbox", range(110, 114))
    assert once(root) == exit_codes.DONE
    batch = told(root)[1]
    assert batch["status"] == "refused"
    assert_states(batch["reason"], "pets@1", "150.00 %")
    # What it answered to other examples says nothing of these.
    own["data"]["fingerprints"]["test"] = "of others"
    path.write_text(card.texts({**own, "classes": ["a", "b"]})["card.json"])
    left = batch | {"status": "open", "reason": ""}
    again = json.dumps({"batches": [told(root)[0], left]})
    (root / "workdir" / "watch.json").write_text(again)
    assert once(root) == exit_codes.DONE
    assert_states(told(root)[1]["reason"], "pets@1", "classes")
    assert [path.name for path in (root / "registry" / "pets").glob("[0-9]*")] == ["1"]
    path.write_text(card.texts(own)["card.json"])
    (root / "workdir" / "watch.json").write_text(again)
    assert once(root) == exit_codes.DONE
    one, two = told(root)
    is_worse = two["accuracy"] < one["accuracy"]
    assert two["status"] == ("refused" if is_worse else "registered")
    assert "150.00" not in two["reason"]
    assert_states(capsys.readouterr().err, "pets@1", "other examples")


@pytest.mark.slow
def test_a_batch_that_diverges_is_refused_and_its_images_stay(root):
    draw(root / "inbox", range(100, 104))
    rate = "--set=student.train.learning_rate=1e30"
    assert once(root, rate) == exit_codes.DONE
    [batch] = told(root)
    assert batch["status"] == "refused"
    assert_states(batch["reason"], "diverged")
    assert [line["state"] for line in lines(root)] == ["example"] * 4


@pytest.mark.slow
def test_an_image_that_goes_costs_its_batch_alone_and_an_overwritten_one_none(
    root, monkeypatch
):
    admit = data.admit_files

    def and_gone(*args):
        found = admit(*args)
        (root / "inbox" / "101.png").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(data, "admit_files", and_gone)
    draw(root / "inbox", range(100, 104))
    assert once(root) == exit_codes.DONE
    [batch] = told(root)
    assert batch["status"] == "refused"
    assert "inbox/101.png" in batch["reason"]
    draw(root / "inbox", range(110, 114))
    draw(root / "inbox", range(90, 91))
    (root / "inbox" / "90.png").rename(root / "inbox" / "102.png")
    assert once(root) == exit_codes.DONE
    batch = told(root)[1]
    assert (batch["status"], batch["num_images"]) == ("registered", 4)
    why = "overwritten with another content since it was listed"
    assert batch["set_aside"] == {"102.png": why}
    states = {line["path"]: line["state"] for line in lines(root)}
    assert states.pop("101.png") == "gone"
    assert states.pop("102.png") == why
    assert set(states.values()) == {"example"}
    cached = records(root / "workdir" / "soft_targets" / "unlabeled", 0, DENSE)
    ids = {line["path"]: i for i, line in enumerate(lines(root))}
    # Batch 1 was not answered: its image that is overwritten has no record either.
    without = {ids["101.png"], ids["102.png"]}
    assert cached["id"].tolist() == [i for i in range(8) if i not in without]


@pytest.mark.slow
def test_a_storage_that_does_not_answer_leaves_the_batch_open(
    root, monkeypatch, capsys
):
    admit, image = data.admit_files, root / "inbox" / "101.png"

    def and_away(*args):
        found = admit(*args)
        image.rename(root / "kept.png")
        image.symlink_to(image.name)  # a link to itself fails as a disk does
        return found

    draw(root / "inbox", range(100, 104))
    with monkeypatch.context() as patched:
        patched.setattr(data, "admit_files", and_away)
        assert once(root) == exit_codes.UNUSABLE
    assert_a_line_states(capsys.readouterr().err, image, "batch 1", "open")
    assert [batch["status"] for batch in told(root)] == ["open"]
    (root / "kept.png").rename(image)
    assert once(root) == exit_codes.DONE
    [batch] = told(root)
    assert (batch["status"], batch["num_images"]) == ("registered", 4)


@pytest.mark.slow
def test_a_student_does_not_go_on_with_an_image_overwritten_since_it_began(root):
    draw(root / "inbox", range(100, 104))
    # It is trained and cannot be registered.
    nowhere = f'--set=registry.root="{root}/pets.toml/registry"'
    assert once(root, nowhere) == exit_codes.UNUSABLE
    image = root / "inbox" / "103.png"
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)  # of the same size
    assert once(root) == exit_codes.DONE
    [batch] = told(root)
    assert batch["status"] == "refused"
    assert_states(batch["reason"], "inbox/103.png")
    assert batch["set_aside"].keys() == {"103.png"}


@pytest.mark.slow
def test_a_watch_outlives_a_storage_that_does_not_answer(root):
    (root / "inbox").symlink_to("inbox")
    process = whole_run.start("watch", root / "pets.toml", root / "workdir")
    first = iter(process.stderr.readline, "")
    said = next(line for line in first if "looks again" in line)
    assert_states(said, root / "inbox")
    time.sleep(1)  # several looks
    (root / "inbox").unlink()
    draw(root / "inbox", range(100, 104))
    wait_for(lambda: told(root))
    process.send_signal(signal.SIGTERM)
    rest = process.communicate()[1]
    assert process.returncode == 143
    assert "looks again" not in rest


@pytest.mark.slow
def test_a_full_registry_keeps_the_batch_for_the_next_start(root, small_disk, capsys):
    draw(root / "inbox", range(100, 104))
    there = f'--set=registry.root="{small_disk}"'
    (small_disk / "others").write_bytes(bytes(2**20 - 2**15))
    assert once(root, there) == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, small_disk, "registry.root")
    assert [batch["status"] for batch in told(root)] == ["open"]
    assert list((small_disk / "pets").iterdir()) == []
    metrics = root / "workdir/cells/batch-0001/student/seed-0/metrics.jsonl"
    trained = metrics.stat().st_mtime_ns
    (small_disk / "others").unlink()
    assert once(root, there) == exit_codes.DONE
    assert [batch["reference"] for batch in told(root)] == ["pets@1"]
    assert metrics.stat().st_mtime_ns == trained


# What is new, and what of it has settled.


def section(root: pathlib.Path) -> config.DataConfig:
    return config.load(str(root / "pets.toml"), []).data


def test_a_file_settles_once_nobody_writes_it(root, tmp_path):
    seen = inbox.NewFiles(section(root), tmp_path / "lists")
    draw(root / "inbox", range(100, 101))
    growing = root / "inbox" / "growing.png"
    growing.write_bytes(b"half")
    seen.look()
    assert len(seen) == 2
    assert seen.settled_files(0.05) == []
    time.sleep(0.1)
    growing.write_bytes(b"half, and more")
    seen.look()
    assert seen.settled_files(0.05) == ["100.png"]
    time.sleep(0.1)
    seen.look()
    assert seen.settled_files(0.05) == ["100.png", "growing.png"]


@pytest.mark.parametrize("stamp", [0, 2**33], ids=["long ago", "to come"])
def test_a_clock_that_jumps_settles_nothing(root, tmp_path, stamp):
    draw(root / "inbox", range(100, 101))
    seen = inbox.NewFiles(section(root), tmp_path / "lists")
    seen.look()
    os.utime(root / "inbox" / "100.png", (stamp, stamp))
    time.sleep(0.1)
    seen.look()
    # The stamp is another, as it is when somebody writes.
    assert seen.settled_files(0.05) == []


def test_what_is_gone_or_damaged_is_set_aside(root, tmp_path):
    lists = tmp_path / "lists"
    draw(root / "inbox", range(100, 103))
    (root / "inbox" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    names = {"100.png", "101.png", "torn.png", "gone.png"}
    found = {
        line.path: line.state for line in data.admit_files(section(root), lists, names)
    }
    assert found.keys() == {"100.png", "101.png", "torn.png"}
    assert found["100.png"] == found["101.png"] == "example"
    assert found["torn.png"].startswith("damaged: ")
    # The one that was not named comes later, and has the next id.
    assert list(data.find_new_files(section(root), lists)) == ["102.png"]
    (root / "inbox" / "100.png").unlink()
    data.admit_files(section(root), lists, {"102.png"})
    text = (lists / "unlabeled" / "train.jsonl").read_text()
    kept = [json.loads(line) for line in text.splitlines()]
    assert kept[3]["path"] == "102.png"
    states = {line["path"]: line["state"] for line in kept}
    assert states["100.png"] == "gone"
    assert states["101.png"] == "example"


# Refusals.


@pytest.mark.parametrize(
    ("setting", "facts"),
    [
        ("data.skip_corrupt=false", ["[watch]", "data.skip_corrupt = true", "false"]),
        ('registry.root=""', ["[watch]", "registry.root", "none"]),
        (
            'export.role="baseline"',
            ["[watch]", "export.role", "'student'", "'finetune'", "'baseline'"],
        ),
        (
            'data.unlabeled.split="train[:9]"',
            ["[watch]", "data.unlabeled.split", "'train[:9]'"],
        ),
        (
            'data.unlabeled.dataset="mnist"',
            ["[watch]", "data.unlabeled.dataset = 'folder:PATH'", "'mnist'"],
        ),
        ("watch.min_new=0", ["watch.min_new", 1, 0]),
    ],
)
def test_a_section_that_cannot_be_used_is_refused(root, setting, facts):
    with refused(ConfigError, *facts):
        config.load(str(root / "pets.toml"), [setting])


def test_a_live_teacher_is_refused(root, capsys):
    assert once(root, '--set=distill.soft_targets="online"') == exit_codes.UNUSABLE
    told = capsys.readouterr().err
    assert_states(told, "[watch]", "distill.soft_targets = 'cached'", "'online'")
    assert not (root / "workdir").exists()


def test_two_processes_do_not_watch_in_one_workdir(root, capsys):
    (root / "workdir").mkdir()
    with locks.hold(epath.Path(root / "workdir") / "watch.lock"):
        assert watch(root) == exit_codes.UNUSABLE
        assert once(root) == exit_codes.DONE
    first, second = capsys.readouterr().err.splitlines()
    assert_states(first, "--workdir", "one watcher", root / "workdir")
    assert_states(second, root / "workdir")


def test_a_workdir_of_something_else_is_refused(root, capsys):
    (root / "workdir").mkdir()
    (root / "workdir" / "study.json").write_text("{}")
    assert once(root) == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, "--workdir", root / "workdir")


def test_a_damaged_record_of_batches_is_refused(root, tmp_path):
    (tmp_path / "watch.json").write_text('{"batches": [{"number"')
    with refused(ConfigError, tmp_path / "watch.json"):
        arrivals.read(epath.Path(tmp_path))


# As it is used: a process of its own, killed in between.


def wait_for(is_so, *, secs: float = 240) -> None:
    end = time.monotonic() + secs
    while not is_so():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.05)


def ended(root: pathlib.Path) -> int:
    path = root / "workdir" / "watch.json"
    if not path.exists():
        return 0
    return sum(batch["status"] != "open" for batch in told(root))


@pytest.mark.slow
def test_three_batches_with_a_damaged_file_and_a_kill(root):
    write_config(root, steps=30)
    process = whole_run.start("watch", root / "pets.toml", root / "workdir")
    draw(root / "inbox", range(100, 104))
    wait_for(lambda: ended(root) == 1)
    (root / "inbox" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    draw(root / "inbox", range(110, 115))
    checkpoints = root / "workdir/cells/batch-0002/student/seed-0/checkpoints"
    wait_for(lambda: list(checkpoints.glob("step-*.npz")))
    process.kill()
    process.communicate()
    assert ended(root) == 1
    process = whole_run.start("watch", root / "pets.toml", root / "workdir")
    wait_for(lambda: ended(root) == 2)
    draw(root / "inbox", range(120, 124))
    wait_for(lambda: ended(root) == 3)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143

    found = told(root)
    versions = sorted(p.name for p in (root / "registry" / "pets").glob("[0-9]*"))
    registered = [batch for batch in found if batch["status"] == "registered"]
    assert [batch["reference"] for batch in registered] == [
        f"pets@{version}" for version in versions
    ]
    assert all(batch["status"] == "registered" or batch["reason"] for batch in found)
    assert [batch["num_images"] for batch in found] == [4, 5, 4]
    assert [list(batch["set_aside"]) for batch in found] == [[], ["torn.png"], []]
    # Each image has one record, or was set aside.
    listed = lines(root)
    assert len(listed) == len({line["path"] for line in listed}) == 14
    examples = [i for i, line in enumerate(listed) if line["state"] == "example"]
    cached = records(root / "workdir" / "soft_targets" / "unlabeled", 0, DENSE)
    assert cached["id"].tolist() == examples
    assert len(examples) == 13
