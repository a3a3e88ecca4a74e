"""The rule by which distill.soft_targets = "auto" is "cached" or "online".

This file holds what the config alone decides. The rest needs the data and the devices;
see trainer.stages.soft_targets.choice.
"""

from trainer.config import augmentations
from trainer.config.schema import Config

_RULE = (
    "cached if the students see more examples than a cache needs predictions for, "
    "and it fits data.memory_budget_bytes and the disk; else online. The first start "
    "decides, and the workdir keeps it"
)


def why_online(config: Config) -> str:
    """The reason why a cache cannot serve the students, as the config tells; or ""."""
    name, chosen = config.augmenting_section("student.train", config.student.train)
    if chosen.augment != "none":
        shown = augmentations.text(chosen.augment)
        return f"{name}.augment = {shown} shows other images in each epoch"
    name, mixing = config.mixing_section("student.train", config.student.train)
    if mixing.mixes:
        return f"other pairs are mixed in each step ({mixing.described(name)})"
    for i, term in enumerate(config.distill.terms):
        if term.is_of_features:
            return (
                f"distill.terms[{i}], loss {term.loss!r}, compares layers, which a "
                "cache does not keep unless distill.cache_embedding asks for it"
            )
    return ""


def describe_rule(config: Config) -> str:
    """A sentence on what "auto" comes to, as far as the config tells."""
    reason = why_online(config)
    return "distill.soft_targets = 'auto': " + (
        f"online, because {reason}" if reason else _RULE
    )
