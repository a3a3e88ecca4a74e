"""What is known of a run before it; exit code 5 for what stands against it."""

import errno
import os
import re
import shutil
import subprocess
import time

import pytest
from etils import epath

from tests.helpers import whole_run
from tests.helpers.examinations import (
    TOPICS,
    Findings,
    examine,
    first_and_later_secs,
    quick,
    tree,
)
from tests.helpers.messages import assert_a_line_states, assert_states
from trainer import doctor, main
from trainer.config import reader
from trainer.doctor import compile_options
from trainer.doctor.driver import Driver
from trainer.doctor.dry_run import DryRun, Footprint
from trainer.doctor.trainings import Trainings
from trainer.session import predictions
from trainer.stages.planned_work import Sizes
from trainer.storage.workdir import record
from trainer.train.step import compile_step


@pytest.fixture(scope="module")
def config(tmp_path_factory, tfds_dir):
    return whole_run.write_config(tmp_path_factory.mktemp("doctor"), tfds_dir)


@pytest.fixture(scope="module")
def trained(config):
    """A workdir whose teacher is finished."""
    workdir = config.parent / "workdir"
    assert main.main(whole_run.command("teacher", config, workdir)) == 0
    return workdir


@pytest.fixture(scope="module")
def examined(config, trained):
    """Exit code, findings, seconds, and the workdir's files before and after."""
    before = tree(trained)
    started = time.monotonic()
    code, findings = examine(config, trained)
    return code, findings, time.monotonic() - started, before, tree(trained)


def test_nothing_stands_against_a_sound_run(examined):
    code, findings, *_ = examined
    assert code == 0
    assert tuple(findings) == TOPICS
    assert not findings.with_mark("FAILED") | findings.with_mark("skipped")


def test_a_workdir_with_a_run_stays_as_it_is(examined):
    *_, before, after = examined
    assert "teacher/model.keras" in before
    assert before == after


@pytest.mark.slow
def test_the_quickest_way_to_compile_is_found(config, trained, tmp_path, monkeypatch):
    tried = []

    def watched(*args, **options):
        tried.append((options["xla"], options["in_programs"]))
        return compile_step(*args, **options)

    monkeypatch.setattr("trainer.train.step.compile_step", watched)
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    code, findings = examine(config, tmp_path, "--measure")
    assert code == 0
    assert {(False, False), (True, False), (True, True)} == set(tried)
    *ways, last = (text for _, text in findings["measure"])
    secs = {}
    for line in ways:
        way, figures = line.split(": ", 1)
        secs[way] = float(re.match(r"([\d.]+) ms a step", figures)[1])
    flags = {
        "XLA off": ("off", 1),
        "XLA on": ("on", 1),
        "XLA for the teacher alone": ("teacher", 1),
        "XLA for the student alone": ("student", 1),
        "XLA on, 5 steps a program": ("on", 5),
    }
    assert list(secs) == list(flags)
    # Several where they differ by less than a printed digit.
    quickest = [flags[way] for way in secs if secs[way] == min(secs.values())]
    assert last in [
        f"quickest: --set='runtime.xla=\"{xla}\"' "
        f"--set=runtime.steps_per_execution={steps}"
        for xla, steps in quickest
    ]
    # What was tried is no part of the run.
    assert tree(tmp_path).keys() == tree(trained).keys()


def test_how_far_a_run_is_is_told(examined, config, trained, tmp_path):
    assert_states(examined[1].text("run"), "teacher seed 0", "finished")
    workdir = tmp_path / "copy"
    shutil.copytree(trained, workdir)
    (workdir / "teacher" / "model.keras").unlink()
    assert_states(quick(config, workdir)[1].text("run"), "teacher seed 0", "step 60")


def test_what_auto_comes_to_is_told_with_its_reason(examined):
    lines = examined[1].text("precision").splitlines()
    for line, facts in zip(
        lines,
        (("teacher float32", "GPU"), ("student float32", "GPU"), ("XLA off", "CPU")),
        strict=True,
    ):
        assert_states(line, *facts, "auto")


