"""The values of float images, which a model must be told of: nobody guesses them."""

from typing import Any

from trainer.config import ConfigError, ImageOptions
from trainer.models.inputs import Inputs
from trainer.models.preprocessing import RANGES

# Of the width of a range: what enlarged and blurred images exceed it by.
_EXCESS = 0.1


def check_values(name: str, options: Any, inputs: Inputs, setting: str) -> None:
    """Finds that `options.input` of a known architecture tells the values of images.

    Raises:
      ConfigError: it does not, or tells others than they have.
    """
    if getattr(options, "input", "as_given") == "as_given":
        return  # a model that takes whatever the data yield
    path, told = f"{setting}.options.input", options.input
    if inputs.is_row:
        if told and isinstance(options, ImageOptions):
            raise ConfigError(
                f"{path} must be absent for rows, got {told!r}; models standardise "
                "them by their statistics"
            )
        return
    if inputs.dtype == "uint8":
        if isinstance(options, ImageOptions) and told not in ("", "zero_to_255"):
            raise ConfigError(
                f"{path} must be absent or 'zero_to_255' for images of 8 bits, got "
                f"{told!r}; remove it, or give float32 images of such values"
            )
        return
    low, high = inputs.value_range or (float("nan"),) * 2
    has = f"images are {inputs.dtype} with values from {low:.4g} to {high:.4g}"
    if not told:
        raise ConfigError(
            f"{path} must be one of {', '.join(map(repr, RANGES))} for model {name!r}, "
            f"got none: {has}, and their meaning is not guessed; set it, or give uint8 "
            "images"
        )
    least, most = RANGES[told]
    excess = _EXCESS * (most - least)
    # From 0 to 1, taken for 0 to 255, nothing would stand out.
    is_dark = told == "zero_to_255" and high <= 1
    if low < least - excess or high > most + excess or is_dark:
        raise ConfigError(
            f"{path} must tell the values of the images, got {told!r}, which are from "
            f"{least:g} to {most:g}: {has}; set what they have"
        )
