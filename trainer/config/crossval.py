"""The crossval section: students measured on examples that they did not learn from."""

import dataclasses
from typing import Annotated

from trainer.config.rules import at_least


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossvalConfig:
    """What the crossval command does; a run does without it."""

    folds: Annotated[int, at_least(2)] = 5  # parts, each held out of one student
