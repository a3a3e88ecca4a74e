"""Alambic: distil large, frozen teacher networks into small students.

`trainer.distill` and `trainer.run` are for Python programs. Importing this loads none
of TensorFlow: each name is found when it is first asked for.
"""

from typing import Any

__version__ = "0.1.0"

# Each public name, as module:name.
_NAMES = {
    "BudgetSpentError": "trainer.cluster.restart_budget:BudgetSpentError",
    "CheckFailedError": "trainer.exit_codes:CheckFailedError",
    "CheckpointError": "trainer.train.checkpoint_file:CheckpointError",
    "ClusterError": "trainer.cluster.tf_config:ClusterError",
    "ConfigError": "trainer.config:ConfigError",
    "DataError": "trainer.data:DataError",
    "DivergedError": "trainer.train.loop:DivergedError",
    "GivenData": "trainer.data:GivenData",
    "FolderInUseError": "trainer.cluster.hold:FolderInUseError",
    "PeerLostError": "trainer.cluster.rendezvous:PeerLostError",
    "ReportError": "trainer.report:ReportError",
    "Result": "trainer.api:Result",
    "SoftTargetsError": "trainer.soft_targets:SoftTargetsError",
    "StoppedError": "trainer.cluster.termination:StoppedError",
    "StorageError": "trainer.storage.files:StorageError",
    "distill": "trainer.api:distill",
    "run": "trainer.api:run",
}
__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pkgutil  # here, for programs that ask for no name

    from trainer import tensorflow_log

    with tensorflow_log.hushed():
        return pkgutil.resolve_name(_NAMES[name])


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
