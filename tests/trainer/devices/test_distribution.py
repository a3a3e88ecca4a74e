"""Decisions about devices, precision and compilation."""

import pytest

from tests.helpers.messages import assert_states, refused
from trainer.config import ConfigError, RuntimeConfig, TrainConfig
from trainer.devices import distribution


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ([], "float32"),
        ([(8, 0)], "mixed_bfloat16"),
        ([(9, 0), (8, 6)], "mixed_bfloat16"),
        ([(7, 5)], "mixed_float16"),
        ([(7, 0), (8, 0)], "mixed_float16"),
        ([(8, 0), (6, 1)], "float32"),
        ([(8, 0), None], "float32"),
    ],
)
def test_auto_takes_the_fastest_precision_of_every_gpu(capabilities, precision):
    assert distribution._automatic_precision(capabilities) == precision


def test_a_model_s_own_precision_holds_over_the_run_s():
    runtime = RuntimeConfig(precision="mixed_bfloat16")
    assert distribution.precision("float32", runtime) == "float32"
    assert distribution.precision("inherit", runtime) == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("wanted", "runtime", "reason"),
    [
        ("float32", RuntimeConfig(precision="mixed_float16"), "student.precision"),
        ("inherit", RuntimeConfig(precision="float32"), "runtime.precision"),
        ("inherit", RuntimeConfig(), "no GPU"),
    ],
)
def test_the_reason_of_a_precision_names_the_setting(wanted, runtime, reason):
    told = distribution.precision_reason(wanted, runtime, setting="student")
    assert_states(told, reason)


def test_the_reason_of_a_precision_names_the_weakest_gpu(monkeypatch):
    monkeypatch.setattr(distribution, "_compute_capabilities", lambda: [(9, 0), (7, 5)])
    told = distribution.precision_reason("inherit", RuntimeConfig(), setting="student")
    assert_states(told, 7.5)


@pytest.mark.parametrize(
    ("runtime", "num_replicas"),
    [
        (RuntimeConfig(), 1),
        (RuntimeConfig(logical_cpus=2), 2),
        (RuntimeConfig(logical_cpus=2, strategy="mirrored"), 2),
        (RuntimeConfig(logical_cpus=2, strategy="one_device"), 1),
    ],
)
def test_replicas_are_the_devices_asked_for(runtime, num_replicas):
    assert (
        distribution.strategy(runtime, num_workers=1).num_replicas_in_sync
        == num_replicas
    )


def test_mirroring_one_device_is_refused():
    with refused(ConfigError, "runtime.strategy", "'mirrored'", "runtime.logical_cpus"):
        distribution.strategy(RuntimeConfig(strategy="mirrored"), num_workers=1)


@pytest.mark.parametrize(
    ("runtime", "num_workers", "facts"),
    [
        (RuntimeConfig(strategy="multi_worker"), 1, ("'multi_worker'", "TF_CONFIG")),
        (
            RuntimeConfig(strategy="mirrored"),
            2,
            ("'auto'", "'multi_worker'", "2 workers", "'mirrored'"),
        ),
        (RuntimeConfig(strategy="one_device"), 3, ("3 workers", "'one_device'")),
        (RuntimeConfig(logical_cpus=2), 2, ("runtime.logical_cpus", 1, "2 workers")),
    ],
)
def test_a_strategy_is_for_one_worker_or_for_many(runtime, num_workers, facts):
    for function in (distribution.strategy, distribution.num_local_replicas):
        with refused(ConfigError, *facts):
            function(runtime, num_workers=num_workers)


def test_the_local_replicas_are_known_before_there_is_a_strategy():
    for runtime, count in (
        (RuntimeConfig(), 1),
        (RuntimeConfig(logical_cpus=2), 2),
        (RuntimeConfig(logical_cpus=2, strategy="one_device"), 1),
    ):
        assert distribution.num_local_replicas(runtime, num_workers=1) == count
    multi = RuntimeConfig(strategy="multi_worker")
    assert distribution.num_local_replicas(multi, num_workers=2) == 1


def size(*, global_batch_size: int, accumulate: int = 1) -> int:
    train = TrainConfig(
        global_batch_size=global_batch_size, steps=1, accumulate=accumulate
    )
    return distribution.per_replica_batch_size(train, 2, setting="x")


def test_replicas_share_the_global_batch():
    assert size(global_batch_size=96) == 48
    assert size(global_batch_size=96, accumulate=4) == 48


@pytest.mark.parametrize(
    ("global_batch_size", "accumulate", "nearest"), [(97, 1, 96), (98, 3, 96)]
)
def test_a_batch_that_cannot_be_shared_is_refused_with_the_nearest(
    global_batch_size, accumulate, nearest
):
    facts = ("x.global_batch_size", 2, "x.accumulate", accumulate)
    with refused(ConfigError, *facts, global_batch_size, nearest):
        size(global_batch_size=global_batch_size, accumulate=accumulate)


def test_gpus_that_are_asked_for_must_be_seen():
    with refused(ConfigError, "runtime.min_gpus = 2", 0, "`gpu`"):
        distribution.strategy(RuntimeConfig(min_gpus=2), num_workers=1)
