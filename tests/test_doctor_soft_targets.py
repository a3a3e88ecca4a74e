"""What doctor knows of soft targets before the teacher is trained."""

import contextlib
import io
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests import runs
from tests.test_doctor import TOPICS, Findings, examine, first_and_later_secs, tree
from trainer import config as configs
from trainer import files, losses, main
from trainer.doctor import disk, findings
from trainer.doctor.examination import Examination
from trainer.doctor.trainings import Trainings
from trainer.soft_targets import AnswerFormat, BlankTargets
from trainer.stages.soft_targets.plan import Building

CACHED = (
    "--set=distill.soft_targets='cached'",
    "--set=distill.views=2",
    "--set=distill.top_k=3",
    "--set=distill.soft_targets_dtype='float16'",
    "--set=student.train.augment='shift'",
    "--set=teacher.train.steps=20",
    "--set=teacher.train.schedule='constant'",
)
BYTES = 8 + 3 * 4 + 3 * 2 + 4 + 16  # id, classes, logits, one tail, framing
NEEDED = ("devices", "dataset", "splits", "teacher model", "soft targets")


def told(config: pathlib.Path, workdir: pathlib.Path, *flags: str):
    """Topics of failed checks, and findings, of what soft targets need alone."""
    settings = [flag.removeprefix("--set=") for flag in flags]
    examination = Examination(
        configs.load(str(config), settings),
        epath.Path(workdir),
        epath.Path(config.parent / "scratch"),
    )
    checks = [check for check in examination.checks() if check.topic in NEEDED]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        failed = findings.run(checks)
    return failed, Findings(out.getvalue())


def planned(config: pathlib.Path, workdir: pathlib.Path, *flags: str) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        command = runs.command("soft-targets plan", config, workdir, *flags)
        command[1:2] = command[1].split()
        assert main.main(command) == 0
    return out.getvalue().splitlines()


def without_times(lines: list[str]) -> list[str]:
    """No second computes as many answers as another."""
    return [re.sub(r"about .*? s\b|at [\d,]+ a second", "", line) for line in lines]


@pytest.fixture(scope="module")
def config(tmp_path_factory, tfds_dir):
    return runs.write_config(tmp_path_factory.mktemp("doctor"), tfds_dir)


@pytest.fixture(scope="module")
def before(config):
    """What is told where nothing is."""
    workdir = config.parent / "workdir"
    failed, found = told(config, workdir, *CACHED)
    assert not failed
    assert not workdir.exists()
    return [text for _, text in found["soft targets"]]


@pytest.fixture(scope="module")
def built(config, before):
    """A workdir with whole soft targets."""
    workdir = config.parent / "workdir"
    for stage in ("teacher", "soft-targets"):
        assert main.main(runs.command(stage, config, workdir, *CACHED)) == 0
    return workdir


def test_a_cache_is_told_before_it_is_built(before, config):
    folder = config.parent / "workdir" / "soft_targets" / "train"
    assert before[0] == (
        f"{folder}: split 'train', 10,000 examples x 2 views, the 3 largest of 10 "
        "logits in float16"
    )
    # Five shards of at most 2,048 ids.
    assert before[1] == f"{BYTES} bytes each, {20_000 * BYTES / 1e3:.1f} kB in 10 files"
    assert before[2].startswith("20,000 of 20,000 answers are to be computed: about ")
    assert before[3].startswith("all: 20,000 answers, about ")
    assert before[3].endswith("the students' 2 x 60 steps ask for 2,880")
    assert "in memory when students train" in before[4]


def test_what_is_told_is_what_is_planned_and_built(before, built, config):
    paths = list((built / "soft_targets").rglob("*.tfrecord"))
    num_bytes = sum(path.stat().st_size for path in paths)
    assert f"{num_bytes / 1e3:.1f} kB in {len(paths)} files" in before[1]
    damaged = sorted(paths)[0]
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1])
    there = tree(built)
    failed, found = told(config, built, *CACHED)
    assert tree(built) == there
    lines = [text for _, text in found["soft targets"]]
    assert not failed
    assert lines[2].startswith("9 of 10 files are there and of this run")
    assert lines[3].startswith("2,048 of 20,000 answers are to be computed")
    plan = [line.strip() for line in planned(config, built, *CACHED)]
    assert without_times(lines) == without_times(plan)
    damaged.write_bytes(content)


