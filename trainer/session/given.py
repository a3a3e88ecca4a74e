"""Objects that a Python program gives a run, beside its config."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from trainer.data import GivenData
from trainer.models import GivenModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """The models and data of a program, and its callbacks that follow the students."""

    data: GivenData | None = None
    models: Mapping[str, GivenModel] = dataclasses.field(default_factory=dict)
    callbacks: Sequence[keras.callbacks.Callback] = ()

    def is_live(self, network: str) -> bool:
        """Whether the program's own model is used for a section, and no copy of it."""
        model = self.models.get(network)
        return model is not None and model.problem is not None
