"""Facts about a dataset that decide over a first config for it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainer.data import splits
from trainer.draft import roles


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """All that a look at a dataset has shown."""

    dataset: str
    counts: Mapping[str, int]  # the examples of each whole split
    unlabelled: tuple[str, ...] = ()  # those splits that no run can use
    settings: Mapping[str, Any]  # of [data], but for the dataset and its splits
    notes: Mapping[str, str]  # on settings of [data], by their names
    examples: str  # what they are, such as "images"
    class_names: tuple[str, ...]
    side: int = 0  # pixels of a side as models take images; 0 of rows

    @property
    def num_examples(self) -> int:
        """The examples of all splits."""
        return sum(self.counts.values())

    @property
    def num_train(self) -> int:
        """The examples that train."""
        chosen = roles.choose(self._labelled)[0]["train_split"]
        return len(splits.example_ids(splits.whole(self.counts), chosen))

    def section(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The settings of [data], and notes on some of them."""
        chosen, why = roles.choose(self._labelled)
        if self.unlabelled:
            why += f" Without labels: {', '.join(self.unlabelled)}."
        settings = {"dataset": self.dataset, **chosen, **self.settings}
        return settings, {"train_split": why, **self.notes}

    @property
    def _labelled(self) -> dict[str, int]:
        return {k: n for k, n in self.counts.items() if k not in self.unlabelled}
