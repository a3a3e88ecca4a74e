"""The predict section: which model predicts, and what is told of each example."""

import dataclasses
from typing import Annotated, Literal

from trainer.config.data import GivenColour
from trainer.config.errors import ConfigError
from trainer.config.evaluate_view import CENTER_CROP, SQUASH, EvaluateView
from trainer.config.models import SavedOptions
from trainer.config.rules import Count, Module, Place, between


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Settings of the predict command; they change nothing of the run."""

    # A .keras file, the folder of a SavedModel, or registry:NAME@VERSION; "": the
    # student that the run chose.
    model: Place = ""
    # What that file expects of the values of an image; the models that runs leave take
    # the values as they are.
    model_input: Literal[
        "zero_to_255",
        "zero_to_one",
        "minus_one_to_one",
        "imagenet_torch",
        "imagenet_caffe",
    ] = "zero_to_255"
    # What that file gives; the models that runs leave give logits.
    model_output: Literal["logits", "probabilities"] = "logits"
    # A module that registers the classes of that file's layers with Keras, imported
    # first.
    model_import: Module = ""
    # The colour behind transparent pixels, as in data.background; "": the one that the
    # model learned with, or white where it is not known.
    background: Literal["", "white", "black", "ignore"] | GivenColour = ""
    top_k: Count = 1  # classes named for an example, the most probable first
    # Tells the probabilities of all classes too, in their order.
    all_probabilities: bool = False
    # How predictions are written; "auto": by the ending of --output, or csv.
    format: Literal["auto", "csv", "jsonl", "json"] = "auto"

    # How images are fitted to the model's size, as in data.evaluate_view; "": as the
    # model learned to see them, or "squash" where that is not known.
    evaluate_view: Literal["", "squash", "center_crop"] = ""
    # The side of the central square, as in data.center_crop; 0: as the model learned to
    # see it, or 0.875 where that is not known.
    center_crop: Annotated[float, between(0, 1)] = 0.0

    def view(self, known: EvaluateView) -> EvaluateView:
        """The view of the images where the model's own is `known`.

        Raises:
          ConfigError: a share is set, and the view takes all of an image.
        """
        view = EvaluateView(
            name=self.evaluate_view or known.name,
            center_crop=self.center_crop or known.center_crop,
        )
        if view.name == SQUASH and self.center_crop:
            raise ConfigError(
                f"predict.center_crop must be 0 for the view {SQUASH!r} of the model, "
                f"which shows all of an image, got {self.center_crop}; set "
                f"predict.evaluate_view = {CENTER_CROP!r}"
            )
        return view

    @property
    def saved(self) -> SavedOptions:
        """The file named by `model`."""
        return SavedOptions(
            path=self.model,
            input=self.model_input,
            output=self.model_output,
            import_=self.model_import,
        )
