"""The study section: which cells it makes, what they are called, what it refuses."""

import dataclasses
import json
import re

import pytest

from tests.helpers.configs import RUN
from tests.helpers.messages import refused
from trainer.config import ConfigError, differences, load, resolve
from trainer.config.study import StudyConfig

GRID = """
[study.grid]
"student.options.hidden_sizes" = [[800, 800], [30, 30]]
"distill.temperature" = [1, 2.5]
"""


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> str:
        path = tmp_path / "study.toml"
        path.write_text(RUN + text)
        return str(path)

    return written


def test_cells_are_the_product_of_the_axes_in_the_order_written(write):
    path = write(GRID)
    cells = load(path).study.variants
    assert list(cells) == [
        "hidden_sizes=800-800,temperature=1",
        "hidden_sizes=800-800,temperature=2.5",
        "hidden_sizes=30-30,temperature=1",
        "hidden_sizes=30-30,temperature=2.5",
    ]
    last = cells["hidden_sizes=30-30,temperature=2.5"]
    assert last == {
        "student.options.hidden_sizes": [30, 30],
        "distill.temperature": 2.5,
    }
    config = load(path, ["distill.alpha=0.5"], variant=last)
    assert config.student.options.hidden_sizes == (30, 30)
    assert (config.distill.temperature, config.distill.alpha) == (2.5, 0.5)
    assert config.study is None


def test_an_axis_may_be_written_without_quotes_and_on_the_command_line(write):
    path = write("[study.grid]\nstudent.train.epochs = [1, 2]\n")
    assert load(path).study.grid == {"student.train.epochs": (1, 2)}
    more = load(path, ["study.grid.distill.alpha=[0.5, 1]"])
    assert list(more.study.variants)[-1] == "epochs=2,alpha=1"


def test_an_axis_of_steps_takes_the_place_of_epochs(write):
    path = write("[study.grid]\nstudent.train.steps = [7, 9]\n")
    train = load(path, variant={"student.train.steps": 7}).student.train
    assert (train.steps, train.epochs) == (7, 0)


def test_a_study_makes_no_other_run_of_its_base(write):
    plain = resolve(load(write("")))
    studied = resolve(load(write(GRID)))
    assert studied["study"]["grid"]["distill.temperature"] == [1, 2.5]
    assert differences(plain, studied) == []


def test_names_are_unique_and_safe_as_folders():
    study = StudyConfig(
        grid={
            "data.transfer_split": ("train[:3%]", "train[:3_]", "Train[:3_]"),
            "student.train.learning_rate": (1e-4, 1e-05),
            "finetune.learning_rate": (1e-4,),
            "data.exclude_labels": ([], [3]),
            "student.train.weight_decay_exclude": (["x" * 80], ["x" * 80 + "y"]),
        }
    )
    names = list(study.variants)
    assert len({name.lower() for name in names}) == 3 * 2 * 2 * 2
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9.+_=,-]{1,100}", name)
    assert names[0].startswith(
        "transfer_split=train_3,train.learning_rate=0.0001,finetune.learning_rate="
    )
    short = dataclasses.replace(study, grid={"data.exclude_labels": ([], [3, 4])})
    assert list(short.variants) == ["exclude_labels=none", "exclude_labels=3-4"]