@pytest.mark.parametrize("xla", ["teacher", "student"])
def test_the_network_that_xla_compiles_is_told(config, tmp_path, xla):
    _, findings = quick(config, tmp_path / "run", f"--set=runtime.xla='{xla}'")
    *_, told = findings.text("precision").splitlines()
    assert_states(told, f"XLA for the {xla} alone", "runtime.xla")


def test_one_network_alone_is_tried_where_both_are_in_the_step():
    live, cached = (
        [way.text for way in compile_options._all_options(5, is_live=is_live)]
        for is_live in (True, False)
    )
    one = ["XLA for the teacher alone", "XLA for the student alone"]
    both = ["XLA off", "XLA on", "XLA on, 5 steps a program"]
    assert (live, cached) == ([*both[:2], *one, both[2]], both)


def test_the_dataset_is_told(examined):
    told = examined[1].text("dataset")
    decoded = (1000 + 500 + 500) * 28 * 28 / 1e6
    assert_a_line_states(
        told, "mnist_mini", "1000 + 500 + 500", "10 classes", "28 x 28 x 1"
    )
    assert_states(told, f"{decoded:.1f} MB")
    assert examined[1].text("splits").count("1000 ") == 2


def test_a_replica_keeps_weights_gradients_and_two_slots_of_adam(examined):
    student = 784 * 16 + 16 + 16 * 10 + 10
    slots = 2 * 4 * student + 8 + 4  # the steps and the learning rate
    expected = [
        f"{name} {num_bytes / 1e3:.1f} kB"
        for name, num_bytes in (
            *(("weights", 4 * student), ("gradients", 4 * student)),
            ("optimizer slots", slots),
        )
    ]
    findings = examined[1]
    assert_states(findings.text("student model"), "mlp", f"{student:,} parameters")
    for step in ("student step", "baseline step"):
        assert_a_line_states(findings.text(step), *expected)


def test_the_teacher_that_teaches_has_no_gradients_and_no_slots(examined):
    findings = examined[1]
    (parameters,) = re.findall(r"cnn, ([\d,]+) par", findings.text("teacher model"))
    weights = 4 * int(parameters.replace(",", "")) / 1e3
    nothing = ("gradients 0 B", "optimizer slots 0 B")
    assert_a_line_states(
        findings.text("student step"), "teacher", f"weights {weights:.1f} kB", *nothing
    )


def test_the_peak_of_a_step_covers_what_was_there(examined):
    for step in ("teacher step", "student step", "baseline step"):
        told = re.search(
            r"peak ([\d.]+) ([MG]B)\D+([\d.]+) ([MG]B)",
            examined[1].text(step),
        )
        peak, unit, before, unit_before = told.groups()
        megabytes = {"MB": 1, "GB": 1000}
        assert float(peak) * megabytes[unit] >= float(before) * megabytes[unit_before]


def test_step_times_fit_into_the_wall_clock(examined):
    _, findings, wall_secs, *_ = examined
    told_secs = 0.0
    for step in ("teacher step", "student step", "baseline step"):
        text = findings.text(step)
        first, later = first_and_later_secs(text)
        (rate,) = re.findall(r"([\d,]+) examples/s", text)
        assert float(rate.replace(",", "")) == pytest.approx(24 / later, rel=0.02)
        assert_states(text, "of 60", "5 x 5 steps")
        assert later < first
        told_secs += first + later
    assert told_secs < wall_secs


def test_the_estimate_is_of_the_whole_run(examined):
    findings = examined[1]
    secs = 5.0  # to draw the page
    for step, trainings in (("teacher", 1), ("student", 2), ("baseline", 2)):
        first, later = first_and_later_secs(findings.text(f"{step} step"))
        # To predict costs a third: 500 examples after every 20 steps of 24, and twice
        # those of the test split.
        predictions = 3 * 500 + 2 * 500
        secs += trainings * (first + later * (60 + predictions / 3 / 24))
    (told,) = re.findall(r"about ([\d.]+) minutes", findings.text("estimate"))
    assert float(told) == pytest.approx(secs / 60, abs=0.06)
    trained = ("teacher 1 x 60", "student 2 x 60", "baseline 2 x 60")
    assert_states(findings.text("estimate"), *trained, "bottleneck", "student")


