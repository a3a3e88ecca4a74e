"""A run of a Python program: its config, its workdir, and what it was given."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from etils import epath

from trainer import console
from trainer.cluster import tf_config
from trainer.cluster.termination import InterruptError
from trainer.config import Config, ConfigError, of_settings
from trainer.runs import workflow
from trainer.runs.generations import take_over

if TYPE_CHECKING:
    import keras

    from trainer.data import GivenData
    from trainer.models import GivenModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A run that a program can have done, and ask for more."""

    settings: Mapping[str, Any]  # as TOML has them
    origin: str  # of the settings, for messages
    path: epath.Path  # the workdir
    models: Mapping[str, "GivenModel"]
    data: "GivenData | None" = None
    callbacks: Sequence["keras.callbacks.Callback"] = ()

    @functools.cached_property
    def config(self) -> Config:
        """The checked settings.

        Raises:
          ConfigError: one of them breaks a rule.
          StorageError: the run that a teacher comes from cannot be read.
        """
        return take_over(of_settings(self.settings, origin=self.origin), self.path)

    def do(self, names: tuple[str, ...] = workflow.WHOLE_RUN) -> str:
        """Does stages as the command line would, but ends no process.

        Raises:
          KeyboardInterrupt: after a checkpoint; the same call goes on.
          and what `trainer.runs.workflow.run_stages` raises.
        """
        self._check_alone()
        # Loads TensorFlow.
        from trainer.session.given import Given

        given = Given(models=self.models, data=self.data, callbacks=self.callbacks)
        config = self.config
        try:
            with self.known_classes(), self._untouched(), console.quiet_tracing():
                return workflow.run_stages(config, self.path, names, given=given)
        except InterruptError as error:
            raise KeyboardInterrupt(
                f"{error}; the same call with workdir={str(self.path)!r} goes on"
            ) from None

    @contextlib.contextmanager
    def known_classes(self) -> Iterator[None]:
        """In the body Keras finds the classes of the models that were given."""
        import keras

        classes: dict[str, type] = {}
        for model in self.models.values():
            classes |= model.classes
        with keras.saving.custom_object_scope(classes):
            yield

    @contextlib.contextmanager
    def _untouched(self) -> Iterator[None]:
        """Models that are used themselves can be trained afterwards as before."""
        layers = [
            (layer, layer.trainable)
            for model in self.models.values()
            if model.problem is not None  # others are copied
            for layer in model.layers
        ]
        try:
            yield
        finally:
            for layer, trainable in layers:
                layer.trainable = trainable

    def _check_alone(self) -> None:
        cluster = tf_config.read()
        objects = [*self.models, *(["data"] if self.data else [])]
        if objects and cluster and cluster.size > 1:
            raise ConfigError(
                f"{' and '.join(objects)} must be known by name to the "
                f"{cluster.size} workers of TF_CONFIG, got what is in this one's "
                "memory; name a function as package.module:function, or a file"
            )
