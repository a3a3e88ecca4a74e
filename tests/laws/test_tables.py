"""Each name that a config accepts is built by something, and nothing else is."""

import inspect
import pkgutil

import pytest

from trainer import stages
from trainer.config import augmentations, places
from trainer.config import models as models_config
from trainer.config import training as training_config
from trainer.data import augment, tables
from trainer.models.build import ARCHITECTURES
from trainer.optimizers import keras_optimizers, schedules


def test_models():
    # A run's model is known by its architecture before anything is built.
    known = models_config.MODELS.keys() - {models_config.RUN}
    built = {*ARCHITECTURES, *models_config.APPLICATIONS, "saved"}
    built |= {models_config.MEMORY, models_config.HUB}
    assert built == known


def test_optimizers():
    assert keras_optimizers._OPTIMIZERS.keys() == training_config.OPTIMIZERS.keys()


def test_schedules():
    assert schedules._SCHEDULES.keys() == training_config.SCHEDULES.keys()


def test_augmentations():
    assert augment._AUGMENTATIONS.keys() == augmentations.AUGMENTATIONS.keys()


def test_tables_of_numbers():
    assert tuple(f"{kind}:" for kind in tables.READERS) == places.TABLES


@pytest.mark.parametrize("name", stages.ALL)
def test_each_stage_is_found_where_its_entry_says(name):
    function = pkgutil.resolve_name(f"trainer.stages.{stages.ALL[name].function}")
    session, *others = inspect.signature(function).parameters.values()
    assert session.name == "session"
    assert all(other.default is not inspect.Parameter.empty for other in others)
    assert function.__module__.startswith("trainer.stages.")
