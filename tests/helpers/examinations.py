"""Examinations by doctor, and what they found."""

import contextlib
import io
import pathlib
import re
import time

import keras
import numpy as np

from tests.helpers import whole_run
from trainer import main

TOPICS = (
    "machine",
    "devices",
    "precision",
    "workdir",
    "run",
    "dataset",
    "splits",
    "teacher model",
    "soft targets",
    "teacher step",
    "student model",
    "pipeline",
    "student step",
    "baseline step",
    "disk",
    "estimate",
    "result",
)


class Findings(dict):
    """{topic: [(mark, text)]} of what doctor prints."""

    def __init__(self, printed: str) -> None:
        super().__init__()
        for line in printed.splitlines():
            topic, mark, text = re.split(r" {2,}", line, maxsplit=2)
            self.setdefault(topic, []).append((mark, text))

    def text(self, topic: str) -> str:
        return "\n".join(text for _, text in self[topic])

    def with_mark(self, mark: str) -> set[str]:
        return {topic for topic, lines in self.items() if mark in dict(lines)}


def examine(config: pathlib.Path, workdir: pathlib.Path, *more: str):
    """Exit code and findings."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main.main(whole_run.command("doctor", config, workdir, *more))
    return code, Findings(out.getvalue())


def tree(folder: pathlib.Path) -> dict[str, tuple[int, bytes]]:
    """When each file below a folder was written, and its content."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mtime_ns,
            path.read_bytes(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def first_and_later_secs(told: str) -> tuple[float, float]:
    """Seconds of the first step and of each later one, of what is told of a step."""
    first = re.search(r"done after ([\d.]+) s", told)
    later = re.search(r"then ([\d.e+]+) ms each", told)
    return float(first[1]), float(later[1]) / 1000


def sleepy(input_shape, num_classes, secs):
    """A model whose forward pass takes that long."""
    import tensorflow as tf

    def wait(logits: np.ndarray) -> np.ndarray:
        time.sleep(secs)
        return np.zeros_like(logits)

    @keras.saving.register_keras_serializable(package="tests")
    class Sleep(keras.layers.Layer):
        def call(self, logits):
            nothing = tf.numpy_function(wait, [logits], tf.float32, stateful=True)
            nothing.set_shape(logits.shape)
            return logits + tf.stop_gradient(nothing)

    layers = [
        keras.layers.Input(input_shape, dtype="uint8"),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(num_classes),
        Sleep(),
    ]
    return keras.Sequential(layers)


def quick(config: pathlib.Path, workdir: pathlib.Path, *more: str):
    """An examination that ends with the dataset: its folder is a file."""
    return examine(config, workdir, f"--set=data.data_dir='{config}'", *more)
