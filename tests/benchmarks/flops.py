"""Floating-point operations of a model, counted from its layers.

A product and its sum are two operations, which matrix products and convolutions need:

    dense          2 * inputs * units, at each place that it is applied to
    convolution    2 * kernel area * input channels / groups * filters * places
    depthwise      2 * kernel area * channels * multiplier * places
    separable      a depthwise one, then a convolution with a kernel area of 1

Everything else - activations, pools, normalisation, losses, the optimizer - is left
out, as in a matmul peak. Learning takes three times the forward pass: the backward pass
has a product for the gradient of the inputs and one for that of the weights. (The first
layer's inputs need no gradient; it is counted all the same.)
"""

import math

import keras


def forward(model: keras.Model) -> int:
    """Of one example."""
    return sum(_of_layer(layer) for layer in model._flatten_layers(recursive=True))


def of_step(
    *, teacher: keras.Model | None, student: keras.Model, batch_size: int
) -> int:
    """Of a training step, in which a `teacher` that is online answers once."""
    asked = forward(teacher) if teacher is not None else 0
    return batch_size * (asked + 3 * forward(student))


def _of_layer(layer: keras.layers.Layer) -> int:
    layers = keras.layers
    if isinstance(layer, layers.Dense):
        places = math.prod(layer.output.shape[1:-1])
        return 2 * places * math.prod(layer.kernel.shape)
    if isinstance(layer, layers.SeparableConv2D):
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        return sum(2 * _places(layer) * math.prod(kernel.shape) for kernel in kernels)
    # The kernel has its input channels divided by the groups.
    if isinstance(layer, layers.DepthwiseConv2D | layers.Conv2D):
        return 2 * _places(layer) * math.prod(layer.kernel.shape)
    return 0


def _places(layer: keras.layers.Layer) -> int:
    """Where the kernel is applied: height times width of what comes out."""
    height, width = layer.output.shape[1:3]
    return int(height * width)
