"""A Slurm cluster of two hosts on this machine: its daemons, its network, its commands.

It is made inside namespaces of its own (see slurm.py), whose end ends all of it: the
controller stands at a bridge, and each host is a network namespace at the end of a
cable. They share the disk and the processes' numbers.
"""

import os
import pathlib
import secrets
import subprocess
import time
from collections.abc import Callable, Sequence

from tests.tools.real_parts.outcomes import PartError

HOSTS = ("n1", "n2")
_NETWORK = "10.77.0"
_CONTROLLER = f"{_NETWORK}.254"
_SLURMD_TIMEOUT_SECS = 10
# A requeued job waits until its credentials have run out, 120 seconds by default.
_CREDENTIAL_SECS = 5
# The hosts have as many cores and GPUs as the script asks for, and TensorFlow finds
# no GPU there.
_CONFIG = """\
ClusterName=alambic
SlurmctldHost=controller
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire={credential_secs}
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SlurmdTimeout={slurmd_timeout_secs}
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=n[1-2] CPUs=8 Gres=gpu:1
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""
# Of a host, which waits for its end of the cable.
_HOST = """\
hostname {host}
ip link set lo up
echo $$ >{folder}/{host}.pid
until ip link show eth0 >/dev/null 2>&1; do sleep 0.1; done
ip address add {address}/24 dev eth0
ip link set eth0 up
exec slurmd -D
"""


class Cluster:
    """The cluster in `folder`; it runs once `start` has returned."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        """Returns when both hosts wait for jobs."""
        self._write_files()
        self.run("ip", "link", "set", "lo", "up")
        self.run("hostname", "controller")
        self.run("mount", "--bind", str(self._folder / "hosts"), "/etc/hosts")
        self.run("ip", "link", "add", "bridge0", "type", "bridge")
        self.run("ip", "address", "add", f"{_CONTROLLER}/24", "dev", "bridge0")
        self.run("ip", "link", "set", "bridge0", "up")
        self._start_daemon(
            *("munged", "--foreground", "--force"),
            f"--key-file={self._folder}/munge.key",
            f"--socket={self._folder}/munge.socket",
            f"--pid-file={self._folder}/munge.pid",
            f"--log-file={self._folder}/munge.log",
            f"--seed-file={self._folder}/munge.seed",
        )
        wait_for((self._folder / "munge.socket").exists, what="munged listens", secs=30)
        self._start_daemon("slurmctld", "-D")
        for index, host in enumerate(HOSTS, start=1):
            self._start_host(host, f"{_NETWORK}.{index}")
        wait_for(self.is_idle, what="both hosts are idle", secs=60)

    def run(self, *words: str) -> str:
        """The output of a command, which must succeed."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise PartError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def is_idle(self) -> bool:
        """Whether the controller answers, and both hosts wait for jobs."""
        done = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format=%T"],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        return done.stdout.split() == ["idle"] * len(HOSTS)

    def cut_between_hosts(self, *, is_cut: bool = True) -> None:
        """Parts the hosts, which both reach the controller as before."""
        for host in HOSTS:
            state = "on" if is_cut else "off"
            self.run("bridge", "link", "set", "dev", _cable(host), "isolated", state)

    def unplug(self, host: str) -> None:
        """Parts a host from everything."""
        self.run("ip", "link", "set", _cable(host), "down")

    def slow_down(self, megabits: int) -> None:
        """Lets so much a second go to each host; each step sends all gradients."""
        shape = ("tbf", "rate", f"{megabits}mbit", "burst", "64kb", "latency", "2s")
        for host in HOSTS:
            self.run("tc", "qdisc", "replace", "dev", _cable(host), "root", *shape)

    def mend(self) -> None:
        """Makes the network whole and fast."""
        self.cut_between_hosts(is_cut=False)
        for host in HOSTS:
            self.run("ip", "link", "set", _cable(host), "up")
            if "tbf" in self.run("tc", "qdisc", "show", "dev", _cable(host)):
                self.run("tc", "qdisc", "delete", "dev", _cable(host), "root")

    def _write_files(self) -> None:
        (self._folder / "state").mkdir()
        texts = {
            "slurm.conf": _CONFIG.format(
                folder=self._folder,
                credential_secs=_CREDENTIAL_SECS,
                slurmd_timeout_secs=_SLURMD_TIMEOUT_SECS,
            ),
            "gres.conf": "NodeName=n[1-2] Name=gpu File=/dev/null\n",
            "hosts": f"127.0.0.1 localhost\n{_CONTROLLER} controller\n"
            + "".join(f"{_NETWORK}.{i} {host}\n" for i, host in enumerate(HOSTS, 1)),
            "munge.key": secrets.token_hex(64),
        }
        for name, text in texts.items():
            (self._folder / name).write_text(text)
            (self._folder / name).chmod(0o600)

    def _start_daemon(self, *words: str) -> None:
        with open(self._folder / "daemons.log", "a") as log:
            subprocess.Popen(
                words,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _start_host(self, host: str, address: str) -> None:
        (self._folder / f"spool-{host}").mkdir()
        script = _HOST.format(host=host, folder=self._folder, address=address)
        self._start_daemon("unshare", "--net", "--uts", "sh", "-c", script)
        path = self._folder / f"{host}.pid"
        wait_for(lambda: path.exists() and path.read_text(), what=host, secs=30)
        far_end = ("peer", "name", "eth0", "netns", path.read_text().strip())
        self.run("ip", "link", "add", _cable(host), "type", "veth", *far_end)
        self.run("ip", "link", "set", _cable(host), "master", "bridge0", "up")


def _cable(host: str) -> str:
    return f"to-{host}"


def wait_for(what_holds: Callable[[], object], *, what: str, secs: float) -> None:
    """Returns once it holds.

    Raises:
      PartError: it does not within that time.
    """
    deadline = time.monotonic() + secs
    while not what_holds():
        if time.monotonic() > deadline:
            raise PartError(f"not within {secs:.0f} s: {what}")
        time.sleep(0.2)


def find_process(words: Sequence[str], variables: dict[str, str]) -> int | None:
    """The process whose command line has the words and whose environment says so."""
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_text().split("\0")
            environment = (path / "environ").read_text().split("\0")
        except OSError:  # it has ended
            continue
        told = {f"{name}={value}" for name, value in variables.items()}
        if [*command[1 : len(words) + 1]] == [*words] and told <= set(environment):
            return int(path.name)
    return None
