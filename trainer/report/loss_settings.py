"""The settings of the loss, from a run's kept config, as people read them."""

from typing import Any

from trainer.report.inputs import setting


def terms(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The terms of the loss; none where the config has alpha and temperature."""
    found = setting(config, "distill", "terms")
    return found if isinstance(found, list) else []


def temperature(config: dict[str, Any]) -> Any:
    """The temperature of the loss, or those of its terms as text."""
    values = [f"{term.get('temperature'):g}" for term in terms(config)]
    return ", ".join(dict.fromkeys(values)) or setting(config, "distill", "temperature")


def weights(config: dict[str, Any]) -> Any:
    """The weight alpha of the loss, or those of its terms and of the labels as text."""
    found = [f"{term.get('loss')} {term.get('weight'):g}" for term in terms(config)]
    if not found:
        return setting(config, "distill", "alpha")
    return ", ".join([*found, f"labels {setting(config, 'distill', 'hard_weight'):g}"])