@pytest.fixture(scope="module")
def teacherless(config):
    """The teacher cannot be built, and a step of the student takes 0.2 seconds.

    The baseline has a checkpoint, which is damaged.
    """
    workdir = config.parent / "teacherless"
    checkpoints = workdir / "baseline" / "seed-0" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "step-00000020.npz").write_text("damaged")
    settings = [
        "teacher.model='no_such_package:model'",
        "teacher.options={}",
        "student.model='tests.helpers.examinations:sleepy'",
        "student.options={secs=0.2}",
        "student.train.ema=0.9",
    ]
    record(epath.Path(workdir), reader.load(str(config), settings))
    return examine(config, workdir, *(f"--set={setting}" for setting in settings))


@pytest.mark.slow
def test_a_teacher_that_cannot_be_built_leaves_the_baseline(teacherless):
    code, findings = teacherless
    assert code == 5
    assert findings.with_mark("FAILED") == {"teacher model", "run", "result"}
    text = findings.text("teacher model")
    assert_states(text, "teacher.model")
    assert findings["student step"][0][0] == "skipped"
    assert_states(findings.text("student step"), "teacher step")
    assert findings["baseline step"][0][0] == "ok"


@pytest.mark.slow
def test_a_step_takes_as_long_as_its_model(teacherless):
    text = teacherless[1].text("baseline step")
    first, later = first_and_later_secs(text)
    assert 0.2 <= later < 0.35
    assert first >= 0.2
    assert_states(text, "5 x 2 steps")


@pytest.mark.slow
def test_the_steps_start_anew_beside_a_damaged_run(teacherless):
    findings = teacherless[1]
    assert_states(dict(findings["run"])["FAILED"], "step-00000020.npz", "damaged")
    assert_states(findings.text("baseline step"), "of 60")


@pytest.mark.slow
def test_averages_are_kept_beside_the_weights(teacherless):
    weights = 4 * (784 * 10 + 10) / 1e3
    told = teacherless[1].text("baseline step")
    assert_states(told, f"weights {weights:.1f} kB", f"averages {weights:.1f} kB")


@pytest.fixture(scope="module")
def fresh(config):
    """The findings where nothing has begun."""
    return examine(config, config.parent / "fresh")[1]


@pytest.mark.slow
def test_a_finetune_is_tried_and_counted(config, fresh, tmp_path):
    path = tmp_path / "finetune.toml"
    section = "\n[finetune]\nglobal_batch_size = 24\nsteps = 30\n"
    path.write_text(config.read_text() + section)
    code, findings = examine(path, tmp_path / "workdir")
    assert code == 0
    assert_a_line_states(findings.text("student step"), "finetune", "of 30")
    trained = ("student 2 x 60", "finetune 2 x 30", "baseline 2 x 60")
    assert_states(findings.text("estimate"), *trained)
    # A finetune keeps as many checkpoints and models as a baseline.
    student = 784 * 16 + 16 + 16 * 10 + 10
    kept = reader.load(str(path)).runtime.keep_checkpoints + 2
    more = 2 * (kept * (3 * 4 * student + 12) + 2 * 4 * student)
    bytes_of = (
        float(re.search(r"about ([\d.]+) MB for", found.text("disk"))[1]) * 1e6
        for found in (findings, fresh)
    )
    assert next(bytes_of) - next(bytes_of) == pytest.approx(more, abs=1.1e5)


@pytest.mark.parametrize(
    ("pipeline_rate", "minutes", "slower"),
    [(10, 12.2, "input"), (190, 0.8, "input"), (500, 0.8, "steps")],
)
def test_a_slow_pipeline_is_waited_for_and_named(
    config, tmp_path, pipeline_rate, minutes, slower
):
    trainings = Trainings(reader.load(str(config)), tmp_path)
    nothing = Footprint(weights=0, gradients=0, slots=0, averages=0)
    trainings.trials["student"] = DryRun(
        num_steps=60,
        global_batch_size=24,
        first_secs=1.5,
        step_secs=0.12,
        ready_secs=0.096,
        loop_steps=5,
        footprint=nothing,
        peak=[],
    )
    # Five trainings of 60 steps, of 24 examples each, and nothing to predict.
    sizes = Sizes(training=24, transfer=24, labeled=24, validation=0, test=0)
    told = trainings.estimate(sizes, pipeline_rate=pipeline_rate, building=None)
    assert_states(told, f"{minutes} minutes")
    told = trainings.bottleneck(pipeline_rate=pipeline_rate)
    assert_states(told, f"the {slower} ", "bottleneck", "student", 250, pipeline_rate)
    assert ("data.num_threads" in told) == (slower == "input")


