"""The part of the teachers' predictions that caches of a run keep."""

import dataclasses

from trainer.config import Config, ConfigError
from trainer.session.datasets import Datasets
from trainer.session.networks import Networks
from trainer.soft_targets import LogitsFormat


def record_formats(networks: Networks) -> list[LogitsFormat]:
    """The format of the records of each teacher.

    Raises:
      ConfigError: `top_k` would leave nothing to the tail, or a teacher has no
        embedding.
    """
    form = logits_format(networks.config, networks.datasets)
    if not networks.config.distill.cache_embedding:
        return [form] * len(networks.config.teachers)
    return [
        dataclasses.replace(form, embedding=embedding)
        for embedding in networks.embeddings
    ]


def logits_format(config: Config, datasets: Datasets) -> LogitsFormat:
    """The part of a teacher's logits that a record keeps.

    Raises:
      ConfigError: `top_k` would leave nothing to the tail.
    """
    distill, num_classes = (
        config.distill,
        len(datasets.source.class_names),
    )
    if distill.top_k >= num_classes:
        raise ConfigError(
            f"distill.top_k must be below the {num_classes} classes, got "
            f"{distill.top_k}; lower it, or set it to 0 to keep all logits"
        )
    temperatures = {*config.temperatures, *distill.tail_temperatures}
    return LogitsFormat(
        num_classes=num_classes,
        dtype=distill.soft_targets_dtype,
        top_k=distill.top_k,
        temperatures=tuple(sorted(temperatures)) if distill.top_k else (),
    )
