"""Caches of soft targets of a run: their folders, and all that they must hold."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from etils import epath

from trainer import console, data, models, soft_targets
from trainer.config import (
    Config,
    TeacherConfig,
    options_without_later,
)
from trainer.session.networks import Networks
from trainer.session.transfer_sets import (
    TransferSet,
    augment_identity,
    transfer_sets,
)
from trainer.soft_targets import Cache, CachedTargets, Manifest
from trainer.stages.soft_targets import formats
from trainer.stages.soft_targets.cache_memory import check_memory
from trainer.storage import workdir


def root(config: Config, path: epath.Path) -> epath.Path:
    """The folder of all caches of the run."""
    return workdir.soft_targets_folder(path, config)


def index_dir(config: Config, path: epath.Path) -> epath.Path:
    """The folder of the lists of files that the caches' ids are lines of."""
    return root(config, path) / workdir.LISTS


def folder(
    config: Config, path: epath.Path, teacher: int, transfer: TransferSet
) -> epath.Path:
    """The folder of one cache."""
    top = root(config, path)
    if len(config.teachers) > 1:
        top = top / f"member-{teacher}"
    return top / transfer.name


def views(config: Config, seed: int) -> data.Views:
    """The views of the transfer set that the student and baseline of a seed see.

    With a cache all seeds share its views, which are those of the first seed online.
    """
    if config.distill.is_cached:
        return cached_views(config)
    return data.Views(seed=seed, count=None)


def cached_views(config: Config) -> data.Views:
    """The views that caches hold."""
    return data.Views(seed=config.seeds[0], count=config.distill.views)


def manifest(
    networks: Networks, teacher: int, transfer: TransferSet, *, weights: str
) -> Manifest:
    """The manifest that a teacher's cache must have for this run, without its shards.

    `weights` is the fingerprint of the teacher.
    """
    form = formats.record_formats(networks)[teacher]
    distill = networks.config.distill
    role = list(networks.config.teachers)[teacher]
    pixels = transfer.pixels
    found = soft_targets.read(folder(networks.config, networks.path, teacher, transfer))
    is_whole = found and found.num_ids >= transfer.num_ids
    if found and is_whole:
        pixels = transfer.pixels_in(found)
    return Manifest(
        teacher=_identity(role, networks.config.teachers[role], weights),
        dataset=transfer.identity(networks.config) | pixels,
        growth=({"num_ids": transfer.num_ids, "fingerprint": transfer.fingerprint},),
        precision=networks.precision(role),
        class_names=networks.classes(role),
        augment=augment_identity(networks.config),
        views=distill.views,
        dtype=form.dtype,
        top_k=form.top_k,
        temperatures=form.temperatures,
        shards=(),
        embedding=form.embedding,
    )


def planned_manifest(
    networks: Networks, teacher: int, transfer: TransferSet
) -> Manifest:
    """The manifest of a cache once it is built, before the teacher is trained.

    Raises:
      ConfigError: `top_k` would leave nothing to the tail.
      SoftTargetsError: the cache that is there is not for this run, as far as can be
        told without the teacher's weights.
    """
    place = folder(networks.config, networks.path, teacher, transfer)
    found = soft_targets.read(place)
    if found is None:
        wanted = manifest(networks, teacher, transfer, weights="")
        planned = dataclasses.replace(wanted, shards=transfer.shards())
        return soft_targets.mark(planned)
    weights = str(found.teacher.get("weights"))
    wanted = manifest(networks, teacher, transfer, weights=weights)
    check_begun(place, found, transfer, wanted)
    soft_targets.check_ids(place, found, wanted)
    found = found.until(wanted.num_ids)
    return dataclasses.replace(found, views=max(found.views, wanted.views))


def check_begun(
    place: epath.Path, found: Manifest, transfer: TransferSet, wanted: Manifest
) -> None:
    """Refuses a cache that is not the beginning of the `wanted` one.

    Raises:
      SoftTargetsError: it names the field that differs.
    """
    if found.num_ids < wanted.num_ids:
        # The ids that it has must be of the same examples.
        known = transfer.source.fingerprint(transfer.split, num_ids=found.num_ids)
        before = {"num_ids": found.num_ids, "fingerprint": known}
        others = {k: v for k, v in wanted.dataset.items() if k != "pixels"}
        dataset = others | transfer.pixels_in(found)
        wanted = dataclasses.replace(wanted, growth=(before,), dataset=dataset)
    soft_targets.check(place, found, wanted)


def open_caches(networks: Networks) -> CachedTargets:
    """The caches of all teachers, as batches bring them.

    Raises:
      ConfigError: they take too much memory.
      SoftTargetsError: one is not there, or not for this run, or damaged.
    """
    sets = transfer_sets(networks.config, networks.datasets)
    check_memory(networks, num_ids=sum(transfer.num_ids for transfer in sets))
    if networks.imported:
        every = [[networks.imported.cache(transfer) for transfer in sets]]
    else:
        every = [_caches_of(networks, i, sets) for i in range(len(networks.teachers))]
    return CachedTargets(
        every,
        views=networks.config.distill.views,
        memory_bytes=networks.config.data.memory_budget_bytes,
    )


def _caches_of(
    networks: Networks, teacher: int, sets: Sequence[TransferSet]
) -> list[Cache]:
    weights, caches = models.fingerprint(networks.teachers[teacher]), []
    for transfer in sets:
        wanted = manifest(networks, teacher, transfer, weights=weights)
        place = folder(networks.config, networks.path, teacher, transfer)
        cache = Cache(place, wanted)
        cache.check_holds(transfer.used)
        if not cache.manifest.mark and networks.devices.workers.is_chief:
            console.log(
                f"{cache.folder} is of an earlier version, whose records do not "
                "say of which view and cache they are"
            )
        caches.append(cache)
    return caches


def _identity(role: str, section: TeacherConfig, weights: str) -> dict[str, Any]:
    """The settings and weights that tell a teacher from others."""
    options = _plain(section.options, f"{role}.options")
    # A file may move, and its weights tell it from others.
    for name in ("path", "import_"):
        options.pop(name, None)
    return {
        "model": section.model,
        "options": options,
        "image_size": section.image_size,
        "weights": weights,
    }


def _plain(options: Any, setting: str) -> dict[str, Any]:
    """The options of a known model, or of a user's, in JSON's types.

    They are without those that came later and change nothing.
    """
    given = options if isinstance(options, dict) else dataclasses.asdict(options)
    return options_without_later(setting, json.loads(json.dumps(given)))
