"""Connecting the layers that a term compares: whether it can, and by which adapters."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from trainer import models
from trainer.config import EMBEDDING, ConfigError, TermConfig
from trainer.config.losses import AdapterOptions
from trainer.train.feature_loss import Connection, bring_together

_TOLERANCE = 1e-2  # of the largest logit

Shape = tuple[int, ...]


def connect(
    term: TermConfig,
    *,
    student: keras.Model,
    teacher: keras.Model | dict[str, Shape],
    student_examples: np.ndarray,
    teacher_examples: np.ndarray | None,
    key: tuple[int, ...],
    precision: str,
    setting: str,
) -> Connection:
    """The networks between a student and a teacher, of which a few inputs are given.

    Of a teacher that is elsewhere there are the shapes of its layers, and no inputs.

    Call it in the strategy's scope. Adapters start from the numbers `key`, and compute
    in `precision`, a Keras dtype policy; `setting` names the term in messages.

    Raises:
      ConfigError: there is no such layer, or the loss cannot compare what they give.
    """
    name = f"{setting}.student_layer"
    ours = _student_shapes(student, term.student_layers, student_examples, name)
    name = f"{setting}.teacher_layer"
    theirs = _teacher_shapes(teacher, term.teacher_layers, teacher_examples, name)
    adapters = []
    for i, (our_layer, their_layer) in enumerate(
        zip(term.student_layers, term.teacher_layers, strict=True)
    ):
        what = f"{setting}, layers {our_layer!r} and {their_layer!r},"
        pair = _comparable(term, ours[our_layer], theirs[their_layer], what)
        adapters.append(_adapter(term, *pair, key=(*key, i), precision=precision))
    classify = None
    if term.row.beside == "classifier" and teacher_examples is not None:
        classify = _classifier(teacher, teacher_examples, setting=name)
    return Connection(adapters=adapters, classify=classify)


def _teacher_shapes(
    model: keras.Model | dict[str, Shape],
    layers: tuple[str, ...],
    examples: np.ndarray | None,
    setting: str,
) -> dict[str, Shape]:
    """The shape of what each layer gives for one example."""
    if examples is None:
        return {layer: model[layer] for layer in layers}
    taps = models.find_taps(model, layers, setting=setting)
    with _told_with(setting):
        return models.shapes_of(model, taps, examples)


def _student_shapes(
    model: keras.Model, layers: tuple[str, ...], examples: np.ndarray, setting: str
) -> dict[str, Shape]:
    """The same of layers by which something of the model is trained; else refuses."""
    taps = models.find_taps(model, layers, setting=setting)
    shapes: dict[str, Shape] = {}
    learning: dict[str, bool] = {}

    def find(inputs: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(persistent=True) as tape:
            logits, values = models.call_tapped(
                model, inputs, training=False, taps=taps
            )
            for name, value in values.items():
                shapes[name] = models.example_shape(
                    value, name=name, model=model, count=len(examples)
                )
            sums = {name: tf.reduce_sum(value) for name, value in values.items()}
        for name, total in sums.items():
            gradients = tape.gradient(total, model.trainable_variables)
            learning[name] = any(gradient is not None for gradient in gradients)
        return logits

    strategy = tf.distribute.get_strategy()
    spec = tf.TensorSpec(examples.shape, examples.dtype)
    with _told_with(setting):
        tf.function(
            lambda inputs: strategy.run(find, args=(inputs,)), autograph=False
        ).get_concrete_function(spec)
    for name, learns in learning.items():
        if not learns:
            raise ConfigError(
                f"{setting} must name a layer whose values change with weights that "
                f"are trained, got {name!r} of model {model.name!r}, from which no "
                "gradient reaches one; name a layer that comes later, or the one "
                "around it"
            )
    return shapes


@contextlib.contextmanager
def _told_with(setting: str) -> Iterator[None]:
    """In the body errors are told with the setting that they come of."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{setting}: {error}") from error


def _comparable(
    term: TermConfig, student: Shape, teacher: Shape, what: str
) -> tuple[Shape, Shape]:
    """The shapes of both layers as the loss sees them, or the reason why it cannot."""
    kind, has_vector = term.row.features, 1 in (len(student), len(teacher))
    got = f"got {_text(student)} and {_text(teacher)}"
    if kind == "maps" and has_vector:
        raise ConfigError(
            f"{what} must give maps for loss {term.loss!r}, which compares places, "
            f"{got}; name layers before the pooling"
        )
    if kind in ("maps", "places") and not has_vector and len(student) != len(teacher):
        raise ConfigError(
            f"{what} must have as many axes for loss {term.loss!r}, {got}; name layers "
            "of one kind, or 'embedding'"
        )
    ours, theirs = (tf.zeros((1, *shape)) for shape in (student, teacher))
    ours, theirs = bring_together(ours, theirs, kind=kind)
    pair = tuple(ours.shape[1:]), tuple(theirs.shape[1:])
    options = term.options
    if isinstance(options, AdapterOptions) and options.adapter == "none":
        if pair[0][-1] != pair[1][-1]:
            raise ConfigError(
                f"{what} must have as many channels for loss {term.loss!r} with "
                f"options.adapter = 'none', got {pair[0][-1]} and {pair[1][-1]}; set "
                "'linear'"
            )
        if options.batch_norm:
            raise ConfigError(
                f"{what} must have options.adapter = 'linear' for options.batch_norm "
                "= true, got 'none'; set one of them"
            )
    return pair


def _adapter(
    term: TermConfig,
    student: Shape,
    teacher: Shape,
    *,
    key: tuple[int, ...],
    precision: str,
) -> models.Adapter | None:
    options, has_variance = term.options, term.row.beside == "variance"
    if not isinstance(options, AdapterOptions):
        return None
    if options.adapter == "none" and not has_variance:
        return None
    return models.Adapter(
        options,
        student=student,
        teacher=teacher,
        has_variance=has_variance,
        key=key,
        precision=precision,
        name="_".join(map(str, ("adapter", *key[1:]))),
    )


def _classifier(
    teacher: keras.Model, examples: np.ndarray, *, setting: str
) -> keras.layers.Layer:
    """The last layer of the teacher, which makes logits of its embedding.

    Raises:
      ConfigError: something follows it.
    """
    taps = models.find_taps(teacher, [EMBEDDING], setting=setting)
    path = models.embedding_path(teacher, examples)
    (layer,) = models.layers_by_path(teacher)[path]

    def predict(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits, values = models.call_tapped(teacher, inputs, training=False, taps=taps)
        return logits, layer(values[EMBEDDING])

    strategy = tf.distribute.get_strategy()

    @tf.function(autograph=False)
    def on_replicas(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        both: tuple[tf.Tensor, tf.Tensor] = strategy.run(predict, args=(inputs,))
        return both

    both = on_replicas(tf.constant(examples))
    logits, own = (
        np.asarray(strategy.experimental_local_results(x)[0], np.float32) for x in both
    )
    tolerance = _TOLERANCE * max(1.0, float(np.abs(logits).max()))
    if own.shape != logits.shape or np.abs(own - logits).max() > tolerance:
        raise ConfigError(
            f"{setting} must be of a teacher whose last Dense layer gives its logits, "
            f"got {layer.name!r} in model {teacher.name!r}, which an activation or "
            "another layer follows; save it without, as logits, or use loss 'hint'"
        )
    return layer


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))
