"""The sections of teachers: one network, or several that teach together."""

import dataclasses
from typing import Annotated, Any, Literal

from trainer.config import memory, run_model
from trainer.config.errors import ConfigError
from trainer.config.models import HUB, MODELS, RUN
from trainer.config.rules import (
    FILLED,
    Implied,
    OptionsOf,
    Pixels,
    Place,
    Positive,
    Reading,
    between,
)
from trainer.config.training import TrainConfig

Seed = Annotated[int, between(0, 2**31 - 1)]
# "inherit" takes what runtime.precision comes to.
Precision = Literal["inherit", "float32", "mixed_bfloat16", "mixed_float16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """The large network: trained here, or loaded from `weights` and used as it is."""

    # The architecture: a known name, hub:PRESET, or package.module:function; a finished
    # run in `weights` brings its own.
    model: Annotated[Place, FILLED, Implied("weights", run_model.SCHEME, RUN)]
    # The options of the architecture.
    options: Annotated[Any, OptionsOf("model", MODELS, own=True, prefix=HUB)]
    # A .keras or .weights.h5 file to start from, registry:NAME@VERSION, or run:DIR, the
    # student of a finished run; "imagenet" for keras.applications; "own" for what a
    # function's model comes with, or a preset.
    weights: Place = ""
    image_size: Pixels = 0  # what the model resizes images to; 0: as the data's
    # What its layers compute in; "inherit": as runtime.precision.
    precision: Precision = "inherit"
    seed: Seed = 0  # the seed of its initial weights, its data order and its dropout
    # Trains the last layer alone, before `train`.
    head: TrainConfig | None = None
    # Trains all layers; absent: the weights are final.
    train: TrainConfig | None = None
    # The share of the validation examples that a teacher without `train` must get
    # right; absent: more than the largest class's, by three standard errors.
    min_accuracy: Annotated[float, between(0, 1)] | None = None
    # The class of the data that each of its classes stands for, of one that is used as
    # it is and knows others; "": it is left out. Absent: they are the same.
    class_map: dict[str, str] | None = None
    # A text with the names of its classes, one a line, where its file says none.
    class_names: Place = ""

    @property
    def has_weights(self) -> bool:
        """Whether it brings weights, of a file or of a model in memory."""
        is_whole = self.model == "saved" or memory.brings_weights(self)
        return is_whole or bool(self.weights)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemberConfig(TeacherConfig):
    """One of the networks of an ensemble."""

    weight: Positive = 1.0  # how much it counts beside the others


@dataclasses.dataclass(frozen=True, kw_only=True)
class MembersConfig(MemberConfig):
    """One network of an ensemble, or several that differ in their seed alone."""

    # One network for each of these seeds, in place of `seed`; []: one network.
    seeds: tuple[Seed, ...] = ()

    @property
    def members(self) -> tuple[MemberConfig, ...]:
        """Each network by itself.

        Raises:
          ConfigError: both `seed` and `seeds` are set.
        """
        if self.seeds and self.seed:
            raise ConfigError(
                f"either seed or seeds must be set, got seed = {self.seed} and seeds = "
                f"{list(self.seeds)}; remove one"
            )
        names = [field.name for field in dataclasses.fields(MemberConfig)]
        shared = {name: getattr(self, name) for name in names}
        return tuple(
            MemberConfig(**shared | {"seed": seed})
            for seed in self.seeds or (self.seed,)
        )


def _expand(written: tuple[MembersConfig, ...]) -> tuple[MemberConfig, ...]:
    return tuple(member for section in written for member in section.members)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnsembleConfig:
    """Networks that teach together: the average of their probabilities."""

    # The networks; `seeds` of one stand for as many.
    members: Annotated[
        tuple[MemberConfig, ...], Reading(_expand, written=tuple[MembersConfig, ...])
    ]

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each member in the average, relative to the others."""
        return tuple(member.weight for member in self.members)
