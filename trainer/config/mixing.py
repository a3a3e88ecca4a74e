"""Settings of pairs of examples that are mixed, in [distill] and in trainings."""

import dataclasses
from typing import Annotated

from trainer.config.rules import between

# Beyond these a Beta distribution is two ends, or one middle.
_Beta = Annotated[float, between(1e-3, 1e3)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixConfig:
    """The mixing of pairs, neighbours of the global batch."""

    # The share of the pairs a, b that become m a + (1 - m) b and m b + (1 - m) a.
    mixup: Annotated[float, between(0, 1)] = 0.0
    # The share of the pairs of images of which each gets a box of the other, which
    # covers 1 - m of it where it does not reach over the border.
    cutmix: Annotated[float, between(0, 1)] = 0.0
    # The parameter of the symmetric Beta distribution that m of mixup is drawn from;
    # 1: uniform in [0, 1).
    mixup_beta: _Beta = 1.0
    # The parameter of the same distribution for m of cutmix.
    cutmix_beta: _Beta = 1.0

    @property
    def mixes(self) -> bool:
        """Whether any pair is mixed."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def mixes_labels(self) -> bool:
        """Whether mixed examples have both labels, and not none."""
        return True

    def described(self, section: str) -> str:
        """The shares above 0 of the section so named: "distill.mixup = 0.5"."""
        shares = {"mixup": self.mixup, "cutmix": self.cutmix}
        return " and ".join(f"{section}.{k} = {x:g}" for k, x in shares.items() if x)
