"""Updates a model and its adapters by reduced gradients, the same on every replica."""

import contextlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from trainer.config import TrainConfig
from trainer.optimizers.keras_optimizers import build_optimizer
from trainer.optimizers.loss_scale import LossScale
from trainer.optimizers.moving_average import ExponentialMovingAverage
from trainer.optimizers.vector import unflatten


class OptimizerUpdate:
    """Clipping, decay, the optimizer's rule, constraints and averages, in this order.

    With float16 the gradients come from a loss times `scale`, and an update whose
    gradients overflowed is left out as a whole.
    """

    def __init__(
        self,
        model: keras.Model,
        train: TrainConfig,
        *,
        float16: bool,
        adapters: Sequence[keras.layers.Layer] = (),
    ) -> None:
        """Makes optimizer slots and all other state; call it in the strategy's scope.

        `adapters` are trained beside `model`. The averages of `train.ema` start from
        the weights that they and `model` have now.
        """
        self._train = train
        self.trained = trained_variables(model, adapters)
        self.moving = [v for x in (model, *adapters) for v in _moving_statistics(x)]
        self._optimizer = build_optimizer(train)
        self._optimizer.build(self.trained)
        self.loss_scale = (
            LossScale(global_batch_size=train.global_batch_size) if float16 else None
        )
        averaged = [*self.trained, *self.moving]
        self._averages = (
            ExponentialMovingAverage(averaged, decay=train.ema) if train.ema else None
        )

    @property
    def state(self) -> dict[str, list[keras.Variable]]:
        """The variables that a checkpoint keeps beside the model."""
        state = {"optimizer": self._optimizer.variables}
        if self.loss_scale:
            state["loss_scale"] = self.loss_scale.variables
        if self._averages:
            state["averages"] = self._averages.variables
        return state

    @property
    def iterations(self) -> keras.Variable:
        """Finished steps; the caller counts, outside the replicas."""
        return self._optimizer.iterations

    @property
    def scale(self) -> tf.Tensor:
        """The factor of the loss before its gradient is taken: float32 []."""
        if self.loss_scale is None:
            return tf.constant(1.0)
        # Read now: the variable may have another value when the tensor is used.
        return tf.convert_to_tensor(self.loss_scale.value.value)

    def averaged_weights(self) -> contextlib.AbstractContextManager[None]:
        """The model has the weights it is judged by in the body: averages, if any."""
        return self._averages.in_place() if self._averages else contextlib.nullcontext()

    def apply(
        self,
        gradient: tf.Tensor,
        statistics: list[tf.Tensor],
        learning_rate: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Moves weights by the mean gradient, and moving statistics to their means.

        `gradient` has those of all trainable variables end to end: float32 [G]. Gives
        its norm, and whether the update took place: float32 [], bool [].
        """
        # In one pass through the gradient, not three.
        norm = tf.sqrt(2.0 * tf.nn.l2_loss(gradient))
        if self.loss_scale is None:
            self._move(gradient, statistics, learning_rate, norm)
            return norm, tf.constant(True)
        finite = tf.math.is_finite(norm)
        takes_place = finite | ~self.loss_scale.forgives()

        def move() -> tf.Tensor:
            self._move(gradient, statistics, learning_rate, norm)
            return takes_place

        # Nothing else is written, BatchNorm's statistics of the same pass included.
        tf.cond(takes_place, move, lambda: takes_place)
        self.loss_scale.adapt(finite)
        return norm, takes_place

    def _move(
        self,
        gradient: tf.Tensor,
        statistics: list[tf.Tensor],
        learning_rate: tf.Tensor,
        norm: tf.Tensor,
    ) -> None:
        clip_norm = self._train.clip_norm
        if clip_norm:
            gradient *= clip_norm / tf.maximum(norm, clip_norm)
        shapes = [tuple(variable.shape) for variable in self.trained]
        own = unflatten(gradient, shapes)
        for part, variable in zip(own, self.trained, strict=True):
            if self._decays(variable):
                lost = learning_rate * self._train.weight_decay
                variable.assign(variable.value * (1.0 - lost))
            self._optimizer.update_step(part, variable, learning_rate)
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        for value, variable in zip(statistics, self.moving, strict=True):
            variable.assign(value)
        if self._averages:
            self._averages.update(self._optimizer.iterations.value)

    def _decays(self, variable: keras.Variable) -> bool:
        """Decoupled decay (Loshchilov and Hutter 2019), apart from the exceptions."""
        excluded = self._train.weight_decay_exclude
        return self._train.weight_decay > 0 and variable.name not in excluded


def trained_variables(
    model: keras.Model, adapters: Sequence[keras.layers.Layer]
) -> list[keras.Variable]:
    """The variables that one training moves, in the order of its flat gradient."""
    return [v for network in (model, *adapters) for v in network.trainable_variables]


def _moving_statistics(model: keras.layers.Layer) -> list[keras.Variable]:
    """BatchNorm's averages, which Keras keeps on each replica for itself.

    Those of frozen layers stand still, and stay as they are bit for bit.
    """
    frozen = {
        id(variable)
        for layer in model._flatten_layers()
        if not layer.trainable
        for variable in layer.variables
    }
    return [
        variable
        for variable in model.non_trainable_variables
        if variable.path.endswith(("moving_mean", "moving_variance"))
        and id(variable) not in frozen
    ]
