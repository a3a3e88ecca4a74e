"""The kit as a whole, on logical CPUs."""

import json
import os
import subprocess
import sys

import pytest

from tests.benchmarks.gpu import agreement, pairs
from tests.helpers.repository import REPOSITORY

# Of each kind one. "halves" is as "numbers", "doctor" has tests of its own, and of the
# processes of a scaling or of first steps one is as the other.
PARTS = ("numbers", "speed W3", "scaling 2", "soak")


@pytest.mark.slow
@pytest.mark.timeout(1200)  # of a machine that others use
def test_the_small_form_finds_what_there_is_to_find(tmp_path, tfds_dir):
    path = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "tests.benchmarks.gpu", "--small"]
    run = subprocess.run(
        [*command, f"--json={path}", *PARTS],
        cwd=REPOSITORY,
        env=os.environ | {"TFDS_DATA_DIR": tfds_dir},
        stdout=subprocess.PIPE,
        text=True,
    )
    results = json.loads(path.read_text())
    ends = [(part["name"], part["end"]) for part in results["parts"]]
    assert ends == [(name, "done") for name in ("material", *PARTS)], run.stdout
    found = results["found"]
    assert {(row["name"], row["precision"], row["xla"]) for row in found["losses"]} == {
        ("one device", "float32", "off"),
        ("one device", "float32", "on"),
        ("one device", "mixed_bfloat16", "off"),
        ("one device", "mixed_float16", "off"),
        ("2 devices", "float32", "off"),
    }
    for row in found["losses"]:
        assert row["error"] <= agreement.BOUNDS[row["precision"]]
    assert found["sums"] == [{"devices": 2, "error": 0.0}]
    labels = {row["contender"]: row for row in found["rows"]}
    ways = {
        f"{who}{where}, XLA {xla}"
        for who in ("ours", "keras")
        for where in ("", ", cached")
        for xla in ("on", "off")
    }
    assert set(labels) == ways | {"floor", "floor, cached", "matmul", "ours, 2 devices"}
    # 784 * 10 + 10 * 10 products, and three times those of the student.
    ours = labels["ours, XLA off"]
    flops = 2 * 32 * (7_940 + 3 * 8_040)
    assert ours["flops_per_sec"] / ours["steps_per_sec"] == pytest.approx(flops)
    assert ours["peak_share"] > 0
    assert labels["ours, 2 devices"]["all_reduce_share"] > 0
    assert [row["step"] for row in found["soak"]] == [50, 100, 150, 200, 250]
    verdicts = {each["target"]["name"]: each["verdict"] for each in results["targets"]}
    unmeasured = {name for name, told in verdicts.items() if told == "not measured"}
    assert unmeasured == {"W3 on 2 devices / 2 x one"}
    assert run.returncode == 1  # for there are targets without a figure
    lines = run.stdout.splitlines()
    for name, verdict in verdicts.items():
        (line,) = (each for each in lines if each.startswith(f"| {name} |"))
        assert line.endswith(f"| {verdict} |")


@pytest.mark.parametrize("name", pairs.PAIRS)
def test_the_pairs_of_a_gpu_are_configs(name, tmp_path):
    (tmp_path / "digits").write_text("mnist_mini")
    for pair in (pairs.PAIRS[name], pairs.cached(pairs.PAIRS[name])):
        settings = pair.settings(tmp_path, precision="float32")
        assert settings.student.train.global_batch_size == pair.batch_size
        assert settings.distill.is_cached == pair.cached
