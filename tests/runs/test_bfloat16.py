"""The demo's student and baseline in bfloat16 against float32, over seeds."""

import json
import shutil
import statistics

import pytest

from tests.helpers import whole_run
from tests.helpers.repository import REPOSITORY
from trainer import exit_codes

CONFIG = REPOSITORY / "configs" / "mnist_mini.toml"
SHORT = ("--set=teacher.train.epochs=2", "--set=student.train.epochs=10")
# Student's t with four degrees of freedom is beyond this once in 100 times.
T_99 = 4.604


def errors(workdir, tfds_dir, precision: str) -> dict[str, list[float]]:
    """Test errors of student and baseline, one a seed."""
    words = (
        *SHORT,
        f'--set=data.data_dir="{tfds_dir}"',
        f"--set=runtime.precision='{precision}'",
    )
    code, _, err = whole_run.do("run", CONFIG, workdir, *words)
    assert code == exit_codes.DONE, err
    models = json.loads((workdir / "results.json").read_text())["models"]
    return {
        name: [seed["best"]["errors"] for seed in models[name]["seeds"]]
        for name in ("student", "baseline")
    }


@pytest.mark.slow
def test_bfloat16_is_within_the_noise_of_seeds(tmp_path, tfds_dir):
    exact = errors(tmp_path / "float32", tfds_dir, "float32")
    # One teacher for both, which would differ by more than its students.
    shutil.copytree(tmp_path / "float32" / "teacher", tmp_path / "bfloat16" / "teacher")
    half = errors(tmp_path / "bfloat16", tfds_dir, "mixed_bfloat16")
    for name, values in exact.items():
        variances = [statistics.variance(v) for v in (values, half[name])]
        noise = (sum(variances) / len(values)) ** 0.5
        difference = statistics.fmean(half[name]) - statistics.fmean(values)
        assert abs(difference) < T_99 * noise, (name, values, half[name])
