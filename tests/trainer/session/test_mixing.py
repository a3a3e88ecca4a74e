"""Mixed pairs are checked against data, loss and devices before anything trains."""

import numpy as np
import pytest

from tests.helpers import point_study, whole_run
from tests.helpers.cached_runs import session
from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from trainer import config, stages
from trainer.config import ConfigError
from trainer.session.loss import check_loss
from trainer.session.mixing import check_mixing
from trainer.stages.check import check_training

OWN = f"distill={{terms=[{{loss='{__name__}:of_labels'}}], hard_weight=0}}"


def of_labels(student_logits, teacher_logits, labels):
    """A loss that takes the label of each example."""
    del labels
    return ((student_logits - teacher_logits) ** 2).sum(axis=1)


def checked(run, setting: str) -> None:
    check_mixing(run.datasets, setting, run.config.trainings[setting])


def rows() -> tuple[np.ndarray, np.ndarray]:
    """What only a call of a function tells to be no images."""
    labels = np.arange(60) % 2
    return np.stack([labels, np.arange(60)], axis=1).astype(np.float32), labels


def test_rows_of_a_function_are_blended_and_not_cut(tmp_path):
    file = point_study.write_config(tmp_path)
    text = file.read_text()
    file.write_text(text[: text.index("[study.grid]")])
    for kind, fits in (("mixup", True), ("cutmix", False)):
        settings = [f"student.train.{kind}=0.5", f"data.dataset='{__name__}:rows'"]
        given = config.load(str(file), settings)
        run = whole_run.session(given, tmp_path / kind, strategy_of(1))
        if fits:
            checked(run, "student.train")
            continue
        with refused(ConfigError, "student.train.cutmix", 0.5, "[2]"):
            checked(run, "student.train")


def opened(world, folder, *settings: str, num_replicas: int):
    given = config.load(str(world / "one.toml"), list(settings))
    return whole_run.session(given, folder, strategy_of(num_replicas))


TRAIN = "{global_batch_size=18, steps=2}"
OF_18 = (
    f"teacher.train={TRAIN}",
    f"finetune={TRAIN}",
    "student.train.global_batch_size=18",
    "distill.alpha=1",
)


@pytest.mark.parametrize(
    ("name", "setting"),
    [(x, x) for x in ("teacher.train", "finetune", "student.train")]
    + [("distill", "student.train")],
)
def test_replicas_of_each_training_that_mixes_see_whole_pairs(
    world, tmp_path, name, setting
):
    settings = (*OF_18, f"{name}.cutmix=0.5")
    checked(opened(world, tmp_path, *settings, num_replicas=1), setting)
    run = opened(world, tmp_path, *settings, num_replicas=2)
    section = run.config.trainings[setting]
    facts = (f"{name}.cutmix = 0.5", f"{setting}.global_batch_size", 18, 9, 2)
    with refused(ConfigError, *facts):
        check_training(run.datasets, setting, section, 36)
    for other in run.config.trainings.keys() - {setting}:
        checked(run, other)


def test_a_stage_by_itself_refuses_pairs_that_replicas_cut(world, tmp_path):
    settings = (*OF_18, "teacher.train.mixup=1")
    run = opened(world, tmp_path, *settings, num_replicas=2)
    with refused(ConfigError, "teacher.train.mixup = 1", 18, 9):
        stages.run(run, ("teacher",), whole=False)


@pytest.mark.parametrize("name", ["student.train", "distill"])
def test_an_own_loss_that_takes_labels_is_refused(world, tmp_path, name):
    run = session(world, tmp_path, OWN, f"{name}.mixup=0.5")
    facts = ("distill.terms[0].loss", "of_labels", f"{name}.mixup = 0.5")
    with refused(ConfigError, *facts):
        check_loss(run.datasets)