@pytest.mark.slow
def test_a_finished_teacher_takes_no_step(config, trained, tmp_path):
    weights = trained / "teacher" / "model.keras"
    text = config.read_text()
    section = text[text.index("[teacher.train]") : text.index("[student]")]
    path = tmp_path / "finished.toml"
    path.write_text(text.replace(section, f"weights = '{weights}'\n\n"))
    code, findings = examine(path, tmp_path / "workdir", "--set=seeds=[0]")
    assert code == 0
    [(mark, told)] = findings["teacher step"]
    assert mark == "ok"
    assert_states(told, "none", "teacher")
    assert_states(findings.text("estimate"), "student 1 x 60", "baseline 1 x 60")
    code, findings = examine(
        path, tmp_path / "workdir", "--set=teacher.weights='absent.keras'"
    )
    assert code == 5
    text = findings.text("teacher step")
    assert_states(text, "teacher.weights", "'absent.keras'", "no such file")
    assert findings["student step"][0][0] == "skipped"
    assert_states(findings.text("student step"), "teacher step")


@pytest.mark.slow
def test_every_member_of_an_ensemble_is_told(tmp_path, tfds_dir):
    config = whole_run.write_ensemble(tmp_path, tfds_dir)
    head = "head={global_batch_size=24, steps=4}"
    members = [
        "{model='cnn', options={filters=[4]}, train={global_batch_size=24, steps=20}}",
        f"{{model='mlp', {head}, train={{global_batch_size=20, steps=40}}}}",
    ]
    code, findings = examine(
        config, tmp_path / "workdir", f"--set=teacher.members=[{', '.join(members)}]"
    )
    assert code == 0
    assert tuple(findings) == TOPICS
    first, second = "teacher.members[0]", "teacher.members[1]"
    precisions = findings.text("precision")
    assert_a_line_states(precisions, f"{first} float32", "auto", "GPU")
    models = findings.text("teacher model")
    assert_a_line_states(models, first, "cnn")
    mlp = 784 * 800 + 800 + 800 * 800 + 800 + 800 * 10 + 10
    assert_a_line_states(models, second, "mlp", f"{mlp:,} parameters")
    steps = findings.text("teacher step")
    assert_a_line_states(steps, first, "of 20")
    assert_a_line_states(steps, second, "head", "of 4")
    assert_a_line_states(steps, second, "of 40")
    kept = (f"weights {4 * mlp / 1e6:.1f} MB", "gradients 0 B")
    assert_a_line_states(findings.text("student step"), second, *kept)
    head = "teacher_head.members[1] 1 x 4"
    trained = (f"{first} 1 x 20", head, f"{second} 1 x 40", "student 2 x")
    assert_states(findings.text("estimate"), *trained)


@pytest.fixture(scope="module")
def lacking(config):
    """A GPU is asked for, programs of XLA, and more checkpoints than a disk holds."""
    return examine(
        config,
        config.parent / "lacking",
        "--set=runtime.min_gpus=1",
        "--set=runtime.steps_per_execution=5",
        "--set=runtime.keep_checkpoints=1000000000",
        "--set=seeds=[0]",
    )


@pytest.mark.slow
def test_gpus_that_are_not_there_fail_and_the_rest_is_told(lacking):
    code, findings = lacking
    assert code == 5
    assert findings.with_mark("FAILED") == {"devices", "disk", "result"}
    assert not findings.with_mark("skipped")
    message = dict(findings["devices"])["FAILED"]
    assert_states(message, "runtime.min_gpus", 1, 0)
    assert {mark for mark, _ in findings["GPU hints"]} == {"note"}
    hints = findings.text("GPU hints")
    for word in ("/dev/nvidia0", "nvidia-smi", "driver", "CUDA_VISIBLE_DEVICES"):
        assert word in hints
    assert re.search(r"built (for CUDA|without)", hints)
    assert "extra `gpu`" in hints
    assert set(TOPICS) <= set(findings)


