"""The export section: which model leaves the run, and in which formats."""

import dataclasses
from collections.abc import Collection
from typing import Annotated, Literal

from trainer.config.errors import ConfigError, nearest
from trainer.config.rules import FILLED, Count, between

Format = Literal[
    "keras", "saved_model", "tflite_float32", "tflite_float16", "tflite_int8", "onnx"
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Settings of export; registry register takes the same model."""

    # The model: student, baseline, finetune, teacher, or "teacher.members[0]".
    role: Annotated[str, FILLED] = "student"
    # The seed of the model, one of seeds; -1: the first.
    seed: Annotated[int, between(-1, 2**31 - 1)] = -1
    # The formats that it is written in.
    formats: Annotated[tuple[Format, ...], FILLED] = (
        *("keras", "saved_model"),
        *("tflite_float32", "tflite_float16", "tflite_int8"),
    )
    # Examples of the training split from which int8 learns the range of each layer.
    calibration_examples: Count = 200
    # How far the test accuracy in float32 and float16 may be from the model's own, as
    # a share.
    float_tolerance: Annotated[float, between(0, 1)] = 0.001
    # How far the test accuracy in int8 may be from the model's own, as a share.
    int8_tolerance: Annotated[float, between(0, 1)] = 0.005


def check(
    section: ExportConfig, *, roles: Collection[str], seeds: Collection[int]
) -> None:
    """Refuses a model that the run does not train.

    Raises:
      ConfigError: its role or its seed is none of the run's.
    """
    if section.role not in roles:
        raise ConfigError(
            f"export.role must be one of the run's models, got {section.role!r}; "
            f"{nearest(section.role, roles)}"
        )
    if section.seed not in (-1, *seeds):
        raise ConfigError(
            f"export.seed must be one of seeds, {list(seeds)}, or -1 for the first, "
            f"got {section.seed}; set it to one of them"
        )
    for i, name in enumerate(section.formats):
        if name in section.formats[:i]:
            raise ConfigError(
                f"export.formats must name each format once, got {name!r} twice; "
                "remove one"
            )
