"""The layers that a run's loss compares, and the networks between them."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer import models
from trainer.config import EMBEDDING, Config, ConfigError, TermConfig
from trainer.config.losses import AdapterOptions
from trainer.session.networks import Networks
from trainer.train.feature_loss import Connection, bring_together

_PROBED = 4  # examples
_TOLERANCE = 1e-2  # of the largest logit

Shape = tuple[int, ...]


def teacher_taps(
    config: Config, member: int, teacher: keras.Model
) -> dict[str, models.Tap]:
    """The places inside of one of the teachers that terms compare."""
    taps: dict[str, models.Tap] = {}
    for i, term in enumerate(config.distill.terms):
        if term.is_of_features and (term.member or 0) == member:
            taps |= models.find_taps(
                teacher,
                term.teacher_layers,
                setting=f"distill.terms[{i}].teacher_layer",
            )
    return taps


def fold_tapped(
    networks: Networks, teacher: keras.Model, taps: Mapping[str, models.Tap]
) -> tuple[keras.Model, dict[str, models.Tap]]:
    """The folded teacher, and the places in it that give the values at `taps`."""
    tapped = frozenset(tap.path for tap in taps.values() if not tap.is_input)
    moved = {
        name: dataclasses.replace(
            tap, path=models.folded_path(teacher, tap.path, tapped=tapped)
        )
        for name, tap in taps.items()
    }
    return networks.fold(teacher, tapped), moved


def connections(
    networks: Networks,
    student: keras.Model,
    teachers: Sequence[keras.Model],
    *,
    seed: int,
) -> list[Connection | None]:
    """The networks between the student's layers and the teachers', one for each term.

    None where a term is of logits; `seed` is the student's.

    Raises:
      ConfigError: there is no such layer, or the loss cannot compare what they give.
    """
    found: list[Connection | None] = []
    for i, term in enumerate(networks.config.distill.terms):
        if not term.is_of_features:
            found.append(None)
            continue
        teacher = teachers[term.member or 0]
        setting = f"distill.terms[{i}]"
        pairs = _pairs(networks, term, student, teacher, setting)
        classify = None
        if term.row.beside == "classifier":
            classify = _classifier(networks, teacher, term, setting)
        adapters = [
            _adapter(networks, term, *pair, key=(seed, i, j), setting=setting)
            for j, pair in enumerate(pairs)
        ]
        found.append(Connection(adapters=adapters, classify=classify))
    return found


def _pairs(
    networks: Networks,
    term: TermConfig,
    student: keras.Model,
    teacher: keras.Model,
    setting: str,
) -> list[tuple[Shape, Shape]]:
    """The shapes of each pair of layers, of one example, once they are comparable."""
    role = list(networks.config.teachers)[term.member or 0]
    sides = []
    for model, of_role, layers, name in (
        (student, "student", term.student_layers, f"{setting}.student_layer"),
        (teacher, role, term.teacher_layers, f"{setting}.teacher_layer"),
    ):
        taps = models.find_taps(model, layers, setting=name)
        example = networks.inputs(of_role).examples()
        spec = tf.TensorSpec((_PROBED, *example.shape[1:]), example.dtype)
        try:
            shapes = models.shapes_of(model, taps, spec)
        except models.TapError as error:
            raise ConfigError(f"{name}: {error}") from error
        sides.append([shapes[layer] for layer in layers])
    return [
        _comparable(term, ours, theirs, f"{setting}, layers {a!r} and {b!r},")
        for ours, theirs, a, b in zip(
            *sides, term.student_layers, term.teacher_layers, strict=True
        )
    ]


def _comparable(
    term: TermConfig, student: Shape, teacher: Shape, what: str
) -> tuple[Shape, Shape]:
    """The shapes of both layers as the loss sees them, or the reason why it cannot."""
    shapes = f"got {_text(student)} and {_text(teacher)}"
    kind = term.row.features
    if kind == "maps" and 1 in (len(student), len(teacher)):
        raise ConfigError(
            f"{what} must give maps for loss {term.loss!r}, which compares places, "
            f"{shapes}; name layers before the pooling"
        )
    is_placed = kind in ("maps", "places") and 1 not in (len(student), len(teacher))
    if is_placed and len(student) != len(teacher):
        raise ConfigError(
            f"{what} must have as many axes for loss {term.loss!r}, {shapes}; name "
            "layers of one kind, or 'embedding'"
        )
    ours, theirs = (tf.zeros((1, *shape)) for shape in (student, teacher))
    ours, theirs = bring_together(ours, theirs, kind=kind)
    ours, theirs = tuple(ours.shape[1:]), tuple(theirs.shape[1:])
    options = term.options
    if isinstance(options, AdapterOptions) and options.adapter == "none":
        if ours[-1] != theirs[-1]:
            raise ConfigError(
                f"{what} must have as many channels for {term.loss!r} with "
                f"options.adapter = 'none', got {ours[-1]} and {theirs[-1]}; set "
                "'linear'"
            )
        if options.batch_norm:
            raise ConfigError(
                f"{what} must have options.adapter = 'linear' for options.batch_norm "
                "= true, got 'none'; set one of them"
            )
    return ours, theirs


def _adapter(
    networks: Networks,
    term: TermConfig,
    student: Shape,
    teacher: Shape,
    *,
    key: tuple[int, ...],
    setting: str,
) -> models.Adapter | None:
    has_variance = term.row.beside == "variance"
    options = term.options
    if not isinstance(options, AdapterOptions):
        return None
    if options.adapter == "none" and not has_variance:
        return None
    with networks.devices.strategy.scope():
        return models.Adapter(
            options,
            student=student,
            teacher=teacher,
            has_variance=has_variance,
            key=key,
            precision=networks.precision("student"),
            # Keras has no brackets in names.
            name="_".join(map(str, ("adapter", *key[1:]))),
        )


def _classifier(
    networks: Networks, teacher: keras.Model, term: TermConfig, setting: str
) -> keras.layers.Layer:
    """The last layer of the teacher, which makes logits of its embedding.

    Raises:
      ConfigError: something follows it.
    """
    name = f"{setting}.teacher_layer"
    layer = models.embedding_layer(teacher, setting=name)
    taps = models.find_taps(teacher, [EMBEDDING], setting=name)
    role = list(networks.config.teachers)[term.member or 0]
    examples = tf.constant(networks.inputs(role).examples())

    def predict(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits, values = models.call_tapped(teacher, inputs, training=False, taps=taps)
        return logits, layer(values[EMBEDDING])

    strategy = networks.devices.strategy
    both = strategy.run(predict, args=(examples,))
    logits, ours = (
        np.asarray(strategy.experimental_local_results(x)[0], np.float32) for x in both
    )
    if ours.shape != logits.shape or (
        np.abs(ours - logits).max() > _TOLERANCE * max(1.0, np.abs(logits).max())
    ):
        raise ConfigError(
            f"{setting}, loss {term.loss!r}, needs a teacher whose last Dense layer "
            f"gives its logits, got {layer.name!r} in model {teacher.name!r}, which "
            "something follows; use 'hint'"
        )
    return layer


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))
