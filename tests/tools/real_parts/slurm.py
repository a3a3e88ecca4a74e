"""Slurm: the script distill.sbatch on two hosts of a real cluster on this machine.

    python -m tests.tools.real_parts slurm

It needs root, to make namespaces, and Debian's packages of Slurm and Munge. Nothing
outside of the namespaces and the temporary folder is touched. They end with this
program, however it ends.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

from tests.helpers.repository import REPOSITORY
from tests.tools.real_parts import outcomes
from tests.tools.real_parts.slurm_cluster import Cluster
from tests.tools.real_parts.slurm_parts import Parts

_PACKAGES = {
    "slurm-wlm": ("slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel"),
    "munge": ("munged",),
    "iproute2": ("ip", "bridge", "tc"),
    "util-linux": ("unshare", "setpriv", "mount"),
}
_SYSTEM_FOLDERS = "/usr/sbin:/sbin"  # of daemons, which PATH may lack
# All of it dies with the first, which the kernel kills with this program. A shell is
# the first process inside: it reaps those whose parents have ended.
_INSIDE = (
    *("setpriv", "--pdeathsig=KILL"),
    *("unshare", "--net", "--mount", "--uts", "--ipc", "--pid"),
    *("--fork", "--kill-child", "--mount-proc"),
)
_REAPER = ("sh", "-c", '"$@"; exit $?', "sh")


def main(words: Sequence[str]) -> int:
    """Returns 0 if all parts passed, 1 if not, 2 where the machine lacks something."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.real_parts slurm")
    parser.add_argument("--keep", help="a folder that does not exist, to keep all in")
    parser.add_argument("--only", help="numbers of parts, such as 1,3", default="")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    values = parser.parse_args(words)
    if values.inside:
        return _try_all(pathlib.Path(values.inside), values.only)
    lack = lacking()
    if lack:
        print(f"real_parts slurm: {lack}", file=sys.stderr)
        return 2
    os.environ["PATH"] = _path()
    with _folder(values.keep) as folder:
        return _in_namespaces([f"--inside={folder}", f"--only={values.only}"])


def _path() -> str:
    return f"{os.environ['PATH']}:{_SYSTEM_FOLDERS}"


def lacking() -> str:
    """Names what the machine lacks, and how to get it; "" where nothing."""
    missing = {
        package: [name for name in names if not shutil.which(name, path=_path())]
        for package, names in _PACKAGES.items()
    }
    packages = [package for package, names in missing.items() if names]
    if packages:
        names = ", ".join(name for names in missing.values() for name in names)
        return f"{names} must be installed: apt-get install {' '.join(packages)}"
    tried = subprocess.run([*_INSIDE, "true"], capture_output=True, text=True)
    if tried.returncode:
        return f"namespaces must be allowed, run it as root: {tried.stderr.strip()}"
    return ""


@contextlib.contextmanager
def _folder(kept: str | None) -> Iterator[pathlib.Path]:
    if kept:
        folder = pathlib.Path(kept).resolve()
        folder.mkdir(parents=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        yield pathlib.Path(name)


def _in_namespaces(flags: list[str]) -> int:
    """Runs this program inside; the exit code is its own."""
    # So that what has been made is taken down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    words = [sys.executable, "-m", "tests.tools.real_parts", "slurm", *flags]
    process = subprocess.Popen(
        [*_INSIDE, *_REAPER, *words],
        cwd=REPOSITORY,
        start_new_session=True,  # Ctrl-C is for this program, which ends the others
    )
    try:
        return process.wait()
    finally:
        process.kill()
        process.wait()


def _try_all(folder: pathlib.Path, only: str) -> int:
    """Starts the cluster and tries the parts; the exit code says whether all passed."""
    os.environ["PATH"] = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ["TFDS_DATA_DIR"] = str(folder / "tfds")
    cluster = Cluster(folder)
    cluster.start()
    print(_machine(cluster), flush=True)
    parts = Parts(cluster, folder)
    found = []
    for number, (what, part) in enumerate(parts.all().items(), start=1):
        if not only or str(number) in only.split(","):
            found.append(outcomes.attempt(f"{number}. {what}", part))
            parts.clean_up()
    print(f"\n{outcomes.table(found)}")
    return int(any(outcome.failure for outcome in found))


def _machine(cluster: Cluster) -> str:
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    version = cluster.run("sinfo", "--version").strip()
    today = datetime.date.today().isoformat()
    return f"{version} on {system}, {os.cpu_count()} cores, {today}"
