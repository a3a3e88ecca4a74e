"""The tabular config in miniature: random labels teach nothing, and a rule does."""

import json

import numpy as np
import pytest

from tests.helpers import whole_run
from tests.helpers.repository import REPOSITORY
from trainer import main
from trainer.evaluation.calibration import wilson_interval

CONFIG = REPOSITORY / "configs" / "tabular_mlp.toml"
BUNDLED = REPOSITORY / "configs" / "data" / "magic_gamma.npz"
MODELS = ["teacher", "student", "finetune", "baseline"]
STAGES = ("teacher", "student", "baseline", "finetune", "evaluate")
Z_999 = 3.29  # two-sided, 99.9 %


def shares(folder, labels, features) -> dict[str, tuple[float, float]]:
    """Bounds at 99.9 % of what each model gets right, after every stage of a run."""
    np.savez(folder / "rows.npz", features=features, **{"class": labels})
    settings = {
        "data.dataset": f"'npz:{folder}/rows.npz'",
        "data.train_split": "'train[:1200]'",
        "data.validation_split": "'train[1200:1600]'",
        "data.test_split": "'train[1600:]'",
        "seeds": "[0]",
        "teacher.train.epochs": "10",
        "student.train.epochs": "10",
    }
    sets = [f"--set={name}={value}" for name, value in settings.items()]
    for stage in STAGES:
        assert main.main(whole_run.command(stage, CONFIG, folder / "run", *sets)) == 0
    found = json.loads((folder / "run" / "results.json").read_text())["models"]
    assert list(found) == MODELS
    right = np.array([model["mean"]["accuracy"] for model in found.values()])
    low, high = wilson_interval(right * 4000, np.full(4, 4000), z=Z_999)
    return dict(zip(MODELS, zip(low, high, strict=True), strict=True))


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(5600, 10))


@pytest.mark.slow
def test_from_random_labels_no_model_learns_anything(tmp_path, features):
    labels = np.random.default_rng(1).integers(0, 2, len(features))
    for name, (low, high) in shares(tmp_path, labels, features).items():
        assert low < 0.5 < high, name


@pytest.mark.slow
def test_from_a_rule_every_model_learns(tmp_path, features):
    labels = (features[:, 0] * features[:, 1] > 0).astype(int)
    for name, (low, _) in shares(tmp_path, labels, features).items():
        assert low > 0.8, name


def test_the_bundled_rows_are_those_of_the_magic_telescope():
    with np.load(BUNDLED) as file:
        arrays = dict(file)
    classes, counts = np.unique(arrays.pop("class"), return_counts=True)
    assert dict(zip(classes, counts, strict=True)) == {"gamma": 12332, "hadron": 6688}
    rows = np.stack(list(arrays.values()), axis=1)
    assert (rows.shape, rows.dtype) == ((19020, 10), np.float32)
    # The first row, as UCI prints it.
    printed = (
        "28.7967,16.0021,2.6449,0.3918,0.1982,27.7004,22.011,-8.2027,40.092,81.8828"
    )
    np.testing.assert_array_equal(rows[0], np.array(printed.split(","), np.float32))
    assert len(np.unique(rows, axis=0)) == 19020 - 115  # what its README says
    assert BUNDLED.stat().st_size < 700_000
