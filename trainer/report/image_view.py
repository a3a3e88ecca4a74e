"""The part of images that a run evaluates, as its kept config tells."""

from typing import Any

from trainer.config import EvaluateView
from trainer.report.inputs import setting


def text(config: dict[str, Any]) -> str:
    """The view in words; "" where it is all of an image, or is not told."""
    names = ("evaluate_view", "center_crop")
    found = {name: setting(config, "data", name) for name in names}
    told = {name: value for name, value in found.items() if value is not None}
    try:
        view = EvaluateView.of(told)
    except (TypeError, ValueError):
        return ""
    return view.text if view != EvaluateView() else ""
