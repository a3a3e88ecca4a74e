"""Settings that came later, and what earlier versions did without them.

A kept config that lacks one of them means the value below, which need not be today's
default. A section's own list is named with empty brackets: "teacher.members[].seed".
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

_TRAININGS = (
    *("teacher.head", "teacher.train"),
    *("teacher.members[].head", "teacher.members[].train"),
    *("student.train", "finetune"),
)
# Crops of images in memory only grow; others that earlier versions made were resized.
_CROPS = {
    f"{section}.augment_options{of_list}.antialias": True
    for section in ("data", *_TRAININGS)
    for of_list in ("", ".inception_crop")
}
_NETWORKS = ("student", "teacher", "teacher.members[]")
# Of Keras's own arguments; None is as Keras has them.
_OF_APPLICATIONS = ("alpha", "depth_multiplier", "dropout", "dropout_rate")
_MIXING = {"cutmix": 0.0, "cutmix_beta": 1.0, "mixup_beta": 1.0}
_OF_TRAININGS = {"mixup": 0.0, **_MIXING, "select_by": "accuracy"}

LATER: Mapping[str, Any] = {
    "data.background": "ignore",
    "data.center_crop": 0.875,
    "data.class_weights": None,
    "data.evaluate_view": "squash",
    "data.keep": "auto",
    "data.num_threads": 0,
    "data.read_parts": 0,
    # Windows had no such bound; a run keeps the one that it began with.
    "data.shuffle_window_bytes": 512 * 2**20,
    "data.transfer_split": "",
    "data.verify": "auto",
    "distill.cache_embedding": False,
    "distill.cache_embedding_dtype": "float32",
    "distill.class_map": None,
    "distill.min_accuracy": None,
    "distill.terms[].student_layer": "",
    "distill.terms[].teacher": "",
    "distill.terms[].teacher_layer": "",
    "predict.background": "",
    "predict.center_crop": 0.0,
    "predict.evaluate_view": "",
    "predict.model_import": "",
    "runtime.term_gradients": False,
    "student.options.input": "",
    "teacher.class_map": None,
    "teacher.class_names": "",
    "teacher.members[].class_map": None,
    "teacher.members[].class_names": "",
    "teacher.members[].min_accuracy": 0.0,
    "teacher.members[].options.input": "",
    "teacher.min_accuracy": 0.0,
    "teacher.options.input": "",
    **_CROPS,
    "tracking.models": ["student"],
    "tracking.tracker": "",
    **{f"{network}.options.import": "" for network in _NETWORKS},
    **{
        f"{network}.options.{name}": None
        for network in _NETWORKS
        for name in (*_OF_APPLICATIONS, "minimalistic")
    },
    **{f"distill.{name}": value for name, value in _MIXING.items()},
    **{
        f"{training}.{name}": value
        for training in _TRAININGS
        for name, value in _OF_TRAININGS.items()
    },
}


def value_before(path: str) -> tuple[Any, ...]:
    """The value that earlier versions had in place of a setting, or () for none."""
    name = re.sub(r"\[\d+\]", "[]", path)
    return (LATER[name],) if name in LATER else ()


def without_later(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves out the later settings with which a run is as it was without them."""
    return {path: v for path, v in flat.items() if (v,) != value_before(path)}


def options_without_later(section: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Does the same for the settings of one `section`, by their names in it."""
    return {
        name: v
        for name, v in options.items()
        if (v,) != value_before(f"{section}.{name}")
    }


def with_earlier(
    settings: Mapping[str, Any], flat: Mapping[str, Any], complete: Mapping[str, Any]
) -> dict[str, Any]:
    """`settings` with what was done before for the later ones that they lack.

    `flat` is what they hold, `complete` all that there is in their sections today.
    """
    filled: dict[str, Any] = copy.deepcopy(dict(settings))
    for path in complete.keys() - flat.keys():
        for value in value_before(path):
            *names, last = re.findall(r"[^.\[\]]+", path)
            table: Any = filled
            for name in names:
                if isinstance(table, list):
                    table = table[int(name)]
                else:
                    table = table.setdefault(name, {})
            table[last] = copy.deepcopy(value)
    return filled
