"""Workers in processes of their own: they train like one, and survive each other."""

import contextlib
import errno
import itertools
import json
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest

from tests.helpers import configs, groups, strangers, whole_run
from tests.helpers.messages import assert_a_line_states, assert_states, foreign_lines
from trainer.cluster import tf_config, workers

LONG = (
    "--set=seeds=[0]",
    "--set=teacher.train.steps=4000",
    "--set=student.train.steps=20",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory, tfds_dir):
    return whole_run.write_config(tmp_path_factory.mktemp("config"), tfds_dir)


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory):
    """The workdir of the same run in one process."""
    workdir = tmp_path_factory.mktemp("alone") / "workdir"
    code, _, err = whole_run.do("run", config, workdir, *groups.SMALL)
    assert code == 0, err
    return workdir


def state(workdir, training, step):
    """Everything that is restored at a step, as arrays by name."""
    path = workdir / training / "checkpoints" / f"step-{step:08d}.npz"
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "header"}


def lines(workdir, training):
    """The lines of a training without measured times."""
    text = (workdir / training / "metrics.jsonl").read_text()
    return [
        {name: value for name, value in line.items() if not name.startswith("perf/")}
        for line in map(json.loads, text.splitlines())
    ]


TRAININGS = {"teacher": 40, "student/seed-0": 20, "baseline/seed-0": 20}


def assert_same_training(workdir, expected, *, exactly=False, trainings=TRAININGS):
    tolerance = 0 if exactly else 1e-5
    for training in trainings:
        step = TRAININGS[training]
        ours, theirs = (state(path, training, step) for path in (workdir, expected))
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=0, atol=tolerance)
        for line, other in zip(
            lines(workdir, training), lines(expected, training), strict=True
        ):
            assert line == pytest.approx(other, abs=tolerance, rel=tolerance)


@pytest.mark.slow
def test_two_workers_train_a_teacher_like_one_process_also_behind_a_proxy(
    config, tmp_path, monkeypatch
):
    alone, workdir = tmp_path / "alone", tmp_path / "workdir"
    code, _, err = whole_run.do("teacher", config, alone, *groups.SMALL)
    assert code == 0, err
    # Nobody listens there: what goes to the proxy is lost.
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    group = groups.finish(tmp_path, 2, "teacher", config, workdir, *groups.SMALL)
    assert_same_training(workdir, alone, trainings=["teacher"])
    assert (group.out(1), "step" in group.err(1)) == ("", False)
    assert foreign_lines(group.err(0) + group.err(1)) == []


@pytest.mark.slow
def test_two_workers_run_like_one_process(config, alone, tmp_path):
    workdir = tmp_path / "workdir"
    group = groups.finish(tmp_path, 2, "run", config, workdir, *groups.SMALL)
    assert_same_training(workdir, alone)
    ours, theirs = (
        json.loads((w / "results.json").read_text()) for w in (workdir, alone)
    )
    for role, entry in theirs["models"].items():
        assert ours["models"][role]["test"]["errors"] == entry["test"]["errors"]
    # One writer, and nobody else's files.
    assert {path.name for path in workdir.iterdir()} == {
        *(path.name for path in alone.iterdir()),
        "rendezvous.token",
    }
    assert_a_line_states(group.out(0), "verdict", "baseline")
    assert (group.out(1), "step" in group.err(1)) == ("", False)
    assert foreign_lines(group.err(0) + group.err(1)) == []


# Groups of 4 in the share of one replica of 2, 3 or 4.
TERMS = (
    "--set=student.train.global_batch_size=48",
    f"--set=distill={configs.ALL_TERMS.format(group_size=4)}",
)


@pytest.fixture(scope="module")
def alone_with_terms(config, tmp_path_factory):
    """The workdir of a run with every loss in one process."""
    workdir = tmp_path_factory.mktemp("alone-with-terms") / "workdir"
    code, _, err = whole_run.do("run", config, workdir, *groups.SMALL, *TERMS)
    assert code == 0, err
    return workdir


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_workers", "more"),
    [
        (1, ["--set=runtime.logical_cpus=4"]),
        (3, []),
        (2, ["--set=runtime.xla='on'", "--set=evaluate.inference_times=true"]),
    ],
    ids=["mirrored 4", "3 workers", "2 workers with XLA"],
)
def test_any_number_of_replicas_trains_alike(
    config, alone_with_terms, tmp_path, num_workers, more
):
    workdir = tmp_path / "workdir"
    more = (*groups.SMALL, *TERMS, *more)
    group = groups.finish(tmp_path, num_workers, "run", config, workdir, *more)
    num_replicas = (
        3 if num_workers == 3 else int(more[-1][-1]) if num_workers == 1 else 2
    )
    assert f"{num_replicas} replicas on" in group.err(0)
    assert_same_training(workdir, alone_with_terms)
    losses = [line["train/loss"] for line in lines(workdir, "student/seed-0")]
    assert losses[-1] < 0.99 * losses[0]
    # The chief measures them alone.
    is_timed = "--set=evaluate.inference_times=true" in more
    assert ("inference, batch 256: teacher" in group.out(0)) == is_timed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "name", "trainings"),
    [(0, "teacher", ["teacher"]), (1, "run", TRAININGS)],
    ids=["chief", "worker"],
)
def test_a_killed_worker_is_named_by_the_others_and_the_next_start_goes_on(
    config, alone, tmp_path, rank, name, trainings
):
    workdir, other = tmp_path / "workdir", 1 - rank
    with groups.running(tmp_path, 2, name, config, workdir, *groups.SMALL) as group:
        group.wait_for(0, "step 25/40")
        group.workers[rank].kill()
        died = time.monotonic()
        assert group.codes(60) == {rank: -signal.SIGKILL, other: 138}
        assert time.monotonic() - died < 60
    title = f"worker-{rank} ({group.addresses[rank]}) was lost"
    (told,) = (line for line in group.err(other).splitlines() if title in line)
    assert f"(worker-{other} was told: " in told
    assert "File" not in told
    groups.finish(tmp_path, 2, name, config, workdir, *groups.SMALL)
    assert_same_training(workdir, alone, trainings=trainings)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "name", "trainings"),
    [(0, "teacher", ["teacher"]), (2, "run", TRAININGS)],
    ids=["chief", "worker"],
)
def test_sigterm_on_one_worker_stops_all_at_the_same_step_with_a_checkpoint(
    config, alone, tmp_path, rank, name, trainings
):
    workdir = tmp_path / "workdir"
    more = (*groups.SMALL, "--set=runtime.save_every_steps=40")
    with groups.running(tmp_path, 3, name, config, workdir, *more) as group:
        group.wait_for(0, "step 5/40")
        group.workers[rank].terminate()
        asked = time.monotonic()
        assert group.codes(60) == dict.fromkeys(range(3), 143)
        assert time.monotonic() - asked < 25
    told = {group.err(i).splitlines()[-1] for i in range(3)}
    assert len(told) == 1, told
    last = told.pop()
    assert last.startswith("trainer: ")
    assert_states(last, "SIGTERM")
    (saved,) = (workdir / "teacher" / "checkpoints").glob("step-*.npz")
    assert 5 <= int(saved.stem.removeprefix("step-")) < 40
    groups.finish(tmp_path, 3, name, config, workdir, *more)
    assert_same_training(workdir, alone, trainings=trainings)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_that_is_silent_is_given_up_within_a_minute(config, tmp_path, rank):
    with groups.running(
        tmp_path, 2, "run", config, tmp_path / "workdir", *LONG
    ) as group:
        group.wait_for(0, "step 25/4000")
        group.workers[rank].send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        other = group.workers[1 - rank]
        assert other.wait(90) == 138
        assert time.monotonic() - stopped < 60
        title = f"worker-{rank} ({group.addresses[rank]}) was lost"
        assert title in group.err(1 - rank)
        assert "Traceback" not in group.err(1 - rank)
        assert "File" not in group.err(1 - rank)


@pytest.mark.slow
def test_who_waits_for_a_lost_worker_gives_it_up_within_a_minute(tmp_path):
    with groups.Group(tmp_path, 3) as group:
        for rank in range(3):
            group.start(rank, ["tests.helpers.wait_for_others", "600"])
        for rank in range(3):
            group.wait_for(rank, "joined")
        time.sleep(1)
        group.workers[2].kill()
        lost = time.monotonic()
        for rank in (0, 1):
            assert group.workers[rank].wait(90) == 138
            assert time.monotonic() - lost < 60
            assert f"worker-2 ({group.addresses[2]}) was lost" in group.err(rank)


@pytest.mark.slow
def test_a_hung_step_ends_with_the_stacks_of_all_threads(config, tmp_path):
    more = (*LONG, "--set=runtime.watchdog_secs=8")
    with groups.running(
        tmp_path, 2, "run", config, tmp_path / "workdir", *more
    ) as group:
        group.wait_for(0, "step 25/4000")
        group.workers[1].send_signal(signal.SIGSTOP)
        # Before the others notice that it is silent.
        assert group.workers[0].wait(25) == 138
    facts = ("teacher seed 0: 5 steps", "runtime.watchdog_secs", 8)
    assert_a_line_states(group.err(0), *facts)
    assert re.search(r"step\.py.* in run\b", group.err(0))


@pytest.mark.slow
def test_a_worker_that_never_comes_is_named_until_the_others_give_up(config, tmp_path):
    more = (*groups.SMALL, "--set=runtime.rendezvous_secs=35")
    command = whole_run.command("run", config, tmp_path / "workdir", *more)
    with groups.Group(tmp_path, 3) as group:
        for rank in (0, 2):
            group.start(rank, command)
        assert group.codes(90) == {0: 138, 2: 138}
    missing = f"worker-1 ({group.addresses[1]})"
    for rank in (0, 2):
        _, _, waiting, *_, last = (
            line for line in group.err(rank).splitlines() if line.startswith("trainer:")
        )
        assert_states(waiting, missing)
        assert_states(last, "35 s", "runtime.rendezvous_secs", missing)


@pytest.mark.slow
def test_a_chief_that_never_comes_is_named(config, tmp_path):
    more = (*groups.SMALL, "--set=runtime.rendezvous_secs=3")
    with groups.Group(tmp_path, 2) as group:
        group.start(1, whole_run.command("run", config, tmp_path / "workdir", *more))
        assert group.codes(60) == {1: 138}
    reason = os.strerror(errno.ECONNREFUSED)
    facts = (f"worker-0 ({group.addresses[0]})", reason)
    assert_a_line_states(group.err(1), *facts)


@pytest.mark.slow
def test_workers_that_are_to_do_different_things_end_with_2(config, tmp_path):
    workdir = tmp_path / "workdir"
    with groups.Group(tmp_path, 2) as group:
        for rank in (0, 1):
            alpha = f"--set=distill.alpha=0.{rank + 4}"
            command = whole_run.command("run", config, workdir, *groups.SMALL, alpha)
            group.start(rank, command)
        assert group.codes(60) == {0: 2, 1: 2}
    for rank in (0, 1):
        assert_a_line_states(group.err(rank), "distill.alpha", 0.4, 0.5)


@pytest.mark.slow
def test_a_finished_run_is_over_at_once_without_the_other_workers(
    config, alone, tmp_path
):
    workdir = tmp_path / "workdir"
    shutil.copytree(alone, workdir)
    drawn = whole_run.do("report", config, workdir, *groups.SMALL, draws=True)
    assert drawn[0] == 0, drawn[2]
    with groups.Group(tmp_path, 2) as group:
        group.start(1, whole_run.command("run", config, workdir, *groups.SMALL))
        assert group.codes(20) == {1: 0}
        group.start(0, whole_run.command("run", config, workdir, *groups.SMALL))
        assert group.codes(20) == {0: 0, 1: 0}
    assert_a_line_states(group.out(0), "verdict", "baseline")
    assert "TensorFlow" not in group.err(0)


@pytest.mark.slow
def test_a_report_that_is_missing_is_the_chief_s_work_alone(config, alone, tmp_path):
    workdir = tmp_path / "workdir"
    shutil.copytree(alone, workdir)
    for name in ("run", "report"):
        with groups.Group(tmp_path, 2, draws=True) as group:
            for rank in (1, 0):
                group.start(
                    rank, whole_run.command(name, config, workdir, *groups.SMALL)
                )
                assert group.codes(60)[rank] == 0
        assert f"report: {workdir}/report/index.html" in group.out(0)


