"""Memory that variables take, and the peaks of a process and of GPUs."""

import math
import pathlib
import re
import resource
from collections.abc import Iterable

import keras
import tensorflow as tf

OUT_OF_MEMORY = (
    "the devices have too little memory: lower global_batch_size of the training, "
    "raise its accumulate, or make the model or its images smaller"
)

_UNITS = ("B", "kB", "MB", "GB", "TB")

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR = pathlib.Path("/proc/self/clear_refs")


def num_bytes(variables: Iterable[keras.Variable]) -> int:
    """The size of one replica's copy of the variables."""
    return sum(
        math.prod(variable.shape) * int(tf.as_dtype(variable.dtype).size)
        for variable in variables
    )


def text(count: int) -> str:
    """A number of bytes for a reader, such as "1.5 MB"; a kB has 1,000 bytes."""
    power = min(int(math.log10(max(count, 1))) // 3, len(_UNITS) - 1)
    # Of what is counted in GB, a process of TensorFlow, a hundred MB matter.
    digits = (0, 1, 1, 2, 2)[power]
    return f"{count / 1000**power:.{digits}f} {_UNITS[power]}"


class PeakMeter:
    """The most memory in use at a time since the meter was made.

    On GPUs that is what TensorFlow's allocator gave out, on each. Without one it is the
    resident memory of this process: all of TensorFlow and the data are in it too.
    """

    def __init__(self) -> None:
        self._gpus = [
            f"GPU:{i}" for i in range(len(tf.config.list_logical_devices("GPU")))
        ]
        self._held = {gpu: _allocated_bytes(gpu)["current"] for gpu in self._gpus}
        for gpu in self._gpus:
            tf.config.experimental.reset_memory_stats(gpu)
        self._restarted = not self._gpus and _restart_resident_peak()
        self._before = _resident_peak()

    def lines(self) -> list[str]:
        """One line for each place that was measured."""
        if self._gpus:
            return [
                f"peak {text(_allocated_bytes(gpu)['peak'])} allocated on {gpu}, "
                f"which held {text(held)} before"
                for gpu, held in self._held.items()
            ]
        # Linux takes note of a peak when pages are given back, and counts roughly.
        peak = max(_resident_peak(), self._before)
        if self._restarted:
            return [
                f"peak {text(peak)} resident in this process, which held "
                f"{text(self._before)} before"
            ]
        return [
            f"peak {text(peak)} resident in this process since it began, "
            f"{text(peak - self._before)} more than the peak before"
        ]


def _allocated_bytes(gpu: str) -> dict[str, int]:
    """Bytes, "current" and "peak"."""
    info: dict[str, int] = tf.config.experimental.get_memory_info(gpu)
    return info


def _restart_resident_peak() -> bool:
    """Lets the peak begin again at what is resident now; not every system can."""
    try:
        _CLEAR.write_text("5")  # see proc_pid_clear_refs(5)
    except OSError:
        return False
    return True


def _resident_peak() -> int:
    if _STATUS.exists():
        found = re.search(r"^VmHWM:\s*(\d+) kB", _STATUS.read_text(), flags=re.M)
        if found:
            return 1024 * int(found[1])
    # Without /proc this is macOS, which counts in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
