"""The checks of one config, in the order of a run."""

import dataclasses
import gc
import time
from collections.abc import Iterator

import keras
import tensorflow as tf
from etils import epath

from trainer import checkpoint, distribution, files, hardware, memory, models, workdir
from trainer.config import Config, ConfigError, RuntimeConfig
from trainer.doctor import disk
from trainer.doctor.findings import Check
from trainer.stages import trial
from trainer.stages.baseline import alone
from trainer.stages.finetune import from_labels
from trainer.stages.learner import Training
from trainer.stages.opening import open_session
from trainer.stages.session import Session
from trainer.stages.student import distillation, online
from trainer.stages.teacher import head_alone, head_role, supervised, take_weights
from trainer.stages.trial import Trial
from trainer.termination import Termination

_WRITTEN_BYTES = 2**20  # by the test of the disk


class Examination:
    """What the checks of one config find, and hand on to later ones."""

    _session: Session
    _student: keras.Model
    _free: int | None  # bytes on the workdir's disk; None where no one knows
    _pipeline_rate: float  # examples a second

    def __init__(self, config: Config, path: epath.Path, scratch: epath.Path) -> None:
        self._config = config
        self._path = path
        self._scratch = scratch
        self._seeds: dict[str, tuple[int, ...]] = {}  # of the trainings in each role
        for role, teacher in config.teachers.items():
            if teacher.head:
                self._seeds[head_role(role)] = (teacher.seed,)
            self._seeds[role] = (teacher.seed,)
        self._seeds |= {"student": config.seeds, "baseline": config.seeds}
        if config.finetune:
            self._seeds["finetune"] = config.seeds
        self._teachers: dict[str, keras.Model] = {}
        self._trials: dict[str, Trial] = {}

    def checks(self, surroundings: tuple[Check, ...] = ()) -> tuple[Check, ...]:
        """All of them, in the order of a run, with those of the `surroundings`."""
        steps = ("teacher step", "student step", "baseline step")
        return (
            Check("machine", self._machine),
            Check("devices", self._devices),
            Check("GPU hints", self._gpu_hints, mark="note"),
            Check("precision", self._precision),
            Check("workdir", self._workdir),
            *surroundings,
            Check("run", self._run),
            Check("dataset", self._dataset),
            Check("splits", self._splits, needs=("dataset",)),
            Check("teacher model", self._build_teacher, needs=("dataset",)),
            Check("teacher step", self._teacher_step, ("splits", "teacher model")),
            Check("student model", self._build_student, needs=("dataset",)),
            Check("pipeline", self._pipeline, ("splits", "student model")),
            Check("student step", self._student_step, (steps[0], "student model")),
            Check("baseline step", self._baseline_step, ("splits", "student model")),
            Check("disk", self._disk, needs=("workdir", *steps)),
            Check("estimate", self._estimate, ("pipeline", *steps), mark="note"),
        )

    def _machine(self) -> Iterator[str]:
        yield hardware.versions()
        yield hardware.host()
        yield from hardware.gpus() or ["no GPU is seen"]

    def _devices(self) -> Iterator[str]:
        runtime = self._config.runtime
        if runtime.strategy == "multi_worker":
            runtime = dataclasses.replace(runtime, strategy="auto")
        try:
            self._open_session(runtime)
        except ConfigError:
            # All that can be said without these devices is said all the same.
            self._open_session(
                dataclasses.replace(runtime, min_gpus=0, strategy="auto")
            )
            yield self._strategy
            raise
        yield self._strategy

    def _open_session(self, runtime: RuntimeConfig) -> None:
        """Of this process alone, whatever cluster it is in."""
        self._session = open_session(
            dataclasses.replace(self._config, runtime=runtime),
            self._scratch,
            None,
            Termination(
                grace_secs=runtime.grace_secs, watchdog_secs=runtime.watchdog_secs
            ),
            command="doctor",
        )

    @property
    def _strategy(self) -> str:
        return distribution.describe_devices(self._session.strategy)

    def _gpu_hints(self) -> Iterator[str]:
        num_seen = len(tf.config.list_physical_devices("GPU"))
        wanted = max(self._config.runtime.min_gpus, hardware.num_driver_gpus())
        if num_seen < wanted:
            yield from hardware.gpu_hints(distribution.visible_gpus())

    def _precision(self) -> Iterator[str]:
        runtime = self._config.runtime
        wanted = {
            role: teacher.precision for role, teacher in self._config.teachers.items()
        }
        wanted["student"] = self._config.student.precision
        for role, precision in wanted.items():
            reason = distribution.precision_reason(precision, runtime, setting=role)
            yield f"{role} {self._session.precision(role)} ({reason})"
        compiled = "on" if self._session.xla else "off"
        yield f"XLA {compiled} ({distribution.xla_reason(runtime)})"

    def _workdir(self) -> Iterator[str]:
        self._free = workdir.try_writing(self._path, num_bytes=_WRITTEN_BYTES)
        if self._free is None:
            yield f"{self._path}: {memory.text(_WRITTEN_BYTES)} written and removed"
            return
        yield (
            f"{self._path}: {memory.text(_WRITTEN_BYTES)} written, synced, renamed and "
            f"removed; {memory.text(self._free)} free"
        )

    def _run(self) -> Iterator[str]:
        workdir.check(self._path, self._config)
        begun = []
        for role, seed, folder in self._trainings():
            step = checkpoint.latest_position(folder / workdir.CHECKPOINTS).step
            if (folder / workdir.FINISHED).exists():
                begun.append(f"{role} seed {seed} finished")
            elif step:
                begun.append(f"{role} seed {seed} at step {step}")
        if workdir.is_finished(self._path):
            yield "finished, and so is the report"
        else:
            yield ", ".join(begun) or "nothing is trained there yet"

    def _dataset(self) -> Iterator[str]:
        for source in self._session.sources:
            yield source.description

    def _splits(self) -> Iterator[str]:
        started = time.perf_counter()
        session = self._session
        counts = [
            len(session.training),
            len(session.transfer),
            len(session.validation),
            len(session.source.read(self._config.data.test_split)),
        ]
        secs = time.perf_counter() - started
        yield (
            "{} examples train the teacher, {} the students, {} select, {} test; "
            "read in {:.1f} s".format(*counts, secs)
        )

    def _build_teacher(self) -> Iterator[str]:
        for role, teacher in self._config.teachers.items():
            model = self._session.build(role, teacher.seed)
            self._teachers[role] = model
            yield self._of_member(role, _parameters(teacher.model, model))

    def _teacher_step(self) -> Iterator[str]:
        for role in self._teachers:
            for line in self._one_teacher_step(role):
                yield self._of_member(role, line)

    def _one_teacher_step(self, role: str) -> Iterator[str]:
        section, model = self._config.teachers[role], self._teachers[role]
        if section.head:
            with models.head_alone(model):
                head = head_alone(self._session, role, model, section.head)
                for line in self._try_out(head):
                    yield f"of its head alone: {line}"
        if section.train:
            train, weights = section.train, section.weights
            yield from self._try_out(
                supervised(self._session, role, model, train, weights)
            )
            return
        take_weights(self._session, role, model)
        yield "none: the teacher is used as it is"

    def _of_member(self, role: str, line: str) -> str:
        """The finding `line`, with the name of the member where there are several."""
        return f"{role}: {line}" if len(self._config.teachers) > 1 else line

    def _build_student(self) -> Iterator[str]:
        self._student = self._session.build("student", self._config.seeds[0])
        yield _parameters(self._config.student.model, self._student)

    def _pipeline(self) -> Iterator[str]:
        training = alone(self._session, self._student, self._config.seeds[0])
        self._pipeline_rate = trial.pipeline_rate(self._session, training)
        yield (
            f"{self._pipeline_rate:,.0f} examples/s in the student's batches of "
            f"{training.section.global_batch_size}, with no model at work"
        )

    def _student_step(self) -> Iterator[str]:
        for model in self._teachers.values():
            model.trainable = False
        signals, seed = online([*self._teachers.values()]), self._config.seeds[0]
        yield from self._try_out(
            distillation(self._session, self._student, signals, seed)
        )
        for role, model in self._teachers.items():
            name = role if len(self._teachers) > 1 else "the teacher"
            yield f"of {name} a replica keeps {trial.footprint(model, {}).text}"
        if self._config.finetune:
            for line in self._try_out(from_labels(self._session, self._student, seed)):
                yield f"of its finetune: {line}"

    def _baseline_step(self) -> Iterator[str]:
        yield from self._try_out(
            alone(self._session, self._student, self._config.seeds[0])
        )

    def _try_out(self, training: Training) -> Iterator[str]:
        # What an earlier trial left would count as memory of this one.
        gc.collect()
        tried = trial.try_out(self._session, training)
        self._trials[training.role] = tried
        yield (
            f"first of {tried.num_steps:,} done after {tried.first_secs:.1f} s, with "
            "tracing and compiling"
        )
        yield (
            f"then {1000 * tried.step_secs:.3g} ms each, "
            f"{tried.examples_per_sec:,.0f} examples/s (median of {tried.loops})"
        )
        yield f"a replica keeps {tried.footprint.text}"
        yield from tried.peak

    def _disk(self) -> Iterator[str]:
        needed = disk.needed_bytes(
            self._trials,
            self._teachers,
            num_trainings={role: len(seeds) for role, seeds in self._seeds.items()},
            keep_checkpoints=self._config.runtime.keep_checkpoints,
        )
        there = sum(
            files.num_bytes(file)
            for *_, folder in self._trainings()
            for file in files.under(folder)
            if file.suffix in (".npz", ".keras")
        )
        missing = needed - there
        if self._free is not None and self._free < missing:
            raise files.StorageError(
                f"--workdir {self._path} needs about {memory.text(missing)} more for "
                f"checkpoints and models, got {memory.text(self._free)} free; make "
                "room, choose another --workdir, or lower runtime.keep_checkpoints "
                f"({self._config.runtime.keep_checkpoints})"
            )
        free = "" if self._free is None else f", {memory.text(self._free)} free"
        yield (
            f"about {memory.text(needed)} for checkpoints and models, "
            f"{memory.text(there)} of it there{free}"
        )

    def _estimate(self) -> Iterator[str]:
        parts, total = [], 0.0
        for role, tried in self._trials.items():
            num_trainings = len(self._seeds[role])
            num_steps = num_trainings * tried.num_steps
            # A few steps live on batches that were ready; a whole run cannot.
            waited = tried.global_batch_size / self._pipeline_rate
            total += num_steps * max(tried.step_secs, waited)
            parts.append(f"{role} {num_trainings} x {tried.num_steps:,}")
        yield (
            f"about {total / 60:.1f} minutes for the steps of a whole run "
            f"({', '.join(parts)}); validation, saving and the report come on top"
        )

    def _trainings(self) -> Iterator[tuple[str, int, epath.Path]]:
        for role, seeds in self._seeds.items():
            for seed in seeds:
                yield role, seed, workdir.training_folder(self._path, role, seed)


def _parameters(name: str, model: keras.Model) -> str:
    return f"{name}, {model.count_params():,} parameters"
