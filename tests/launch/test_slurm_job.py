"""The script of a Slurm job: which ends put it back into the queue, and how often.

Slurm's programs are stand-ins; each worker is a real process.
"""

import contextlib
import itertools
import json
import pathlib
import subprocess
import sys

import pytest
from etils import epath

from launch.environment import requeues, srun_codes
from tests.helpers.messages import assert_states
from tests.helpers.repository import REPOSITORY
from tests.helpers.slurm_stand_ins import JOB, StandIns
from trainer.cluster import restart_budget
from trainer.cluster.rendezvous import PeerLostError

SCRIPT = REPOSITORY / "launch" / "environment" / "distill.sbatch"
# A worker that ends as the word of its rank says, or waits until it is stopped.
WORKER = """\
import os, signal, sys, time
end = sys.argv[1].split()[int(os.environ["SLURM_PROCID"])]
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
if end == "wait":
    print("waits", flush=True)
    time.sleep(60)
time.sleep(0.5)  # so that the others wait
if end == "KILL":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(end))
"""


@pytest.fixture
def slurm(tmp_path: pathlib.Path) -> StandIns:
    folder = tmp_path / "bin"
    folder.mkdir()
    return StandIns(folder)


def job_words(ends: str, *flags: str, workdir: pathlib.Path | None = None) -> list[str]:
    program = ["python", "-c", WORKER, ends]
    program += [f"--workdir={workdir}"] if workdir else []
    return [sys.executable, "-m", "launch", "slurm", *flags, "--", *program]


def test_the_slurm_script_is_one():
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    options = [
        line.split()[1]
        for line in SCRIPT.read_text().splitlines()
        if line.startswith("#SBATCH")
    ]
    assert {"--requeue", "--open-mode=append", "--signal=TERM@180"} <= set(options)


def test_the_slurm_script_runs_the_trainer_with_all_its_words(slurm, tmp_path):
    words = ["bash", str(SCRIPT), "--config=not there.toml", f"--workdir={tmp_path}"]
    code, _, err = slurm.run(words, num_tasks=1)
    assert code == 2
    assert_states(err, "not there.toml")
    assert slurm.requests() == []


@pytest.mark.parametrize(
    ("ends", "code", "is_requeued"),
    [
        ("0 0", 0, False),
        ("143 143", 143, True),
        ("138 wait", 143, True),
        ("KILL wait", 143, True),
        ("KILL", 137, True),
        # The others are stopped since one had a bug, or was interrupted.
        ("wait 1", 1, False),
        ("2 wait", 2, False),
        ("wait 130", 130, False),
    ],
)
def test_a_slurm_job_goes_back_into_the_queue_where_that_may_help(
    slurm, tmp_path, ends, code, is_requeued
):
    words = job_words(ends, workdir=tmp_path / "run")
    found, _, err = slurm.run(words, num_tasks=len(ends.split()))
    assert found == code, err
    assert slurm.requests() == ([f"requeue {JOB}"] if is_requeued else [])
    assert not list(tmp_path.rglob("exit-codes*"))


def test_a_worker_that_finds_no_cluster_ends_the_job_for_good(slurm, tmp_path):
    """The others, which are stopped, would have it started again."""
    # Both tasks are told to be the first of their host.
    path = slurm.folder / "srun"
    told = '"SLURM_LOCALID": str(rank)'
    assert told in path.read_text()
    path.write_text(path.read_text().replace(told, '"SLURM_LOCALID": "0"'))
    code, _, err = slurm.run(job_words("wait 0", workdir=tmp_path / "run"), num_tasks=2)
    assert code == 2
    assert_states(err, "--distribution=block")
    assert slurm.requests() == []


def test_only_requeues_that_kept_nothing_new_are_counted(tmp_path):
    counts = []
    # A run that keeps a checkpoint in each of its first starts, and then no more.
    for newest in (0, 1, 2, 3, 3, 3, 4):
        kept = [f"teacher/step-{i}.npz" for i in range(newest)]
        # As the trainer does at a start, of what the starts before it have kept.
        (tmp_path / "attempts.json").write_text(json.dumps({"kept": kept}))
        counts.append(requeues.of(str(tmp_path), JOB).add())
    assert counts == [1, 1, 1, 1, 2, 3, 1]
    # The trainer removes its file where it gives up.
    (tmp_path / "attempts.json").unlink()
    assert requeues.of(str(tmp_path), JOB).add() == 2
    assert requeues.of(str(tmp_path), JOB).add() == 3
    # Another job there begins anew.
    assert requeues.of(str(tmp_path), "78").add() == 1


def test_the_count_reads_what_the_trainer_writes(tmp_path):
    checkpoints = tmp_path / "teacher" / "checkpoints"
    checkpoints.mkdir(parents=True)
    counts = []
    for newest in (1, None, None, 2, 3, None):
        start = restart_budget.count_start(
            epath.Path(tmp_path),
            soft_targets=epath.Path(tmp_path / "soft_targets"),
            max_restarts=5,
        )
        with contextlib.suppress(PeerLostError), start:
            if newest:
                (checkpoints / f"step-{newest}.npz").touch()
            raise PeerLostError("a worker was lost")
        counts.append(requeues.of(str(tmp_path), JOB).add())
    # The next start finds what one has kept.
    assert counts == [1, 1, 2, 3, 1, 1]


