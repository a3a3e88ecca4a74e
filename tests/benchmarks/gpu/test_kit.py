"""The kit as a whole, on logical CPUs."""

import json
import os
import subprocess
import sys

import pytest

from tests.benchmarks.gpu import agreement, pairs
from tests.helpers.repository import REPOSITORY


@pytest.mark.slow
def test_the_small_form_finds_all_there_is_to_find(tmp_path, tfds_dir):
    path = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "tests.benchmarks.gpu", "--small"]
    run = subprocess.run(
        [*command, f"--json={path}"],
        cwd=REPOSITORY,
        env=os.environ | {"TFDS_DATA_DIR": tfds_dir},
        stdout=subprocess.PIPE,
        text=True,
    )
    results = json.loads(path.read_text())
    ends = {part["name"]: part["end"] for part in results["parts"]}
    assert set(ends.values()) == {"done"}, run.stdout
    assert list(ends) == [
        *("material", "numbers", "halves", "speed W4"),
        "first step of W4 without XLA's cache",
        "first step of W4 with XLA's cache",
        *("scaling 1", "scaling 2", "soak", "doctor"),
    ]
    found = results["found"]
    ways = {
        (row["name"], row["precision"], row["xla"]): row["error"]
        for row in found["losses"]
    }
    for way, error in ways.items():
        assert error <= agreement.BOUNDS[way[1]], way
    assert {name for name, *_ in ways} == {
        *("one device", "2 devices", "two halves of one device")
    }
    assert {xla for *_, xla in ways} == {"on", "off"}
    assert found["sums"] == [{"devices": 2, "error": 0.0}]
    labels = {row["contender"]: row for row in found["rows"]}
    for where in ("", ", cached"):
        for who in ("ours", "keras"):
            assert {f"{who}{where}, XLA on", f"{who}{where}, XLA off"} <= set(labels)
        assert f"floor{where}" in labels
    # 784 * 1200 + 1200 * 1200 + 1200 * 10 products, and three times the student's.
    ours = labels["ours, XLA off"]
    flops = 2 * 32 * (2_392_800 + 3 * (784 * 800 + 800 * 800 + 8_000))
    assert ours["flops_per_sec"] / ours["steps_per_sec"] == pytest.approx(flops)
    assert labels["ours, 2 devices"]["all_reduce_share"] > 0
    assert [row["step"] for row in found["soak"]] == [50, 100, 150, 200, 250]
    verdicts = {each["target"]["name"]: each["verdict"] for each in results["targets"]}
    assert "not measured" not in verdicts.values()
    assert run.returncode == int("missed" in verdicts.values())
    lines = run.stdout.splitlines()
    for name, verdict in verdicts.items():
        (line,) = (each for each in lines if each.startswith(f"| {name} |"))
        assert line.endswith(f"| {verdict} |")
    assert "nothing stands against a run" in run.stdout


@pytest.mark.parametrize("name", pairs.PAIRS)
def test_the_pairs_of_a_gpu_are_configs(name, tmp_path):
    (tmp_path / "digits").write_text("mnist_mini")
    for pair in (pairs.PAIRS[name], pairs.cached(pairs.PAIRS[name])):
        settings = pair.settings(tmp_path, precision="float32")
        assert settings.student.train.global_batch_size == pair.batch_size
        assert settings.distill.is_cached == pair.cached
