"""The parts of the kit, each with its time."""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from tests.benchmarks.gpu import pairs
from tests.benchmarks.gpu.processes import Part

MATERIAL = "material"
NUM_LOGICAL_CPUS = 2  # where there is no GPU
_COUNTS = (1, 2, 4, 8)
_SPEED_SECS = {"W1": 50, "W4": 30, "W5": 55, "R1": 95}
_FIRST = ("W1", "W5")  # pairs whose first step is timed, one after the other
_CONFIG = "--config=configs/mnist_mini.toml"
_TINY = (
    "--set=teacher.model='mlp'",
    "--set=teacher.options={}",
    "--set=data.train_split='train[:1000]'",
)
CACHE, NO_CACHE = "with XLA's cache", "without XLA's cache"


def limit_secs(num_gpus: int) -> float:
    """Of the whole kit: 8 minutes on one device, 15 on several."""
    return 15 * 60 if num_gpus > 1 else 8 * 60


def material(prepared: pathlib.Path, *, small: bool) -> Part:
    """The part that all others need; it tells which devices there are."""
    more = (f"--devices={NUM_LOGICAL_CPUS}",)
    return _part("", 60, prepared, "material", *more, name=MATERIAL, small=small)


def parts(
    prepared: pathlib.Path, *, num_gpus: int, num_devices: int, small: bool
) -> Iterator[Part]:
    """All others, in the order in which they are run."""
    count = f"--devices={num_devices}"
    # Without oneDNN, as the losses were computed that these are held against.
    plain = {"TF_ENABLE_ONEDNN_OPTS": "0"}
    for name, secs in (("numbers", 90), ("halves", 45)):
        yield _part("", secs, prepared, name, count, small=small, environment=plain)
    for pair in pairs.chosen(small=small):
        secs = _SPEED_SECS.get(pair, 0)
        yield _part("speed", secs, prepared, pair, small=small)
    yield from _first_steps(prepared, small=small)
    for n in _COUNTS if num_devices > 1 else ():
        if n <= num_devices:
            yield _part(
                *("", 100, prepared, "scaling", f"--devices={n}"),
                name=f"scaling {n}",
                small=small,
                environment=_visible(n) if num_gpus else {},
            )
    yield _part("", 45, prepared, "soak", count, small=small)
    yield Part(
        name="doctor",
        budget_secs=60,
        module="trainer",
        arguments=[
            *("doctor", _CONFIG, f"--workdir={prepared / 'doctor'}"),
            *(_TINY if small else ()),
        ],
    )


def names() -> list[str]:
    """The parts that can be named, on any number of devices and in either size."""
    found = [
        part.name
        for small in (False, True)
        for part in parts(
            pathlib.Path(), num_gpus=0, num_devices=max(_COUNTS), small=small
        )
    ]
    return list(dict.fromkeys(found))


def _first_steps(prepared: pathlib.Path, *, small: bool) -> Iterator[Part]:
    """Twice each: the first process fills the cache on disk that the second has."""
    cache = prepared / "xla-cache"
    environment = {"TF_XLA_FLAGS": f"--tf_xla_persistent_cache_directory={cache}"}
    for pair in pairs.chosen(small=True) if small else _FIRST:
        for label in (NO_CACHE, CACHE):
            yield _part(
                *("first", 45, prepared, pair, label),
                name=f"first step of {pair} {label}",
                small=small,
                environment=environment,
            )


def _part(
    word: str,
    secs: float,
    prepared: pathlib.Path,
    *words: str,
    small: bool,
    name: str = "",
    environment: Mapping[str, str] | None = None,
) -> Part:
    named = [word, *words] if word else list(words)
    arguments: Sequence[str] = [*named, f"--prepared={prepared}"]
    return Part(
        name=name or " ".join(each for each in named if not each.startswith("-")),
        # Small forms are for slow machines, and are bounded all the same.
        budget_secs=600 if small else secs,
        arguments=[*arguments, *(["--small"] if small else [])],
        environment=environment or {},
    )


def _visible(count: int) -> dict[str, str]:
    """The first GPUs of those that CUDA shows to this process."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = shown.split(",") if shown else [str(i) for i in range(count)]
    return {"CUDA_VISIBLE_DEVICES": ",".join(names[:count])}
