"""Rules of runs whose teacher is elsewhere, and of classes that are not the data's."""

import pytest

from tests.helpers import configs
from tests.helpers.messages import refused
from trainer import config
from trainer.config import ConfigError, differences, from_resolved, resolve
from trainer.config.class_map import resolve_class_map

HERE = """[teacher]
model = "mlp"
train = {global_batch_size = 8, epochs = 1}
"""
ELSEWHERE = configs.RUN.replace(HERE, "")
IMPORTED = ("distill.soft_targets='imported'", "distill.soft_targets_dir='answers'")


def load(tmp_path, text, *settings):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return config.load(str(path), settings)


def test_a_teacher_may_be_elsewhere(tmp_path):
    found = load(tmp_path, ELSEWHERE, *IMPORTED)
    assert (found.teacher, found.teachers, found.num_teachers) == (None, {}, 1)
    assert found.distill.is_cached
    assert set(found.networks) == {"student"}


def test_a_run_needs_a_teacher_somewhere(tmp_path):
    with refused(ConfigError, "teacher", "distill.soft_targets", "'imported'"):
        load(tmp_path, ELSEWHERE)


def test_two_teachers_in_two_places_are_refused(tmp_path):
    with refused(ConfigError, "[teacher]", "distill.soft_targets", "'imported'"):
        load(tmp_path, configs.RUN, *IMPORTED)


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        (IMPORTED[:1], ("distill.soft_targets_dir", "''")),
        (
            (*IMPORTED, "distill.top_k=2", "distill.class_map={a='b'}"),
            ("distill.top_k", "0", "2", "distill.class_map"),
        ),
        (
            (
                *IMPORTED,
                "distill={terms=[{loss='srrl', student_layer='embedding', "
                "teacher_layer='embedding'}], soft_targets='imported', "
                "soft_targets_dir='x', cache_embedding=true}",
            ),
            ("distill.terms[0]", "'srrl'", "'imported'"),
        ),
        (
            (
                "distill={terms=[{loss='hint', student_layer='embedding', "
                "teacher_layer='dense'}], soft_targets='imported', "
                "soft_targets_dir='x', cache_embedding=true}",
            ),
            ("distill.terms[0].teacher_layer", "'embedding'", "'dense'"),
        ),
        (
            (*IMPORTED, "distill.mixup=0.5", "distill.alpha=1.0"),
            ("mixed pairs", "distill.soft_targets", "'online'"),
        ),
        (
            (*IMPORTED, "export.role='teacher'"),
            ("export.role", "'teacher'"),
        ),
    ],
)
def test_settings_that_need_a_teacher_here_are_refused(tmp_path, settings, facts):
    with refused(ConfigError, *facts):
        load(tmp_path, ELSEWHERE, *settings)


@pytest.mark.parametrize("setting", ["class_map={a='b'}", "min_accuracy=0.5"])
def test_settings_of_imported_answers_are_of_nobody_else(tmp_path, setting):
    name = setting.partition("=")[0]
    with refused(ConfigError, f"distill.{name}", f"teacher.{name}", "'auto'"):
        load(tmp_path, configs.RUN, f"distill.{setting}")


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        (("teacher.class_map={a='b'}",), ("teacher.class_map", "[teacher.train]")),
        (("teacher.class_names='x.txt'",), ("teacher.class_names", "'x.txt'")),
    ],
)
def test_a_map_is_of_a_teacher_that_is_used_as_it_is(tmp_path, settings, facts):
    with refused(ConfigError, *facts):
        load(tmp_path, configs.RUN, *settings)


def test_a_kept_config_is_read_as_it_was_written(tmp_path):
    # In TOML the name of a class with a point in it may be written as tables.
    names = "distill.class_map={'St. Bernard'='dog', cat.wild='cat', tench=''}"
    found = load(tmp_path, ELSEWHERE, *IMPORTED, names)
    assert found.distill.class_map == {
        "St. Bernard": "dog",
        "cat.wild": "cat",
        "tench": "",
    }
    kept = resolve(found)
    assert from_resolved(kept, (), kept_in="a test") == found
    other = load(tmp_path, ELSEWHERE, *IMPORTED, "distill.class_map={tench='cat'}")
    assert any("tench" in line for line in differences(kept, resolve(other)))
    moved = load(tmp_path, ELSEWHERE, *IMPORTED, names, "distill.soft_targets_dir='z'")
    assert not differences(kept, resolve(moved))


TEACHER = ("tench", "tabby", "tiger cat", "beagle", "cat")
DATA = ("cat", "dog")
MAP = {"tabby": "cat", "tiger cat": "cat", "beagle": "dog", "tench": "", "cat": "cat"}


def resolved(class_map, teacher=TEACHER):
    return resolve_class_map(class_map, teacher=teacher, data=DATA, setting="x.map")


def test_classes_are_joined_and_left_out_by_name():
    found = resolved(MAP)
    assert (found.groups, found.num_left_out) == (((1, 2, 4), (3,)), 1)
    absent = {name: value for name, value in MAP.items() if value}
    assert resolved(absent) == found


@pytest.mark.parametrize(
    ("class_map", "facts"),
    [
        ({**MAP, "taby": "cat"}, ("x.map", "'taby'", "'tabby'")),
        ({**MAP, "beagle": "dgo"}, ("x.map", "'dgo'", "'dog'")),
        ({**MAP, "beagle": ""}, ("x.map", "'dog'", "2")),
        ({k: v for k, v in MAP.items() if k != "cat"}, ("x.map", "'cat'")),
    ],
)
def test_a_map_that_names_what_is_not_there_is_refused(class_map, facts):
    with refused(ConfigError, *facts):
        resolved(class_map)


def test_two_classes_of_one_name_are_told_apart_or_left_out():
    """As ImageNet has two kinds of cranes."""
    teacher = (*TEACHER, "crane", "crane")
    assert resolved(MAP, teacher).num_left_out == 3
    with refused(ConfigError, "x.map", "'crane'"):
        resolved({**MAP, "crane": "dog"}, teacher)