def test_a_job_that_keeps_nothing_stays_out_of_the_queue(slurm, tmp_path):
    words = job_words("139", "--max-requeues=1", workdir=tmp_path / "run")
    # Slurm's own restarts do not count.
    for restarts in (30, 31):
        code, _, err = slurm.run(words, num_tasks=1, restarts=restarts)
        assert code == 139
    assert slurm.requests() == [f"requeue {JOB}"]
    assert_states(err, "--max-requeues=1", JOB)


def test_the_count_is_gone_once_the_job_has_ended(slurm, tmp_path):
    workdir = tmp_path / "run"
    slurm.run(job_words("143", workdir=workdir), num_tasks=1)
    assert [path.name for path in workdir.iterdir()] == ["requeues.json"]
    slurm.run(job_words("0", workdir=workdir), num_tasks=1)
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", '{"job": "77", "count": "x"}', "[" * 9999])
def test_a_damaged_count_begins_anew(tmp_path, text):
    (tmp_path / "requeues.json").write_text(text)
    assert requeues.of(str(tmp_path), "77").add() == 1
    assert requeues.of(str(tmp_path), "77").add() == 2


def test_a_count_that_cannot_be_written_is_that_of_slurm(slurm, tmp_path):
    (tmp_path / "run").write_text("no folder")
    words = job_words("143", "--max-requeues=3", workdir=tmp_path / "run")
    _, _, err = slurm.run(words, num_tasks=1, restarts=2)
    assert_states(err, str(tmp_path / "run"))
    slurm.run(words, num_tasks=1, restarts=3)
    assert slurm.requests() == [f"requeue {JOB}"]


def test_a_count_in_a_store_is_one_too(store):
    for count in (1, 2, 3):
        assert requeues.of(str(store), "5").add() == count
    (store / "attempts.json").write_text('{"kept": ["teacher/step-1.npz"]}')
    assert requeues.of(str(store), "5").add() == 1
    requeues.of(str(store), "5").forget()
    assert not (store / "requeues.json").exists()
    requeues.of(str(store), "5").forget()


def test_a_script_of_an_earlier_start_leaves_the_job_alone(slurm, tmp_path):
    """Its host was cut off, and the job has been started elsewhere meanwhile."""
    process = slurm.start(job_words("138", workdir=tmp_path / "run"), num_tasks=1)
    (slurm.folder / "restarts").write_text("1")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 138
    assert_states(err, JOB, "started again")
    assert slurm.requests() == []


def test_srun_that_waits_for_a_host_out_of_reach_is_ended(slurm, tmp_path, monkeypatch):
    """Slurm 22.05 does so where two hosts of a job no longer reach each other."""
    (slurm.folder / "cut_off").touch()
    program = (
        "import sys; from launch.environment import step; step._END_SECS = 1.0; "
        "from launch import main; sys.exit(main.main(sys.argv))"
    )
    words = job_words("138", workdir=tmp_path / "run")
    words[1:3] = ["-c", program]
    code, _, err = slurm.run(words, num_tasks=1)
    assert code == 138
    assert_states(err, "1 s")
    assert slurm.requests() == [f"requeue {JOB}"]


def test_outside_of_a_job_the_command_names_sbatch():
    process = subprocess.run(
        job_words("0"), cwd=REPOSITORY, capture_output=True, text=True
    )
    assert process.returncode == 2
    assert_states(process.stderr, "SLURM_JOB_ID", "sbatch")


@pytest.mark.parametrize("count", ["-1", "x"])
def test_a_limit_that_is_no_number_from_zero_is_refused(slurm, count):
    code, _, err = slurm.run(job_words("0", f"--max-requeues={count}"), num_tasks=1)
    assert code == 2
    assert_states(err, "--max-requeues", count)


# The codes after which nothing is started again: docs/exit_codes.md.
FOR_GOOD = [1, 2, 3, 4, 5, 130]


def test_the_highest_code_of_a_step_is_the_one_that_decides():
    mended = [0, 129, 137, 138, 139, 142, 143, 192, 255]
    for codes in itertools.product(mended, mended):
        highest = srun_codes.meant(max(srun_codes.told(code) for code in codes))
        assert highest == min(192, max(codes))
    for code, other in itertools.product(FOR_GOOD, mended):
        told = [srun_codes.told(each) for each in (code, other)]
        assert srun_codes.meant(max(told)) == code


def test_codes_that_no_table_knows_end_a_job_too():
    for code in {*range(1, 128)} - {*FOR_GOOD}:
        assert srun_codes.meant(srun_codes.told(code)) == 1


def test_codes_of_srun_itself_stay_what_they_are():
    # 233 is what srun 22.05 tells where it cannot reach a host: Slurm's error 1001.
    for code in (0, 1, 2, 127, 137, 143, *range(232, 241)):
        assert srun_codes.meant(code) == code
