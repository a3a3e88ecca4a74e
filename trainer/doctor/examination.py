"""The checks of one config, in the order of a run."""

import dataclasses
import gc
import time
from collections.abc import Iterator

import keras
from etils import epath

from trainer import models
from trainer.cluster.termination import Termination
from trainer.config import Config, ConfigError, RuntimeConfig
from trainer.devices import distribution, memory
from trainer.doctor import compile_options, disk, dry_run, machine
from trainer.doctor.diagnostics import Check
from trainer.doctor.soft_target_source import costs_of, settle, with_caches_of_run
from trainer.doctor.trainings import Trainings
from trainer.evaluation import metrics
from trainer.session import Session, suspicions
from trainer.session.input_check import input_warning
from trainer.session.opening import open_session
from trainer.session.qualification import accuracy_warning, measure
from trainer.session.train_state import TrainSpec
from trainer.soft_targets import DummyTargets
from trainer.stages.baseline import baseline_training
from trainer.stages.finetune import finetune_training
from trainer.stages.planned_work import Sizes
from trainer.stages.soft_targets import formats
from trainer.stages.soft_targets.plan import Building
from trainer.stages.student import distillation, online
from trainer.stages.teacher import head_alone, supervised, take_weights
from trainer.storage import disk_space, workdir

_WRITTEN_BYTES = 2**20  # by the test of the disk


