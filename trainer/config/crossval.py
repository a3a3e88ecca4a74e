"""The crossval section: students measured on examples that they did not learn from."""

import dataclasses
from typing import Annotated

from trainer.config.rules import between


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossvalConfig:
    """Settings of the crossval command; a run ignores them."""

    # Parts of the examples, of which each is held out of one student.
    folds: Annotated[int, between(2, 1000)] = 5
