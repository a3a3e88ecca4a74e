"""Versions of a small model in a registry."""

import pathlib

from etils import epath

from trainer import registry


def card(accuracy: float = 0.5, temperature: float = 4.0) -> registry.Card:
    """All that a version tells of itself."""
    metrics = {"examples": 200, "errors": 100, "accuracy": accuracy, "nll": 1.5}
    return {
        "name": "digits",
        "created": "2026-11-22T09:00:00Z",
        "run": "small",
        "role": "student",
        "seed": 0,
        "model": {"architecture": "mlp", "parameters": 1234, "fingerprint": "ab"},
        "teachers": [{"role": "teacher", "architecture": "cnn", "fingerprint": "cd"}],
        "classes": ["zero", "one"],
        "input": {"shape": [28, 28, 1], "dtype": "uint8"},
        "metrics": {"validation": metrics, "test": metrics},
        "latency": {"ms_per_example": {"1": 0.25}, "device": "a CPU"},
        "data": {"dataset": "mnist_mini", "fingerprints": {"train": "ef"}},
        "code": {"alambic": "1", "tensorflow": "2", "keras": "3", "git": None},
        "config": {"distill": {"temperature": temperature}},
    }


def publish(root, source: pathlib.Path, own: registry.Card | None = None) -> int:
    """Registers the files of a folder, and gives the number of their version."""
    with registry.publishing(epath.Path(root), "digits") as write:
        return write(source, own or card())
