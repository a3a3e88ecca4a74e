"""What a model is given."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs of one example: an image, or the row of a table."""

    shape: tuple[int, ...]  # (H, W, channels) of uint8, or (features,) of float32
    # Of each feature over the training split; None for images.
    mean_and_variance: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def is_image(self) -> bool:
        """Whether an example is an image and not the row of a table."""
        return self.mean_and_variance is None
