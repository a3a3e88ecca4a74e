"""The loss of a run's student, from its config."""

from collections.abc import Sequence

from trainer import console, optimizers
from trainer.config import (
    Config,
    ConfigError,
    DistillTermsConfig,
    classes_without_examples,
    groups,
)
from trainer.config.errors import quoted
from trainer.devices import distribution
from trainer.session.datasets import Datasets
from trainer.session.run_devices import Devices
from trainer.train.distillation_loss import DistillationLoss
from trainer.train.feature_loss import Connection
from trainer.train.own_loss import check_own_loss
from trainer.train.terms import Term, build_term

_LEAST_CLASSES = 3  # of logits whose standard scores are not always the same


def student_loss(
    datasets: Datasets, connections: Sequence[Connection | None]
) -> DistillationLoss:
    """The loss of a student that learns from the transfer set.

    Of the `connections` each term between layers has one.

    Raises:
      ConfigError: a user's own loss cannot be used, or a warm-up is too long; or
        classes cannot be weighted.
    """
    config, num_examples = datasets.config, len(datasets.transfer)
    section, distill = config.student.train, config.distill
    return DistillationLoss(
        terms=[
            _term(config, i, num_examples, connection)
            for i, connection in enumerate(connections)
        ],
        hard_weight=distill.hard_weight,
        label_smoothing=section.label_smoothing,
        class_weights=datasets.class_weights,
    )


def _term(
    config: Config, i: int, num_examples: int, connection: Connection | None
) -> Term:
    """The term of distill.terms[i]."""
    section, distill = config.student.train, config.distill
    return build_term(
        distill.terms[i],
        name=distill.term_names[i],
        setting=f"distill.terms[{i}]",
        num_steps=optimizers.num_steps(section, num_examples=num_examples),
        steps_per_epoch=num_examples / section.global_batch_size,
        group_size=config.group_size,
        logs_weight=isinstance(distill, DistillTermsConfig),
        connection=connection,
    )


def check_class_weights(datasets: Datasets) -> None:
    """Looks at data.class_weights, and tells what comes of it.

    Raises:
      ConfigError: it is not for these classes and examples.
    """
    weights, names = datasets.class_weights, datasets.source.class_names
    if not (weights and datasets.devices.workers.is_chief):
        return
    by_weight = sorted(zip(weights, names, strict=True))
    (least, of_least), (most, of_most) = by_weight[0], by_weight[-1]
    console.log(
        f"data.class_weights: in the loss on the labels an example of {of_least!r} "
        f"counts {least:.3g}, one of {of_most!r} {most:.3g}"
    )
    if empty := classes_without_examples(names, datasets.class_counts):
        console.log(
            f"data.class_weights: no example of {quoted(empty)} is in data.train_split "
            f"= {datasets.config.data.train_split!r}, where its weight has no effect"
        )


def check_loss(datasets: Datasets) -> None:
    """Looks whether the loss can be computed of these data, before anything trains.

    Raises:
      ConfigError: a term needs more classes, or a user's own loss cannot be used.
    """
    config, num_classes = datasets.config, len(datasets.source.class_names)
    for i, term in enumerate(config.distill.terms):
        _check_classes(f"distill.terms[{i}]", term.loss, term.row.min_classes, datasets)
        if term.standardize:
            _check_classes(
                f"distill.terms[{i}]", "standardize", _LEAST_CLASSES, datasets
            )
        is_told = datasets.devices.workers.is_chief and num_classes == 2
        if term.row.zero_part and is_told:
            console.log(
                f"distill.terms[{i}], loss {term.loss!r}: {term.row.zero_part} is 0 "
                "where there are two classes"
            )
    for i, term in enumerate(config.distill.terms):
        # Its warm-up is looked at too.
        built = _term(config, i, len(datasets.transfer), None)
        if built.needs_labels:
            _check_labels(f"distill.terms[{i}].loss", term.loss, config)
        if term.is_own:
            check_own_loss(
                built,
                name=term.loss,
                setting=f"distill.terms[{i}].loss",
                num_teachers=config.num_teachers,
                num_classes=num_classes,
                group_size=config.group_size,
            )


def _check_labels(setting: str, name: str, config: Config) -> None:
    path, mixing = config.mixing_section("student.train", config.student.train)
    if mixing.mixes:
        raise ConfigError(
            f"{setting} {name!r} takes the label of each example, which mixed ones do "
            f"not have, got {mixing.described(path)}; set it to 0, or use a loss "
            "without labels"
        )


def _check_classes(setting: str, what: str, least: int, datasets: Datasets) -> None:
    num_classes = len(datasets.source.class_names)
    if num_classes < least:
        raise ConfigError(
            f"{setting}, {what!r}, needs at least {least} classes, got {num_classes}: "
            "standard scores and correlations of two numbers are always the same; "
            "use 'kl' without standardize"
        )


def check_groups(config: Config, devices: Devices, *, has_begun: bool) -> None:
    """Looks whether replicas see whole groups, where losses need them.

    A run that `has_begun` keeps to its groups; another one is told sizes that fit.

    Raises:
      ConfigError: they do not.
    """
    section, num_replicas = config.student.train, devices.num_replicas
    if config.group_size:
        share = section.global_batch_size // (num_replicas * section.accumulate)
        sizes = "" if has_begun else groups.fitting_sizes(share)
        distribution.check_groups(
            section,
            num_replicas,
            size=config.group_size,
            why="losses between examples see groups of distill.group_size",
            setting="student.train",
            more=f"; these sizes of distill.group_size fit: {sizes}" if sizes else "",
        )
