"""The part of the teachers' predictions that caches of a run keep."""

import dataclasses

from trainer import soft_targets
from trainer.session.networks import Networks
from trainer.soft_targets import LogitsFormat


def record_formats(networks: Networks) -> list[LogitsFormat]:
    """The format of the records of each teacher.

    Raises:
      ConfigError: `top_k` would leave nothing to the tail, or a teacher has no
        embedding.
    """
    config = networks.config
    if networks.imported:
        return [networks.imported.format]
    every = [
        soft_targets.logits_format(config, len(networks.classes(role)))
        for role in config.teachers
    ]
    if not config.distill.cache_embedding:
        return every
    return [
        dataclasses.replace(form, embedding=embedding)
        for form, embedding in zip(every, networks.embeddings, strict=True)
    ]
