"""Jobs of the script distill.sbatch on the cluster, and what they leave."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np

from tests.helpers.repository import REPOSITORY
from tests.tools.real_parts.outcomes import PartError
from tests.tools.real_parts.slurm_cluster import Cluster, wait_for

CONFIG = "configs/mnist_mini.toml"
TEACHER_STEPS = 300
SAVE_STEPS = 100
# Short, and often in Python, so that SIGTERM is heard where a step takes a second.
SETTINGS = (
    "seeds=[0]",
    f"teacher.train.steps={TEACHER_STEPS}",
    "student.train.steps=100",
    "runtime.steps_per_loop=10",
    "runtime.log_every_steps=10",
    f"runtime.save_every_steps={SAVE_STEPS}",
    f"runtime.eval_every_steps={SAVE_STEPS}",
    "evaluate.inference_times=false",
)
_MODELS = ("teacher", "student", "baseline")
_SCRIPT = "launch/environment/distill.sbatch"
_ENDS = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


def flags(workdir: pathlib.Path) -> list[str]:
    """The flags of a run there."""
    sets = [f"--set={setting}" for setting in SETTINGS]
    return [f"--config={CONFIG}", f"--workdir={workdir}", *sets]


def train_alone(workdir: pathlib.Path, cluster: Cluster) -> None:
    """The same run in one process."""
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "run", *flags(workdir)],
        cwd=REPOSITORY,
        env=cluster.environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise PartError(f"one process ends with {done.returncode}: {done.stderr}")


class Job:
    """A job of the script, with the run in its workdir."""

    def __init__(
        self, cluster: Cluster, workdir: pathlib.Path, *options: str, log: str = "log"
    ) -> None:
        self._cluster = cluster
        self.workdir = workdir
        self._log = workdir.with_name(f"{workdir.name}.{log}")
        output = (f"--output={self._log}", f"--chdir={REPOSITORY}")
        script = str(REPOSITORY / _SCRIPT)
        self.number = cluster.run(
            *("sbatch", "--parsable", *output, *options, script, *flags(workdir))
        ).strip()

    @property
    def log(self) -> str:
        """All that the job has said, over all of its starts."""
        return self._log.read_text() if self._log.exists() else ""

    def state(self) -> dict[str, str]:
        """The controller's words, such as JobState, Restarts and ExitCode."""
        told = self._cluster.run("scontrol", "--oneliner", "show", "job", self.number)
        return dict(re.findall(r"(\w+)=(\S*)", told))

    def step(self) -> int:
        """The last step of the teacher that has been logged."""
        path = self.workdir / "teacher" / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        complete = [json.loads(line) for line in lines if line.endswith("}")]
        return complete[-1]["step"] if complete else 0

    def wait_for_step(self, step: int) -> None:
        """Returns in the middle of the teacher's training."""
        wait_for(
            lambda: self.step() >= step or self._is_over(),
            what=f"the teacher's step {step}",
            secs=180,
        )
        if self.step() < step:
            raise PartError(f"ended before step {step}: {self._told()}")

    def wait_for_restart(self, secs: float = 240) -> None:
        """Returns once the job is in the queue again, or has left it."""
        wait_for(
            lambda: self.state()["Restarts"] != "0" or self._is_over(),
            what="the job is requeued",
            secs=secs,
        )

    def finish(self) -> None:
        """Returns when the run has ended well."""
        wait_for(self._is_over, what=f"the job has ended: {self._told()}", secs=300)
        if self.state()["JobState"] != "COMPLETED":
            raise PartError(f"the job has not completed: {self._told()}")
        wait_for(self._cluster.is_idle, what="both hosts are idle", secs=60)

    def cancel(self) -> None:
        """Takes the job off, in whatever state it is."""
        self._cluster.run("scancel", self.number)
        wait_for(self._is_over, what="the job is cancelled", secs=90)
        wait_for(self._cluster.is_idle, what="both hosts are idle", secs=180)

    def check_went_on(self, *, least: int, starts: int = 2) -> None:
        """Whether the last start went on from step `least` of the teacher or later."""
        found = self.log.count("loading TensorFlow") // 2  # both workers say it
        if found < starts:
            raise PartError(f"{found} starts, not {starts}: {self._told()}")
        steps = re.findall(r"teacher seed 0 goes on from step (\d+)", self.log)
        if not steps or int(steps[0]) < least:
            raise PartError(f"went on from {steps or 'the beginning'}, not {least}")

    def check_tidy(self) -> None:
        """Whether nothing of the job is left beside the run."""
        left = [*REPOSITORY.glob("exit-codes*"), *REPOSITORY.glob("distill-*")]
        left += self.workdir.glob("*requeues.json*")
        if left:
            raise PartError(f"left behind: {', '.join(map(str, left))}")

    def _is_over(self) -> bool:
        return self.state()["JobState"] in _ENDS

    def _told(self) -> str:
        state = self.state()
        told = {name: state.get(name) for name in ("JobState", "Restarts", "ExitCode")}
        last = " / ".join(self.log.splitlines()[-4:])
        return f"{told}, the log ends with {last}"


def check_equal(workdir: pathlib.Path, expected: pathlib.Path) -> None:
    """Whether two runs of as many workers came to the same, bit for bit."""
    names = ["predictions.npz"]
    for role in _MODELS:
        folder = role if role == "teacher" else f"{role}/seed-0"
        newest = max((expected / folder / "checkpoints").glob("step-*.npz"))
        names.append(str(newest.relative_to(expected)))
    for name in names:
        ours, theirs = np.load(workdir / name), np.load(expected / name)
        if set(ours.files) != set(theirs.files):
            raise PartError(f"{name} holds other arrays")
        for key in theirs.files:
            if not np.array_equal(ours[key], theirs[key]):
                raise PartError(f"{key} in {name} is another")


def check_close(workdir: pathlib.Path, alone: pathlib.Path) -> str:
    """Whether a run of two workers came to what one process came to, up to rounding.

    Returns:
      The errors of its models.
    """
    ours, theirs = (
        json.loads((path / "results.json").read_text())["models"]
        for path in (workdir, alone)
    )
    errors = {name: ours[name]["test"]["errors"] for name in _MODELS}
    expected = {name: theirs[name]["test"]["errors"] for name in _MODELS}
    if any(abs(errors[name] - expected[name]) > 1 for name in _MODELS):
        raise PartError(f"errors {errors}, of one process {expected}")
    logits, of_one = (np.load(path / "predictions.npz") for path in (workdir, alone))
    for key in of_one.files:
        if of_one[key].dtype.kind == "f":
            far = float(np.abs(logits[key] - of_one[key]).max())
            if not far < 0.05:
                raise PartError(f"{key} is {far:.3g} from that of one process")
    return ", ".join(f"{name} {number}" for name, number in errors.items())