@pytest.mark.slow
def test_a_disk_too_small_for_the_checkpoints_fails(lacking):
    text = lacking[1].text("disk")
    assert_states(text, "runtime.keep_checkpoints (1000000000)", "checkpoints")
    assert re.search(r"\d TB\b", text)


@pytest.fixture(scope="module")
def diverging(config):
    """The teacher's learning rate is too high, the student's weights are not there."""
    return examine(
        config,
        config.parent / "diverging",
        "--set=teacher.train.optimizer='sgd'",
        "--set=teacher.train.learning_rate=1e30",
        "--set=student.weights='absent.keras'",
    )


@pytest.mark.slow
def test_first_steps_that_diverge_fail(diverging):
    code, findings = diverging
    assert code == 5
    text = dict(findings["teacher step"])["FAILED"]
    assert_states(text, "diverged", "teacher.train.learning_rate")
    assert findings["student step"][0][0] == "skipped"
    assert_states(findings.text("student step"), "teacher step")


@pytest.mark.slow
def test_weights_that_are_not_there_fail(diverging):
    text = dict(diverging[1]["baseline step"])["FAILED"]
    assert_states(text, "student.weights", "no such file")


def test_gpus_that_only_the_driver_sees_get_hints(config, tmp_path, monkeypatch):
    answers = Driver(cuda=(12, 8), num_bytes=(80_000_000_000,))
    monkeypatch.setattr("trainer.doctor.driver.ask", lambda: answers)
    _, findings = quick(config, tmp_path / "workdir")
    assert findings.with_mark("FAILED") == {"dataset", "result"}
    assert_a_line_states(findings.text("GPU hints"), "driver", "1 GPUs")


def test_a_dataset_that_cannot_be_used_fails_and_its_followers_are_skipped(
    config, tmp_path
):
    code, findings = examine(
        config,
        tmp_path / "workdir",
        "--set=data.dataset='no_such_set'",
        f"--set=data.data_dir='{tmp_path}'",
    )
    assert code == 5
    assert findings.with_mark("FAILED") == {"dataset", "result"}
    assert "'no_such_set'" in findings.text("dataset")
    assert findings["splits"] == [("skipped", "needs dataset")]
    assert findings["student step"] == [
        ("skipped", "needs soft targets and teacher step and student model")
    ]
    assert findings.with_mark("skipped") == set(TOPICS[6:16])
    assert_states(findings.text("result"), "dataset")


def test_a_workdir_that_is_not_there_is_not_made(config, tmp_path):
    workdir = tmp_path / "new" / "workdir"
    _, findings = quick(config, workdir)
    assert findings["workdir"][0][0] == "ok"
    assert not workdir.parent.exists()


def test_the_free_bytes_are_those_of_the_disk(config, small_disk):
    subprocess.run(["mount", "-o", "remount,size=3m", str(small_disk)], check=True)
    (small_disk / "filler").write_bytes(bytes(2**20))
    _, findings = quick(config, small_disk / "workdir")
    assert findings["workdir"][0][1].endswith(" 2.1 MB free")


