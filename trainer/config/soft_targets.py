"""The rule by which distill.soft_targets = "auto" is "cached" or "online".

This file holds what the config alone decides. The rest needs the data and the devices;
see trainer.stages.soft_targets.choice.
"""

from trainer.config.schema import Config

_RULE = (
    "cached if the students see more examples than a cache needs predictions for, "
    "and it fits data.memory_budget_bytes and the disk; else online. The first start "
    "decides, and the workdir keeps it"
)


def why_online(config: Config) -> str:
    """The reason why the teacher's predictions change from epoch to epoch, or ""."""
    name, chosen = config.augmenting_section("student.train", config.student.train)
    if chosen.augment != "none":
        return f"{name}.augment = {chosen.augment!r} shows other images in each epoch"
    if config.distill.mixup:
        return f"distill.mixup = {config.distill.mixup:g} mixes images anew each step"
    return ""


def describe_rule(config: Config) -> str:
    """A sentence on what "auto" comes to, as far as the config tells."""
    reason = why_online(config)
    return "distill.soft_targets = 'auto': " + (
        f"online, because {reason}" if reason else _RULE
    )
