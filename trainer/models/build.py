"""From a model's name to a checked Keras model.

A new architecture is a function (x, num_classes, options) -> logits in a file beside
this one, and a row of ARCHITECTURES; its options are a dataclass and a row of MODELS in
`trainer/config/models.py`, exported by `trainer/config/__init__.py`. Its last layer is
named "logits" and is float32; its dropout is trainer.models.dropout.Dropout, which
draws the same on any number of replicas. The smallest image that it takes is in
_MIN_IMAGE_SIZE.
"""

import collections
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

import keras
from keras.src.backend.common import global_state

from trainer.config import APPLICATIONS, MEMORY, ConfigError, is_function, is_hub
from trainer.models import checks
from trainer.models.applications import application
from trainer.models.cnn import cnn
from trainer.models.conv_mlp import conv_mlp
from trainer.models.default_precision import default_precision
from trainer.models.given import GivenModel
from trainer.models.hub import build_hub
from trainer.models.inputs import Inputs, architecture_input
from trainer.models.mlp import mlp
from trainer.models.mobilenet_v2_cifar import mobilenet_v2_cifar
from trainer.models.own import build_own
from trainer.models.preprocessing import PIXEL_VALUES
from trainer.models.resnet_cifar import resnet_cifar
from trainer.models.saved import build_saved
from trainer.models.shufflenet_v1 import shufflenet_v1
from trainer.models.shufflenet_v2 import shufflenet_v2
from trainer.models.squeezenet import squeezenet
from trainer.models.value_ranges import check_values
from trainer.models.vgg_cifar import vgg_cifar
from trainer.models.wide_resnet import wide_resnet


class _Arguments(TypedDict):
    inputs: Inputs
    num_classes: int
    setting: str


# From an image with values from 0 to 255, or a standardised row, to float32 logits.
Architecture = Callable[[keras.KerasTensor, int, Any], keras.KerasTensor]

ARCHITECTURES: dict[str, Architecture] = {
    "cnn": cnn,
    "conv_mlp": conv_mlp,
    "mlp": mlp,
    "mobilenet_v2_cifar": mobilenet_v2_cifar,
    "resnet_cifar": resnet_cifar,
    "shufflenet_v1": shufflenet_v1,
    "shufflenet_v2": shufflenet_v2,
    "squeezenet": squeezenet,
    "vgg_cifar": vgg_cifar,
    "wide_resnet": wide_resnet,
}
# Pixels a side below which nothing is left before the logits.
_MIN_IMAGE_SIZE = {"squeezenet": 31, "vgg_cifar": 8, **APPLICATIONS}


def build(
    name: str,
    options: Any,
    *,
    inputs: Inputs,
    num_classes: int,
    seed: int,
    precision: str,
    setting: str,
    given: GivenModel | None = None,
) -> keras.Model:
    """A model of images [B, H, W, channels], rows [B, D] or others to logits [B, C].

    Call it in the strategy's scope. `name` is a known architecture, "saved", "memory",
    which is `given`, hub:PRESET, or package.module:function; initial weights are those
    of `seed`. `precision` is a Keras dtype policy, which saved and given models bring
    themselves; `setting` names the section in messages. Normalisation is a layer of the
    model.

    Raises:
      ConfigError: there is no such function or file, it does not take such inputs, or
        its model gives no logit a class.
    """
    _check_inputs(name, options, inputs, setting)
    # Seeds every initializer of the model, a user's own included.
    keras.utils.set_random_seed(seed)
    arguments = _Arguments(inputs=inputs, num_classes=num_classes, setting=setting)
    try:
        with default_precision(precision), _names_of_its_own():
            return _model(name, options, arguments, given)
    except ConfigError:
        raise
    except ValueError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"{setting}.model {name!r} must be buildable for inputs of shape "
            f"{inputs.model_shape} with options {options!r}, got an error: {reason}; "
            f"change {setting}.options, {setting}.image_size or data.image_size"
        ) from error


def _model(
    name: str, options: Any, arguments: _Arguments, given: GivenModel | None
) -> keras.Model:
    inputs, num_classes = arguments["inputs"], arguments["num_classes"]
    if name in ARCHITECTURES:
        start = architecture_input(inputs)
        pixels = PIXEL_VALUES[options.input](start) if options.input else start
        logits = ARCHITECTURES[name](pixels, num_classes, options)
        [source] = keras.utils.get_source_inputs(start)
        return keras.Model(source, logits, name=name)
    if name in APPLICATIONS:
        return application(name, options, inputs=inputs, num_classes=num_classes)
    if is_hub(name):
        model = build_hub(name, options, **arguments)
    elif name == "saved":
        model = build_saved(options, **arguments)
    elif name == MEMORY:
        model = _given_model(options, arguments, given)
        name = options.name
    else:
        model = build_own(name, options, **arguments)
    checks.check(model, name, **arguments)
    return model


def _given_model(
    options: Any, arguments: _Arguments, given: GivenModel | None
) -> keras.Model:
    if given is None:
        setting = arguments["setting"]
        raise ConfigError(
            f"{setting}.model {MEMORY!r} must be given by a Python program, got no "
            f"{options.name}; call trainer.run(config, {setting}=MODEL, ...), or name "
            "package.module:function"
        )
    return given.build(options, **arguments)


def _check_inputs(name: str, options: Any, inputs: Inputs, setting: str) -> None:
    check_values(name, options, inputs, setting)
    if inputs.image_size and not inputs.is_image:
        what = "a table" if inputs.is_row else f"examples of shape {inputs.shape}"
        raise ConfigError(
            f"{setting}.image_size must be 0 for {what}, got {inputs.image_size}; "
            "remove it"
        )
    if inputs.is_row:
        is_as_given = name == "saved" and options.input == "as_given"
        takes_rows = name in ("mlp", MEMORY) or is_function(name)
        if not (takes_rows or is_as_given):
            raise ConfigError(
                f"{setting}.model must take the rows of a table, got {name!r}, which "
                "takes images; use 'mlp', package.module:function, or 'saved' with "
                "options.input = 'as_given'"
            )
        return
    if not (inputs.is_image or inputs.is_grey):
        if name in ARCHITECTURES or name in APPLICATIONS or is_hub(name):
            raise ConfigError(
                f"{setting}.model must take examples of shape {list(inputs.shape)}, "
                f"got {name!r}, which takes images [height, width, channels] or rows; "
                "use a model of your own, or, for images in grey, add the channel, as "
                "in x[..., None]"
            )
        return
    smallest = _MIN_IMAGE_SIZE.get(name, 1)
    height, width, *_ = inputs.model_shape
    if min(height, width) < smallest:
        raise ConfigError(
            f"{setting}.model {name!r} must have images of at least {smallest} x "
            f"{smallest} pixels, got {height} x {width}; set {setting}.image_size or "
            f"data.image_size to {smallest} or more"
        )


@contextlib.contextmanager
def _names_of_its_own() -> Iterator[None]:
    """Layers that nobody names are numbered from the first, in each model alike.

    Keras counts on over all models of a process, and settings and caches name layers.
    There is no public way to begin anew.
    """
    counts = "object_name_uids"
    before = collections.Counter(global_state.get_global_attribute(counts) or {})
    global_state.set_global_attribute(counts, collections.Counter())
    try:
        yield
    finally:
        # What is put around the model has no name that is inside of it: the larger.
        own = global_state.get_global_attribute(counts)
        global_state.set_global_attribute(counts, before | own)
