"""What the contenders of the throughput benchmark work on.

Pixels do not matter to a clock, and rows are repeated to `num_examples`; so MNIST and
the bundled digits give the same figures, and teachers have the weights they begin with.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from trainer import config
from trainer.config import Config

DIGITS = "digits"  # the file in the prepared folder that names the dataset of them
BUNDLED = "mnist_mini"
PHOTOGRAPHS = "photographs"  # the folder of them there
CACHE = "cache.json"  # in a workload's: what its cache takes in memory and on disk

_CONFIG = "configs/keras_mnist_cnn.toml"
IMAGE_SIZE = 96  # of the folder of photographs, in pixels a side
_DIGITS = (
    "data.train_split='train[:8000]'",
    "data.validation_split='train[8000:9000]'",
    "data.test_split='test'",
)
_PHOTOGRAPHS = (
    "data.train_split='train[:80%]'",
    "data.validation_split='train[80%:90%]'",
    "data.test_split='train[90%:]'",
)
_CNN = (
    *("teacher.model='cnn'", "teacher.options={filters=[256,512]}"),
    *("student.model='cnn'", "student.options={filters=[16,32]}"),
)
_SQUEEZENET = (
    *("teacher.model='Xception'", "teacher.options={}"),
    *("student.model='squeezenet'", "student.options={}"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """One pair of networks in one kind of training."""

    name: str
    title: str
    models: Sequence[str]  # settings, as the flag --set takes them
    batch_size: int
    cached: bool = False  # whether the teacher has answered on disk
    photographs: bool = False  # JPEG files in place of digits
    in_files: bool = False  # decoded when they are asked for, and nothing is learned
    image_size: int = IMAGE_SIZE  # of photographs, in pixels a side
    num_examples: int = 60_000  # of a pass over the set
    way: Sequence[str] = ()  # what doctor --measure finds for it on CPU cores

    @property
    def num_classes(self) -> int:
        """Kinds of digits, or of what tests/helpers/drawn_images.py draws."""
        return 8 if self.photographs else 10

    def settings(
        self, prepared: pathlib.Path, *, precision: str, more: Sequence[str] = ()
    ) -> Config:
        """Its config, for what tests/benchmarks/material.py has made in `prepared`."""
        data = (
            (
                f"data.dataset='folder:{prepared / PHOTOGRAPHS}'",
                f"data.image_size={self.image_size}",
                *_PHOTOGRAPHS,
            )
            if self.photographs
            else (f"data.dataset='{(prepared / DIGITS).read_text()}'", *_DIGITS)
        )
        files = ("data.memory_budget_bytes=0", "data.augment='crop_flip'")
        return config.load(
            _CONFIG,
            [
                *data,
                *(files if self.in_files else ()),
                *self.models,
                *("seeds=[0]", "teacher.train.epochs=0", "teacher.train.steps=1"),
                f"student.train.global_batch_size={self.batch_size}",
                f"distill.soft_targets='{'cached' if self.cached else 'online'}'",
                f"runtime.precision='{precision}'",
                *more,
            ],
        )


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            name="W1",
            title="CNN 256/512 -> 16/32, batch 64, online",
            models=_CNN,
            batch_size=64,
        ),
        Workload(
            name="W2",
            title="the same, cached",
            models=_CNN,
            batch_size=64,
            cached=True,
        ),
        Workload(
            name="W3",
            title="784-10-10-10, batch 32, cached",
            models=(
                *("teacher.model='mlp'", "teacher.options={hidden_sizes=[10]}"),
                *("student.model='mlp'", "student.options={hidden_sizes=[10,10]}"),
            ),
            batch_size=32,
            cached=True,
            way=("runtime.xla='on'", "runtime.steps_per_execution=25"),
        ),
        Workload(
            name="W4",
            title="Hinton's MLPs 1200 -> 800, batch 128, online",
            models=(
                "teacher.model='mlp'",
                "teacher.options={hidden_sizes=[1200,1200],input_dropout=0.2,dropout=0.5}",
                *("student.model='mlp'", "student.options={hidden_sizes=[800,800]}"),
            ),
            batch_size=128,
        ),
        Workload(
            name="W5",
            title=f"Xception -> SqueezeNet at {IMAGE_SIZE} px, batch 16, online",
            models=_SQUEEZENET,
            batch_size=16,
            photographs=True,
            num_examples=2_048,
        ),
        Workload(
            name="W6",
            title="W1 on two devices and on two workers",
            models=_CNN,
            batch_size=64,
        ),
        Workload(
            name="W7",
            title="input only: JPEG files, decode, crop and flip, batch 64",
            models=_CNN,
            batch_size=64,
            photographs=True,
            in_files=True,
        ),
    )
}


def digits() -> str:
    """The dataset of digits: MNIST where TFDS_DATA_DIR has it, or the bundled one."""
    folder = os.environ.get("TFDS_DATA_DIR", "")
    there = bool(folder) and (pathlib.Path(folder) / "mnist").is_dir()
    return "mnist" if there else BUNDLED
