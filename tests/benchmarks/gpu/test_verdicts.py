"""Targets of GPUs, met and missed, from findings that are literals."""

import pytest

from tests.benchmarks.gpu import verdicts


def judged(num_devices: int = 1, **found):
    told = verdicts.judged(found, num_devices=num_devices, small=True)
    return {each.target.name: (each.value, each.verdict) for each in told}


def rate(contender: str, examples_per_sec: float, **more) -> dict:
    return {
        "workload": "W3",
        "precision": "float32",
        "contender": contender,
        "examples_per_sec": examples_per_sec,
        **more,
    }


def test_losses_are_held_against_the_bound_of_their_precision():
    row = {"name": "one device", "precision": "float32", "xla": "on", "bound": 1e-4}
    name = "losses, one device, float32, XLA on: largest relative error"
    assert judged(losses=[row | {"error": 9e-5}])[name] == (9e-5, "met")
    assert judged(losses=[row | {"error": 2e-4}])[name] == (2e-4, "missed")


def test_a_sum_must_be_exact():
    name = "sum of whole numbers over all devices: error"
    assert name not in judged()
    assert judged(2)[name] == (None, "not measured")
    sums = [{"devices": 2, "error": 0.5}]
    assert judged(2, sums=sums)[name] == (0.5, "missed")


def test_the_way_that_auto_takes_is_held_against_the_best_of_keras():
    rows = [
        rate("ours, XLA on", 300.0),
        rate("ours, XLA off", 100.0),
        rate("keras, XLA on", 200.0),
        rate("keras, XLA off", 250.0),
        rate("floor", 400.0),
    ]
    on = judged(rows=rows, devices=[{"xla": True, "gpus": [{}]}])
    title = "W3 float32, XLA"
    assert on[f"{title} on / the best of Keras"] == (pytest.approx(1.2), "met")
    assert on[f"{title} on / its floor"] == (pytest.approx(0.75), "missed")
    off = judged(rows=rows, devices=[{"xla": False, "gpus": []}])
    assert off[f"{title} off / the best of Keras"] == (pytest.approx(0.4), "missed")
    cached = "W3, cached float32, XLA off / the best of Keras"
    assert off[cached] == (None, "not measured")


def test_scaling_is_held_against_as_many_devices_alone():
    rows = [
        rate("ours, 1 devices", 100.0),
        rate("ours, 2 devices", 190.0, all_reduce_share=0.2),
        rate("ours, 4 devices", 300.0, all_reduce_share=0.05),
    ]
    found = judged(4, rows=rows)
    assert found["W3 on 2 devices / 2 x one"] == (pytest.approx(0.95), "met")
    assert found["W3 on 4 devices / 4 x one"] == (pytest.approx(0.75), "missed")
    assert found["W3 on 2 devices: share of the all-reduce"] == (0.2, "missed")
    assert found["W3 on 4 devices: share of the all-reduce"] == (0.05, "met")
    alone = judged(2, rows=rows[1:2])
    assert alone["W3 on 2 devices / 2 x one"] == (None, "not measured")


def mark(step: int, megabytes: float, device: int, threads: int) -> dict:
    return {
        "step": step,
        "resident_bytes": megabytes * 1e6,
        "device_bytes": [device, device],
        "threads": threads,
    }


def test_what_grows_after_the_second_mark_is_missed():
    # What fills in the first steps does not count.
    marks = [mark(1000, 500, 0, 8), mark(2000, 800, 5, 9), mark(5000, 870, 5, 13)]
    found = judged(soak=marks, devices=[{"xla": True, "gpus": [{}]}])
    assert found["5,000 steps: bytes grown"] == (70e6, "missed")
    assert found["5,000 steps: bytes grown on a device"] == (0, "met")
    assert found["5,000 steps: threads grown"] == (4, "met")
    assert judged()["the soak: bytes grown"] == (None, "not measured")


def test_a_first_step_needs_both_processes():
    without = {"workload": "W1", "label": "without XLA's cache", "secs": 20.0}
    name = "W1 first step with XLA's cache / without"
    assert judged(first=[without])[name] == (None, "not measured")
    cached = {"workload": "W1", "label": "with XLA's cache", "secs": 8.0}
    assert judged(first=[without, cached])[name] == (pytest.approx(0.4), "met")
