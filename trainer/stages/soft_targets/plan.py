"""What a cache of soft targets would take: bytes, passes of the teacher, time."""

import statistics

from trainer import memory, optimizers, soft_targets
from trainer.soft_targets import Manifest
from trainer.stages.session import Session
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.answers import Answers
from trainer.stages.soft_targets.caches import TransferSet

_NUM_TIMED = 5  # passes, after the first


def plan(session: Session) -> None:
    """Prints what `build` would write and how long that would take; writes nothing."""
    for line in lines(session):
        print(line)


def lines(session: Session) -> list[str]:
    """A paragraph for each cache of the run, and one on all of them."""
    found: list[str] = []
    total_secs = 0.0
    total_passes = 0
    for teacher in range(len(session.config.teachers)):
        for transfer in caches.transfer_sets(session):
            manifest = caches.planned(session, teacher, transfer)
            rate = _rate(session, teacher, transfer, manifest)
            folder = caches.folder(session, teacher, transfer)
            to_do = sum(
                manifest.shards[shard].count * len(views)
                for shard, views in soft_targets.missing(folder, manifest).items()
            )
            total_secs += to_do / rate
            total_passes += to_do
            found += _of_cache(session, transfer, manifest)
            found.append(
                f"  {to_do:,} of {manifest.num_records:,} answers are to be computed: "
                f"about {_minutes(to_do / rate)} at {rate:,.0f} a second on this "
                f"machine (median of {_NUM_TIMED} passes)"
            )
    return [*found, _against_online(session, total_passes, total_secs)]


def _of_cache(session: Session, transfer: TransferSet, manifest: Manifest) -> list[str]:
    each = manifest.format.record.itemsize + soft_targets.FRAMING_BYTES
    budget = session.config.data.memory_budget_bytes
    where = "in memory" if manifest.num_bytes <= budget else "streamed"
    kept = (
        f"the {manifest.top_k} largest of {len(manifest.class_names)} logits"
        if manifest.top_k
        else f"all {len(manifest.class_names)} logits"
    )
    count = sum(shard.count for shard in manifest.shards)
    return [
        f"{transfer.name}: split {transfer.split!r}, {count:,} examples x "
        f"{manifest.views} views, {kept} in {manifest.dtype}",
        f"  {each} bytes each, {memory.text(manifest.num_bytes)} in "
        f"{len(manifest.shards) * manifest.views} files; {where} when students train",
    ]


def _rate(
    session: Session, teacher: int, transfer: TransferSet, manifest: Manifest
) -> float:
    """Answers a second; their number does not depend on the weights."""
    role, section = list(session.config.teachers.items())[teacher]
    model = session.build(role, section.seed)
    answers = Answers(session, model, transfer, manifest)
    secs = statistics.median(answers.secs_of_passes(_NUM_TIMED))
    return answers.num_a_pass / secs


def _against_online(session: Session, num_passes: int, secs: float) -> str:
    section, seeds = session.config.student.train, session.config.seeds
    num_steps = optimizers.num_steps(section, num_examples=len(session.transfer))
    online = num_steps * section.global_batch_size * len(seeds)
    return (
        f"all: {num_passes:,} answers, about {_minutes(secs)}; without a cache the "
        f"students' {len(seeds)} x {num_steps:,} steps ask for {online:,}"
    )


def _minutes(secs: float) -> str:
    return f"{secs / 60:.1f} minutes" if secs >= 60 else f"{secs:.1f} s"
