"""Opening a session: its devices, and the workers that share it."""

import time
from typing import Any

import keras
import tensorflow as tf
from etils import epath

import trainer
from trainer import console
from trainer.cluster import rendezvous
from trainer.cluster.hold import FREE, Hold
from trainer.cluster.termination import Termination
from trainer.cluster.tf_config import Cluster
from trainer.cluster.workers import Workers, joining
from trainer.config import Config, ConfigError, flatten, resolve
from trainer.devices import distribution
from trainer.session.given import Given
from trainer.session.run_devices import Devices
from trainer.session.session import Session
from trainer.storage import files, workdir

# Until a disk that machines share has shown each what another wrote.
_SHOWN_SECS = 60


def open_session(
    config: Config,
    path: epath.Path,
    cluster: Cluster | None,
    termination: Termination,
    *,
    command: str,
    hold: Hold = FREE,
    given: Given | None = None,
) -> Session:
    """Finds the devices, and the other workers, for `command` in the workdir `path`.

    `hold` is that of the workdir, where this process trains there.

    Raises:
      ConfigError: the devices or the strategy that the config asks for are not there,
        or cannot share its batches.
      ClusterError: the workers are not about to do the same, or two are one.
      StorageError: the secret by which workers know each other cannot be had.
      PeerLostError: a worker did not come.
    """
    num_workers, runtime = cluster.size if cluster else 1, config.runtime
    num_replicas = distribution.num_local_replicas(runtime, num_workers=num_workers)
    distribution.check_execution(config, num_replicas * num_workers)
    if cluster:
        own = {"command": command, "number of replicas": num_replicas}
        secret = rendezvous.Secret.of_workdir(path)
        _meet(config, cluster, own | _statement(config, path, cluster), secret)
    with joining(cluster):
        strategy = distribution.strategy(runtime, num_workers=num_workers)
    if cluster and not cluster.is_chief:
        _find_config(path, cluster)
    devices = Devices(
        runtime=runtime,
        strategy=strategy,
        workers=Workers(cluster),
        termination=termination,
        hold=hold,
    )
    return Session.of_run(config, path, devices, given)


def _meet(
    config: Config,
    cluster: Cluster,
    statement: dict[str, Any],
    secret: rendezvous.Secret,
) -> None:
    num_replicas = statement["number of replicas"] * cluster.size
    for setting, section in config.trainings.items():
        # Known already, and sooner than TensorFlow has connected the workers.
        distribution.per_replica_batch_size(section, num_replicas, setting=setting)
    everyone = cluster.titles(list(range(cluster.size)))
    console.log(f"{cluster.name} is one of {everyone}")
    rendezvous.meet(
        cluster,
        statement,
        timeout_secs=config.runtime.rendezvous_secs,
        say=console.log,
        secret=secret,
    )
    cluster.announce()


def _find_config(path: epath.Path, cluster: Cluster) -> None:
    """Looks for what the chief wrote into the workdir before the workers met."""
    for _ in range(_SHOWN_SECS):
        if files.exists(path / workdir.CONFIG):
            return
        time.sleep(1)
    raise ConfigError(
        f"--workdir must be on a disk, or in a store, that all workers share, got "
        f"{path}, where {cluster.name} does not find the chief's {workdir.CONFIG}"
    )


def _statement(config: Config, path: epath.Path, cluster: Cluster) -> dict[str, Any]:
    """All that has to be the same on every worker, by its name in a message."""
    settings = flatten(resolve(config))
    del settings["data.data_dir"]  # each machine may have its own copy
    return {
        "list of addresses in TF_CONFIG": cluster.addresses,
        "Alambic": trainer.__version__,
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "--workdir": str(path),
        **settings,
    }
