"""Each name that a config accepts is built by something, and nothing else is."""

from trainer import main, optimizers, stages
from trainer.config import schema
from trainer.data import augment
from trainer.models.build import MODELS


def test_models():
    assert MODELS.keys() == schema.MODELS.keys()


def test_optimizers():
    assert optimizers._OPTIMIZERS.keys() == schema.OPTIMIZERS.keys()


def test_schedules():
    assert optimizers._SCHEDULES.keys() == schema.SCHEDULES.keys()


def test_augmentations():
    assert augment._AUGMENTATIONS.keys() == schema.AUGMENTATIONS.keys()


def test_stages_are_commands_in_the_order_of_a_run():
    assert tuple(stages.STAGES) == main.STAGE_NAMES
