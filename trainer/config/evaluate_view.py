"""The view of images where no random crop is drawn, as in every evaluation."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainer.config.rules import above

SQUASH, CENTER_CROP = "squash", "center_crop"
SHARE = above(0, most=1)  # of the shorter side


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateView:
    """The part of an image that is brought to the size that models take."""

    name: str = SQUASH  # all of it; "center_crop": a square in its middle
    center_crop: float = 0.875  # its side, in shares of the image's shorter one

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "EvaluateView":
        """The view that `settings` tell; earlier versions had one and told none.

        Raises:
          ValueError: they tell of no such view.
        """
        view = cls(
            name=settings.get("evaluate_view", SQUASH),
            center_crop=settings.get("center_crop", cls.center_crop),
        )
        if view.name not in (SQUASH, CENTER_CROP) or not SHARE.holds(view.center_crop):
            raise ValueError(f"no view of images: {settings}")
        return view

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that tell it."""
        if self.name == SQUASH:
            return {"evaluate_view": SQUASH}
        return {"evaluate_view": self.name, "center_crop": self.center_crop}

    @property
    def text(self) -> str:
        """The part of an image, for readers."""
        if self.name == SQUASH:
            return "the whole image"
        return (
            f"the central square of {100 * self.center_crop:.3g} % of the shorter side"
        )
