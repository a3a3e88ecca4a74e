"""What the stages of one run share: its config, workdir, devices, data and teacher."""

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from etils import epath

import trainer
from trainer import (
    console,
    data,
    distribution,
    evaluate,
    files,
    models,
    rendezvous,
    workdir,
)
from trainer.cluster import Cluster
from trainer.config import (
    Config,
    ConfigError,
    StudentConfig,
    TeacherConfig,
    flatten,
    identity,
    resolved,
)
from trainer.termination import Termination
from trainer.workers import Workers, joining

# Until a disk that machines share has shown each what another wrote.
_SHOWN_SECS = 60


@dataclasses.dataclass(frozen=True)
class Session:
    """One run in one process. Data and teacher are loaded when first asked for."""

    config: Config
    path: epath.Path  # the workdir
    strategy: tf.distribute.Strategy
    workers: Workers
    termination: Termination

    @functools.cached_property
    def sources(self) -> tuple[data.Source, ...]:
        """The opened dataset, and the one of data.unlabeled where there is one.

        The chief prepares and lists what has to be.
        """
        lists = self.path / workdir.LISTS
        return self.workers.chief_first(
            lambda: data.open_sources(self.config.data, lists)
        )

    @property
    def source(self) -> data.Source:
        """The dataset that has labels."""
        return self.sources[0]

    @functools.cached_property
    def stop(self) -> tf.Variable:
        """What steps read to learn that this process is to end."""
        return distribution.stop_flag()

    @functools.cached_property
    def training(self) -> data.Examples:
        """All training examples: the teacher's."""
        return self.read(self.config.data.train_split)

    @functools.cached_property
    def labeled(self) -> data.Examples:
        """Those of the students' training examples that have labels.

        They are without data.exclude_labels.
        """
        return data.without_labels(self.training, self.config.data.exclude_labels)

    @functools.cached_property
    def transfer(self) -> data.Examples:
        """The students' training examples, with those of data.unlabeled."""
        unlabeled = self.config.data.unlabeled
        if unlabeled is None:
            return self.labeled
        return data.joined(self.labeled, self._read(self.sources[1], unlabeled.split))

    @functools.cached_property
    def validation(self) -> data.Examples:
        """The examples that select a checkpoint."""
        return self.read(self.config.data.validation_split)

    def read(self, split: str) -> data.Examples:
        """The examples of `split`, which are the same on all workers.

        Raises:
          DataError: they are not, or cannot be read.
        """
        return self._read(self.source, split)

    def _read(self, source: data.Source, split: str) -> data.Examples:
        examples = source.read(split)
        digest = hashlib.sha256(repr(source.class_names).encode())
        for array in (examples.ids, examples.labels):
            digest.update(np.ascontiguousarray(array).tobytes())
        if len(set(self.workers.exchange(digest.hexdigest()))) > 1:
            raise data.DataError(
                f"all workers must read the same examples of {split!r} in "
                f"{source.data.setting} {source.data.dataset!r}, got other ids, labels "
                "or classes on some of them; give all the same files"
            )
        return examples

    @functools.cached_property
    def teacher(self) -> keras.Model:
        """The finished teacher, frozen."""
        seed = self.config.teacher.seed
        model = self.build("teacher", seed)
        folder = self.folder("teacher", seed)
        self.load(model, folder / workdir.FINISHED, stage="teacher")
        model.trainable = False
        return model

    @functools.cached_property
    def teacher_validation_logits(self) -> np.ndarray:
        """The teacher's answers to the validation images: float32 [M, C]."""
        return self.predictor(self.teacher, self.validation)()

    def folder(self, role: str, seed: int) -> epath.Path:
        """Where the files of a "teacher", "student" or "baseline" are."""
        return workdir.training_folder(self.path, role, seed)

    @property
    def description(self) -> str:
        """One line on where the run executes."""
        return distribution.describe(self.strategy, self.config.runtime)

    @property
    def xla(self) -> bool:
        """Whether XLA compiles what the devices compute."""
        return distribution.compiles_with_xla(self.config.runtime)

    def build(self, role: str, seed: int) -> keras.Model:
        """The model of a "teacher", "student" or "baseline" with the weights of `seed`.

        A baseline is a student.
        """
        section = self._section(role)
        with self.strategy.scope():
            return models.build(
                section.model,
                section.options,
                inputs=models.Inputs(
                    shape=self.source.input_shape,
                    mean_and_variance=self.source.mean_and_variance,
                    image_size=section.image_size,
                ),
                num_classes=len(self.source.class_names),
                seed=seed,
                precision=self.precision(role),
                setting="teacher" if section is self.config.teacher else "student",
            )

    def precision(self, role: str) -> str:
        """The Keras dtype policy of the model in a role."""
        return distribution.precision(
            self._section(role).precision, self.config.runtime
        )

    def _section(self, role: str) -> TeacherConfig | StudentConfig:
        of_teacher = role in ("teacher_head", "teacher")
        return self.config.teacher if of_teacher else self.config.student

    def predictor(
        self, model: keras.Model, examples: data.Examples
    ) -> Callable[[], np.ndarray]:
        """A function to the model's present logits of all examples: float32 [M, C]."""
        return evaluate.predictor(
            model,
            examples,
            batch_size=self.config.runtime.eval_batch_size,
            stop=self.stop,
            watched=self.termination.watched,
            strategy=self.strategy,
            xla=self.xla,
        )

    def validate(self, logits: np.ndarray) -> dict[str, float]:
        """Metrics of validation logits [M, C] against the labels."""
        return evaluate.classification_metrics(logits, self.validation.labels)

    def load(self, model: keras.Model, path: epath.Path, *, stage: str) -> None:
        """Sets the weights of `model` to those that `stage` left in `path`.

        Raises:
          ConfigError: the stage has not been run in this workdir.
        """
        if not path.exists():
            raise ConfigError(
                f"{path} must be there first, got no such file; run "
                f"`python -m trainer {stage}` with the same --config and --workdir"
            )
        models.load_weights(
            model,
            str(path),
            setting=f"what the {stage} stage left",
            way_out=f"delete it and run `python -m trainer {stage}` again",
        )

    def run_name(self, role: str, seed: int) -> str:
        """Identifies one training: another config, role or seed gives another name."""
        settings = json.dumps(identity(resolved(self.config)))
        digest = hashlib.sha256(settings.encode()).hexdigest()[:16]
        return f"{self.config.name}/{role}/seed-{seed}/{digest}"


