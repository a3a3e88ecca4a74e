"""A worker's side of a meeting: it says what it will do, and waits for the chief."""

import socket
import time
from collections.abc import Iterator, Mapping

from trainer.cluster.rendezvous import messages, peers
from trainer.cluster.rendezvous.messages import StrangerError
from trainer.cluster.rendezvous.patience import RETRY_SECS, Patience, PeerLostError
from trainer.cluster.rendezvous.secret import AbsentError, Secret, SecretError
from trainer.cluster.rendezvous.statement import Statement
from trainer.cluster.tf_config import Cluster, ClusterError

_READ_AGAIN_SECS = 1.0
_SEE = "the workers may see different workdirs"


class Arrival:
    """The tries of a worker to meet the chief."""

    def __init__(
        self, cluster: Cluster, patience: Patience, secret: Secret | None
    ) -> None:
        self._patience = patience
        self._secret = secret
        self._address = cluster.addresses[0]
        self._chief = cluster.titles([0])
        self._rank = cluster.rank
        self._place = f"the secret {secret.path}" if secret else "how workers speak"
        self._said = False

    def run(self, statement: Statement) -> None:
        """Returns once the chief lets go.

        Raises:
          PeerLostError: the chief did not in time, or says that another worker is lost.
          ClusterError: the chief refuses this worker, or all of them.
        """
        known, doubt = b"", ""
        while True:
            pause = RETRY_SECS
            try:
                known = known or self._read()
                if self._is_let_go(known, statement):
                    return
                reason = f"it hung up{doubt}"
            except OSError as error:
                reason = f"{error.strerror or error}{doubt}"
            except (StrangerError, SecretError) as error:
                # It may be the chief, and the secret another in a new workdir.
                known, pause = b"", _READ_AGAIN_SECS
                reason = self._reason(error)
                # The chief ends a little earlier, which is not the reason then.
                doubt = f"; before, {reason}"
            self._patience.spend(f"{self._chief}: {reason}")
            time.sleep(pause)

    def _reason(self, error: StrangerError | SecretError) -> str:
        """The reason why workers share no secret; told at once if users can mend it."""
        if isinstance(error, StrangerError):
            return f"it does not know {self._place} ({error}); {_SEE}"
        if not self._said and not isinstance(error, AbsentError):
            self._said = True
            self._patience.say(str(error))
        return f"{error}; {_SEE}"

    def _read(self) -> bytes:
        try:
            return self._secret.read() if self._secret else b""
        except AbsentError:
            # There is nothing strange in that before the chief is there.
            peers.connection(self._address).close()
            raise

    def _is_let_go(self, secret: bytes, statement: Statement) -> bool:
        """Whether the chief lets go; else it has hung up without a word.

        Raises:
          StrangerError: whoever is there does not know the secret.
        """
        conversation = messages.Conversation(messages.WORKER, secret)
        with peers.connection(self._address) as connection:
            connection.sendall(conversation.greeting())
            for message in self._heard(connection, conversation):
                if "refused" in message:
                    raise ClusterError(str(message["refused"]))
                if "lost" in message:
                    raise PeerLostError(str(message["lost"]))
                if "go" in message:
                    return True
                answer = {"rank": self._rank, "host": socket.gethostname()}
                if "welcome" in message:
                    answer["statement"] = statement
                connection.sendall(conversation.seal(answer))
        return False

    def _heard(
        self, connection: socket.socket, conversation: messages.Conversation
    ) -> Iterator[Mapping[str, object]]:
        """Yields the messages of the chief, who sends one every other second."""
        connection.settimeout(RETRY_SECS)
        lines = messages.Lines()
        until = time.monotonic() + peers.ANSWER_SECS
        waiting_for = self._chief
        while time.monotonic() < until:
            try:
                part = connection.recv(messages.MAX_LINE_BYTES)
            except TimeoutError:
                self._patience.spend(waiting_for)
                continue
            if not part:
                return
            for line in lines.feed(part):
                if not conversation.is_greeted:
                    conversation.greet(line)
                    continue
                message = conversation.open_message(line)
                until = time.monotonic() + peers.ANSWER_SECS
                waiting_for = str(message.get("waiting", self._chief))
                yield message
            self._patience.spend(waiting_for)
        raise TimeoutError(f"silent for {peers.ANSWER_SECS:.0f} s")
