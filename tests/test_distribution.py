"""Decisions about devices, precision and compilation."""

import pytest

from tests.conftest import strategy_of
from trainer import distribution
from trainer.config import ConfigError, RuntimeConfig


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ([], "float32"),
        ([(8, 0)], "mixed_bfloat16"),
        ([(9, 0), (8, 6)], "mixed_bfloat16"),
        ([(7, 5)], "float32"),
        ([(8, 0), (7, 5)], "float32"),
        ([None], "float32"),
    ],
)
def test_auto_takes_bfloat16_where_every_gpu_is_fast_at_it(capabilities, precision):
    assert distribution._automatic_precision(capabilities) == precision


def test_a_model_s_own_precision_holds_over_the_run_s():
    runtime = RuntimeConfig(precision="mixed_bfloat16")
    assert distribution.precision("float32", runtime) == "float32"
    assert distribution.precision("inherit", runtime) == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("xla", "compiled"), [("auto", False), ("on", True), ("off", False)]
)
def test_xla_is_off_on_cpus_unless_asked_for(xla, compiled):
    assert distribution.compiles_with_xla(RuntimeConfig(xla=xla)) == compiled


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
    assert distribution.strategy(runtime).num_replicas_in_sync == num_replicas


def test_mirroring_one_device_is_refused():
    with pytest.raises(
        ConfigError, match=r"'mirrored' needs two devices.*logical_cpus"
    ):
        distribution.strategy(RuntimeConfig(strategy="mirrored"))


def test_replicas_share_the_global_batch():
    size = distribution.per_replica_batch_size(96, strategy_of(2), setting="x")
    assert size == 48


def test_a_batch_that_replicas_cannot_share_is_refused_with_the_nearest():
    message = r"x must be a multiple of the 2 replicas, got 97; nearest: 96"
    with pytest.raises(ConfigError, match=message):
        distribution.per_replica_batch_size(97, strategy_of(2), setting="x")
