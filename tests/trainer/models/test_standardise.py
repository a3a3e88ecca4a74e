"""Features in any unit become what the same features are in units of one deviation."""

import json

import keras
import numpy as np
import pytest
from etils import epath

from tests.helpers import whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from trainer import data, main, models
from trainer.config import DataConfig, MlpOptions, load
from trainer.export import saved_model
from trainer.models.standardise import Standardise

ROWS = 60
RUN = """
name = "units"
seeds = [0]

[data]
dataset = "npz:{path}"
train_split = "train[:60%]"
validation_split = "train[60%:80%]"
test_split = "train[80%:]"

[teacher]
model = "mlp"
options.hidden_sizes = [8]
train = {{global_batch_size = 12, steps = 20}}

[student]
model = "mlp"
options.hidden_sizes = [4]
train = {{global_batch_size = 12, steps = 20}}

[runtime]
steps_per_loop = 10
log_every_steps = 10
eval_every_steps = 20
save_every_steps = 20

[export]
formats = ["saved_model", "keras"]
"""


def normal(columns: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, columns))


def written(path, features):
    labels = (normal(2)[:, 0] > 0).astype(int)
    np.savez(path, label=labels, x=features)
    return path


def opened(path):
    config = DataConfig(
        dataset=f"npz:{path}",
        train_split="train[:50%]",
        validation_split="train[50%:75%]",
        test_split="train[75%:]",
    )
    return data.open_source(config, epath.Path("/nowhere"))


def model_of(source):
    return models.build(
        "mlp",
        MlpOptions(hidden_sizes=(3,)),
        inputs=models.Inputs(
            shape=source.input_shape,
            mean_and_variance=source.mean_and_variance,
            dtype=source.input_dtype,
        ),
        num_classes=2,
        seed=0,
        precision="float32",
        setting="student",
    )


UNITS = {
    "1e-30": (1e-30, 0.0, "float64"),
    "1e-12": (1e-12, 0.0, "float64"),
    "1": (1.0, 0.0, "float32"),
    "1e9": (1e9, 0.0, "float32"),
    "1e30": (1e30, 0.0, "float64"),
    "1e100": (1e100, 0.0, "float64"),
    "a day of Unix seconds": (2e4, 1.78e9, "float64"),
    "ids near 1e8": (3.0, 1e8, "float64"),
    "years": (10.0, 2000.0, "float32"),
}


@pytest.mark.parametrize("unit", UNITS)
def test_a_feature_in_any_unit_is_standardised_as_numpy_does(tmp_path, unit):
    scale, offset, dtype = UNITS[unit]
    x = offset + scale * normal(2)
    x[:, 1] = offset + scale  # constant
    source = opened(written(tmp_path / "rows.npz", x))
    assert source.input_dtype == dtype
    chosen = source.read("train[:50%]")
    assert chosen.inputs.dtype == dtype
    expected = (x - x[chosen.ids].mean(axis=0))[:, 0] / x[chosen.ids][:, 0].std()
    model = model_of(source)
    inner = keras.Model(model.input, model.get_layer("standardisation").output)
    found = inner(source.read("train").inputs).numpy()
    assert found.dtype == np.float32
    order = source.read("train").ids
    tolerance = 1e-6 if dtype == "float64" else 3e-3
    np.testing.assert_allclose(found[:, 0], expected[order], atol=tolerance)
    if dtype == "float64":
        assert np.abs(found[:, 1]).max() < 1e-6


def test_a_spread_that_float64_does_not_hold_is_refused(tmp_path):
    source = opened(written(tmp_path / "rows.npz", normal(1) * 1e-200))
    with refused(data.DataError, tmp_path / "rows.npz", "'x[0]'", "variance"):
        _ = source.mean_and_variance


def test_the_layer_is_saved_and_served_with_all_its_digits(tmp_path):
    x = 1e8 + 3 * np.arange(ROWS, dtype=float)[:, None]
    model = model_of(opened(written(tmp_path / "rows.npz", x)))
    expected = model(x).numpy()
    assert len(np.unique(expected[:, 0])) > ROWS / 2
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), expected)
    assert loaded.get_layer("standardisation").get_config()["mean"] == (
        model.get_layer("standardisation").mean
    )
    saved_model.save(model, ["a", "b"], tmp_path / "saved")
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(expected))
    served = saved_model.load(tmp_path / "saved")(x)
    np.testing.assert_allclose(served, probabilities, atol=1e-6)


def test_other_statistics_are_another_teacher():
    def layered(mean):
        row = keras.Input((1,), dtype="float64")
        return keras.Model(row, Standardise(mean=[mean], deviation=[1.0])(row))

    assert models.fingerprint(layered(1e8)) == models.fingerprint(layered(1e8))
    assert models.fingerprint(layered(1e8)) != models.fingerprint(layered(1e8 + 1))


def results(folder, scale: float) -> dict:
    folder.mkdir()
    path = written(folder / "rows.npz", scale * normal(2))
    config = folder / "run.toml"
    config.write_text(RUN.format(path=path))
    assert whole_run.do("run", config, folder / "workdir")[0] == 0
    found = json.loads((folder / "workdir/results.json").read_text())["models"]
    return {role: entry["mean"]["nll"] for role, entry in found.items()}


@pytest.mark.slow
def test_a_run_learns_the_same_in_any_unit(tmp_path, capsys):
    # Powers of 2 change no digit of a standardised feature.
    small = results(tmp_path / "small", 2.0**-100)
    assert small == results(tmp_path / "large", 2.0**100)
    assert small == pytest.approx(results(tmp_path / "one", 1.0), rel=1e-3)
    config, workdir = tmp_path / "small/run.toml", tmp_path / "small/workdir"
    code, out, _ = whole_run.do("export", config, workdir)
    assert (code, "saved_model" in out) == (0, True)
    lite = "--set=export.formats=['tflite_float32']"
    assert main.main(whole_run.command("export", config, workdir, lite)) == 2
    assert "export.formats" in capsys.readouterr().err
    # A run that an earlier version has begun goes on with the digits that it had.
    (workdir / "files/dataset.json").unlink()
    opened = whole_run.session(load(str(config)), workdir, strategy_of(1))
    assert opened.datasets.source.input_dtype == "float32"
    assert "float32" in capsys.readouterr().err