REFUSED = {
    "[study]\ngrid = {}": ("study.grid", "none"),
    "[study]\ngrid = 3": ("study.grid", "section", 3, "[study.grid]"),
    "[study]": ("study.grid", "missing", "--set=study.grid=VALUE"),
    "[study.grid]\n'distill.alpha' = []": ("study.grid", "'distill.alpha'", "empty"),
    "[study.grid]\n'distill.alpha' = 0.5": ("study.grid.distill.alpha", "list", 0.5),
    "[study.grid]\n'distill.alpha' = [1, 0.5, 1.0]": (
        *("study.grid", "'distill.alpha'", "once", 1.0),
    ),
    "[study.grid]\n'distill.alpha' = [0.5, 2]": (
        *("study.grid", "alpha=2", "distill.alpha", 0, 1, "got 2"),
    ),
    "[study.grid]\n'distill.temperatur' = [2]": (
        *("study.grid", "distill.temperatur", "'temperature'?"),
    ),
    "[study.grid]\n'distil.temperature' = [2]": ("study.grid", "distil", "'distill'?"),
    "[study.grid]\n'seeds.first' = [2]": ("seeds", "section", "study.grid", [0]),
    "[study.grid]\n'student.train' = [{epochs = 2}]": (
        *("study.grid", "'student.train'", {"epochs": 2}, "'student.train.FIELD'"),
    ),
    "[study.grid]\ndistill = [{alpha = 1}]\n'distill.alpha' = [0]": (
        *("study.grid", "'distill'", "'distill.alpha'"),
    ),
    "[study.grid]\ndistill = [{alpha = 1}, {alfa = 1}]": (
        *("study.grid", "distill=alfa_1", "distill.alfa", "'alpha'?"),
    ),
    "[study.grid]\n'distill.alpha' = [1]\ndistill.alpha = [0]": (
        *("study.grid.distill.alpha", "once", "{'distill.alpha': [1],"),
    ),
    "[study.grid]\n'distill.alpha' = [1979-05-27]": (
        *("study.grid.distill.alpha[0]", "datetime.date(1979, 5, 27)"),
    ),
}
FOR_OTHER_TEACHERS = {
    "name": ["a"],
    "teacher.seed": [1],
    "teacher.options.hidden_sizes": [[4]],
    "runtime.xla": ["on"],
    "data.dataset": ["mnist"],
    "data.train_split": ["train[:80%]"],
    "data.validation_split": ["train[80%:]"],
    "data.test_split": ["test[:50%]"],
    "data.image_size": [14],
    "data.augment": ["shift"],
    "distill.soft_targets_dir": ["here"],
    "study.grid": [1],
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_grid_that_makes_no_cells_is_refused(write, text):
    with refused(ConfigError, *REFUSED[text]):
        load(write(text), ["seeds=[0]"])


@pytest.mark.parametrize("path", FOR_OTHER_TEACHERS)
def test_cells_share_their_teacher_and_their_test(write, path):
    axis = f"[study.grid]\n'{path}' = {json.dumps(FOR_OTHER_TEACHERS[path])}\n"
    facts = () if path == "study.grid" else ("data.exclude_labels", repr(path))
    if path == "data.augment":
        facts += ("student.train.augment",)
    with refused(ConfigError, "study.grid", *facts):
        load(write(axis), ["distill.soft_targets='cached'"])


def test_the_distill_section_may_be_varied_as_a_whole(write):
    labels_and_kl = "{hard_weight = 0.1, terms = [{loss = 'kl', weight = 0.9}]}"
    path = write(f"[study.grid]\ndistill = [{labels_and_kl}, {{temperature = 2}}]\n")
    first, second = load(path).study.variants.items()
    assert first[0] == "distill=hard_weight_0.1_terms_kl_weight_0.9"
    distill = load(path, variant=first[1]).distill
    assert (distill.hard_weight, distill.terms[0].weight) == (0.1, 0.9)
    # What the file has is replaced, not filled in.
    distill = load(path, ["distill.alpha=0.3"], variant=second[1]).distill
    assert (distill.temperature, distill.alpha) == (2.0, 0.9)


def test_a_varied_section_shares_the_cache_too(write):
    cached = "{soft_targets = 'cached', soft_targets_dir = 'here'}"
    axis = f"[study.grid]\ndistill = [{cached}]\n"
    with refused(ConfigError, "study.grid", "'distill.soft_targets_dir'"):
        load(write(axis))


@pytest.mark.parametrize(
    "axis", ["data.exclude_labels = [[], [3]]", "seeds = [[0], [1, 2]]"]
)
def test_students_may_learn_from_other_data(write, axis):
    assert len(load(write(f"[study.grid]\n{axis}\n")).study.variants) == 2
