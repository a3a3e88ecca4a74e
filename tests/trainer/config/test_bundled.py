"""Configs that come with the package are found by their names."""

import pytest

from tests.helpers.messages import refused
from tests.helpers.repository import REPOSITORY
from trainer import config
from trainer.config import bundled


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_name_stands_for_the_file_of_the_repository():
    file = REPOSITORY / "configs" / "mnist_mini.toml"
    named = config.load("mnist_mini", ["distill.temperature=7.0"])
    assert named == config.load(str(file), ["distill.temperature=7.0"])
    assert bundled.names() == sorted(path.stem for path in file.parent.glob("*.toml"))


def test_data_that_come_with_a_config_are_found_from_everywhere():
    kind, _, path = config.load("tabular_mlp").data.dataset.partition(":")
    own = REPOSITORY / "configs" / "data" / "magic_gamma.npz"
    assert kind == "npz"
    with open(path, "rb") as file:
        assert file.read() == own.read_bytes()


def test_a_file_that_is_there_has_precedence_and_a_folder_has_not(tmp_path):
    place = tmp_path / "mnist_mini"
    place.mkdir()  # such as a workdir of this name
    assert config.load("mnist_mini").data.dataset == "mnist_mini"
    place.rmdir()
    text = (REPOSITORY / "configs" / "mnist_mini.toml").read_text()
    place.write_text(text.replace('dataset = "mnist_mini"', 'dataset = "cifar10"'))
    assert config.load("mnist_mini").data.dataset == "cifar10"


@pytest.mark.parametrize("name", ["mnist_min", "configs/mnist_min.toml", "mnist_mini."])
def test_another_name_is_told_with_the_nearest_and_all(name):
    told = [repr(name), "did you mean 'mnist_mini'?", *bundled.names()]
    with refused(config.ConfigError, "--config", *told):
        config.load(name)
