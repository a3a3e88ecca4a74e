"""TF_CONFIG out of what Slurm and JobSet tell a process."""

import errno
import json
import os
import pathlib
import subprocess
import sys

import pytest

from launch.environment import slurm
from launch.environment.process import environment
from launch.errors import LaunchError
from tests.helpers.messages import assert_states, refused
from tests.helpers.repository import REPOSITORY

SAY = "import os; print(os.environ.get('TF_CONFIG', 'none'))"
TASK = {
    "SLURM_JOB_ID": "123456",
    "SLURM_PROCID": "2",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_NODELIST": "n[10,2]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    # Of the job, which may be larger than the step.
    "SLURM_JOB_NODELIST": "n[1-10]",
    "SLURM_TASKS_PER_NODE": "4(x10)",
}


def write_program(folder: pathlib.Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def cluster_path(tmp_path: pathlib.Path) -> str:
    """A PATH with a program that answers as Slurm's does."""
    write_program(
        tmp_path,
        "scontrol",
        '[ "$*" = "show hostnames n[10,2]" ] && printf "n10\\nn2\\n" && exit\n'
        '[ "$*" = "show hostnames n7" ] && echo n7 && exit\n'
        'echo "Invalid hostlist: $3" >&2; exit 1',
    )
    return f"{tmp_path}:{os.environ['PATH']}"


def launch(*flags: str, **variables: str) -> tuple[int, str, str]:
    """Exit code, TF_CONFIG of the program, and what the launcher says."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLURM_", "ALAMBIC_", "JOB", "TF_CONFIG"))
    }
    process = subprocess.run(
        [sys.executable, "-m", "launch", "env", *flags, "--", "python", "-c", SAY],
        cwd=REPOSITORY,
        env=inherited | variables,
        capture_output=True,
        text=True,
    )
    return process.returncode, process.stdout.strip(), process.stderr


def test_the_tasks_of_a_slurm_step_become_workers_in_slurms_order(cluster_path):
    code, out, err = launch(PATH=cluster_path, **TASK)
    assert code == 0, err
    # 12768 ports are 6384 pairs, and 123456 = 19 * 6384 + 2160: 20000 + 2 * 2160.
    assert json.loads(out) == {
        "cluster": {"worker": ["n10:24320", "n10:24321", "n2:24320", "n2:24321"]},
        "task": {"type": "worker", "index": 2},
    }


@pytest.mark.parametrize("num_tasks", [1, 2, 3, 8])
def test_ports_are_below_those_that_the_kernel_gives_to_connections(
    cluster_path, num_tasks, monkeypatch
):
    """Of neither this kernel nor another: 32768 is where the range begins by default.

    Jobs whose numbers follow one another share no port.
    """
    monkeypatch.setenv("PATH", cluster_path)
    alone = {"SLURM_STEP_NODELIST": "n7", "SLURM_STEP_TASKS_PER_NODE": f"{num_tasks}"}
    first = {"SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_LOCALID": "0"}
    ports = set()
    jobs = [*range(12760 // num_tasks - 3, 12768 // num_tasks + 3), 2**32 - 1]
    for job in jobs:
        members, _ = slurm.members(TASK | alone | first | {"SLURM_JOB_ID": f"{job}"})
        found = {int(address.split(":")[1]) for address in members}
        assert len(found) == num_tasks
        assert min(found) >= 20000
        assert max(found) < 32768
        if job < 2**32 - 1:
            assert not found & ports
            ports |= found


@pytest.mark.parametrize(
    ("text", "counts"),
    [("1", [1]), ("2(x3),1", [2, 2, 2, 1]), ("1,12(x2)", [1, 12, 12])],
)
def test_tasks_per_node_are_read_as_slurm_writes_them(text, counts):
    assert slurm.task_counts(text) == counts


def test_one_task_is_no_cluster(cluster_path):
    alone = {"SLURM_STEP_NODELIST": "n7", "SLURM_STEP_TASKS_PER_NODE": "1"}
    first = {"SLURM_PROCID": "0", "SLURM_NODEID": "0"}
    variables = TASK | alone | first | {"TF_CONFIG": "{}"}
    assert launch(PATH=cluster_path, **variables) == (0, "none", "")


@pytest.mark.parametrize(
    ("changed", "facts"),
    [
        ({"SLURM_STEP_NODELIST": None}, ("SLURM_STEP_NODELIST", "srun")),
        ({"SLURM_JOB_ID": None}, ("SLURM_JOB_ID", "set")),
        ({"SLURM_STEP_TASKS_PER_NODE": "4"}, ("2 hosts", 4)),
        ({"SLURM_STEP_NODELIST": "n["}, ("Invalid hostlist: n[",)),
        # As --distribution=cyclic places ranks 0, 1, 2, 3 of two hosts.
        ({"SLURM_NODEID": "0", "SLURM_LOCALID": "1"}, ("--distribution=block",)),
        ({"PATH": "/nowhere"}, (os.strerror(errno.ENOENT), "PATH")),
        ({"SLURM_PROCID": "x"}, ("SLURM_PROCID", "number", "'x'")),
        ({"SLURM_PROCID": "-1"}, ("SLURM_PROCID", "number", "'-1'")),
        ({"SLURM_PROCID": "4"}, ("SLURM_PROCID", "4 tasks")),
        ({"SLURM_JOB_ID": ""}, ("SLURM_JOB_ID", "number", "got ''")),
    ],
)
def test_a_step_that_cannot_be_read_is_refused(
    cluster_path, changed, facts, monkeypatch
):
    monkeypatch.setenv("PATH", changed.get("PATH", cluster_path))
    variables = {n: text for n, text in (TASK | changed).items() if text is not None}
    with refused(LaunchError, *facts):
        environment(variables, num_workers=None)


DEMO = {
    "JOB_COMPLETION_INDEX": "1",
    "ALAMBIC_WORKERS": "2",
    "ALAMBIC_HOST": "demo-node-0-{index}.demo",
}
DEMO_CONFIG = {
    "cluster": {"worker": ["demo-node-0-0.demo:2222", "demo-node-0-1.demo:2222"]},
    "task": {"type": "worker", "index": 1},
}
JOBSET = {
    "JOB_COMPLETION_INDEX": "1",
    "JOBSET_NAME": "demo",
    "REPLICATED_JOB_NAME": "node",
}


def test_the_pods_of_a_trainjob_become_workers():
    code, out, _ = launch(**DEMO)
    assert code == 0
    assert json.loads(out) == DEMO_CONFIG


def test_the_pods_of_a_jobset_become_workers():
    code, out, _ = launch("--workers=2", **JOBSET)
    assert code == 0
    assert json.loads(out) == DEMO_CONFIG


def test_one_pod_is_no_cluster():
    code, out, _ = launch(
        **DEMO | {"ALAMBIC_WORKERS": "1", "JOB_COMPLETION_INDEX": "0"}
    )
    assert (code, out) == (0, "none")


@pytest.mark.parametrize(
    ("variables", "facts"),
    [
        (
            DEMO | {"JOB_COMPLETION_INDEX": "2"},
            ("ALAMBIC_WORKERS", "JOB_COMPLETION_INDEX=2", "got 2"),
        ),
        (
            DEMO | {"JOB_COMPLETION_INDEX": "x"},
            ("JOB_COMPLETION_INDEX", "number", "'x'"),
        ),
        (DEMO | {"ALAMBIC_WORKERS": "two"}, ("ALAMBIC_WORKERS", "got two")),
        (DEMO | {"ALAMBIC_HOST": "demo"}, ("ALAMBIC_HOST", "demo-node-0-{index}.demo")),
        (JOBSET, ("--workers", "got none")),
        (
            JOBSET | {"REPLICATED_JOB_NAME": "", "ALAMBIC_WORKERS": "2"},
            ("jobset.sigs.k8s.io/replicatedjob-name",),
        ),
        (
            {"JOB_COMPLETION_INDEX": "0"},
            ("ALAMBIC_HOST", "JOBSET_NAME", "none"),
        ),
        ({}, ("TF_CONFIG", "SLURM_PROCID", "JOB_COMPLETION_INDEX")),
        ({"TF_CONFIG": "{"}, ("TF_CONFIG", "JSON", "'{'")),
    ],
)
def test_an_environment_with_a_gap_is_refused(variables, facts):
    """A process that went on alone would write into its peers' folder."""
    with refused(LaunchError, *facts):
        environment(variables, num_workers=None)


def test_a_process_that_belongs_to_no_cluster_does_not_run():
    code, out, err = launch()
    assert (code, out) == (2, "")
    assert err.startswith("launch: ")
    assert_states(err, "TF_CONFIG", "SLURM_PROCID", "JOB_COMPLETION_INDEX")
    assert err.count("\n") == 1


def test_a_cluster_that_is_given_stays_as_it_is():
    text = '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'
    assert launch(TF_CONFIG=text, **DEMO) == (0, text, "")


def test_the_program_takes_the_place_of_the_launcher():
    words = [sys.executable, "-m", "launch", "env", "--", "sh", "-c", "echo $$; exit 7"]
    process = subprocess.Popen(
        words, cwd=REPOSITORY, env=os.environ | DEMO, stdout=subprocess.PIPE, text=True
    )
    assert process.communicate()[0] == f"{process.pid}\n"
    assert process.returncode == 7


def test_a_program_that_is_not_there_is_refused():
    process = subprocess.run(
        [sys.executable, "-m", "launch", "env", "--", "not-there"],
        cwd=REPOSITORY,
        env=os.environ | DEMO,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert process.stderr.startswith("launch: ")
    assert_states(process.stderr, "not-there", os.strerror(errno.ENOENT))
