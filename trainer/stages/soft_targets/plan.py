"""The cost of caches of soft targets: bytes, passes of the teacher, time."""

import dataclasses
import itertools
import statistics
from collections.abc import Generator, Iterable, Iterator

import keras
from etils import epath

from trainer import optimizers, soft_targets
from trainer.config import Config
from trainer.devices import memory
from trainer.session import Session
from trainer.session.datasets import Datasets
from trainer.session.networks import Networks
from trainer.session.transfer_sets import TransferSet
from trainer.soft_targets import Manifest
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.cache_memory import check_memory
from trainer.stages.soft_targets.importing import plan_import
from trainer.stages.soft_targets.teacher_logits import TeacherLogits

_NUM_TIMED = 5  # passes, after the first


@dataclasses.dataclass(frozen=True, kw_only=True)
class Building:
    """The cost of all caches of a run."""

    num_predictions: int  # that are not there yet
    secs: float  # to compute these on this machine
    num_bytes: int  # of all files
    missing_bytes: int  # of those that are not there yet
    memory_bytes: int  # of those that students train with
    memory_budget: int  # of bytes

    @property
    def is_in_memory(self) -> bool:
        """Whether students find them in memory, or else stream them."""
        return self.memory_bytes <= self.memory_budget


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedCache:
    """A cache as it will be, and what of it is not there yet."""

    folder: epath.Path
    transfer: TransferSet
    manifest: Manifest
    is_begun: bool
    missing: dict[int, list[int]]  # views of each shard

    @property
    def num_missing(self) -> int:
        """The number of predictions to compute."""
        return sum(
            self.manifest.shards[shard].count * len(views)
            for shard, views in self.missing.items()
        )

    @property
    def record_bytes(self) -> int:
        """The size of one prediction in a file."""
        return self.manifest.format.record.itemsize + soft_targets.FRAMING_BYTES


def plan(session: Session) -> None:
    """Prints what `build` would write and how long that would take; writes nothing."""
    if session.config.distill.is_imported:
        plan_import(session)
        return
    models = (
        session.networks.build(role, section.seed)
        for role, section in session.config.teachers.items()
    )
    for line in costs(session.networks, models):
        print(line)


def costs(
    networks: Networks, models: Iterable[keras.Model]
) -> Generator[str, None, Building]:
    """A paragraph for each cache of the run, and one on all of them.

    `models` are the teachers, with any weights.

    Raises:
      ConfigError: the students' examples, or what is kept of them, are
        not for a cache, or it would fit no memory.
      SoftTargetsError: a cache is there and is not for this run.
    """
    sets = caches.transfer_sets(networks.config, networks.datasets)
    planned = [
        [_plan_cache(networks, teacher, transfer) for transfer in sets]
        for teacher in range(len(networks.config.teachers))
    ]
    total_secs = 0.0
    for of_teacher, model in zip(planned, models, strict=True):
        for cache in of_teacher:
            yield from _cache_lines(cache)
            rate = _rate(networks, model, cache)
            secs = cache.num_missing / rate
            total_secs += secs
            yield (
                f"  {cache.num_missing:,} of {cache.manifest.num_records:,} "
                f"predictions are to be computed: about {_minutes(secs)} at "
                f"{rate:,.0f} a second on this machine (median of {_NUM_TIMED} passes)"
            )
    building = _building(networks.config, itertools.chain(*planned), total_secs)
    yield from _total_lines(networks.config, networks.datasets, building)
    check_memory(networks, num_ids=sum(transfer.num_ids for transfer in sets))
    return building


def _plan_cache(
    networks: Networks, teacher: int, transfer: TransferSet
) -> PlannedCache:
    folder = caches.folder(networks.config, networks.path, teacher, transfer)
    manifest = caches.planned_manifest(networks, teacher, transfer)
    return PlannedCache(
        folder=folder,
        transfer=transfer,
        manifest=manifest,
        is_begun=soft_targets.read(folder) is not None,
        missing=soft_targets.missing(folder, manifest),
    )


def _cache_lines(cache: PlannedCache) -> Iterator[str]:
    manifest = cache.manifest
    kept = (
        f"the {manifest.top_k} largest of {len(manifest.class_names)} logits"
        if manifest.top_k
        else f"all {len(manifest.class_names)} logits"
    )
    yield (
        f"{cache.folder}: split {cache.transfer.split!r}, "
        f"{manifest.num_examples:,} examples x "
        f"{soft_targets.views_text(manifest.views)}, {kept} in {manifest.dtype}"
    )
    if manifest.embedding:
        yield f"  with {manifest.embedding.text}"
    yield (
        f"  {cache.record_bytes} bytes each, {memory.text(manifest.num_bytes)} in "
        f"{manifest.num_files} files"
    )
    if cache.is_begun:
        num_there = manifest.num_files - sum(map(len, cache.missing.values()))
        yield (
            f"  {num_there} of {manifest.num_files} files are there and of this run, "
            "as far as can be told without the teacher's weights"
        )


def _rate(networks: Networks, model: keras.Model, cache: PlannedCache) -> float:
    """Predictions a second; the rate does not depend on the weights."""
    teacher = TeacherLogits(networks, model, cache.transfer, cache.manifest)
    secs = statistics.median(teacher.secs_of_passes(_NUM_TIMED))
    return teacher.num_a_pass / secs


def _building(config: Config, planned: Iterable[PlannedCache], secs: float) -> Building:
    every, views = list(planned), config.distill.views
    return Building(
        num_predictions=sum(cache.num_missing for cache in every),
        secs=secs,
        num_bytes=sum(cache.manifest.num_bytes for cache in every),
        missing_bytes=sum(cache.num_missing * cache.record_bytes for cache in every),
        memory_bytes=sum(cache.manifest.memory_bytes(views=views) for cache in every),
        memory_budget=config.data.memory_budget_bytes,
    )


def _total_lines(
    config: Config, datasets: Datasets, building: Building
) -> Iterator[str]:
    section, seeds = config.student.train, config.seeds
    num_steps = optimizers.num_steps(section, num_examples=len(datasets.transfer))
    online = num_steps * section.global_batch_size * len(seeds)
    yield (
        f"all: {building.num_predictions:,} predictions, about "
        f"{_minutes(building.secs)}; without a cache the students' "
        f"{len(seeds)} x {num_steps:,} steps ask for {online:,}"
    )
    where = "in memory" if building.is_in_memory else "streamed"
    yield (
        f"  {memory.text(building.num_bytes)} in files; {where} when students train, "
        f"where they take {memory.text(building.memory_bytes)} and "
        f"data.memory_budget_bytes allows {memory.text(building.memory_budget)}"
    )


def _minutes(secs: float) -> str:
    return f"{secs / 60:.1f} minutes" if secs >= 60 else f"{secs:.1f} s"
