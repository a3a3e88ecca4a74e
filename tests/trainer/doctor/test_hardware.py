"""What is told of the machine."""

import os
import shutil
import subprocess

import pytest

from tests.helpers.messages import assert_a_line_states, assert_states
from trainer.doctor import hardware

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
"""


@pytest.fixture
def driver(tmp_path, monkeypatch):
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
        monkeypatch.setattr(hardware, "_DRIVER", str(library))

    return install


def test_the_driver_tells_the_memory_of_each_gpu(driver):
    driver(init_code=0)
    assert hardware._driver_sizes() == [16_000_000_000, 80_000_000_000]
    hints = hardware.gpu_hints(None)
    assert_a_line_states("\n".join(hints), "driver", "2 GPUs")
    assert hardware.num_driver_gpus() == 2


def test_an_error_of_the_driver_is_a_hint(driver):
    driver(init_code=100)
    hints = hardware.gpu_hints(None)
    assert_a_line_states("\n".join(hints), "cuInit", "error 100")


def test_a_missing_driver_is_a_hint(monkeypatch):
    monkeypatch.setattr(hardware, "_DRIVER", "libcuda.so.absent")
    hints = hardware.gpu_hints(None)
    assert_a_line_states("\n".join(hints), "libcuda.so.absent")
    assert hardware.num_driver_gpus() == 0


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
