"""Answers of a teacher that is elsewhere: imported, refused, listed, given again."""

import csv
import json
import pathlib
import shutil

import numpy as np
import pytest
from etils import epath

from tests.helpers import caches, elsewhere, point_study
from tests.helpers.messages import assert_a_line_states, assert_states, refused
from trainer import exit_codes, main, soft_targets, stages
from trainer.config import ConfigError
from trainer.exit_codes import CheckFailedError
from trainer.soft_targets import SoftTargetsError
from trainer.stages.soft_targets import ids, import_answers, plan, verify
from trainer.stages.soft_targets.answered_parts import answered_parts

NUM_ROWS, NUM_TRAIN, NUM_OTHER = 300, 180, 60


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The config of a run, with the answers of its teacher beside it."""
    folder = tmp_path_factory.mktemp("points")
    path = elsewhere.write_config(folder)
    elsewhere.write_answers(path, elsewhere.session(path, folder / "any"))
    return path


@pytest.fixture(scope="module")
def rows(config, tmp_path_factory):
    """The ids of the part that students learn from."""
    opened = elsewhere.session(config, tmp_path_factory.mktemp("any"))
    return opened.datasets.transfer.ids


@pytest.fixture
def opened(config, tmp_path):
    return elsewhere.session(config, tmp_path / "run")


def cached(opened, part):
    """The logits that the cache of a part has, by their ids."""
    transfer = answered_parts(opened)[part].transfer
    return opened.networks.imported.cache(transfer).records(0)["logits"]


def replaced(config, tmp_path, part="train", **arrays):
    """The setting of a folder in which the answers on a part are others."""
    folder = tmp_path / "answers"
    shutil.copytree(config.parent / "answers", folder)
    (folder / f"{part}.npz").unlink()
    if arrays:
        elsewhere.write(folder / f"{part}.npz", **arrays)
    return f"distill.soft_targets_dir='{folder}'"


def logits(config, numbers):
    return elsewhere.logits_of(config)[numbers]


def contents(folder):
    return caches.contents(pathlib.Path(folder))


# What is imported.


def test_answers_become_a_cache_of_the_run(config, opened, rows):
    told = []
    import_answers(opened, tell=told.append)
    root = opened.path / "soft_targets"
    for part, count in (("train", NUM_TRAIN), ("validation", 60), ("test", 60)):
        manifest = soft_targets.read(root / part)
        assert (manifest.num_examples, manifest.num_ids) == (count, NUM_ROWS)
        assert manifest.teacher["model"] == "imported"
        assert manifest.class_names == ("in", "out")
        numbers = elsewhere.parts_of(opened)[part]
        expected = logits(config, numbers).astype(np.float32)
        np.testing.assert_array_equal(cached(opened, part)[numbers], expected)
    said = "\n".join(told)
    assert_a_line_states(said, "train", NUM_TRAIN, "train.npz", "100.00 %")
    assert_a_line_states(said, "validation", NUM_OTHER, "100.00 %")
    # Nobody looks at the labels of the test split before the end.
    assert "%" not in next(line for line in told if line.startswith("test"))


def test_what_is_imported_is_left_as_it_is(opened):
    import_answers(opened)
    before = contents(opened.path / "soft_targets")
    told = []
    import_answers(opened, tell=told.append)
    assert contents(opened.path / "soft_targets") == before
    assert not told


def test_an_import_that_was_killed_is_done_again(opened):
    import_answers(opened)
    root = opened.path / "soft_targets"
    before = contents(root)
    (root / "imported.json").unlink()
    (root / "train" / "view-0000" / "shard-00000.tfrecord").write_bytes(b"half of it")
    import_answers(opened)
    assert contents(root) == before


def test_another_run_takes_the_cache_without_the_files(config, opened, tmp_path):
    import_answers(opened)
    root = opened.path / "soft_targets"
    other = elsewhere.session(
        config, tmp_path / "other", f"distill.soft_targets_dir='{root}'"
    )
    stages.run(other, ("soft-targets", "student"), whole=False)
    assert not (other.path / "soft_targets").exists()
    assert (other.path / "student" / "seed-0" / "model.keras").exists()


def test_a_command_by_itself_says_what_comes_first(opened):
    with refused(SoftTargetsError, "soft-targets import", str(opened.path)):
        stages.STAGES["student"](opened)


def test_a_run_with_a_teacher_imports_nothing(tmp_path):
    here = elsewhere.session(point_study.write_config(tmp_path), tmp_path / "run")
    with refused(ConfigError, "distill.soft_targets", "'imported'", "'auto'"):
        import_answers(here)


def test_soft_targets_of_another_teacher_stay(opened):
    import_answers(opened)
    root = opened.path / "soft_targets"
    (root / "imported.json").unlink()
    manifest = soft_targets.read(root / "train")
    manifest.teacher["model"] = "mlp"
    soft_targets.write(root / "train", manifest)
    before = contents(root)
    with refused(SoftTargetsError, str(root / "train"), "'mlp'"):
        import_answers(opened)
    assert contents(root) == before


def test_files_that_change_or_come_later_are_refused(config, tmp_path, rows):
    given = replaced(config, tmp_path, id=rows, logits=logits(config, rows))
    opened = elsewhere.session(config, tmp_path / "run", given)
    import_answers(opened)
    folder = tmp_path / "answers"
    elsewhere.write(folder / "train.npz", id=rows, logits=2 * logits(config, rows))
    with refused(SoftTargetsError, str(folder), "train.npz"):
        import_answers(opened)
    elsewhere.write(folder / "train.npz", id=rows, logits=logits(config, rows))
    elsewhere.write(folder / "train-more.npz", id=[0], logits=[[1.0, 2.0]])
    with refused(SoftTargetsError, str(folder), "train-more.npz"):
        import_answers(opened)
    shutil.rmtree(folder)  # nobody needs them any more
    import_answers(opened)


# What is refused.


def test_half_of_the_ids_are_too_few(config, tmp_path, rows):
    half, missing = rows[::2], rows[1::2].tolist()
    given = replaced(config, tmp_path, id=half, logits=logits(config, half))
    opened = elsewhere.session(config, tmp_path / "run", given)
    with refused(SoftTargetsError, "'train'", NUM_TRAIN, 90, *missing[:3]):
        import_answers(opened)
    assert not (opened.path / "soft_targets" / "imported.json").exists()


@pytest.mark.parametrize("is_in_one_file", [True, False])
def test_ids_that_come_twice_are_refused(config, tmp_path, rows, is_in_one_file):
    twice = np.concatenate([rows, rows[:3]]) if is_in_one_file else rows
    given = replaced(config, tmp_path, id=twice, logits=logits(config, twice))
    if not is_in_one_file:
        path = tmp_path / "answers" / "train-again.npz"
        elsewhere.write(path, id=rows[:3], logits=logits(config, rows[:3]))
    opened = elsewhere.session(config, tmp_path / "run", given)
    with refused(SoftTargetsError, "answer on an example", 3, *rows[:3].tolist()):
        import_answers(opened)


@pytest.mark.parametrize(
    ("numbers", "facts"),
    [
        ([NUM_ROWS, -1], ("split 'train'", 299, "2 others", 300, -1)),
        (["a.png", "b.png"], ("ids that are numbers", "'a.png'")),
    ],
)
def test_ids_of_no_example_are_refused(config, tmp_path, rows, numbers, facts):
    given = replaced(config, tmp_path, id=numbers, logits=[[1.0, 2.0]] * 2)
    opened = elsewhere.session(config, tmp_path / "run", given)
    with refused(SoftTargetsError, "train.npz", *facts):
        import_answers(opened)


@pytest.mark.parametrize(
    ("names", "facts"),
    [
        (["in", "aut"], ("without 'out'", "with 'aut'", "distill.class_map")),
        (["in", "out", "edge"], ("2", "got 3", "with 'edge'")),
    ],
)
def test_other_classes_are_refused_by_name(config, tmp_path, rows, names, facts):
    wide = np.zeros((NUM_TRAIN, len(names))) + 3 * np.arange(len(names))
    given = replaced(config, tmp_path, id=rows, logits=wide, class_names=names)
    opened = elsewhere.session(config, tmp_path / "run", given)
    with refused(SoftTargetsError, "class_names", *facts):
        import_answers(opened)


def test_classes_in_another_order_are_put_in_that_of_the_data(
    config, opened, tmp_path, rows
):
    given = replaced(
        config,
        tmp_path,
        id=rows[::-1],
        logits=logits(config, rows[::-1])[:, ::-1],
        class_names=["out", "in"],
    )
    other = elsewhere.session(config, tmp_path / "other", given)
    for run in (opened, other):
        import_answers(run)
    ours, theirs = (cached(run, "train") for run in (opened, other))
    np.testing.assert_array_equal(ours, theirs)


def test_a_teacher_that_guesses_is_told_of(config, tmp_path):
    """Answers under the names of the other class, which nothing else would tell."""
    any_run = elsewhere.session(config, tmp_path / "any")
    numbers = elsewhere.parts_of(any_run)["validation"]
    wrong = {"id": numbers, "logits": -logits(config, numbers)}
    given = replaced(config, tmp_path, "validation", **wrong)
    told = []
    # Of less than 100 examples chance leaves no verdict but a warning.
    import_answers(elsewhere.session(config, tmp_path / "run", given), tell=told.append)
    (warning,) = (line for line in told if line.startswith("warning"))
    assert_states(warning, "distill.min_accuracy", "0.0000", NUM_OTHER)
    strict = "distill.min_accuracy=0.9"
    opened = elsewhere.session(config, tmp_path / "strict", given, strict)
    with refused(ConfigError, "distill.min_accuracy", "0.0000", 0.9):
        import_answers(opened)


def test_without_validation_the_teacher_is_judged_by_what_students_learn(
    config, tmp_path, rows
):
    given = replaced(config, tmp_path, id=rows, logits=-logits(config, rows))
    (tmp_path / "answers" / "validation.npz").unlink()
    opened = elsewhere.session(config, tmp_path / "run", given)
    with refused(ConfigError, "distill.min_accuracy", "0.0000", NUM_TRAIN):
        import_answers(opened)
    lax = "distill.min_accuracy=0.0"
    import_answers(elsewhere.session(config, tmp_path / "lax", given, lax))


def test_what_is_absent_is_told(config, tmp_path):
    given = replaced(config, tmp_path, "validation")
    (tmp_path / "answers" / "test.npz").unlink()
    opened = elsewhere.session(config, tmp_path / "run", given)
    told = []
    import_answers(opened, tell=told.append)
    said = "\n".join(told)
    assert_a_line_states(said, "validation: no answers")
    assert_a_line_states(said, "test: no answers", "agreement")


def test_no_answers_to_learn_from_are_refused(config, tmp_path):
    given = replaced(config, tmp_path)
    opened = elsewhere.session(config, tmp_path / "run", given)
    with refused(SoftTargetsError, "train.npz", str(tmp_path / "answers")):
        import_answers(opened)


def test_answers_on_images_that_nobody_has_are_refused(config, tmp_path):
    given = replaced(config, tmp_path, "test", id=[0], logits=[[1.0, 2.0]])
    folder = tmp_path / "answers"
    (folder / "test.npz").rename(folder / "unlabeled.npz")
    opened = elsewhere.session(config, tmp_path / "run", given)
    with refused(SoftTargetsError, "'unlabeled'", "data.unlabeled"):
        import_answers(opened)


def test_views_that_no_epoch_shows_are_refused(config, tmp_path, rows):
    found = {"id": rows, "logits": logits(config, rows)}
    given = replaced(config, tmp_path, **found, view=np.arange(NUM_TRAIN) % 2)
    opened = elsewhere.session(config, tmp_path / "run", given)
    with refused(SoftTargetsError, "train.npz", "distill.views", 1, "90"):
        import_answers(opened)


# What is planned, listed and checked.


def test_a_plan_tells_all_and_writes_nothing(opened, capsys):
    plan(opened)
    said = capsys.readouterr().out
    assert_a_line_states(said, "train", NUM_TRAIN, "100.00 %")
    assert_a_line_states(said, str(opened.path / "soft_targets" / "test"), 60)
    assert not (opened.path / "soft_targets").exists()


def test_ids_are_listed_for_each_part(config, opened, tmp_path, capsys):
    ids(opened)
    printed = capsys.readouterr().out
    path = tmp_path / "ids.csv"
    ids(opened, output=str(path))
    assert path.read_text() == printed
    table = list(csv.DictReader(printed.splitlines()))
    for part, numbers in elsewhere.parts_of(opened).items():
        of_part = [int(row["id"]) for row in table if row["part"] == part]
        assert of_part == numbers.tolist()
    assert len(table) == NUM_ROWS
    with refused(ConfigError, "soft-targets ids", "'ids.json'", ".csv"):
        ids(opened, output="ids.json")


@pytest.fixture(scope="module")
def imported(config, tmp_path_factory):
    """The workdir of a run that has imported its answers, by the command line."""
    folder = tmp_path_factory.mktemp("imported")
    flags = [f"--config={config}", f"--workdir={folder}"]
    assert main.main(["trainer", "soft-targets", "import", *flags]) == exit_codes.DONE
    return folder


def checked(config, imported, *words):
    flags = [f"--config={config}", f"--workdir={imported}"]
    return main.main(["trainer", "soft-targets", "verify", *words, *flags])


def test_nobody_can_be_asked_again(config, imported, capsys):
    assert checked(config, imported) == exit_codes.UNUSABLE
    out, err = capsys.readouterr()
    assert_a_line_states(out, "train", f"{NUM_TRAIN} records whole")
    assert "nobody to ask" in err


def test_the_same_answers_given_again_are_found_equal(config, imported, capsys):
    again = str(config.parent / "answers")
    assert checked(config, imported, again) == exit_codes.DONE
    out = capsys.readouterr().out
    assert_a_line_states(out, "train", NUM_TRAIN, "error of a logit is 0", "100.00 %")
    assert_a_line_states(out, "test", NUM_OTHER)


def test_some_answers_given_again_are_compared_alone(
    config, imported, tmp_path, rows, capsys
):
    some = rows[:20]
    path = tmp_path / "sample.npz"
    elsewhere.write(path, id=some, logits=logits(config, some) + 1e-4)
    assert checked(config, imported, str(path)) == exit_codes.DONE
    assert_a_line_states(capsys.readouterr().out, "of 20 asked again", 0.0001)


def test_other_answers_fail(config, imported, tmp_path, rows, capsys):
    other = logits(config, rows)
    other[7] += [1.0, -1.0]
    elsewhere.write(tmp_path / "train.npz", id=rows, logits=other)
    assert checked(config, imported, str(tmp_path)) == exit_codes.CHECK_FAILED
    out, err = capsys.readouterr()
    assert_a_line_states(out, "largest error of a logit is 1")
    assert str(imported / "soft_targets" / "train") in err


def test_a_damaged_cache_fails_before_anybody_is_asked(opened):
    import_answers(opened)
    path = opened.path / "soft_targets" / "train" / "view-0000" / "shard-00000.tfrecord"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(bytes(content))
    with refused(CheckFailedError, str(opened.path / "soft_targets" / "train")):
        verify(opened)


def test_second_answers_of_a_teacher_that_is_here_are_refused(tmp_path):
    here = elsewhere.session(point_study.write_config(tmp_path), tmp_path / "run")
    with refused(ConfigError, "soft-targets verify", "'x'"):
        verify(here, again="x")


def test_the_marker_tells_of_the_files(imported):
    told = json.loads((imported / "soft_targets" / "imported.json").read_text())
    assert set(told["files"]) == {"train.npz", "validation.npz", "test.npz"}
    assert epath.Path(imported / "soft_targets" / "files").exists()
