"""The evaluate section: what is measured beside the metrics of every model."""

import dataclasses

from trainer.config.data import DataConfig
from trainer.config.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """May change when a run goes on: it is then evaluated again."""

    # Corrects the logits of data.exclude_labels by one number a model, found on the
    # validation split; the results hold each model before and after.
    class_bias: bool = False
    # Measures the milliseconds that teacher and student take for an example; no two
    # runs have the same.
    inference_times: bool = False


def check(section: EvaluateConfig, data: DataConfig) -> None:
    """Refuses a correction of no class.

    Raises:
      ConfigError: there is none.
    """
    if section.class_bias and not data.exclude_labels:
        raise ConfigError(
            "evaluate.class_bias must be false where data.exclude_labels is empty, "
            "got true; it corrects the classes that students are not shown: name them, "
            "as in data.exclude_labels = [3]"
        )
