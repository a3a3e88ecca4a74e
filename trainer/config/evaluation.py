"""The evaluate section: what is measured beside the metrics of every model."""

import dataclasses
from typing import Any, Literal

from trainer.config.data import DataConfig
from trainer.config.errors import ConfigError

AUTO_SECS = 5.0  # that "auto" may take in all


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """A resumed run may change these settings; it is then evaluated again."""

    # Corrects the logits of data.exclude_labels by one number a model, found on the
    # validation split; the results hold each model before and after.
    class_bias: bool = False
    # Measures the milliseconds that teacher and student take for an example; no two
    # runs have the same. true puts them into the results; "auto" measures for 5 seconds
    # at most, where one run stands for itself, into a file beside them.
    inference_times: bool | Literal["auto"] = "auto"

    @property
    def of_results(self) -> dict[str, Any]:
        """The settings that results are of; times beside them may be missing."""
        is_in_results = self.inference_times is True
        return {**dataclasses.asdict(self), "inference_times": is_in_results}

    def without_auto(self) -> "EvaluateConfig":
        """The section of a run among others, which is measured when that is asked for.

        Others train on the same machine, or there are many of them.
        """
        return dataclasses.replace(self, inference_times=self.inference_times is True)


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
