"""The meeting of all workers, as each of them takes part in it."""

from collections.abc import Callable

from trainer.cluster.rendezvous import peers
from trainer.cluster.rendezvous.arrival import Arrival
from trainer.cluster.rendezvous.patience import Patience
from trainer.cluster.rendezvous.reception import Reception
from trainer.cluster.rendezvous.secret import Secret
from trainer.cluster.rendezvous.statement import Statement, bound
from trainer.cluster.tf_config import Cluster

REPORT_EVERY_SECS = 30.0


def meet(
    cluster: Cluster,
    statement: Statement,
    *,
    timeout_secs: float,
    say: Callable[[str], None],
    secret: Secret | None = None,
    report_every_secs: float = REPORT_EVERY_SECS,
) -> None:
    """Returns on every worker once all are there and make the same statement.

    Only who knows the `secret` takes part; without one, whoever speaks as workers do.
    Who is missing is said every `report_every_secs` seconds.

    Raises:
      PeerLostError: a worker did not come within `timeout_secs`.
      ClusterError: the statements differ, on every worker; or another worker has this
        one's rank.
      StorageError: the chief cannot make or read the secret.
    """
    # The chief decides when it is over, and tells.
    spare_secs = 0.0 if cluster.is_chief else peers.ANSWER_SECS
    patience = Patience(timeout_secs, spare_secs, report_every_secs, say)
    if cluster.is_chief:
        known = secret.read_or_create() if secret else b""
        reception = Reception(cluster, patience, known)
        reception.run(bound(statement))
    else:
        Arrival(cluster, patience, secret).run(bound(statement))
