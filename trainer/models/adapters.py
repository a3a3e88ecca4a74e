"""Adapters: layers between a student and its teacher, trained with the student.

They are no part of the student: nothing that is saved of it or told of it has them.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from trainer.config.losses import AdapterOptions

_FIRST_VARIANCE = 5.0
_LEAST_VARIANCE = 1e-5


class Adapter(keras.layers.Layer):
    """A linear map from a student's channels to a teacher's, and their variance.

    A 1x1 convolution of maps [B, H, W, C], a Dense layer of others (Romero et al. 2015,
    FitNets, section 2.2). Where it is given a `variance`, that is one for each of the
    teacher's channels (Ahn et al. 2019, section 3.2).
    """

    def __init__(
        self,
        options: AdapterOptions,
        *,
        student: tuple[int, ...],
        teacher: tuple[int, ...],
        has_variance: bool,
        key: tuple[int, ...],
        precision: str,
        name: str,
    ) -> None:
        """Builds it for examples of the shapes `student` and `teacher`.

        The initial weights are those of the numbers `key`, whatever was drawn before.
        `precision` is a Keras dtype policy. Call it in the strategy's scope.
        """
        super().__init__(name=name, dtype=precision)
        channels = teacher[-1]
        self._layers_in_order: list[keras.layers.Layer] = []
        if options.adapter == "linear":
            linear = _linear(channels, len(student), key=key, precision=precision)
            self._layers_in_order.append(linear)
            if options.batch_norm:
                normalisation = keras.layers.BatchNormalization(dtype=precision)
                self._layers_in_order.append(normalisation)
        shape = (None, *student)
        for layer in self._layers_in_order:
            layer.build(shape)
            shape = (None, *student[:-1], channels)
        self._raw_variance: keras.Variable | None = None
        if has_variance:
            # Where softplus gives the first variance.
            raw = math.log(math.expm1(_FIRST_VARIANCE - _LEAST_VARIANCE))
            self._raw_variance = self.add_weight(
                shape=(channels,),
                initializer=keras.initializers.Constant(raw),
                dtype="float32",
                name="bias",  # as biases, it does not decay
            )
        self.built = True

    def call(self, features: tf.Tensor, *, training: bool) -> tf.Tensor:
        """[B, ..., student's channels] -> [B, ..., teacher's channels]."""
        for layer in self._layers_in_order:
            features = layer(features, training=training)
        return features

    @property
    def variance(self) -> tf.Tensor:
        """The variance of each of the teacher's channels: float32 [C]."""
        raw = tf.convert_to_tensor(self._raw_variance)
        return tf.nn.softplus(raw) + _LEAST_VARIANCE


def _linear(
    channels: int, rank: int, *, key: tuple[int, ...], precision: str
) -> keras.layers.Layer:
    """The linear map of an example's values of `rank` axes."""
    seed = int(np.random.SeedSequence(key).generate_state(1)[0]) % 2**31
    initial = keras.initializers.GlorotUniform(seed=seed)
    if rank == 3:
        return keras.layers.Conv2D(
            channels, 1, kernel_initializer=initial, dtype=precision
        )
    return keras.layers.Dense(channels, kernel_initializer=initial, dtype=precision)
