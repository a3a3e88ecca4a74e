"""ONNX: a model for runtimes beside TensorFlow, from its frozen graph."""

import importlib.util
import json
from collections.abc import Sequence

import keras
import numpy as np
from tensorflow.python.util import deprecation

from trainer.devices import processors
from trainer.export.frozen import freeze
from trainer.export.saved_model import CLASS_NAMES, PROBABILITIES, Predict

_OPSET = 17  # of 2022, which runtimes other than ONNX Runtime know too
_BATCH = "batch"  # the name of the size that each call chooses


class UnknownOperationError(ValueError):
    """ONNX has no operation for one of the model's."""


def is_installed() -> bool:
    """Whether there is what writes ONNX models, and what runs them."""
    return all(map(importlib.util.find_spec, ("onnx", "onnxruntime", "tf2onnx")))


def convert(model: keras.Model, class_names: Sequence[str]) -> bytes:
    """The file of a model that takes the data's inputs and gives probabilities.

    Both have the names that the SavedModel's have. Its metadata have `class_names`, a
    list in JSON.

    Raises:
      UnknownOperationError: ONNX cannot compute what the model computes.
    """
    import onnx
    import tf2onnx.convert

    frozen = freeze(model)
    [source], [result] = frozen.inputs, frozen.outputs
    # It calls functions that TensorFlow would tell our users not to call any more.
    with deprecation.silence():
        found, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=[source.name],
            output_names=[result.name],
            tensors_to_rename={
                source.name: source.op.name,
                result.name: PROBABILITIES,
            },
            opset=_OPSET,
        )
    kinds = {(node.op_type, node.domain) for node in found.graph.node}
    unknown = sorted(kind for kind, domain in kinds if not onnx.defs.has(kind, domain))
    if unknown:
        raise UnknownOperationError(", ".join(unknown))
    for value in (*found.graph.input, *found.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = _BATCH
    onnx.helper.set_model_props(found, {CLASS_NAMES: json.dumps(list(class_names))})
    content: bytes = found.SerializeToString()
    return content


def session(content: bytes) -> Predict:
    """The predictions of an ONNX file by ONNX Runtime, on processors."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = processors.count()
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    [source] = session.get_inputs()

    def predict(inputs: np.ndarray) -> np.ndarray:
        found: np.ndarray
        [found] = session.run([PROBABILITIES], {source.name: inputs})
        return found

    return predict
