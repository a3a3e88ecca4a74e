"""The distill section: the loss, and where the teacher's answers come from."""

import dataclasses
from typing import Annotated, Literal

from trainer.config.rules import Count, CountOrNone, Place, between

# Its square is a factor of the loss, and it divides logits: float32 holds both.
Temperature = Annotated[float, between(1e-3, 1e6)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """loss = alpha * soft_loss + (1 - alpha) * hard_loss."""

    alpha: Annotated[float, between(0, 1)] = 0.9  # weight of the soft loss
    temperature: Temperature = 4.0  # divides both models' logits
    # Share of the pairs of images that are mixed, for teacher and student alike.
    mixup: Annotated[float, between(0, 1)] = 0.0
    # "online": the teacher runs in each step; "cached": once, before the students.
    soft_targets: Literal["online", "cached"] = "online"
    soft_targets_dir: Place = (
        ""  # of the cache, which runs may share; "": in the workdir
    )
    soft_targets_dtype: Literal["float16", "float32"] = "float32"  # of cached logits
    top_k: CountOrNone = 0  # largest logits that are cached; 0: all
    # At which a cache of the top k can be used, beside `temperature`.
    tail_temperatures: tuple[Temperature, ...] = ()
    views: Count = 1  # of each augmented image; epoch e shows view e modulo views

    @property
    def is_cached(self) -> bool:
        """Whether students learn from caches."""
        return self.soft_targets == "cached"
