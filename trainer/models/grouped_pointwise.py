"""Convolutions of 1x1 in groups of channels. B = examples, G = groups."""

import keras


@keras.saving.register_keras_serializable(package="alambic")
class GroupedPointwise(keras.layers.Conv2D):
    """Keras's layer with 1x1 kernels, computed as one product of matrices a group.

    Keras compiles what has groups with XLA for each size of a batch, and on CPUs a
    training step of ShuffleNet then takes five times as long.
    """

    def convolution_op(
        self, inputs: keras.KerasTensor, kernel: keras.KerasTensor
    ) -> keras.KerasTensor:
        """[B, H, W, channels] and [1, 1, channels / G, F] -> [B, H, W, F]."""
        *size, channels = inputs.shape[1:]
        x = keras.ops.reshape(inputs, (-1, *size, self.groups, channels // self.groups))
        kernel = keras.ops.reshape(
            kernel, (channels // self.groups, self.groups, self.filters // self.groups)
        )
        x = keras.ops.einsum("bhwgc,cgf->bhwgf", x, kernel)
        return keras.ops.reshape(x, (-1, *size, self.filters))