class Examination:
    """The checks of one config, and what they find and hand on to later ones."""

    _session: Session
    _student: keras.Model
    _free: int | None  # bytes on the workdir's disk; None where no one knows
    _pipeline_rate: float  # examples a second

    def __init__(
        self, config: Config, path: epath.Path, scratch: epath.Path, *, num_workers: int
    ) -> None:
        self._config = config
        self._seed = config.seeds[0]
        self._num_workers = num_workers  # of a run, not of this process
        self._path = path
        self._scratch = scratch
        self._trainings = Trainings(config, path)
        self._teachers: dict[str, keras.Model] = {}
        self._building: Building | None = None  # where students learn from caches

    def checks(
        self, surroundings: tuple[Check, ...] = (), *, measures: bool = False
    ) -> tuple[Check, ...]:
        """All of them, in the order of a run, with those of the `surroundings`."""
        runtime = self._config.runtime
        steps = ("teacher step", "student step", "baseline step")
        built = ("splits", "teacher model")
        # Only a live teacher has to be ready before the student.
        source = self._config.distill.soft_targets
        of_live = {
            "online": ("teacher step",),
            "auto": ("soft targets", "teacher step"),
        }
        taught = of_live.get(source, ("soft targets",))
        soft_targets = Check("soft targets", self._soft_targets, built)
        measured = Check("measure", self._ways, needs=("student step",), mark="note")
        return (
            Check("machine", machine.parts),
            Check("devices", self._devices),
            Check("GPU hints", lambda: machine.gpu_hints(runtime), mark="note"),
            Check("precision", lambda: machine.precision(self._session.networks)),
            Check("workdir", self._workdir),
            *surroundings,
            Check("run", self._run),
            Check("dataset", self._dataset),
            Check("splits", self._splits, needs=("dataset",)),
            Check("teacher model", self._build_teacher, needs=("dataset",)),
            *([soft_targets] if source != "online" else []),
            Check("teacher step", self._teacher_step, built),
            Check("student model", self._build_student, needs=("dataset",)),
            Check("pipeline", self._pipeline, ("splits", "student model")),
            Check("student step", self._student_step, (*taught, "student model")),
            *([measured] if measures else []),
            Check("baseline step", self._baseline_step, ("splits", "student model")),
            Check("disk", self._disk, needs=("workdir", *steps)),
            Check("estimate", self._estimate, ("pipeline", *steps), mark="note"),
        )

    def _devices(self) -> Iterator[str]:
        runtime = self._config.runtime
        if runtime.strategy == "multi_worker":
            runtime = dataclasses.replace(runtime, strategy="auto")
        try:
            self._open_session(runtime)
        except ConfigError:
            # All that can be said without these devices is said all the same.
            self._open_session(machine.undemanding(runtime))
            yield self._strategy
            raise
        yield self._strategy
        distribution.check_execution(self._config, self._num_replicas)

    @property
    def _num_replicas(self) -> int:
        """The number of replicas of a run; as many on each worker as here."""
        return self._session.devices.num_replicas * self._num_workers

    def _open_session(self, runtime: RuntimeConfig) -> None:
        """Opens a session of this process alone, whatever cluster it is in."""
        config = with_caches_of_run(self._config, self._path)
        session = open_session(
            dataclasses.replace(config, runtime=runtime),
            self._scratch,
            None,
            Termination(
                grace_secs=runtime.grace_secs, watchdog_secs=runtime.watchdog_secs
            ),
            command="doctor",
        )
        self._session = dataclasses.replace(session, begun=self._path)

    @property
    def _strategy(self) -> str:
        return distribution.describe_devices(self._session.devices.strategy)

    def _workdir(self) -> Iterator[str]:
        self._free = disk_space.try_writing(self._path, num_bytes=_WRITTEN_BYTES)
        if self._free is None:
            yield f"{self._path}: {memory.text(_WRITTEN_BYTES)} written and removed"
            return
        yield (
            f"{self._path}: {memory.text(_WRITTEN_BYTES)} written, synced, renamed and "
            f"removed; {memory.text(self._free)} free"
        )

    def _run(self) -> Iterator[str]:
        workdir.check(self._path, self._config)
        yield from self._trainings.how_far()

    def _dataset(self) -> Iterator[str]:
        for source in self._session.datasets.sources:
            yield source.description
        yield from suspicions.other_backgrounds(
            self._config, self._session.lock_dir, self._session.datasets.sources
        )

    def _splits(self) -> Iterator[str]:
        started = time.perf_counter()
        datasets = self._session.datasets
        test = datasets.read(self._config.data.test_split)
        every = (datasets.training, datasets.transfer, datasets.validation, test)
        counts = [len(examples) for examples in every]
        secs = time.perf_counter() - started
        yield (
            "{} examples train the teacher, {} the students, {} select, {} test; "
            "read in {:.1f} s".format(*counts, secs)
        )
        yield from filter(None, [suspicions.duplicates(self._config, datasets, test)])

    def _build_teacher(self) -> Iterator[str]:
        for role, teacher in self._config.teachers.items():
            model = self._session.networks.build(role, teacher.seed)
            self._teachers[role] = model
            yield self._name_member(role, _parameters(teacher.model, model))

    def _soft_targets(self) -> Iterator[str]:
        config, path, count = self._config, self._path, self._num_replicas
        if config.distill.soft_targets == "auto":
            self._session, line = settle(self._session, config, path, count)
            yield line
        teachers = [*self._teachers.values()]
        self._building = yield from costs_of(self._session, path, teachers)

    def _teacher_step(self) -> Iterator[str]:
        for role in self._teachers:
            for line in self._one_teacher_step(role):
                yield self._name_member(role, line)

    def _one_teacher_step(self, role: str) -> Iterator[str]:
        section, model = self._config.teachers[role], self._teachers[role]
        if section.head:
            with models.head_alone(model):
                head = head_alone(self._session.networks, role, model, section.head)
                for line in self._try_out(head):
                    yield f"of its head alone: {line}"
        if section.train:
            train, weights = section.train, section.weights
            yield from self._try_out(
                supervised(self._session.networks, role, model, train, weights)
            )
            return
        take_weights(self._session.networks, role, model)
        validation = self._session.datasets.validation
        logits = self._session.devices.predictor(model, validation, role=role)()
        networks = self._session.networks
        mapped = metrics.map_logits(logits, networks.class_map(role))
        found = measure(role, mapped, validation.labels)
        yield f"none: {found.text}"
        told = input_warning(networks, role, model=model, logits=logits)
        yield from filter(None, [told])
        yield from filter(None, [accuracy_warning(found, section)])

    def _name_member(self, role: str, line: str) -> str:
        """The finding `line`, with the name of the member where there are several."""
        return f"{role}: {line}" if len(self._config.teachers) > 1 else line

    def _build_student(self) -> Iterator[str]:
        self._student = self._session.networks.build("student", self._seed)
        yield _parameters(self._config.student.model, self._student)

    def _pipeline(self) -> Iterator[str]:
        training = baseline_training(self._session.networks, self._student, self._seed)
        self._pipeline_rate = dry_run.pipeline_rate(self._session.datasets, training)
        yield (
            f"{self._pipeline_rate:,.0f} examples/s in the student's batches of "
            f"{training.section.global_batch_size}, with no model at work"
        )

    def _student_step(self) -> Iterator[str]:
        for model in self._teachers.values():
            model.trainable = False
        yield from self._try_out(self._distillation(self._session))
        for i, (role, model) in enumerate(self._teachers.items()):
            name = role if len(self._teachers) > 1 else "the teacher"
            kept = dry_run.frozen_footprint(self._session.networks, i, model)
            yield f"of {name} a replica keeps {kept.text}"
        if self._config.finetune:
            networks = self._session.networks
            finetune = finetune_training(networks, self._student, self._seed)
            for line in self._try_out(finetune):
                yield f"of its finetune: {line}"

    def _ways(self) -> Iterator[str]:
        yield from compile_options.compare(
            self._session,
            self._distillation,
            num_replicas=self._num_replicas,
            is_live=not self._building,
        )

    def _distillation(self, session: Session) -> TrainSpec:
        """The student's training, by live teachers or by dummy targets."""
        networks, teachers = session.networks, [*self._teachers.values()]
        student, seed = self._student, self._seed
        if not self._building:
            signals = online(networks, teachers)
            return distillation(networks, student, signals, seed, teachers=teachers)
        in_memory = self._building.is_in_memory
        blank = DummyTargets(formats.record_formats(networks), is_in_memory=in_memory)
        return distillation(
            networks,
            student,
            blank.signals(),
            seed,
            teachers=teachers,
            auxiliary=blank,
        )

    def _baseline_step(self) -> Iterator[str]:
        yield from self._try_out(
            baseline_training(self._session.networks, self._student, self._seed)
        )

    def _try_out(self, training: TrainSpec) -> Iterator[str]:
        # What an earlier trial left would count as memory of this one.
        gc.collect()
        tried = dry_run.dry_run(self._session, training)
        self._trainings.trials[training.role] = tried
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
        parts = self._path, self._config, self._trainings, self._teachers
        yield disk.room(*parts, building=self._building, free=self._free)

    def _estimate(self) -> Iterator[str]:
        rate, sizes = self._pipeline_rate, Sizes.of(self._session.datasets)
        yield self._trainings.estimate(
            sizes, pipeline_rate=rate, building=self._building
        )
        yield self._trainings.bottleneck(pipeline_rate=rate)


def _parameters(name: str, model: keras.Model) -> str:
    return f"{name}, {model.count_params():,} parameters"
