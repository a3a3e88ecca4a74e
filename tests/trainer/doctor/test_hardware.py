"""What is told of the machine."""

import os
import shutil
import subprocess

import pytest

from tests.helpers.messages import assert_a_line_states, assert_states
from trainer.doctor import driver, hardware
from trainer.doctor.driver import Driver

# Two GPUs, the second with 80 GB, behind the names that NVIDIA's driver exports.
FAKE_DRIVER = """
#include <stddef.h>
static int ready = 0;
int cuInit(unsigned flags) { ready = 1; return INIT_CODE; }
int cuDeviceGetCount(int *count) { *count = 2; return ready ? 0 : 3; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal + 40; return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = device == 41 ? 80000000000 : 16000000000;
    return device == 40 || device == 41 ? 0 : 101;
}
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuDeviceCanAccessPeer(int *can, int one, int other) {
    *can = one == 40 && other == 41;  /* and not the other way */
    return 0;
}
"""


@pytest.fixture
def install_driver(tmp_path, monkeypatch):
    def install(init_code: int) -> None:
        compiler = shutil.which("cc")
        if not compiler:
            pytest.skip("a driver to ask needs a C compiler")
        library = tmp_path / "libcuda.so.1"
        subprocess.run(
            [
                *(compiler, "-shared", "-fPIC", f"-DINIT_CODE={init_code}"),
                *("-x", "c", "-", "-o", str(library)),
            ],
            input=FAKE_DRIVER,
            text=True,
            check=True,
        )
        monkeypatch.setattr(driver, "_LIBRARY", str(library))

    return install


def test_the_driver_tells_its_cuda_and_the_gpus(install_driver):
    install_driver(init_code=0)
    assert driver.ask() == Driver(
        cuda=(12, 4), num_bytes=(16_000_000_000, 80_000_000_000), apart=((0, 1),)
    )
    hints = hardware.gpu_hints(None)
    assert_a_line_states("\n".join(hints), "driver", "2 GPUs")
    assert hardware.num_driver_gpus() == 2


def test_an_error_of_the_driver_is_a_hint(install_driver):
    install_driver(init_code=100)
    hints = hardware.gpu_hints(None)
    assert_a_line_states("\n".join(hints), "cuInit", "error 100")


def test_a_missing_driver_is_a_hint(monkeypatch):
    monkeypatch.setattr(driver, "_LIBRARY", "libcuda.so.absent")
    hints = hardware.gpu_hints(None)
    assert_a_line_states("\n".join(hints), "libcuda.so.absent")
    assert hardware.num_driver_gpus() == 0


@pytest.mark.parametrize(
    ("known", "facts"),
    [
        (Driver(cuda=(12, 5), num_bytes=(1, 1)), None),
        (Driver(cuda=(13, 0), num_bytes=(1,)), None),
        (Driver(cuda=(12, 2), num_bytes=(1,)), ("12.2", "12.5", "one by one")),
        (Driver(cuda=(11, 8), num_bytes=(1,)), ("11.8", "12.5", "no GPU", "12.0")),
        (
            Driver(cuda=(12, 8), num_bytes=(1, 1, 1), apart=((0, 2), (1, 2))),
            ("0 and 2, 1 and 2", "NCCL", "/dev/shm"),
        ),
    ],
)
def test_what_a_driver_lacks_is_told(known, facts):
    told = list(driver.problems(known, (12, 5)))
    assert len(told) == bool(facts)
    if facts:
        assert_states(told[0], *facts)
    # A TensorFlow without CUDA needs no driver.
    assert not list(driver.problems(Driver(cuda=(11, 0), num_bytes=()), None))


def test_the_hints_say_what_hides_gpus():
    assert_states(hardware.gpu_hints(None)[-1], "CUDA_VISIBLE_DEVICES", "not set")
    assert_states(hardware.gpu_hints("-1")[-1], "CUDA_VISIBLE_DEVICES", "'-1'")


def test_the_extra_is_installed_with_its_last_package(monkeypatch):
    monkeypatch.setattr(hardware, "_EXTRA", "and-no-such-extra")
    assert_states(hardware._extra_hint(), 0, "`gpu`", "are installed")
    # A marker that requirements of other packages have too.
    monkeypatch.setattr(hardware, "_EXTRA", "absl-py")
    assert_states(hardware._extra_hint(), 1, "`gpu`", "are installed")


def test_the_memory_of_the_machine_is_the_kernel_s():
    with open("/proc/meminfo") as file:
        kibibytes = int(file.readline().split()[1])
    memory = f"{kibibytes * 1024 / 1e9:.2f} GB"
    assert_states(hardware.host(), f"{os.cpu_count()} CPUs", memory)
