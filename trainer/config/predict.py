"""The predict section: which model predicts, and what is told of each image."""

import dataclasses
from typing import Annotated, Any, Literal

from trainer.config.data import BACKGROUND
from trainer.config.models import SavedOptions
from trainer.config.rules import Count, Place, Rule


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Settings of the predict command; they change nothing of the run."""

    # A .keras file, the folder of a SavedModel, or registry:NAME@VERSION; "": the
    # student that the run chose.
    model: Place = ""
    # What that file expects of the values of an image, and what it gives; the models
    # that runs leave take the values as they are, and give logits.
    model_input: Literal[
        "zero_to_255",
        "zero_to_one",
        "minus_one_to_one",
        "imagenet_torch",
        "imagenet_caffe",
    ] = "zero_to_255"
    model_output: Literal["logits", "probabilities"] = "logits"
    # The colour behind transparent pixels, as in data.background; "": the one that the
    # model learned with, or white where it is not known.
    background: Annotated[
        Any, Rule(lambda x: x == "" or BACKGROUND.holds(x), f'"", {BACKGROUND.text}')
    ] = ""
    top_k: Count = 1  # classes named for an image, the most probable first
    all_probabilities: bool = False  # those of all classes too, in their order
    format: Literal["auto", "csv", "jsonl"] = "auto"  # "auto": by --output, or csv

    @property
    def saved(self) -> SavedOptions:
        """The file named by `model`."""
        return SavedOptions(
            path=self.model, input=self.model_input, output=self.model_output
        )
