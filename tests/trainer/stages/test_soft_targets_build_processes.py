"""Caches built by real processes: killed, stopped, several at a time, side by side."""

import pathlib
import random
import signal
import subprocess
import time

import pytest

from tests.helpers import groups, whole_run
from tests.helpers.caches import SHIFTED, THREE_VIEWS, act, build, contents
from tests.helpers.messages import assert_a_line_states, assert_states
from trainer import main

pytestmark = pytest.mark.slow

NUM_SHARDS, NUM_VIEWS = 5, 16
# Long enough to be caught three times.
LONG = (
    *(SHIFTED, f"--set=distill.views={NUM_VIEWS}"),
    "--set=distill.cache_embedding=true",
)
STARTED = "predictions of the teacher"


@pytest.fixture(scope="module")
def uninterrupted(config):
    """What a whole build of many views leaves."""
    assert build(config, config.parent / "uninterrupted", *LONG) == 0
    found = contents(config.parent / "uninterrupted" / "soft_targets")
    assert len(found) == NUM_SHARDS * NUM_VIEWS + 2
    return found


def begin(config: pathlib.Path, workdir: pathlib.Path, *more: str) -> subprocess.Popen:
    """A process that has begun to compute answers; its teacher is there."""
    assert main.main(whole_run.command("teacher", config, workdir, *LONG, *more)) == 0
    process = whole_run.start("soft-targets", config, workdir, "build", *LONG, *more)
    told = []
    for line in process.stderr:
        told.append(line)
        if STARTED in line:
            return process
    raise AssertionError("".join(told))


def num_files(folder: pathlib.Path) -> int:
    return len(list(folder.rglob("shard-*.tfrecord")))


def wait_for_files(process: subprocess.Popen, folder: pathlib.Path, count: int) -> None:
    """Returns once there are so many shards."""
    end = time.monotonic() + 120
    while num_files(folder) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.002)


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_killed_at_random_moments_it_ends_in_the_same_bytes(
    config, uninterrupted, tmp_path
):
    moments = random.Random(5)
    folder = tmp_path / "soft_targets"
    found = []
    for i in range(3):
        process = begin(config, tmp_path)
        if i % 2:
            # While the views of a shard are written, one after the other.
            more = moments.randrange(1, NUM_VIEWS)
            wait_for_files(process, folder, num_files(folder) + more)
        else:
            time.sleep(moments.uniform(0, 0.2))
        kill(process)
        found.append(num_files(folder))
        assert contents(folder).items() - uninterrupted.items() == {
            (name, held)
            for name, held in contents(folder).items()
            # The manifest has the checksums of shards once all are written.
            if "/.writing-" in name or name.endswith("manifest.json")
        }
    assert found[-1] < NUM_SHARDS * NUM_VIEWS, found
    assert len(set(found)) > 1, found
    assert act("build", config, tmp_path, *LONG) == 0
    assert contents(folder) == uninterrupted


def test_sigterm_ends_it_at_once_with_143_and_it_goes_on(
    config, uninterrupted, tmp_path
):
    process = begin(config, tmp_path)
    wait_for_files(process, tmp_path, 1)
    process.send_signal(signal.SIGTERM)
    sent = time.monotonic()
    code, _, err = whole_run.finish(process)
    assert (code, time.monotonic() - sent < 5) == (143, True)
    assert_states(err.splitlines()[-1], "trainer:", "SIGTERM")
    assert 0 < num_files(tmp_path) < NUM_SHARDS * NUM_VIEWS
    assert act("build", config, tmp_path, *LONG) == 0
    assert contents(tmp_path / "soft_targets") == uninterrupted


def test_only_starts_without_a_new_shard_spend_the_restarts(config, tmp_path, capsys):
    none = "--set=runtime.max_restarts=0"
    process = begin(config, tmp_path, none)
    wait_for_files(process, tmp_path, 1)
    kill(process)
    kill(begin(config, tmp_path, none))
    assert act("build", config, tmp_path, *LONG, none) == 4
    assert_a_line_states(capsys.readouterr().err, 1, 0, "runtime.max_restarts")


def test_a_second_builder_is_refused_until_the_first_is_dead(
    config, uninterrupted, tmp_path, capsys
):
    there = f"--set=distill.soft_targets_dir='{tmp_path}/shared'"
    process = begin(config, tmp_path / "first", there)
    process.send_signal(signal.SIGSTOP)
    assert build(config, tmp_path / "second", *LONG, there) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert_states(told, tmp_path / "shared/train", "one")
    assert process.poll() is None
    # It may be looked at meanwhile.
    assert act("info", config, tmp_path / "second", *LONG, there) == 0
    assert_states(capsys.readouterr().out, "missing")
    kill(process)
    assert act("build", config, tmp_path / "second", *LONG, there) == 0
    assert contents(tmp_path / "shared") == uninterrupted


def test_three_workers_build_what_one_process_builds(config, three_views, tmp_path):
    workdir = tmp_path / "workdir"
    assert main.main(whole_run.command("teacher", config, workdir, *THREE_VIEWS)) == 0
    group = groups.finish(
        tmp_path, 3, "soft-targets", config, workdir, "build", *THREE_VIEWS
    )
    assert contents(workdir / "soft_targets") == contents(three_views / "soft_targets")
    for rank in range(3):
        # Shards 0 to 3 have 2048 examples, shard 4 has 1808.
        shards = range(rank, 5, 3)
        count = 3 * sum(1808 if shard == 4 else 2048 for shard in shards)
        assert f"{count:,} {STARTED}" in group.err(rank)


def test_a_worker_without_work_waits_for_the_others(config, three_views, tmp_path):
    workdir = tmp_path / "workdir"
    assert build(config, workdir, *THREE_VIEWS) == 0
    (workdir / "soft_targets/train/view-0001/shard-00002.tfrecord").unlink()
    group = groups.finish(
        tmp_path, 2, "soft-targets", config, workdir, "build", *THREE_VIEWS
    )
    assert f"2,048 {STARTED}" in group.err(0)
    assert STARTED not in group.err(1)
    assert contents(workdir / "soft_targets") == contents(three_views / "soft_targets")


def test_after_the_death_of_a_worker_one_process_goes_on(
    config, uninterrupted, tmp_path
):
    workdir = tmp_path / "workdir"
    assert main.main(whole_run.command("teacher", config, workdir, *LONG)) == 0
    with groups.running(
        tmp_path, 2, "soft-targets", config, workdir, "build", *LONG
    ) as group:
        group.wait_for(1, STARTED)
        wait_for_files(group.workers[1], workdir, 1)
        group.workers[1].kill()
        assert group.codes(90) == {0: 138, 1: -signal.SIGKILL}
    assert_a_line_states(group.err(0), f"worker-1 ({group.addresses[1]})", "lost")
    assert 0 < num_files(workdir) < NUM_SHARDS * NUM_VIEWS
    assert act("build", config, workdir, *LONG) == 0
    assert contents(workdir / "soft_targets") == uninterrupted