def open_session(
    config: Config,
    path: epath.Path,
    cluster: Cluster | None,
    termination: Termination,
    *,
    command: str,
) -> Session:
    """Finds the devices, and the other workers, for `command` in the workdir `path`.

    Raises:
      ConfigError: the devices or the strategy that the config asks for are not there,
        or cannot share its batches.
      ClusterError: the workers are not about to do the same.
      PeerLostError: a worker did not come.
    """
    num_workers = cluster.size if cluster else 1
    num_replicas = distribution.num_local_replicas(
        config.runtime, num_workers=num_workers
    )
    if cluster:
        own = {"command": command, "number of replicas": num_replicas}
        _meet(config, cluster, own | _statement(config, path, cluster))
    with joining(cluster):
        strategy = distribution.strategy(config.runtime, num_workers=num_workers)
    if cluster and not cluster.is_chief:
        _find_config(path, cluster)
    return Session(config, path, strategy, Workers(cluster), termination)


def _meet(config: Config, cluster: Cluster, statement: dict[str, Any]) -> None:
    num_replicas = statement["number of replicas"] * cluster.size
    for setting, section in config.trainings.items():
        # Known already, and sooner than TensorFlow has connected the workers.
        distribution.per_replica_batch_size(section, num_replicas, setting=setting)
    everyone = cluster.titles(list(range(cluster.size)))
    console.say(f"{cluster.name} is one of {everyone}")
    rendezvous.meet(
        cluster,
        statement,
        timeout_secs=config.runtime.rendezvous_secs,
        say=console.say,
    )
    cluster.announce()


def _find_config(path: epath.Path, cluster: Cluster) -> None:
    """Looks for what the chief wrote into the workdir before the workers met."""
    for _ in range(_SHOWN_SECS):
        if files.is_there(path / workdir.CONFIG):
            return
        time.sleep(1)
    raise ConfigError(
        f"--workdir must be on a disk, or in a store, that all workers share, got "
        f"{path}, where {cluster.name} does not find the chief's {workdir.CONFIG}"
    )


def _statement(config: Config, path: epath.Path, cluster: Cluster) -> dict[str, Any]:
    """What else has to be the same on every worker, by its name in a message."""
    settings = flatten(resolved(config))
    del settings["data.data_dir"]  # each machine may have its own copy
    return {
        "list of addresses in TF_CONFIG": cluster.addresses,
        "Alambic": trainer.__version__,
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "--workdir": str(path),
        **settings,
    }
