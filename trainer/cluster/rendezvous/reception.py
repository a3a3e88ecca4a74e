"""The chief's side of a meeting: it waits for all workers and lets them go at once.

Whoever connects is a stranger until it proves that it knows the secret of the run, for
which it has ten seconds. The chief waits for none of them: it hears what has come, and
hangs up on those who do not take what they are told.
"""

import selectors
import socket
import time
from collections.abc import Mapping

from trainer.cluster.rendezvous import peers
from trainer.cluster.rendezvous.guest import Guest
from trainer.cluster.rendezvous.messages import StrangerError
from trainer.cluster.rendezvous.patience import RETRY_SECS, Patience, PeerLostError
from trainer.cluster.rendezvous.statement import Statement, disagreement
from trainer.cluster.tf_config import Cluster, ClusterError

_ASK_SECS = 2.0  # between two questions to a worker whether it is still there
_MOST_STRANGERS = 256  # at a time
_ACCEPTED_AT_ONCE = 64
_NAMED = 10  # of the missing workers


class Reception:
    """A place for each worker, and who holds it."""

    def __init__(self, cluster: Cluster, patience: Patience, secret: bytes) -> None:
        self._cluster = cluster
        self._patience = patience
        self._secret = secret
        self._guests: list[Guest] = []
        self._holders: dict[int, Guest] = {}
        self._num_refused = 0
        self._changed = self._asked = 0.0
        self._selector = selectors.DefaultSelector()

    def run(self, statement: Statement) -> None:
        """Waits for every worker, compares, and tells all of them.

        Raises:
          PeerLostError: a worker did not come in time.
          ClusterError: the workers' statements differ.
        """
        try:
            with self._listening() as listener:
                self._selector.register(listener, selectors.EVENT_READ)
                while missing := self._missing():
                    self._ask(missing)
                    self._patience.spend(missing + self._refusals())
                    self._attend(listener)
                self._selector.unregister(listener)
            stated = {rank: guest.statement for rank, guest in self._holders.items()}
            problem = disagreement(self._cluster, {0: statement} | stated)
            self._part({"refused": problem} if problem else {"go": True})
        except PeerLostError as error:
            self._part({"lost": str(error)})
            raise
        finally:
            for guest in list(self._guests):
                self._drop(guest)
            self._selector.close()
        if problem:
            raise ClusterError(problem)

    def _listening(self) -> socket.socket:
        """The socket at the chief's port, once whoever had it has let it go."""
        host, _, port = self._cluster.addresses[0].rpartition(":")
        while True:
            try:
                return peers.listener(self._cluster)
            except OSError as error:
                reason = error.strerror
            self._patience.spend(f"port {port} of {host}, its own: {reason}")
            time.sleep(RETRY_SECS)

    def _missing(self) -> str:
        """The workers not here, or not heard since the last one came; "" for none."""
        ranks = [
            rank
            for rank in range(1, self._cluster.size)
            if rank not in self._holders or self._holders[rank].heard < self._changed
        ]
        more = f" and {len(ranks) - _NAMED} more" if len(ranks) > _NAMED else ""
        return self._cluster.titles(ranks[:_NAMED]) + more

    def _refusals(self) -> str:
        if not self._num_refused:
            return ""
        return (
            f" (turned away: {self._num_refused}, who did not prove to know the run's "
            "secret: strangers, or workers that see another workdir)"
        )

    def _ask(self, missing: str) -> None:
        """Tells the workers who is missing, which each of them answers."""
        now = time.monotonic()
        if now < self._asked + _ASK_SECS:
            return
        self._asked = now
        for guest in self._workers():
            self._tell(guest, {"waiting": missing})

    def _workers(self) -> list[Guest]:
        return [guest for guest in self._guests if guest.rank]

    def _attend(self, listener: socket.socket | None) -> None:
        """Lets in who has come, hears who says something, and gives the places."""
        for key, _ in self._selector.select(RETRY_SECS):
            if key.fileobj is listener:
                self._let_in(listener)
            elif key.data in self._guests:
                self._hear(key.data)
        for guest in list(self._guests):
            if guest.is_late:
                self._drop(guest)
        for guest in self._workers():
            if not guest.is_dismissed:
                self._give_place(guest)

    def _let_in(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError:  # such as too many files of this process
                self._make_room()
                return
            guest = Guest(connection, self._secret)
            self._guests.append(guest)
            self._selector.register(connection, selectors.EVENT_READ, guest)
            if len(self._guests) - len(self._workers()) > _MOST_STRANGERS:
                self._make_room()

    def _make_room(self) -> None:
        """Hangs up on the stranger that has been here longest."""
        for guest in self._guests:
            if not guest.rank:
                self._drop(guest)
                return

    def _hear(self, guest: Guest) -> None:
        try:
            for message in guest.hear():
                if not guest.rank and not guest.is_dismissed:
                    self._register(guest, message)
        except (OSError, StrangerError):
            self._drop(guest)

    def _register(self, guest: Guest, message: Mapping[str, object]) -> None:
        """Takes a worker's first message."""
        rank, statement = message.get("rank"), message.get("statement")
        # Python counts a bool among the ints.
        if type(rank) is not int or not isinstance(statement, dict):
            raise StrangerError("a worker states its rank and what it is about to do")
        if 0 < rank < self._cluster.size:
            guest.become(rank, str(message.get("host"))[:255], statement)
            self._asked = 0.0  # all are, and whoever holds its place is one of them
            return
        problem = (
            f"a worker's rank must be from 1 to {self._cluster.size - 1} in the "
            f"cluster of {self._cluster.titles([0])}, got {rank}; start every process "
            "with the same cluster in TF_CONFIG, and a task of its own"
        )
        guest.dismiss({"refused": problem})

    def _give_place(self, guest: Guest) -> None:
        """Makes a worker the holder of its place, unless another one is alive there."""
        holder = self._holders.get(guest.rank)
        if holder is None:
            self._holders[guest.rank] = guest
            # All are heard once more before they go.
            self._changed = time.monotonic()
        elif holder is not guest and holder.heard > guest.came:
            self._dismiss(guest, self._duplicate_rank(holder, guest))

    def _duplicate_rank(self, holder: Guest, guest: Guest) -> dict[str, str]:
        """The answer to a second worker that comes with a rank already taken."""
        title = self._cluster.titles([guest.rank])
        if holder.host == guest.host:
            return {
                "refused": f"{title} is there already, in another process of "
                f"{holder.host}; stop one of them, or give each a task.index of its own"
            }
        # Such as a pod that was made again while a lost node still runs the first.
        return {
            "lost": f"{title} is there already, on {holder.host}, while this one is on "
            f"{guest.host}; stop one of them, or give each a task.index of its own"
        }

    def _tell(self, guest: Guest, message: Mapping[str, object]) -> None:
        try:
            guest.tell(message)
        except (OSError, StrangerError):
            self._drop(guest)

    def _dismiss(self, guest: Guest, message: Mapping[str, object]) -> None:
        try:
            guest.dismiss(message)
        except (OSError, StrangerError):
            self._drop(guest)

    def _part(self, message: Mapping[str, object]) -> None:
        """Tells the workers, and waits until they hang up.

        Whoever hangs up first keeps the port busy for a while: TensorFlow needs the
        chief's.
        """
        for guest in list(self._guests):
            holder = self._holders.get(guest.rank)
            if holder is guest:
                self._dismiss(guest, message)
            elif holder and not guest.is_dismissed:
                self._dismiss(guest, self._duplicate_rank(holder, guest))
            elif not guest.is_dismissed:
                self._drop(guest)
        while self._guests:
            self._attend(None)

    def _drop(self, guest: Guest) -> None:
        self._guests.remove(guest)
        self._selector.unregister(guest.connection)
        if self._holders.get(guest.rank) is guest:
            del self._holders[guest.rank]
        self._num_refused += not guest.rank and not guest.is_dismissed
        guest.close()
