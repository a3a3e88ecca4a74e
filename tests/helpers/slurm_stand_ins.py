"""Programs that answer as those of Slurm do, for one host that holds all tasks.

`python -m tests.tools.real_parts slurm` tries the same with Slurm itself.
"""

import os
import pathlib
import subprocess
import sys

from tests.helpers.repository import REPOSITORY

JOB = "77"
# Sends SIGTERM to the others once a task has failed, and tells the highest code. A task
# gets SIGTERM together with its program, as all processes of a task do from Slurm.
_SRUN = """\
import os, signal, subprocess, sys
words = sys.argv[1:]
while words[0].startswith("--"):
    words.pop(0)
folder = os.path.dirname(__file__)
count = int(open(folder + "/num_tasks").read())
step = {"SLURM_STEP_NODELIST": "n1", "SLURM_STEP_TASKS_PER_NODE": str(count)}
tasks = []
for rank in range(count):
    place = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_NODEID": "0"}
    tasks.append(
        subprocess.Popen(words, env=os.environ | step | place, start_new_session=True)
    )
codes = []
while len(codes) < count:
    pid, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    codes.append(code if code >= 0 else 128 - code)
    for task in tasks:
        if task.pid == pid:
            task.returncode = code
        elif codes[-1] and task.returncode is None:
            os.killpg(task.pid, signal.SIGTERM)
if os.path.exists(folder + "/cut_off"):
    signal.pause()
sys.exit(max(codes))
"""
_SCONTROL = """\
import os, sys
folder = os.path.dirname(__file__)
words = sys.argv[1:]
if words[:2] == ["show", "hostnames"]:
    print(words[2])
elif words[:2] == ["show", "job"]:
    print(f"JobId={words[2]} Restarts={open(folder + '/restarts').read()} Requeue=1")
else:
    open(folder + "/asked", "a").write(" ".join(words) + "\\n")
"""
# The real one asks the controller, which signals the script's own process.
_SCANCEL = """\
import os, signal, sys
folder = os.path.dirname(__file__)
assert sys.argv[1:] == ["--batch", "--signal=SIGUSR1", "77"], sys.argv
os.kill(int(open(folder + "/script").read()), signal.SIGUSR1)
"""


class StandIns:
    """A folder of such programs, and the jobs that find them there."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        for name, text in (
            ("srun", _SRUN),
            ("scontrol", _SCONTROL),
            ("scancel", _SCANCEL),
        ):
            path = folder / name
            path.write_text(f"#!{sys.executable} -S\n{text}")
            path.chmod(0o755)

    def start(
        self, words: list[str], *, num_tasks: int, restarts: int = 0, job: str = JOB
    ) -> subprocess.Popen[str]:
        """The script of a job, which runs `words`."""
        (self.folder / "num_tasks").write_text(str(num_tasks))
        (self.folder / "restarts").write_text(str(restarts))
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLURM_", "TF_CONFIG"))
        }
        path = f"{self.folder}:{pathlib.Path(sys.executable).parent}"
        own = {"PATH": f"{path}:{os.environ['PATH']}", "SLURM_JOB_ID": job}
        # The first start has none.
        again = {"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}
        process = subprocess.Popen(
            words,
            cwd=REPOSITORY,
            env=inherited | own | again,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        (self.folder / "script").write_text(str(process.pid))
        return process

    def run(self, words: list[str], **job) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of the script of a job."""
        process = self.start(words, **job)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def requests(self) -> list[str]:
        """Requests to the controller, one after the other."""
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []
