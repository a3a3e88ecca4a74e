"""Starts of a run that keep no step, counted in its workdir."""

import pytest
from etils import epath

from tests.helpers.messages import refused
from trainer.cluster import restart_budget
from trainer.cluster.rendezvous import PeerLostError
from trainer.cluster.restart_budget import BudgetSpentError
from trainer.cluster.termination import InterruptError, StoppedError


@pytest.fixture
def workdir(tmp_path):
    return epath.Path(tmp_path)


def start(workdir, *, max_restarts=2, end=PeerLostError, keep=None):
    """One start; `keep` names a file that it leaves."""
    with restart_budget.count_start(
        workdir, soft_targets=workdir / "soft_targets", max_restarts=max_restarts
    ):
        if keep:
            (workdir / keep).parent.mkdir(parents=True, exist_ok=True)
            (workdir / keep).write_text("")
        if end:
            raise end


def checkpoint(step):
    return f"teacher/checkpoints/step-{step:08d}.npz"


@pytest.mark.parametrize("end", [PeerLostError, StoppedError])
def test_after_so_many_restarts_for_nothing_it_gives_up(workdir, end):
    for _ in range(3):
        with pytest.raises(end):
            start(workdir, end=end)
    with refused(BudgetSpentError, 3, 2, "runtime.max_restarts"):
        start(workdir, end=end)


def test_each_step_that_is_kept_makes_all_restarts_free_again(workdir):
    for step in range(10):
        with pytest.raises(PeerLostError):
            start(workdir, keep=checkpoint(step // 3))


def test_a_model_or_results_are_kept_steps_too(workdir):
    for keep in ("teacher/last.keras", "student/seed-0/model.keras", "results.json"):
        with pytest.raises(PeerLostError):
            start(workdir, max_restarts=0, keep=keep)


def test_a_new_shard_of_soft_targets_is_a_kept_step_and_half_a_shard_is_none(workdir):
    folder = "soft_targets/member-1/train/view-0003"
    for i in range(4):
        with pytest.raises(StoppedError):
            start(
                workdir,
                max_restarts=0,
                end=StoppedError,
                keep=f"{folder}/shard-{i:05d}.tfrecord",
            )
    with pytest.raises(StoppedError):
        start(
            workdir,
            max_restarts=0,
            end=StoppedError,
            keep=f"{folder}/.writing-shard-00004.tfrecord",
        )
    with pytest.raises(BudgetSpentError):
        start(workdir, max_restarts=0)


@pytest.mark.parametrize("end", [None, ValueError, KeyboardInterrupt, InterruptError])
def test_an_end_that_a_person_learns_of_is_not_counted(workdir, end):
    for _ in range(5):
        if end:
            with pytest.raises(end):
                start(workdir, max_restarts=0, end=end)
        else:
            start(workdir, max_restarts=0, end=None)
    assert list(workdir.iterdir()) == []


def test_the_end_itself_makes_the_next_start_a_first_one(workdir):
    for _ in range(2):
        with pytest.raises(PeerLostError):
            start(workdir, max_restarts=0)
        with pytest.raises(BudgetSpentError):
            start(workdir, max_restarts=0)


def test_a_damaged_count_is_none(workdir):
    for text in ("", "[]", '{"kept": []}', "{"):
        (workdir / "attempts.json").write_text(text)
        with pytest.raises(PeerLostError):
            start(workdir, max_restarts=0)