def in_place_of(path, other):
    """What shows one process `other` under the name `path`, as on another machine."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file needs root")
    mount = f'mount --bind {other} {path} && exec "$@"'
    return ("unshare", "-m", "sh", "-c", mount, "sh")


@pytest.mark.slow
@pytest.mark.parametrize("is_given", [False, True], ids=["no secret", "a secret"])
def test_workers_must_share_the_workdir(config, tmp_path, monkeypatch, is_given):
    workdir, other = tmp_path / "workdir", tmp_path / "other"
    workdir.mkdir()
    other.mkdir()
    secs = 1200 if is_given else 5
    more = (*groups.SMALL, f"--set=runtime.rendezvous_secs={secs}")
    command = whole_run.command("run", config, workdir, *more)
    if is_given:
        (tmp_path / "secret").write_text("0123456789abcdef")
        monkeypatch.setenv(tf_config.TOKEN_FILE, str(tmp_path / "secret"))
    with groups.Group(tmp_path, 2) as group:
        group.start(0, command)
        group.start(1, command, wrapper=in_place_of(workdir, other))
        assert group.codes(150) == {0: 138, 1: 2 if is_given else 138}
    told = group.err(1).splitlines()[-1]
    if is_given:
        assert_states(told, "--workdir", "workers")
        assert not (workdir / "rendezvous.token").exists()
    else:
        facts = (f"{workdir}/rendezvous.token", "chief", "different workdirs")
        assert_states(told, *facts)


@pytest.mark.slow
def test_strangers_come_to_a_run_before_its_worker(config, alone, tmp_path):
    workdir = tmp_path / "workdir"
    command = whole_run.command("teacher", config, workdir, *groups.SMALL)
    with groups.Group(tmp_path, 2) as group, contextlib.ExitStack() as stack:
        group.start(0, command)
        group.wait_for(0, "worker-0 is one of")
        port = int(group.addresses[0].rpartition(":")[2])
        strangers.wait_for(port)
        before = strangers.peak_kilobytes(group.workers[0].pid)
        for visit in strangers.KINDS.values():
            visit(port, stack)
        strangers.wait_for(port)
        assert strangers.peak_kilobytes(group.workers[0].pid) - before < 50_000
        group.start(1, command)
        assert group.codes() == {0: 0, 1: 0}
    assert_same_training(workdir, alone, trainings=["teacher"])


@pytest.mark.slow
def test_workers_must_read_the_same_examples(tmp_path):
    tables = tmp_path / "points.csv", tmp_path / "other.csv"
    for path, num_rows in zip(tables, (200, 160), strict=True):
        rows = [f"{i % 7},{i % 5},{i % 3}" for i in range(num_rows)]
        path.write_text("\n".join(["x,y,label", *rows]) + "\n")
    config = tmp_path / "table.toml"
    config.write_text(
        configs.THREE_SPLITS.format(dataset=f"csv:{tables[0]}")
        + configs.TRAININGS.format(
            model="mlp",
            teacher_options="options.hidden_sizes = [8]",
            student_options="options.hidden_sizes = [4]",
        )
    )
    command = whole_run.command("run", config, tmp_path / "workdir")
    with groups.Group(tmp_path, 2) as group:
        group.start(0, command)
        group.start(1, command, wrapper=in_place_of(*tables))
        assert group.codes(90) == {0: 2, 1: 2}
    for rank in (0, 1):
        assert_a_line_states(group.err(rank), "workers", "'train[:60%]'")


@pytest.mark.slow
def test_a_diverged_training_ends_all_workers_with_3(config, tmp_path):
    more = (*groups.SMALL, "--set=teacher.train.learning_rate=1e30")
    workdir = tmp_path / "workdir"
    with groups.running(tmp_path, 2, "run", config, workdir, *more) as group:
        assert group.codes(90) == {0: 3, 1: 3}
    assert_a_line_states(group.err(1), "diverged", "step 1", "step 5")


@pytest.mark.slow
def test_starts_that_keep_no_step_end_with_4_and_then_count_anew(config, tmp_path):
    workdir = tmp_path / "workdir"
    more = (
        *LONG,
        "--set=runtime.max_restarts=1",
        "--set=runtime.save_every_steps=4000",
    )
    command = whole_run.command(
        "run", config, workdir, *more, "--set=runtime.eval_every_steps=4000"
    )
    for _ in range(2):
        with groups.Group(tmp_path, 1) as group:
            group.start(0, command)
            group.wait_for(0, "step 5/4000")
            group.workers[0].kill()
            group.codes()
    with groups.Group(tmp_path, 1) as group:
        group.start(0, command)
        assert group.codes(60) == {0: 4}
        assert_a_line_states(group.err(0), 2, 1, "runtime.max_restarts")
        group.start(0, command)
        group.wait_for(0, "step 5/4000")


def joined(lists):
    return list(itertools.chain.from_iterable(lists))


@pytest.mark.slow
def test_workers_see_each_example_once_an_epoch(tmp_path):
    """20 epochs of 36 examples in batches of 24, and the same from step 7 on."""
    batches = {}
    for first, num_steps in ((0, 30), (7, 23)):
        folder = tmp_path / str(first)
        numbers = (36, 24, num_steps, first)
        command = ["tests.helpers.collect_ids", str(folder), *map(str, numbers)]
        with groups.Group(folder, 3) as group:
            for rank in range(3):
                group.start(rank, command)
            assert set(group.codes(90).values()) == {0}, group.err(0)
        shares = [
            json.loads((folder / f"{rank}.json").read_text()) for rank in range(3)
        ]
        for step in range(num_steps):
            slots, ids = zip(*(share[step] for share in shares), strict=True)
            # Each worker has its own stretch of the global batch.
            assert joined(slots) == list(range(24))
            batches.setdefault(first + step, []).append(joined(ids))
    order = joined(batches[step][0] for step in range(30))
    epochs = [order[i : i + 36] for i in range(0, len(order), 36)]
    assert len(epochs) == 20
    assert all(sorted(epoch) == list(range(1000, 1036)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    for step in range(7, 30):
        first_time, after_resume = batches[step]
        assert first_time == after_resume


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MISMATCH: ORIGINAL UnavailableError REPLACED BY KeyboardInterrupt: x", True),
        ("another error", False),
    ],
)
def test_ctrl_c_within_an_error_of_tensorflow_stays_one(text, expected):
    kind = KeyboardInterrupt if expected else RuntimeError
    with pytest.raises(kind), workers._interrupts_kept():
        raise RuntimeError(text)


def test_a_run_says_a_sentence_once(capsys):
    alone = workers.Workers(None)
    for sentence in ("one", "two", "one"):
        alone.log_once(sentence)
    assert capsys.readouterr().err == "trainer: one\ntrainer: two\n"
