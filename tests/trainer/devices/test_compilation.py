"""Where XLA compiles, by the facts of GPUs."""

import pytest

from tests.helpers.messages import assert_states, refused
from trainer.config import ConfigError, RuntimeConfig
from trainer.devices import compilation, gpu_facts
from trainer.devices.gpu_facts import Gpu, GpuFacts


def facts(*capabilities, cuda=(12, 5)) -> GpuFacts:
    return GpuFacts(
        gpus=tuple(
            Gpu(name=f"GPU of {capability}", compute_capability=capability)
            for capability in capabilities
        ),
        cuda=cuda,
    )


# H100 and A100; RTX 5090; B200.
OLD, RTX_50, B200 = facts((9, 0), (8, 0)), facts((9, 0), (12, 0)), facts((10, 0))


@pytest.mark.parametrize(
    ("xla", "seen", "compiled"),
    [
        ("auto", GpuFacts(), False),
        ("on", GpuFacts(), True),
        ("auto", OLD, True),
        ("auto", facts((7, 0)), True),
        ("auto", facts(None), True),
        ("off", OLD, False),
        ("auto", RTX_50, False),
        ("auto", B200, False),
        # Built for a CUDA whose PTX has the target.
        ("auto", facts((12, 0), cuda=(12, 8)), True),
        ("auto", facts((12, 1), cuda=(13, 0)), True),
        ("auto", facts((12, 0), cuda=(12, 7)), False),
        ("auto", facts((10, 0), cuda=(12, 7)), True),
    ],
)
def test_xla_is_on_where_gpus_can_have_it(xla, seen, compiled):
    for role in ("teacher", "student"):
        runtime = RuntimeConfig(xla=xla)
        assert compilation.compiles_with_xla(runtime, role, seen) == compiled


@pytest.mark.parametrize("seen", [GpuFacts(), OLD])
@pytest.mark.parametrize(
    ("xla", "roles"),
    [
        ("teacher", {"teacher", "teacher.members[1]", "teacher_head"}),
        ("student", {"student", "baseline", "finetune", "fold_0_of_5"}),
    ],
)
def test_one_part_is_compiled_on_any_device(xla, roles, seen):
    every = {"teacher", "teacher.members[1]", "teacher_head", "student", "baseline"}
    every |= {"finetune", "fold_0_of_5"}
    runtime = RuntimeConfig(xla=xla)
    assert roles == {
        role for role in every if compilation.compiles_with_xla(runtime, role, seen)
    }


@pytest.mark.parametrize(
    ("xla", "told"),
    [
        ("on", "XLA on"),
        ("off", "XLA off"),
        ("auto", "XLA off"),
        ("teacher", "XLA for the teacher alone"),
        ("student", "XLA for the student alone"),
    ],
)
def test_what_is_compiled_is_told(xla, told):
    assert compilation.describe_xla(RuntimeConfig(xla=xla)) == told


def test_this_process_has_no_gpu():
    assert not compilation.compiles_with_xla(RuntimeConfig(), "student")
    assert gpu_facts.seen().gpus == ()


@pytest.mark.parametrize(
    ("xla", "seen", "told"),
    [
        ("on", OLD, ("runtime.xla",)),
        ("auto", GpuFacts(), ("auto", "CPU")),
        ("auto", OLD, ("auto", "GPU", "one by one")),
        ("auto", RTX_50, ("auto", "GPU:1", "12.0", "CUDA 12.8", "for 12.5")),
    ],
)
def test_the_reason_names_the_setting_or_the_gpu(xla, seen, told):
    assert_states(compilation.xla_reason(RuntimeConfig(xla=xla), seen), *told)


@pytest.mark.parametrize("xla", ["on", "teacher", "student"])
def test_xla_is_refused_on_gpus_that_are_too_new(xla):
    with refused(ConfigError, "runtime.xla", repr(xla), "GPU:1", "12.0", "12.8"):
        compilation.check_xla(RuntimeConfig(xla=xla), RTX_50)


def test_xla_is_taken_where_gpus_can_have_it():
    for xla, seen in (
        ("on", OLD),
        ("auto", RTX_50),
        ("off", B200),
        ("student", GpuFacts()),
    ):
        compilation.check_xla(RuntimeConfig(xla=xla), seen)
