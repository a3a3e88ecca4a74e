"""Descriptions of the caches of soft targets in a folder."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from trainer import soft_targets
from trainer.devices import memory
from trainer.session import Session
from trainer.soft_targets import Manifest
from trainer.stages.soft_targets import caches
from trainer.storage import files


def info(session: Session) -> None:
    """Prints a paragraph on each cache in the run's folder of soft targets.

    Raises:
      SoftTargetsError: there is none.
    """
    root = caches.root(session.config, session.path)
    found = {
        path.parent: soft_targets.read(path.parent)
        for path in sorted(files.walk(root))
        if path.name == soft_targets.MANIFEST
    }
    for folder, manifest in found.items():
        if manifest:
            print("\n".join(_lines(folder, manifest)))
    if not found:
        raise soft_targets.SoftTargetsError(
            f"{root} must hold soft targets, got none; run `python -m trainer "
            "soft-targets build` with the same --config and --workdir"
        )


def _lines(folder: epath.Path, manifest: Manifest) -> list[str]:
    missing = sum(map(len, soft_targets.missing(folder, manifest).values()))
    kept = "all logits"
    if manifest.top_k:
        temperatures = ", ".join(f"{value:g}" for value in manifest.temperatures)
        kept = f"the top {manifest.top_k} logits, and the tail at T = {temperatures}"
    more = []
    if manifest.embedding:
        more.append(f"  with {manifest.embedding.text}")
    augment = dict(manifest.augment)
    name, options = augment.pop("name"), _options(augment)
    return [
        f"{folder}: {'complete' if not missing else f'{missing} files missing'}",
        f"  teacher {manifest.teacher['model']}, weights {manifest.teacher['weights']}",
        f"  split {manifest.dataset['split']}, {manifest.num_ids:,} ids, "
        f"{manifest.num_examples:,} examples, "
        f"{len(manifest.class_names)} classes",
        f"  {soft_targets.views_text(manifest.views)}, augmentation "
        f"{name if isinstance(name, str) else ' + '.join(name)}"
        f"{f' ({options})' if options else ''}",
        f"  {kept} in {manifest.dtype}: {memory.text(manifest.num_bytes)} in "
        f"{manifest.num_files} files",
        *more,
    ]


def _options(options: Mapping[str, Any]) -> str:
    """Options as text: "seed 0, shift (max_pixels 2)"."""
    return ", ".join(
        f"{name} ({_options(value)})"
        if isinstance(value, Mapping)
        else f"{name} {value}"
        for name, value in options.items()
    )
