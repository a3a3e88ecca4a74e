"""Whether a cache that is there holds the predictions that a run wants."""

from collections.abc import Sequence
from typing import Any

from etils import epath

from trainer.soft_targets.errors import SoftTargetsError
from trainer.soft_targets.manifest import Manifest
from trainer.soft_targets.record_format import EmbeddingFormat


def check(folder: epath.Path, found: Manifest, wanted: Manifest) -> None:
    """Refuses a cache of other predictions than the `wanted` ones.

    It may hold more: views, temperatures, and ids that came later.

    Raises:
      SoftTargetsError: it names the field that differs.
    """
    for field in ("teacher", "dataset", "class_names", "augment", "dtype", "top_k"):
        _check_field(folder, field, getattr(found, field), getattr(wanted, field))
    _check_field(folder, "embedding", found.embedding, wanted.embedding)
    sizes = {stage["num_ids"]: stage["fingerprint"] for stage in found.growth}
    stage = wanted.growth[-1]
    if wanted.num_ids in sizes:
        known = {"num_ids": wanted.num_ids, "fingerprint": sizes[wanted.num_ids]}
        _check_field(folder, "dataset", known, stage)
    elif wanted.num_ids < found.num_ids:
        _check_field(folder, "dataset", found.growth[-1], stage)
    missing = sorted(set(wanted.temperatures) - set(found.temperatures))
    if missing:
        raise SoftTargetsError(
            f"{folder} must hold the tail of the top {found.top_k} at temperature "
            f"{missing[0]:g}, got {_join(found.temperatures)}; it cannot be derived "
            "from these: set distill.temperature to one of them, or build in another "
            "distill.soft_targets_dir with distill.tail_temperatures"
        )


def check_ids(folder: epath.Path, found: Manifest, wanted: Manifest) -> None:
    """Looks whether a cache has all ids of the `wanted` one.

    Raises:
      SoftTargetsError: it has fewer.
    """
    if found.num_ids < wanted.num_ids:
        raise SoftTargetsError(
            f"{folder} must hold {wanted.num_ids} ids, got {found.num_ids}; run "
            "`python -m trainer soft-targets extend`, which adds the others"
        )


def _check_field(folder: epath.Path, field: str, found: Any, wanted: Any) -> None:
    if isinstance(found, dict) and isinstance(wanted, dict):
        # In their order, in which the kind of an augmentation is before its options.
        for name in [*wanted, *(found.keys() - wanted.keys())]:
            inner = f"{field}.{name}"
            _check_field(folder, inner, found.get(name), wanted.get(name))
        return
    if found != wanted:
        why = ""
        if field == "class_names" and sorted(found) == sorted(wanted):
            why = " (in another order: earlier versions had folders by text)"
        if field == "dataset.pixels":
            why = " (earlier versions made other ones of the same files)"
        raise SoftTargetsError(
            f"{folder} must hold the soft targets of this run, got another {field}: "
            f"{_format(found)} there, {_format(wanted)} here{why}; set the config "
            "back, or build in another distill.soft_targets_dir"
        )


def _format(value: Any) -> str:
    if isinstance(value, EmbeddingFormat):
        return value.text
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _join(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values) or "none"