@pytest.mark.parametrize(
    ("flag", "field"),
    [
        ("distill.soft_targets_dtype='float32'", "dtype: 'float16' there"),
        ("distill.top_k=4", "top_k: 3 there, 4 here"),
        pytest.param("seeds=[5]", "augment.seed: 0 there", marks=pytest.mark.slow),
        pytest.param(
            "data.train_split='test[500:1000]'",
            "dataset.split: 'train' there, 'test' here",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "teacher.model='mlp'\nteacher.options={}",
            "teacher.model: 'cnn' there, 'mlp' here",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_cache_of_another_run_fails(built, config, flag, field):
    more = [f"--set={line}" for line in flag.splitlines()]
    if "top_k" in flag:
        more.append("--set=distill.temperature=2")  # told after the first field
    failed, found = told(config, built, *CACHED, *more)
    assert failed == ("soft targets",)
    ((_, text),) = found["soft targets"]
    assert f"must hold the soft targets of this run, got another {field}" in text


def test_what_check_refuses_of_a_cache_fails(config, tmp_path):
    failed, found = told(config, tmp_path, *CACHED, "--set=distill.top_k=10")
    assert failed == ("soft targets",)
    assert "distill.top_k must be below the 10 classes" in found.text("soft targets")


@pytest.mark.slow
def test_one_whole_split_is_needed(config, tmp_path):
    split = "--set=data.train_split='train[:500]+test[1000:]'"
    failed, found = told(config, tmp_path, *CACHED, split)
    assert failed == ("soft targets",)
    assert "parts of one whole split" in found.text("soft targets")


@pytest.mark.slow
def test_each_member_and_each_set_of_images_has_its_cache(tmp_path, tfds_dir):
    config = runs.write_ensemble(tmp_path, tfds_dir)
    flags = (
        "--set=distill.soft_targets='cached'",
        "--set=data.unlabeled={dataset='mnist_mini', split='test[1000:]'}",
    )
    failed, found = told(config, tmp_path / "workdir", *flags)
    assert not failed
    text = found.text("soft targets")
    for member in (0, 1):
        folder = tmp_path / "workdir" / "soft_targets" / f"member-{member}"
        assert f"{folder}/train: split 'train', 10,000 examples x 1 views" in text
        assert f"{folder}/unlabeled: split 'test', 2,000 examples x 1 views" in text
    assert "all: 24,000 answers" in text
    assert f"they take {24_000 * 48 / 1e6:.1f} MB" in text
    # Both members' are looked at together, and images and answers each for themselves.
    budget = 2 * 12_000 * 48 - 1
    split = "--set=data.train_split='train[:100]'"
    small = (split, f"--set=data.memory_budget_bytes={budget}")
    _, found = told(config, tmp_path / "workdir", *flags[:1], *small)
    assert "in memory when students train" in found.text("soft targets")
    small = (split, "--set=data.memory_budget_bytes=959999")
    _, found = told(config, tmp_path / "workdir", *flags[:1], *small)
    assert "streamed when students train" in found.text("soft targets")


BUILDING = Building(
    num_answers=700,
    secs=120.0,
    num_bytes=3_000_000,
    missing_bytes=2_000_000,
    memory_bytes=1,
    memory_budget=1,
)


def test_soft_targets_in_the_workdir_need_room(config, tmp_path):
    settings = configs.load(str(config))
    trainings = Trainings(settings, epath.Path(tmp_path))

    def room(building: Building | None, free: int) -> str:
        return disk.room(
            epath.Path(tmp_path), settings, trainings, {}, building=building, free=free
        )

    assert room(BUILDING, 2_000_000) == (
        "about 3.0 MB for checkpoints, models and soft targets, 1.0 MB of it there, "
        "2.0 MB free"
    )
    with pytest.raises(files.StorageError, match=r"needs about 2\.0 MB more for .*sof"):
        room(BUILDING, 1_999_999)
    assert room(None, 0).startswith("about 0 B for checkpoints and models, 0 B of")


def test_the_estimate_has_the_building(config, tmp_path):
    trainings = Trainings(configs.load(str(config)), epath.Path(tmp_path))
    text = trainings.estimate(pipeline_rate=1.0, building=BUILDING)
    assert text.startswith("about 2.0 minutes for the steps of a whole run")
    assert "and 700 answers of the teacher" in text


@pytest.mark.parametrize("top_k", [0, 3])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_blank_targets_are_of_the_form_of_records(top_k, dtype):
    form = AnswerFormat(
        num_classes=10,
        dtype=dtype,
        top_k=top_k,
        temperatures=(1.0, 4.0) if top_k else (),
    )
    blank = BlankTargets([form, form], is_in_memory=True)
    ids = tf.constant([5, 0, 7], tf.int64)
    batch = blank.gathered(ids, tf.zeros_like(ids))
    raw = tf.constant([record.tobytes() for record in np.zeros(3, form.record)])
    _, fields = form.parsed(raw)
    assert set(batch) == {f"teacher_{i}_{name}" for i in (0, 1) for name in fields}
    for name, field in fields.items():
        found = batch[f"teacher_1_{name}"]
        assert (found.shape, found.dtype) == (field.shape, field.dtype)
    signal = blank.signals(temperature=4.0)[1]
    # A student that knows nothing either has nothing to learn.
    loss = losses.soft_loss(tf.zeros([3, 10]), signal(batch), temperature=4.0)
    np.testing.assert_allclose(loss, np.zeros(3), atol=2e-2)


def slow_teacher(input_shape, num_classes):
    from tests.test_doctor import sleepy

    return sleepy(input_shape, num_classes, 0.2)


@pytest.fixture(scope="module")
def of_a_slow_teacher(config):
    """A pass of the teacher takes 0.2 seconds."""
    return examine(
        config,
        config.parent / "slow",
        *CACHED,
        "--set=teacher.model='tests.test_doctor_soft_targets:slow_teacher'",
        "--set=teacher.options={}",
        "--set=runtime.teacher_batch_size=100",
    )


@pytest.mark.slow
def test_the_student_s_step_is_one_without_a_teacher(of_a_slow_teacher):
    code, found = of_a_slow_teacher
    assert code == 0
    topics = list(TOPICS)
    topics.insert(topics.index("teacher step"), "soft targets")
    assert list(found) == topics
    assert first_and_later_secs(found.text("teacher step"))[1] >= 0.2
    assert first_and_later_secs(found.text("student step"))[1] < 0.1


@pytest.mark.slow
def test_passes_of_the_teacher_are_timed_and_in_the_estimate(of_a_slow_teacher):
    found = of_a_slow_teacher[1]
    (minutes,) = re.findall(
        r"20,000 answers, about ([\d.]+) minutes", found.text("soft targets")
    )
    assert 200 * 0.2 / 60 - 0.05 <= float(minutes) < 2 * 200 * 0.2 / 60
    steps = 0.0
    for name, count in (("teacher", 20), ("student", 120), ("baseline", 120)):
        steps += count * first_and_later_secs(found.text(f"{name} step"))[1] / 60
    (whole,) = re.findall(r"about ([\d.]+) minutes", found.text("estimate"))
    assert float(whole) == pytest.approx(float(minutes) + steps, abs=0.12)


@pytest.mark.slow
def test_a_cache_of_another_run_leaves_the_other_steps(built, config):
    before = tree(built)
    code, found = examine(config, built, *CACHED, "--set=distill.temperature=3")
    assert code == 5
    assert tree(built) == before
    assert {"soft targets", "result"} <= found.with_mark("FAILED")
    text = dict(found["soft targets"])["FAILED"]
    assert "the tail of the top 3 at temperature 3, got 4" in text
    assert found["student step"] == [("skipped", "needs soft targets")]
    assert found["baseline step"][0][0] == "ok"


@pytest.mark.slow
def test_soft_targets_beyond_the_memory_are_streamed_in_the_step(config, tmp_path):
    budget = "--set=data.memory_budget_bytes=0"
    code, found = examine(config, tmp_path / "workdir", *CACHED, budget)
    assert code == 0
    assert "streamed when students train" in found.text("soft targets")
    assert found["student step"][0][0] == "ok"
    # These images fit, and the answers do not.
    budget = "--set=data.memory_budget_bytes=1600000"
    views = "--set=distill.views=20"
    code, found = examine(config, tmp_path / "workdir", *CACHED, budget, views)
    assert code == 5
    assert found.with_mark("FAILED") == {"student step", "result"}
    assert "cached soft targets must fit in data.memory_budget_bytes" in (
        found.text("student step")
    )
