"""Faults that are done to a job on the cluster, and what has to come of them."""

import os
import pathlib
import signal
import time
from collections.abc import Callable

from tests.tools.real_parts.outcomes import PartError
from tests.tools.real_parts.slurm_cluster import Cluster, find_process
from tests.tools.real_parts.slurm_jobs import (
    SAVE_STEPS,
    Job,
    check_close,
    check_equal,
    train_alone,
)

# A checkpoint is there then, and most of the training is to come.
_MIDDLE = SAVE_STEPS + 20
# 0.5 MB of gradients a step and host: most of a second.
_SLOW_MEGABITS = 5


class Parts:
    """The parts in `folder`, of which the first has the results to compare with."""

    def __init__(self, cluster: Cluster, folder: pathlib.Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._jobs: list[Job] = []

    def all(self) -> dict[str, Callable[[], None]]:
        """Their names, in their order."""
        return {
            "a run on two hosts ends with the results of one process": self.run,
            "the time limit": self.time_limit,
            "`scontrol requeue`": self.requeue,
            "`scancel`, then the same `sbatch`": self.cancel,
            "SIGKILL to one worker": self.kill,
            "the network between the hosts cut": self.cut,
            "a host unplugged": self.unplug,
        }

    def clean_up(self) -> None:
        """Leaves a whole network and no job to the next part."""
        self._cluster.mend()
        for job in self._jobs:
            job.cancel()
        self._jobs = []

    def run(self) -> None:
        train_alone(self._folder / "alone", self._cluster)
        job = self._submit("run")
        job.finish()
        job.check_tidy()
        check_close(job.workdir, self._folder / "alone")

    def time_limit(self) -> None:
        """Two minutes, of which training takes longer on the slow network."""
        job = self._submit("time", "--time=2", "--signal=TERM@30")
        job.wait_for_step(_MIDDLE)
        self._cluster.slow_down(_SLOW_MEGABITS)
        job.wait_for_restart()
        saved = job.step()
        self._cluster.mend()
        if "goes back into the queue, 1 of" not in job.log:
            raise PartError("the script has not requeued the job itself")
        self._end(job, least=saved)

    def requeue(self) -> None:
        job = self._submit("requeue")
        job.wait_for_step(_MIDDLE)
        self._cluster.run("scontrol", "requeue", job.number)
        job.wait_for_restart()
        self._end(job, least=_MIDDLE)

    def cancel(self) -> None:
        job = self._submit("cancel")
        job.wait_for_step(_MIDDLE)
        job.cancel()
        job.check_tidy()
        time.sleep(10)  # in which it might come back
        if job.state()["JobState"] != "CANCELLED" or job.state()["Restarts"] != "0":
            raise PartError(f"the job is not cancelled: {job.state()}")
        if not list((job.workdir / "teacher" / "checkpoints").glob("step-*.npz")):
            raise PartError("no checkpoint is left")
        self._end(self._submit("cancel", log="second.log"), least=_MIDDLE, starts=1)

    def kill(self) -> None:
        job = self._submit("kill")
        job.wait_for_step(_MIDDLE)
        worker = {"SLURM_JOB_ID": job.number, "SLURM_PROCID": "1"}
        process = find_process(("-m", "trainer", "run"), worker)
        if process is None:
            raise PartError("worker 1 is not there")
        os.kill(process, signal.SIGKILL)
        job.wait_for_restart()
        self._end(job, least=SAVE_STEPS)

    def cut(self) -> None:
        job = self._submit("cut")
        job.wait_for_step(_MIDDLE)
        self._cluster.cut_between_hosts()
        job.wait_for_restart()
        self._cluster.mend()
        self._end(job, least=SAVE_STEPS)

    def unplug(self) -> None:
        job = self._submit("unplug")
        job.wait_for_step(_MIDDLE)
        self._cluster.unplug("n2")
        job.wait_for_restart()
        self._cluster.mend()
        self._end(job, least=SAVE_STEPS)

    def _submit(self, name: str, *options: str, log: str = "log") -> Job:
        job = Job(self._cluster, self._folder / name, *options, log=log)
        self._jobs.append(job)
        return job

    def _end(self, job: Job, *, least: int, starts: int = 2) -> None:
        """The job goes on from that step, and its end is that of the first part."""
        job.finish()
        job.check_went_on(least=least, starts=starts)
        job.check_tidy()
        expected = self._folder / "run"
        if not (expected / "results.json").exists():
            raise PartError("it ended, but the first part left nothing to compare with")
        check_equal(job.workdir, expected)
