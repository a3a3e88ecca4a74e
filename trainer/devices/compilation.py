"""Whether XLA compiles: by the setting, and by what it can do on the GPUs seen.

A role is that of a training, as in trainer.storage.workdir.ROLES, or of the network
that predicts. Those of teachers begin with "teacher"; what is no teacher's is the
student's.
"""

from trainer.config import ConfigError, RuntimeConfig
from trainer.devices import gpu_facts
from trainer.devices.gpu_facts import Gpu, GpuFacts, Version

# The least compute capability, and the first CUDA whose PTX has it as a target: PTX 8.7
# and 8.6 (PTX ISA, "Release Notes"). XLA takes the PTX of the CUDA that it was built
# for, and LLVM ends the process for a target that is newer
# (github.com/tensorflow/tensorflow/issues/111958).
_TARGETS: tuple[tuple[Version, Version], ...] = (
    ((12, 0), (12, 8)),
    ((10, 0), (12, 7)),
)


def compiles_with_xla(
    runtime: RuntimeConfig, role: str, facts: GpuFacts | None = None
) -> bool:
    """Whether XLA compiles for `role`; `facts` are those of this process by default.

    XLA fuses what a GPU would otherwise launch one by one. On a CPU it replaces
    oneDNN's convolutions: the forward pass of the 256/512-filter network took 1.07
    times as long in float32 and 2.6 times in bfloat16 (two cores with avx512_bf16,
    medians of 7 alternations). "auto" leaves GPUs alone that are too new for it.
    """
    if runtime.xla != "auto":
        part = "teacher" if role.startswith("teacher") else "student"
        return runtime.xla in ("on", part)
    facts = facts or gpu_facts.seen()
    return bool(facts.gpus) and not xla_problem(facts)


def describe_xla(runtime: RuntimeConfig) -> str:
    """Names what XLA compiles: "XLA on", or "XLA for the teacher alone"."""
    if runtime.xla in ("teacher", "student"):
        return f"XLA for the {runtime.xla} alone"
    return f"XLA {'on' if compiles_with_xla(runtime, 'student') else 'off'}"


def xla_reason(runtime: RuntimeConfig, facts: GpuFacts | None = None) -> str:
    """The reason for what XLA compiles."""
    if runtime.xla != "auto":
        return "set by runtime.xla"
    facts = facts or gpu_facts.seen()
    if problem := xla_problem(facts):
        return f"auto, {problem}"
    if facts.gpus:
        return "auto, it fuses what a GPU would launch one by one"
    return "auto, it would replace a CPU's faster convolutions"


def check_xla(runtime: RuntimeConfig, facts: GpuFacts | None = None) -> None:
    """Finds GPUs on which XLA would end the process, where it is asked for.

    Raises:
      ConfigError: a GPU is too new for it.
    """
    if runtime.xla in ("auto", "off"):
        return
    if problem := xla_problem(facts or gpu_facts.seen()):
        raise ConfigError(
            f"runtime.xla must be 'auto' or 'off' here, got {runtime.xla!r}: "
            f"{problem}; hide that GPU by CUDA_VISIBLE_DEVICES, or train without XLA"
        )


def xla_problem(facts: GpuFacts) -> str:
    """The first GPU that XLA has no code for, and why; "" where it has for all."""
    for i, gpu in enumerate(facts.gpus):
        needed = _needed_cuda(gpu)
        if needed and facts.cuda and facts.cuda < needed:
            return (
                f"GPU:{i}, {gpu.name}, has compute capability "
                f"{_text(gpu.compute_capability)}, for which XLA needs a TensorFlow "
                f"built for CUDA {_text(needed)} or later, and this one was built for "
                f"{_text(facts.cuda)}"
            )
    return ""


def _needed_cuda(gpu: Gpu) -> Version | None:
    for least, cuda in _TARGETS:
        if gpu.compute_capability and gpu.compute_capability >= least:
            return cuda
    return None


def _text(version: Version | None) -> str:
    return ".".join(map(str, version or ("?", "?")))
