"""A run and the runs beside it share devices, each with settings of its own."""

import dataclasses
import itertools
import json

import pytest
from etils import epath

from tests.helpers import pets, whole_run
from tests.helpers.configs import RUN
from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from trainer.config import load
from trainer.data import DataError
from trainer.storage import seal


@pytest.fixture
def session(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(RUN)
    return whole_run.session(load(str(file)), tmp_path / "run", strategy_of(1))


@pytest.mark.parametrize(
    ("xla", "compiled"),
    [
        ("on", {"teacher", "student"}),
        ("off", set()),
        ("teacher", {"teacher"}),
        ("student", {"student"}),
    ],
)
def test_devices_execute_as_the_run_says(session, xla, compiled, tmp_path):
    runtime = dataclasses.replace(session.config.runtime, xla=xla)
    config = dataclasses.replace(session.config, runtime=runtime)
    for other in (
        session.with_runtime(runtime),
        session.beside(config, epath.Path(tmp_path / "other")),
    ):
        assert other.config == config
        roles = {
            role for role in ("teacher", "student") if other.devices.compiles(role)
        }
        assert roles == compiled
        alone = {r for r in ("teacher", "student") if other.devices.compiles_alone(r)}
        assert alone == (compiled if len(compiled) == 1 else set())
        assert other.devices.strategy is session.devices.strategy
        assert other.devices.workers is session.devices.workers
        assert other.devices.termination is session.devices.termination


def test_a_run_beside_keeps_files_and_models_of_its_own(session, tmp_path):
    path = epath.Path(tmp_path / "other")
    other = session.beside(session.config, path)
    assert other.networks.folder("student", 3) == path / "student" / "seed-3"
    assert (other.index_dir, other.lock_dir) == (path / "files", path)
    assert other.datasets is not session.datasets
    assert other.networks is not session.networks
    assert other.networks.datasets is other.datasets
    assert other.devices.stop is not session.devices.stop
    # What a run has looked at says nothing of another.
    session.networks.savable.add("student")
    assert not other.networks.savable


@pytest.mark.parametrize(
    ("form", "augment", "is_refused"),
    [("jpeg", "none", True), ("png", "none", False), ("png", "inception_crop", True)],
)
def test_a_begun_run_has_the_pixels_that_it_began_with(
    tmp_path, form, augment, is_refused
):
    for split, name in itertools.product(("train", "test"), ("cat", "dog")):
        pets.draw(tmp_path / "pets" / split / name, range(10), form)
    pets.write_config(tmp_path, f"augment = '{augment}'\n")
    config = load(str(tmp_path / "pets.toml"))
    path = epath.Path(tmp_path / "run")
    assert whole_run.session(config, path, strategy_of(1)).datasets.sources
    kept = path / "files" / "dataset.json"
    begun = seal.parse(kept.read_bytes())
    del begun["pixels"]  # as of an earlier version
    kept.write_text(json.dumps(seal.add_checksum(begun)))
    datasets = whole_run.session(config, path, strategy_of(1)).datasets
    if not is_refused:
        assert datasets.sources
        return
    with refused(DataError, "data.dataset", f"folder:{tmp_path}/pets", "--workdir"):
        _ = datasets.sources
