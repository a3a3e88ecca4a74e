"""The trainings of a whole run: how far they are, what trials of them foretell."""

from collections.abc import Iterator

from etils import epath

from trainer.config import Config
from trainer.devices import processors
from trainer.doctor.dry_run import DryRun
from trainer.progress.time_left import Pace, secs_of
from trainer.session import predictions
from trainer.stages import planned_work
from trainer.stages.planned_work import Sizes
from trainer.stages.soft_targets.plan import Building
from trainer.stages.teacher import head_role
from trainer.storage import files, workdir
from trainer.train import checkpoint


class Trainings:
    """The trainings of a config, each with its folder in the workdir `path`."""

    def __init__(self, config: Config, path: epath.Path) -> None:
        self.trials: dict[str, DryRun] = {}  # of the roles that were tried
        self._config = config
        self._path = path
        self._seeds: dict[str, tuple[int, ...]] = {}
        for role, teacher in config.teachers.items():
            if teacher.head:
                self._seeds[head_role(role)] = (teacher.seed,)
            self._seeds[role] = (teacher.seed,)
        self._seeds |= {"student": config.seeds, "baseline": config.seeds}
        if config.finetune:
            self._seeds["finetune"] = config.seeds

    @property
    def counts(self) -> dict[str, int]:
        """The number of trainings in each role."""
        return {role: len(seeds) for role, seeds in self._seeds.items()}

    def how_far(self) -> Iterator[str]:
        """Tells the progress of begun trainings, and which files will be set aside.

        Raises:
          CheckpointError: what they left is damaged, and nothing can go on from it.
          StorageError: what they told of their steps was changed.
        """
        if workdir.is_finished(self._path, self._config):
            yield "finished, and so is the report"
            return
        begun = []
        for role, seed, folder in self._folders():
            if (folder / workdir.FINISHED).exists():
                predictions.steps(folder)  # as the evaluation will do
                begun.append(f"{role} seed {seed} finished")
                continue
            progress, problem = checkpoint.find_intact(folder / workdir.CHECKPOINTS)
            step = progress.step
            if problem:
                yield f"{problem}; a run sets it aside and goes on from step {step}"
            if step:
                begun.append(f"{role} seed {seed} at step {step}")
        yield ", ".join(begun) or "nothing is trained there yet"

    def num_bytes_there(self) -> int:
        """The size of the checkpoints and models that earlier starts have left."""
        return sum(
            files.num_bytes(file)
            for *_, folder in self._folders()
            for file in files.walk(folder)
            if file.suffix in (".npz", ".keras")
        )

    def estimate(
        self, sizes: Sizes, *, pipeline_rate: float, building: Building | None
    ) -> str:
        """Estimates the time of a whole run, at most `pipeline_rate` examples a second.

        With the `building` of soft targets where students learn from caches.
        """
        paces = {}
        for role, tried in self.trials.items():
            # A few steps live on batches that were ready; a whole run cannot.
            step_secs = max(tried.step_secs, tried.global_batch_size / pipeline_rate)
            paces[role] = Pace(
                network=planned_work.network_of(role),
                start_secs=tried.first_secs,
                example_secs=step_secs / tried.global_batch_size,
            )
        works = planned_work.whole_run(self._config, sizes, caches=[])
        total = secs_of(works, paces) or 0.0
        predictions = ""
        if building:
            total += building.secs
            predictions = (
                f" and {building.num_predictions:,} predictions of the teacher"
            )
        parts = (
            f"{role} {self.counts[role]} x {tried.num_steps:,}"
            for role, tried in self.trials.items()
        )
        return (
            f"about {total / 60:.1f} minutes for a whole run, its evaluations and its "
            f"page among it: steps of {', '.join(parts)}{predictions}"
        )

    def bottleneck(self, *, pipeline_rate: float) -> str:
        """Names the slower of the input and the student's or baseline's steps."""
        role = next(role for role in ("student", "baseline") if role in self.trials)
        rate = self.trials[role].ready_rate
        if pipeline_rate >= rate:
            return (
                f"the steps are the bottleneck: {rate:,.0f} examples/s of the {role}, "
                f"of {pipeline_rate:,.0f} that the input makes"
            )
        return (
            f"the input is the bottleneck: it makes {pipeline_rate:,.0f} examples/s on "
            f"{processors.count()} processors, and steps of the {role} take "
            f"{rate:,.0f} where batches are ready; give it more processors, or see "
            "data.num_threads, data.keep and data.memory_budget_bytes"
        )

    def _folders(self) -> Iterator[tuple[str, int, epath.Path]]:
        for role, seeds in self._seeds.items():
            for seed in seeds:
                yield role, seed, workdir.training_folder(self._path, role, seed)
