"""Settings of mixed pairs: in which sections, and what is refused beside them."""

import pytest

from tests.helpers import configs
from tests.helpers.messages import assert_states, refused
from trainer.config import ConfigError, load, why_online

ALPHA_1 = "distill.alpha=1"
NKD = "distill={terms=[{loss='nkd'}]}"
STUDENT, FINETUNE = "student.train.cutmix=0.5", "finetune={global_batch_size=8, steps=1"


@pytest.fixture
def read(tmp_path):
    """A function from overrides to the config."""

    def loaded(*overrides: str):
        file = tmp_path / "small.toml"
        file.write_text(configs.RUN)
        return load(str(file), list(overrides))

    return loaded


def test_each_training_and_the_distillation_mix_by_settings_of_their_own(read):
    config = read(
        *("teacher.train.mixup=1", "teacher.train.mixup_beta=0.2"),
        *("student.train.mixup=0.25", "student.train.cutmix=0.75"),
        FINETUNE + ", cutmix=0.5}",
    )
    assert not read().student.train.mixes
    shares = {path: (x.mixup, x.cutmix) for path, x in config.trainings.items()}
    assert shares == {
        "teacher.train": (1.0, 0.0),
        "student.train": (0.25, 0.75),
        "finetune": (0.0, 0.5),
    }
    assert config.teacher.train.mixup_beta == 0.2
    # An alpha below 1 is no obstacle, since labels are mixed too.
    assert config.distill.alpha == 0.9
    for overrides, name in (((), "student.train"), ((ALPHA_1,), "distill")):
        more = (f"{name}.cutmix=0.5", *overrides)
        config = read(*more)
        found, mixing = config.mixing_section("student.train", config.student.train)
        assert (found, mixing.cutmix) == (name, 0.5)
        assert mixing.mixes_labels == (name == "student.train")
        found, mixing = config.mixing_section("teacher.train", config.teacher.train)
        assert (found, mixing.mixes) == ("teacher.train", False)


@pytest.mark.parametrize(
    "overrides", [(STUDENT,), ("distill.cutmix=0.5", ALPHA_1), ("distill.cutmix=0.5",)]
)
def test_what_is_mixed_has_a_live_teacher_and_auto_says_why(read, overrides):
    name = overrides[0].removesuffix("=0.5")
    if len(overrides) == 1 and name.startswith("distill"):
        with refused(ConfigError, name, "distill.alpha = 1.0", 0.9, f"{name} = 0"):
            read(*overrides)
        return
    assert_states(why_online(read(*overrides)), name, 0.5)
    with refused(ConfigError, name, "'cached'", "'online'", f"{name} = 0"):
        read(*overrides, "distill.soft_targets='cached'")


@pytest.mark.parametrize(
    ("overrides", "facts"),
    [
        (
            ["teacher.train.mixup=0.6", "teacher.train.cutmix=0.5"],
            ["teacher.train.mixup + teacher.train.cutmix", 1, 0.6, 0.5],
        ),
        (
            [ALPHA_1, "distill.mixup=1", "distill.cutmix=0.1"],
            ["distill.mixup + distill.cutmix", 1, 0.1],
        ),
        # As other tools name the parameter of the distribution.
        (
            ["student.train.mixup_beta=0.2"],
            ["student.train.mixup_beta = 0.2", "student.train.mixup = 1"],
        ),
        (
            [FINETUNE + ", mixup=1, cutmix_beta=0.2}"],
            ["finetune.cutmix_beta = 0.2", "finetune.cutmix = 1"],
        ),
        # As other programs have them among the augmentations.
        (
            ["student.train.augment=['inception_crop', 'mixup']"],
            ["student.train.augment", "'mixup'", "student.train.mixup = 0.5"],
        ),
        (["data.cutmix=1"], ["data.cutmix", "student.train.cutmix = 0.5"]),
        (["student.train.mixup=1.5"], ["student.train.mixup", 1, 1.5]),
        (
            ["student.train.mixup=1", "student.train.mixup_beta=0"],
            ["student.train.mixup_beta", 0.001, 0],
        ),
        (
            [STUDENT, "distill.mixup=1", ALPHA_1],
            ["distill.mixup = 1", "student.train.cutmix = 0.5"],
        ),
        (
            [NKD, STUDENT],
            ["distill.terms[0]", "'nkd'", "student.train.cutmix = 0.5"],
        ),
        (
            [
                "distill={terms=[{loss='dist'}], group_size=3}",
                "student.train.global_batch_size=12",
                STUDENT,
            ],
            ["distill.group_size", "even", 3],
        ),
        (
            ["data.dataset='csv:points.csv'", "teacher.train.cutmix=0.25"],
            ["teacher.train.cutmix", 0.25, "'csv:points.csv'", "teacher.train.mixup"],
        ),
        (
            [
                *("data.dataset='tfrecord:{split}'", "data.options.encoding='values'"),
                *("data.options.shape=[12]", ALPHA_1, "distill.cutmix=1"),
            ],
            ["distill.cutmix", 1, "data.options.shape = [12]", "distill.mixup"],
        ),
        (
            [FINETUNE.replace("8", "9") + ", cutmix=0.5}"],
            ["finetune.global_batch_size", 2, 9, 10, "finetune.cutmix = 0.5"],
        ),
        # Even, but not in each micro-batch; the pairs are the student's.
        (
            [
                *(ALPHA_1, "distill.mixup=1", "student.train.global_batch_size=18"),
                "student.train.accumulate=6",
            ],
            [
                *("student.train.global_batch_size", "student.train.accumulate", 6),
                *(18, 24, "distill.mixup = 1"),
            ],
        ),
    ],
)
def test_what_cannot_be_mixed_is_refused(read, overrides, facts):
    with refused(ConfigError, *facts):
        read(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        # Rows are blended, and images of record files have any shape.
        ("data.dataset='csv:points.csv'", "student.train.mixup=0.5"),
        ("data.dataset='tfrecord:{split}'", "data.options.shape=[8, 8, 3]", STUDENT),
        # A batch of an odd size where nothing is mixed.
        ("teacher.train.global_batch_size=9", STUDENT),
    ],
)
def test_what_can_be_mixed_is_accepted(read, overrides):
    assert read(*overrides).student.train.mixes


def test_shares_of_all_pairs_may_be_any_decimals(read):
    for mixup in (0.1, 0.3, 0.35, 0.7, 0.9):
        more = f"student.train.cutmix={round(1 - mixup, 2)}"
        assert read(f"student.train.mixup={mixup}", more).student.train.mixes
