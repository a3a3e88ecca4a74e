"""Versions of models: claimed once, whole, and as they were registered when read."""

import contextlib
import errno
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest
from etils import epath

from tests.helpers import whole_run
from tests.helpers.messages import assert_a_line_states, assert_states, refused
from tests.helpers.repository import REPOSITORY
from tests.helpers.versions import card, publish
from trainer import config, exit_codes, main, registry
from trainer.config import ConfigError, reference
from trainer.registry import versions
from trainer.runs import variant_session
from trainer.runs.variant import Variant
from trainer.storage import files, lease

WRITER = """
import json, pathlib, sys
from etils import epath
from trainer import registry
root, source, card, count = sys.argv[1:]
for _ in range(int(count)):
    with registry.publishing(epath.Path(root), "digits") as publish:
        print(publish(pathlib.Path(source), json.loads(card)), flush=True)
"""
KILLED = """
import pathlib, sys, time
from etils import epath
from trainer import registry
with registry.publishing(epath.Path(sys.argv[1]), "digits") as publish:
    [staging] = pathlib.Path(sys.argv[1], "digits").glob(".writing-????????")
    (staging / "version").mkdir()
    (staging / "version" / "model.keras").write_bytes(b"the first ha")
    print("half written", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    (folder / "model.keras").write_bytes(b"keras")
    return folder


def ref(text: str):
    return reference(text, setting="teacher.weights")


def number(root, text: str) -> int:
    return versions.number_of(epath.Path(root), ref(text))


def start(script: str, *words: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


def command(tmp_path, *words: str) -> tuple[int, str]:
    """Exit code and standard output of a registry command."""
    config = REPOSITORY / "configs" / "mnist_mini.toml"
    root = f'--set=registry.root="{tmp_path}"'
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main.main(["trainer", "registry", *words, f"--config={config}", root])
    return code, out.getvalue()


def test_versions_count_from_one_and_hold_what_was_given(tmp_path, source):
    assert [publish(tmp_path, source) for _ in range(2)] == [1, 2]
    found = tmp_path / "digits" / "2"
    assert (found / "saved_model.pb").read_bytes() == b"graph"
    assert (found / "variables" / "variables.index").read_bytes() == b"index"
    assert (found / "card.md").read_text().startswith("# digits, version 2\n")
    written = json.loads((found / "card.json").read_text())
    assert written["sizes"] == {
        "model.keras": 5,
        "saved_model.pb": 5,
        "variables/variables.index": 5,
    }
    # printf graph | sha256sum
    assert written["files"]["saved_model.pb"] == (
        "eef93e1d14482804277fca0172464032d1a4fdbcc338524059fa1e861454ad4d"
    )
    # TensorFlow Serving looks into nothing else.
    assert sorted(path.name for path in (tmp_path / "digits").iterdir()) == ["1", "2"]


def test_a_model_has_the_role_of_its_version(tmp_path, source):
    publish(tmp_path, source, card() | {"role": "teacher.members[1]"})
    publish(tmp_path, source)
    roles = [
        registry.role_of_file(epath.Path(tmp_path, "digits", number, "model.keras"))
        for number in "12"
    ]
    assert roles == ["teacher.members[1]", "student"]
    assert registry.role_of_file(epath.Path(source / "model.keras")) == "student"


def test_two_writers_never_share_a_version(tmp_path, source):
    both = [start(WRITER, tmp_path, source, json.dumps(card()), 8) for _ in "ab"]
    numbers = [int(n) for each in both for n in each.communicate()[0].split()]
    assert sorted(numbers) == list(range(1, 17))
    for each in numbers:
        versions.check_file(epath.Path(tmp_path / "digits" / str(each)), "model.keras")


def test_what_a_killed_writer_left_is_no_version_and_is_removed(tmp_path, source):
    killed = start(KILLED, tmp_path)
    assert killed.stdout.readline() == "half written\n"
    # Another one may write meanwhile, and removes nothing of a living one.
    assert publish(tmp_path, source) == 1
    assert len(list((tmp_path / "digits").glob(".writing-*"))) == 2
    killed.kill()
    killed.communicate()  # until it has ended
    assert number(tmp_path, "digits@latest") == 1
    assert publish(tmp_path, source) == 2
    assert not list((tmp_path / "digits").glob(".writing-*"))


def test_a_number_without_a_card_is_passed_over(tmp_path, source):
    publish(tmp_path, source)
    half = tmp_path / "digits" / "2"
    half.mkdir()
    (half / "model.keras").write_bytes(b"the first ha")
    assert number(tmp_path, "digits@latest") == 1
    with refused(ConfigError, "'registry:digits@2'", "no card", "known: 1"):
        number(tmp_path, "digits@2")
    assert_a_line_states(command(tmp_path, "list")[1], 2, "not complete")
    assert publish(tmp_path, source) == 3
    assert (half / "model.keras").read_bytes() == b"the first ha"


def test_a_folder_named_with_foreign_digits_is_no_version(tmp_path, source):
    publish(tmp_path, source)
    # An Arabic three, a full-width two, and what no version is written as.
    for name in ("\u0663", "\uff12", "07", "1_0"):
        shutil.copytree(tmp_path / "digits" / "1", tmp_path / "digits" / name)
    assert number(tmp_path, "digits@latest") == 1
    listed = command(tmp_path, "list")[1]
    assert "not complete" not in listed
    assert publish(tmp_path, source) == 2


@pytest.mark.parametrize(
    ("name", "problem"), [("model.keras", "checksum"), ("card.json", "damaged")]
)
def test_damage_is_seen_when_it_is_read(tmp_path, source, name, problem):
    publish(tmp_path, source)
    path = tmp_path / "digits" / "1" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with refused(files.StorageError, path, problem):
        versions.check_file(epath.Path(path.parent), "model.keras")
    for words in (["show", "digits@1"], ["promote", "digits@1"]):
        assert command(tmp_path, *words)[0] == 2
    assert not (tmp_path / "digits" / "promoted.json").exists()


def test_a_version_that_cannot_be_read_hides_no_other(tmp_path, source, capsys):
    for _ in range(3):
        publish(tmp_path, source)
    folder = tmp_path / "digits"
    (folder / "2" / "card.json").write_text('{"format": 1')
    (folder / "promoted.json").write_text("3")
    code, told = command(tmp_path, "list")
    assert code == exit_codes.CHECK_FAILED
    assert [line.split()[:3] for line in told.splitlines()[1:]] == [
        ["digits", "1", "50.00"],
        ["digits", "2", "unreadable"],
        ["digits", "3", "50.00"],
    ]
    err = capsys.readouterr().err
    assert_a_line_states(err, folder / "2" / "card.json")
    assert_a_line_states(err, folder / "promoted.json")
    assert_states(err.splitlines()[-1], 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("1/model.keras", ["show", "digits@1"]),
        ("promoted.json", ["show", "digits@promoted"]),
    ],
)
def test_a_file_that_may_not_be_read_is_told(tmp_path, source, capsys, name, words):
    publish(tmp_path, source)
    path = tmp_path / "digits" / name
    # What not even root reads, to whom every file is open.
    path.unlink(missing_ok=True)
    path.mkdir()
    assert command(tmp_path, *words)[0] == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, path, os.strerror(errno.EISDIR))


def test_a_file_that_is_gone_is_seen(tmp_path, source):
    publish(tmp_path, source)
    (tmp_path / "digits" / "1" / "model.keras").unlink()
    with refused(files.StorageError, tmp_path / "digits/1/model.keras", "not there"):
        versions.check_file(epath.Path(tmp_path / "digits" / "1"), "model.keras")


def test_a_full_disk_leaves_the_versions_before(small_disk, source):
    publish(small_disk, source)
    (source / "model.keras").write_bytes(bytes(2**21))
    with refused(files.StorageError, small_disk, "registry.root"):
        publish(small_disk, source)
    assert sorted(path.name for path in (small_disk / "digits").iterdir()) == ["1"]
    versions.check_file(epath.Path(small_disk / "digits" / "1"), "model.keras")
    (source / "model.keras").write_bytes(b"keras")
    assert publish(small_disk, source) == 2


def test_a_read_only_disk_is_told_before_the_work(small_disk, source):
    publish(small_disk, source)
    remount = ["mount", "-o", "remount,{}", str(small_disk)]
    subprocess.run([word.format("ro") for word in remount], check=True)
    try:
        with (
            refused(files.StorageError, small_disk, os.strerror(errno.EROFS)),
            registry.publishing(epath.Path(small_disk), "digits"),
        ):
            pytest.fail("the work has begun")
        assert number(small_disk, "digits@latest") == 1
        assert command(small_disk, "promote", "digits@1")[0] == 2
    finally:
        subprocess.run([word.format("rw") for word in remount], check=True)


def test_a_store_has_one_writer(store, source, monkeypatch):
    monkeypatch.setattr(lease, "SETTLING_SECS", 0.01)
    with registry.publishing(store, "digits") as write:
        with (
            refused(files.StorageError, store / "digits", "one writer", os.getpid()),
            registry.publishing(store, "digits"),
        ):
            pytest.fail("two write")
        assert write(source, card()) == 1
    assert not (store / "digits" / lease.FILE).exists()
    assert publish(store, source) == 2
    versions.check_file(store / "digits" / "2", "variables/variables.index")


def test_a_writer_whose_lease_was_taken_over_completes_nothing(
    store, source, monkeypatch
):
    monkeypatch.setattr(lease, "SETTLING_SECS", 0.01)
    path = store / "digits" / lease.FILE
    other = {"owner": "b", "host": "x", "process": 1, "until": time.time() + 60}
    with registry.publishing(store, "digits") as write:
        path.write_text(json.dumps(other))
        with refused(files.StorageError, path, "nothing"):
            write(source, card())
    assert versions.complete(store / "digits") == []
    assert json.loads(path.read_text())["owner"] == "b"
    # Its writer was killed long ago.
    path.write_text(json.dumps({**other, "until": time.time() - 1}))
    assert publish(store, source) == 1


@pytest.mark.parametrize("secs", [-86400, 86400], ids=["on", "back"])
def test_a_clock_that_jumps_costs_a_writer_nothing(store, source, monkeypatch, secs):
    monkeypatch.setattr(lease, "SETTLING_SECS", 0.01)
    path = store / "digits" / lease.FILE
    with registry.publishing(store, "digits") as write:
        own = json.loads(path.read_text())
        # What a clock that was set by a day makes of it.
        path.write_text(json.dumps({**own, "until": own["until"] + secs}))
        assert write(source, card()) == 1
        kept = json.loads(path.read_text())
        assert kept["owner"] == own["owner"]
        assert kept["until"] > time.time()
    assert not path.exists()
    versions.check_file(store / "digits" / "1", "model.keras")


def test_latest_and_promoted_are_what_they_say(tmp_path, source):
    for accuracy in (0.5, 0.625):
        publish(tmp_path, source, card(accuracy))
    assert number(tmp_path, "registry:digits@latest") == 2
    with refused(ConfigError, "digits@promoted", "known: 1, 2"):
        number(tmp_path, "digits@promoted")
    code, told = command(tmp_path, "promote", "digits@1")
    assert code == 0
    assert_states(told, "registry:digits@1")
    assert number(tmp_path, "digits@promoted") == 1
    lines = command(tmp_path, "list")[1].splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["digits", "1", "promoted", "50.00"],
        ["digits", "2", "62.50", "1,234"],
    ]


def test_compare_shows_metrics_and_the_settings_that_differ(tmp_path, source):
    publish(tmp_path, source, card(0.5, temperature=4.0))
    publish(tmp_path, source, card(0.625, temperature=8.0))
    code, told = command(tmp_path, "compare", "digits@1", "registry:digits@latest")
    rows = {line[:28].strip(): line[28:].split() for line in told.splitlines()}
    assert code == 0
    assert rows[""] == ["digits@1", "digits@2"]
    assert rows["test accuracy %"] == ["50.00", "62.50"]
    assert rows["distill.temperature"] == ["4.0", "8.0"]


def test_show_prints_the_card(tmp_path, source):
    publish(tmp_path, source)
    told = command(tmp_path, "show", "digits@1")[1]
    assert_a_line_states(told, "mlp", "1,234 parameters", "student", "'small'")
    assert "| test | 200 | 100 | 50.00 | 1.5000 | - | - |" in told


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["show"], ["registry show", "NAME@VERSION", "got none"]),
        (["compare", "digits@1"], ["NAME@VERSION NAME@VERSION ...", "digits@1"]),
        (["list", "digits@1"], ["registry list digits@1"]),
        (["show", "digits"], ["registry:NAME@VERSION", "'digits'"]),
        (["show", "digits@0"], ["registry:NAME@VERSION", "'digits@0'"]),
        (["show", "../digits@1"], ["registry:NAME@VERSION", "'../digits@1'"]),
        (["show", "letters@1"], ["letters@1", "known: digits"]),
        (["show", "digits@7"], ["digits@7", "known: 1"]),
        (["drop", "digits@1"], ["COMMAND", "registry drop digits@1"]),
    ],
)
def test_wrong_words_are_told(tmp_path, source, capsys, words, facts):
    publish(tmp_path, source)
    assert command(tmp_path, *words)[0] == 2
    assert_states(capsys.readouterr().err, *facts)


CONFIG = """
name = "small"
seeds = [0, 1]
[registry]
root = "{root}"
[data]
dataset = "mnist_mini"
train_split = "train[:9000]"
validation_split = "train[9000:]"
[teacher]
model = "mlp"
weights = "{weights}"
[student]
model = "mlp"
[student.train]
global_batch_size = 24
steps = 20
"""


def config_with(tmp_path, weights: str, *overrides: str) -> config.Config:
    """One whose teacher has final weights."""
    path = tmp_path / "small.toml"
    path.write_text(CONFIG.format(root=tmp_path, weights=weights))
    return config.load(str(path), overrides)


def test_a_run_keeps_the_version_that_it_began_with(tmp_path, source):
    publish(tmp_path, source)
    run = epath.Path(tmp_path / "run")
    latest = config_with(tmp_path, "registry:digits@latest")
    first = {"registry:digits@latest": str(tmp_path / "digits" / "1" / "model.keras")}
    assert registry.locked_models(latest, run) == first
    publish(tmp_path, source)
    assert registry.locked_models(latest, run) == first
    assert registry.locked_models(latest, epath.Path(tmp_path / "another")) != first
    second = config_with(tmp_path, "registry:digits@2")
    with refused(ConfigError, "'registry:digits@1'", "'registry:digits@2'"):
        registry.locked_models(second, run)
    same = config_with(tmp_path, "registry:digits@1")
    assert list(registry.locked_models(same, run).values()) == list(first.values())


def test_cells_begin_with_models_of_their_own_and_agree_on_what_latest_is(
    tmp_path, source
):
    run = epath.Path(tmp_path / "run")
    latest, first = "registry:digits@latest", "registry:digits@1"

    def cell(name: str, weights: str) -> list[str]:
        path = run / "cells" / name
        student = f"student.weights='{weights}'"
        own = config_with(tmp_path, latest, student)
        registry.share_lock(whole, run, own, path)
        found = registry.locked_models(own, path)
        return [pathlib.Path(found[text]).parts[-2] for text in (latest, weights)]

    for _ in range(2):
        publish(tmp_path, source)
    whole = config_with(tmp_path, latest)
    registry.locked_models(whole, run)
    assert cell("a", latest) == ["2", "2"]
    assert cell("b", first) == ["2", "1"]
    versions.promote(epath.Path(tmp_path), ref("digits@1"))
    assert cell("c", "registry:digits@promoted") == ["2", "1"]
    publish(tmp_path, source)
    versions.promote(epath.Path(tmp_path), ref("digits@3"))
    assert cell("a", latest) == ["2", "2"]
    assert cell("d", "registry:digits@promoted") == ["2", "1"]
    own = config_with(tmp_path, latest, "student.weights='registry:digits@promoted'")
    found = registry.locked_models(own, run)["registry:digits@promoted"]
    assert pathlib.Path(found).parts[-2] == "1"
    # A cell keeps to what it began with, as any run.
    with refused(ConfigError, "student.weights", "'registry:digits@3'"):
        cell("b", "registry:digits@3")


def test_a_study_may_have_an_axis_of_registered_models(tmp_path, source):
    latest = "registry:digits@latest"
    digits = card() | {"classes": [str(digit) for digit in range(10)]}
    versions_of = [
        tmp_path / "digits" / str(publish(tmp_path, source, digits)) for _ in range(2)
    ]
    session = whole_run.session(config_with(tmp_path, latest), tmp_path / "study", None)
    assert session.networks.file(latest, setting="student.weights") == str(
        versions_of[1] / "model.keras"
    )
    for i, folder in enumerate(versions_of, 1):
        weights = f"registry:digits@{i}"
        cell = Variant(
            name=str(i),
            settings={},
            config=config_with(tmp_path, latest, f"student.weights='{weights}'"),
            path=session.path / "cells" / str(i),
        )
        assert variant_session.open_variant(session, cell).networks.file(
            weights, setting="student.weights"
        ) == str(folder / "model.keras")


def test_a_damaged_model_is_not_begun_with(tmp_path, source):
    publish(tmp_path, source)
    (tmp_path / "digits" / "1" / "model.keras").write_bytes(b"Keras")
    run = epath.Path(tmp_path / "run")
    settings = config_with(tmp_path, "registry:digits@1")
    with refused(files.StorageError, tmp_path / "digits/1/model.keras", "checksum"):
        registry.locked_models(settings, run)
    assert not run.exists()


@pytest.mark.parametrize(
    ("weights", "override", "facts"),
    [
        ("registry:digits", "", ["teacher.weights", "'registry:digits'"]),
        ("registry:digits@newest", "", ["teacher.weights", "latest", "promoted"]),
        ("registry:digits@1", 'registry.root=""', ["registry.root"]),
        ("a.keras", 'registry.name="a/b"', ["registry.name", "'a/b'"]),
        ("a.keras", 'export.role="studnet"', ["export.role", "'student'"]),
        (
            "a.keras",
            'export.role="finetune"',
            ["export.role", "baseline, student, teacher"],
        ),
        ("a.keras", "export.seed=5", ["export.seed", "[0, 1]", 5]),
        (
            "a.keras",
            'export.formats=["keras", "keras"]',
            ["export.formats", "once"],
        ),
        ("a.keras", 'export.formats=["h5"]', ["export.formats", "'keras'", "'h5'"]),
    ],
)
def test_wrong_settings_are_told(tmp_path, weights, override, facts):
    with refused(ConfigError, *facts):
        config_with(tmp_path, weights, *filter(None, [override]))


def test_another_registry_or_export_is_the_same_run(tmp_path):
    settings = [
        config.resolve(config_with(tmp_path, "a.keras", *overrides))
        for overrides in ([], ['registry.root="elsewhere"', 'export.role="baseline"'])
    ]
    assert config.differences(*settings) == []
