"""Each name that a config accepts is built by something, and nothing else is."""

from trainer import commands, stages
from trainer.config import data as data_config
from trainer.config import models as models_config
from trainer.config import training as training_config
from trainer.data import augment
from trainer.models.build import ARCHITECTURES
from trainer.optimizers import keras_optimizers, schedules


def test_models():
    built = {*ARCHITECTURES, *models_config.APPLICATIONS, "saved"}
    assert built == models_config.MODELS.keys()


def test_optimizers():
    assert keras_optimizers._OPTIMIZERS.keys() == training_config.OPTIMIZERS.keys()


def test_schedules():
    assert schedules._SCHEDULES.keys() == training_config.SCHEDULES.keys()


def test_augmentations():
    assert augment._AUGMENTATIONS.keys() == data_config.AUGMENTATIONS.keys()


def test_stages_are_commands_in_the_order_of_a_run():
    assert tuple(stages.STAGES) == commands.stages.NAMES