def test_a_full_disk_fails(config, small_disk):
    (small_disk / "filler").write_bytes(bytes(2**20))
    code, findings = quick(config, small_disk / "workdir")
    assert code == 5
    ((mark, text),) = findings["workdir"]
    assert mark == "FAILED"
    assert os.strerror(errno.ENOSPC) in text
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_a_read_only_disk_fails(config, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, findings = quick(config, small_disk / "workdir")
    assert code == 5
    assert os.strerror(errno.EROFS) in dict(findings["workdir"])["FAILED"]


def test_a_run_of_another_config_fails(config, trained):
    code, findings = quick(config, trained, "--set=distill.temperature=9")
    assert code == 5
    text = dict(findings["run"])["FAILED"]
    assert_states(text, "distill.temperature", "4.0 -> 9.0")


def test_a_damaged_run_fails_where_nothing_can_go_on(config, trained, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(trained, workdir)
    *_, older, newest = sorted((workdir / "teacher" / "checkpoints").iterdir())
    steps = predictions.steps(epath.Path(workdir / "teacher"))
    assert steps["last"] == 60
    newest.write_bytes(newest.read_bytes()[:1000])
    # It has ended: the metrics tell the steps of its models.
    assert predictions.steps(epath.Path(workdir / "teacher")) == steps
    _, findings = quick(config, workdir)
    ((mark, told),) = findings["run"]
    assert mark == "ok"
    assert_states(told, "teacher seed 0", "finished")
    (workdir / "teacher" / "model.keras").unlink()
    before = tree(workdir)
    _, findings = quick(config, workdir)
    (_, aside), (mark, begun) = findings["run"]
    step = int(older.stem.removeprefix("step-"))
    assert_states(aside, newest, "damaged", "aside", f"step {step}")
    assert mark == "ok"
    assert_states(begun, "teacher seed 0", f"step {step}")
    assert tree(workdir) == before
    for path in newest.parent.iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    _, findings = quick(config, workdir)
    assert_states(dict(findings["run"])["FAILED"], newest, "damaged")
    (workdir / "config.json").write_text("{")
    _, findings = quick(config, workdir)
    assert_states(dict(findings["run"])["FAILED"], workdir / "config.json")


def test_what_a_run_began_with_is_looked_at(config, trained, tmp_path):
    began = {
        name: f"of {name}".encode()
        for name in (
            *("registered.json", "weights.json", "files/train.txt"),
            *("files/unlabeled/train.txt", "files/unlabeled/dataset.json"),
        )
    }
    workdir, scratch = tmp_path / "workdir", tmp_path / "scratch"
    shutil.copytree(trained, workdir)
    for name, content in began.items():
        (workdir / name).parent.mkdir(parents=True, exist_ok=True)
        (workdir / name).write_bytes(content)
    doctor.copy_beginnings(epath.Path(workdir), epath.Path(scratch))
    copied = {name: content for name, (_, content) in tree(scratch).items()}
    assert copied == began | {
        name: content
        for name, (_, content) in tree(trained).items()
        if name.startswith("files/")
    }
    code, findings = quick(config, workdir)
    assert (code, findings.with_mark("FAILED")) == (5, {"dataset", "result"})


@pytest.mark.slow
def test_a_model_that_memory_cannot_hold_fails(config, tmp_path):
    code, findings = examine(
        config,
        tmp_path / "workdir",
        "--set=teacher.options={filters=[1000000,1000000]}",
    )
    assert code == 5
    text = dict(findings["teacher model"])["FAILED"]
    assert_states(text, "memory", "global_batch_size")
    assert "{{" not in text


@pytest.mark.slow
def test_two_replicas_are_examined_in_a_process_of_its_own(config, tmp_path):
    process = whole_run.start(
        "doctor",
        config,
        tmp_path / "workdir",
        "--set=runtime.logical_cpus=2",
        "--set=runtime.xla='on'",
    )
    code, out, _ = whole_run.finish(process)
    assert code == 0, out
    findings = Findings(out)
    assert_states(
        findings.text("devices"), "MirroredStrategy", "2 replicas", "CPU:0", "CPU:1"
    )
    assert findings.with_mark("ok") == set(TOPICS) - {"estimate"}


@pytest.mark.slow
def test_the_disk_holds_what_was_foretold(config, fresh, tmp_path):
    workdir = tmp_path / "workdir"
    assert main.main(whole_run.command("run", config, workdir)) == 0
    code, findings = examine(config, workdir)
    assert code == 0
    assert_states(findings.text("run"), "finished", "report")
    kinds = ("*.npz", "*.keras")
    written = sum(
        path.stat().st_size
        for role in ("teacher", "student", "baseline")
        for kind in kinds
        for path in (workdir / role).rglob(kind)
    )
    told = re.search(r"([\d.]+) MB for checkpoints", fresh.text("disk"))
    # One checkpoint a training less, of two, once all are finished.
    assert written / 1e6 < float(told[1]) < 2 * written / 1e6
