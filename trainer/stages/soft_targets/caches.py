"""Caches of soft targets of a run: their folders, and all that they must hold."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from etils import epath

from trainer import console, data, models, soft_targets
from trainer.config import (
    Config,
    ConfigError,
    EvaluateView,
    TeacherConfig,
    options_without_later,
    plain_options,
)
from trainer.session.datasets import Datasets
from trainer.session.networks import Networks
from trainer.soft_targets import CachedTargets, Manifest
from trainer.stages.soft_targets import formats
from trainer.stages.soft_targets.cache_memory import check_memory
from trainer.stages.soft_targets.transfer_set import TransferSet
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


def transfer_sets(config: Config, datasets: Datasets) -> list[TransferSet]:
    """The labelled examples' split, and the unlabelled ones' where there are any.

    Raises:
      ConfigError: the labelled ones come from several whole splits.
    """
    ids = datasets.transfer.ids
    return [
        TransferSet(
            name=name,
            source=source,
            split=_whole(source, setting, split),
            first=first,
            used=ids[ids // data.UNLABELED_FROM == first // data.UNLABELED_FROM]
            - first,
            crops=config.crops_images,
        )
        for name, source, setting, split, first in _parts(config, datasets)
    ]


def several_splits(config: Config, datasets: Datasets) -> str:
    """A clause on parts of several whole splits, which have no cache; or ""."""
    for _, source, setting, split, _ in _parts(config, datasets):
        if len(data.whole_names(source.whole_splits, split)) > 1:
            return f"{setting} = {split!r} is of several whole splits"
    return ""


def _parts(
    config: Config, datasets: Datasets
) -> Iterator[tuple[str, data.Source, str, str, int]]:
    """Name, source, setting, split and first id of what students learn from."""
    section = config.data
    setting = section.learned_from
    yield "train", datasets.source, setting, section.splits[setting], 0
    if section.unlabeled:
        setting, split = "data.unlabeled.split", section.unlabeled.split
        yield "unlabeled", datasets.sources[1], setting, split, data.UNLABELED_FROM


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
    if pixels and found and is_whole and transfer.has_same_pixels(found):
        pixels = {}
    return Manifest(
        teacher=_identity(role, networks.config.teachers[role], weights),
        dataset={
            "split": transfer.split,
            "input_shape": list(transfer.source.input_shape),
            **pixels,
            **_view(networks.config),
        },
        growth=({"num_ids": transfer.num_ids, "fingerprint": transfer.fingerprint},),
        precision=networks.precision(role),
        class_names=networks.datasets.source.class_names,
        augment=_augment(networks.config),
        views=distill.views,
        dtype=form.dtype,
        top_k=form.top_k,
        temperatures=form.temperatures,
        shards=(),
        embedding=form.embedding,
    )


def _view(config: Config) -> dict[str, Any]:
    """The view of images that are resized, and what crops of them are made of."""
    if not config.data.is_decoded_to_size:
        return {}
    view = {} if config.data.view == EvaluateView() else config.data.view.settings
    is_kept = config.crops_images and config.data.keep == "pixels"
    return view | ({"keep": "pixels"} if is_kept else {})


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
        wanted = dataclasses.replace(wanted, growth=(before,))
        if transfer.pixels and transfer.has_same_pixels(found):
            kept = {k: v for k, v in wanted.dataset.items() if k != "pixels"}
            wanted = dataclasses.replace(wanted, dataset=kept)
    soft_targets.check(place, found, wanted)


def open_caches(networks: Networks) -> CachedTargets:
    """The caches of all teachers, as batches bring them.

    Raises:
      ConfigError: they take too much memory.
      SoftTargetsError: one is not there, or not for this run, or damaged.
    """
    sets = transfer_sets(networks.config, networks.datasets)
    check_memory(networks, num_ids=sum(transfer.num_ids for transfer in sets))
    caches = []
    for teacher, model in enumerate(networks.teachers):
        weights = models.fingerprint(model)
        of_teacher = []
        for transfer in sets:
            wanted = manifest(networks, teacher, transfer, weights=weights)
            cache = soft_targets.Cache(
                folder(networks.config, networks.path, teacher, transfer), wanted
            )
            cache.check_holds(transfer.used)
            if not cache.manifest.mark and networks.devices.workers.is_chief:
                console.log(
                    f"{cache.folder} is of an earlier version, whose records do not "
                    "say of which view and cache they are"
                )
            of_teacher.append(cache)
        caches.append(of_teacher)
    return CachedTargets(
        caches,
        views=networks.config.distill.views,
        memory_bytes=networks.config.data.memory_budget_bytes,
    )


def _identity(role: str, section: TeacherConfig, weights: str) -> dict[str, Any]:
    """The settings and weights that tell a teacher from others."""
    options = _plain(section.options, f"{role}.options")
    # A file may move, and its weights tell it from others.
    options.pop("path", None)
    return {
        "model": section.model,
        "options": options,
        "image_size": section.image_size,
        "weights": weights,
    }


def _augment(config: Config) -> dict[str, Any]:
    """The augmentation of the views, its seed and its options, in JSON's types."""
    name, chosen = config.augmenting_section("student.train", config.student.train)
    if chosen.augment == "none":
        return {"name": "none"}
    options = plain_options(chosen.augment_options, setting=f"{name}.augment_options")
    shown = {"name": chosen.augment, "seed": cached_views(config).seed, **options}
    return dict(json.loads(json.dumps(shown)))


def _plain(options: Any, setting: str) -> dict[str, Any]:
    """The options of a known model, or of a user's, in JSON's types.

    They are without those that came later and change nothing.
    """
    given = options if isinstance(options, dict) else dataclasses.asdict(options)
    return options_without_later(setting, json.loads(json.dumps(given)))


def _whole(source: data.Source, setting: str, split: str) -> str:
    names = data.whole_names(source.whole_splits, split)
    if len(names) > 1:
        raise ConfigError(
            f"{setting} must be parts of one whole split for distill.soft_targets = "
            f"'cached', got {split!r}; its records are numbered by the ids of one: use "
            "'online', or name parts of one"
        )
    return names[0]
