"""The workers of a cluster find each other, and that they are to do the same.

TensorFlow's own start blocks, for up to an hour and with no signal let through, until
the last worker is there, and does not say which one is missing. So the workers meet
before it: each tells the chief what it is about to do, the chief waits for all of them,
compares, and lets all go at once. They know each other by a secret in the workdir, and
talk over TCP at the chief's address in TF_CONFIG, which TensorFlow takes over
afterwards. Importing this loads no TensorFlow.
"""

from trainer.cluster.rendezvous.meeting import meet
from trainer.cluster.rendezvous.patience import PeerLostError
from trainer.cluster.rendezvous.peers import absent
from trainer.cluster.rendezvous.secret import Secret

__all__ = ["PeerLostError", "Secret", "absent", "meet"]
