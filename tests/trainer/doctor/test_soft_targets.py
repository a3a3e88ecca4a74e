"""What doctor knows of soft targets before the teacher is trained."""

import contextlib
import dataclasses
import io
import pathlib
import re
import shutil
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from PIL import Image

from tests.helpers import whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.examinations import (
    TOPICS,
    Findings,
    examine,
    first_and_later_secs,
    sleepy,
    tree,
)
from tests.helpers.messages import assert_a_line_states, assert_states, refused
from trainer import config as configs
from trainer import main, soft_targets
from trainer.doctor import diagnostics, disk
from trainer.doctor.dry_run import DryRun, Footprint
from trainer.doctor.examination import Examination
from trainer.doctor.trainings import Trainings
from trainer.soft_targets import DummyTargets, LogitsFormat
from trainer.stages.planned_work import Sizes
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.plan import Building
from trainer.storage import files

CONFIG = """
name = "shades"

[data]
dataset = "folder:{root}/shades"
image_size = 8
train_split = "train[:60%]"
validation_split = "train[60%:80%]"
test_split = "train[80%:]"

[teacher]
model = "mlp"
options.hidden_sizes = [4]

[teacher.train]
global_batch_size = 4
steps = 5

[student]
model = "mlp"
options.hidden_sizes = [4]

[student.train]
global_batch_size = 4
steps = 6
augment = "shift"

[distill]
soft_targets = "cached"
soft_targets_dtype = "float16"
top_k = 3
views = 2

[runtime]
steps_per_loop = 5
log_every_steps = 5
eval_every_steps = 5
save_every_steps = 5
"""
ANSWER = 8 + 3 * 4 + 3 * 2 + 4  # bytes of the id, classes, logits and one tail
FRAMING = 16
SLOW = pytest.mark.slow
NEEDED = ("devices", "dataset", "splits", "teacher model", "soft targets")


def write_shades(folder: pathlib.Path, shades: range) -> None:
    """Images of one shade."""
    folder.mkdir(parents=True)
    for shade in shades:
        pixels = np.full((8, 8, 3), shade, np.uint8)
        Image.fromarray(pixels).save(folder / f"{shade}.png")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Of forty images of four classes, with twelve of none beside them."""
    root = tmp_path_factory.mktemp("shades")
    for i in range(4):
        write_shades(root / "shades" / f"class-{i}", range(10 * i, 10 * i + 10))
    write_shades(root / "wild", range(100, 112))
    path = root / "shades.toml"
    path.write_text(CONFIG.format(root=root))
    return path


def told(config: pathlib.Path, workdir: pathlib.Path, *flags: str):
    """Topics of failed checks, and findings, of soft targets and what they need."""
    settings = [flag.removeprefix("--set=") for flag in flags]
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.redirect_stdout(io.StringIO()) as out,
    ):
        examination = Examination(
            configs.load(str(config), settings),
            epath.Path(workdir),
            epath.Path(scratch),
            num_workers=1,
        )
        checks = [check for check in examination.checks() if check.topic in NEEDED]
        failed = diagnostics.run(checks)
    return failed, Findings(out.getvalue())


def planned(config: pathlib.Path, workdir: pathlib.Path, *flags: str) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        command = whole_run.command("soft-targets plan", config, workdir, *flags)
        command[1:2] = command[1].split()
        assert main.main(command) == 0
    return out.getvalue().splitlines()


def without_times(lines: list[str]) -> list[str]:
    """No second computes as many answers as another."""
    return [re.sub(r"about .*? s\b|at [\d,]+ a second", "", line) for line in lines]


@pytest.fixture(scope="module")
def workdir(config):
    return config.parent / "workdir"


@pytest.fixture(scope="module")
def before(config, workdir):
    """What is told where nothing is."""
    failed, found = told(config, workdir)
    assert not failed
    assert not workdir.exists()
    return [text for _, text in found["soft targets"]]


@pytest.fixture(scope="module")
def begun(config):
    """A workdir with a cache that has no shard yet."""
    workdir = config.parent / "begun"
    session = whole_run.session(configs.load(str(config)), workdir, strategy_of(1))
    (transfer,) = caches.transfer_sets(session.config, session.datasets)
    manifest = caches.planned_manifest(session.networks, 0, transfer)
    soft_targets.write(
        caches.folder(session.config, session.path, 0, transfer), manifest
    )
    return workdir


def test_a_cache_is_told_before_it_is_built(before, workdir):
    assert_states(
        before[0],
        *(f"{workdir}/soft_targets/train", "'train'", "40 examples", "2 views"),
        *("3 largest of 4 logits", "float16"),
    )
    size = f"{2 * 40 * (ANSWER + FRAMING) / 1e3:.1f} kB"
    assert_states(before[1], f"{ANSWER + FRAMING} bytes", size, "2 files")
    assert_states(before[2], "80 of 80 predictions")
    # Of one seed.
    assert_states(before[3], "all", "80 predictions", "1 x 6 steps", 24)
    in_memory = f"{2 * 40 * ANSWER / 1e3:.1f} kB"
    assert_states(before[4], size, "in memory", in_memory)


def test_what_is_told_is_what_is_planned(before, config, workdir):
    plan = [line.strip() for line in planned(config, workdir)]
    assert without_times(before) == without_times(plan)


@pytest.mark.slow
def test_what_is_told_is_what_is_built(before, config, workdir):
    for stage in ("teacher", "soft-targets"):
        assert main.main(whole_run.command(stage, config, workdir)) == 0
    paths = sorted((workdir / "soft_targets").rglob("*.tfrecord"))
    num_bytes = sum(path.stat().st_size for path in paths)
    assert_states(before[1], f"{num_bytes / 1e3:.1f} kB", f"{len(paths)} files")
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    there = tree(workdir)
    failed, found = told(config, workdir)
    assert tree(workdir) == there
    assert not failed
    lines = [text for _, text in found["soft targets"]]
    assert lines[:2] == before[:2]
    assert_states(lines[2], "1 of 2 files")
    assert_states(lines[3], "40 of 80 predictions")
    plan = [line.strip() for line in planned(config, workdir)]
    assert without_times(lines) == without_times(plan)


@pytest.mark.parametrize(
    ("setting", "facts"),
    [
        ("distill.soft_targets_dtype='float32'", ["dtype", "'float16' there"]),
        pytest.param(
            "data.image_size=9",
            ["dataset.input_shape", "[8, 8, 3] there", "[9, 9, 3] here"],
            marks=SLOW,
        ),
        pytest.param("seeds=[5]", ["augment.seed", "0 there", "5 here"], marks=SLOW),
        pytest.param("distill.top_k=2", ["top_k", "3 there", "2 here"], marks=SLOW),
        pytest.param(
            "teacher.options.hidden_sizes=[5]",
            ["teacher.options.hidden_sizes", "[4] there", "[5] here"],
            marks=SLOW,
        ),
    ],
)
def test_a_cache_of_another_run_fails(begun, config, setting, facts):
    failed, found = told(config, begun, f"--set={setting}")
    assert failed == ("soft targets",)
    ((_, text),) = found["soft targets"]
    assert_states(text, begun / "soft_targets/train", *facts)


@pytest.mark.slow
def test_a_cache_of_fewer_images_than_the_run_fails(begun, config, tmp_path):
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    folder = epath.Path(tmp_path / "soft_targets" / "train")
    whole = soft_targets.read(folder)
    session = whole_run.session(configs.load(str(config)), tmp_path, strategy_of(1))
    first = session.datasets.source.fingerprint("train", num_ids=30)
    growth = ({"num_ids": 30, "fingerprint": first},)
    shards = soft_targets.shards_of([True] * 30)
    fewer = dataclasses.replace(whole, growth=growth, shards=shards)
    soft_targets.write(folder, fewer)
    failed, found = told(config, tmp_path)
    assert failed == ("soft targets",)
    ((_, text),) = found["soft targets"]
    assert_states(text, "40 ids", 30, "python -m trainer soft-targets extend")


@pytest.mark.slow
def test_more_logits_than_a_cache_can_keep_fail(config, tmp_path):
    failed, found = told(config, tmp_path, "--set=distill.top_k=4")
    assert failed == ("soft targets",)
    ((_, text),) = found["soft targets"]
    assert_states(text, "distill.top_k", "4 classes", "got 4")


@pytest.mark.slow
def test_examples_of_two_whole_splits_fail(tmp_path, tfds_dir):
    config = whole_run.write_config(tmp_path, tfds_dir)
    failed, found = told(
        config,
        tmp_path / "workdir",
        "--set=distill.soft_targets='cached'",
        "--set=data.train_split='train[:500]+test[1000:]'",
    )
    assert failed == ("soft targets",)
    ((_, text),) = found["soft targets"]
    assert_states(text, "data.train_split", "'train[:500]+test[1000:]'")


@pytest.mark.slow
def test_each_member_and_each_set_of_images_has_its_cache(config, tmp_path):
    member = "{model='mlp', options={hidden_sizes=[3]}, %strain={%s, steps=5}}"
    members = [member % (seed, "global_batch_size=4") for seed in ("", "seed=1, ")]
    text = config.read_text()
    teacher = text[text.index("[teacher]") : text.index("[student]")]
    path = config.parent / "ensemble.toml"
    path.write_text(text.replace(teacher, ""))
    flags = (
        f"--set=teacher.members=[{', '.join(members)}]",
        f"--set=data.unlabeled.dataset='folder:{config.parent}/wild'",
        "--set=data.unlabeled.split='train'",
    )
    failed, found = told(path, tmp_path, *flags)
    assert not failed
    lines = found.text("soft targets")
    for i in (0, 1):
        folder = tmp_path / "soft_targets" / f"member-{i}"
        for name, examples in (("train", 40), ("unlabeled", 12)):
            assert_a_line_states(
                lines, folder / name, "'train'", f"{examples} examples", "2 views"
            )
    num_answers = 2 * 2 * 52
    assert_a_line_states(lines, "all", f"{num_answers} predictions")
    # They are together in memory, or none is.
    for budget, where in (
        (num_answers * ANSWER, "in memory"),
        (num_answers * ANSWER - 1, "streamed"),
    ):
        less = f"--set=data.memory_budget_bytes={budget}"
        _, found = told(path, tmp_path, *flags, less)
        assert_states(found.text("soft targets"), where)


BUILDING = Building(
    num_predictions=700,
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

    facts = ("3.0 MB", "soft targets", "1.0 MB", "2.0 MB free")
    assert_states(room(BUILDING, 2_000_000), *facts)
    with refused(files.StorageError, tmp_path, "2.0 MB more", "soft targets"):
        room(BUILDING, 1_999_999)
    assert_states(room(None, 0), "about 0 B", "0 B of")


def test_the_estimate_has_the_building(config, tmp_path):
    trainings = Trainings(configs.load(str(config)), epath.Path(tmp_path))
    sizes = Sizes(training=1, transfer=1, labeled=1, validation=1, test=1)
    trial = DryRun(
        num_steps=5,
        global_batch_size=4,
        first_secs=1.0,
        step_secs=1e-6,
        ready_secs=1e-6,
        loop_steps=1,
        footprint=Footprint(weights=0, gradients=0, slots=0, averages=0),
        peak=[],
    )
    trainings.trials["student"] = trial
    text = trainings.estimate(sizes, pipeline_rate=1e6, building=BUILDING)
    # Three trainings begin, and the page is drawn.
    assert_states(text, "2.1 minutes", "700 predictions")


@pytest.mark.parametrize("top_k", [0, 3])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_blank_targets_are_of_the_form_of_records(top_k, dtype):
    form = LogitsFormat(
        num_classes=10,
        dtype=dtype,
        top_k=top_k,
        temperatures=(1.0, 4.0) if top_k else (),
    )
    blank = DummyTargets([form, form], is_in_memory=True)
    ids = tf.constant([5, 0, 7], tf.int64)
    batch = blank.gather(ids, tf.zeros_like(ids))
    raw = tf.constant([record.tobytes() for record in np.zeros(3, form.record)])
    _, fields = form.decode(raw)
    assert set(batch) == {f"teacher_{i}_{name}" for i in (0, 1) for name in fields}
    for name, field in fields.items():
        found = batch[f"teacher_1_{name}"]
        assert (found.shape, found.dtype) == (field.shape, field.dtype)
    answer = blank.signals()[1](batch).at(4.0)
    # Ten classes are equally likely, and seven of them are the tail of the top three.
    probs = [0.1] * 3 + [0.7] if top_k else [0.1] * 10
    np.testing.assert_allclose(
        tf.nn.softmax(answer.logits / 4.0), [probs] * 3, rtol=1e-3
    )


def slow_teacher(input_shape, num_classes):
    return sleepy(input_shape, num_classes, 0.2)


@pytest.fixture(scope="module")
def of_a_slow_teacher(config):
    """A pass of the teacher takes 0.2 seconds, and 400 are needed."""
    return examine(
        config,
        config.parent / "slow",
        "--set=teacher.model='tests.trainer.doctor.test_soft_targets:slow_teacher'",
        "--set=teacher.options={}",
        "--set=distill.views=100",
        "--set=runtime.teacher_batch_size=10",
    )


@pytest.mark.slow
def test_the_step_of_the_student_is_one_without_a_teacher(of_a_slow_teacher):
    code, found = of_a_slow_teacher
    assert code == 0
    assert tuple(found) == TOPICS
    assert first_and_later_secs(found.text("teacher step"))[1] >= 0.2
    assert first_and_later_secs(found.text("student step"))[1] < 0.1


@pytest.mark.slow
def test_passes_of_the_teacher_are_timed_and_estimated(of_a_slow_teacher):
    found = of_a_slow_teacher[1]
    told_times = re.findall(r"about ([\d.]+) minutes", found.text("soft targets"))
    minutes = [float(text) for text in told_times]
    assert minutes == [pytest.approx(400 * 0.2 / 60, rel=0.3)] * 2
    (whole,) = re.findall(r"about ([\d.]+) minutes", found.text("estimate"))
    # The trainings and the page take some seconds.
    assert minutes[0] - 0.05 <= float(whole) <= minutes[0] + 0.6
    assert_states(found.text("estimate"), "4,000 predictions")


@pytest.mark.slow
def test_the_disk_has_room_for_soft_targets_of_the_workdir_alone(config, tmp_path):
    """Those of another folder need none in it."""
    sizes = []
    for flags in ([], [f"--set=distill.soft_targets_dir='{tmp_path}/shared'"]):
        more = ["--set=distill.views=1000", *flags]
        code, found = examine(config, tmp_path / "workdir", *more)
        assert code == 0
        size, unit = re.search(r"about ([\d.]+) ([kM])B", found.text("disk")).groups()
        sizes.append(float(size) * {"k": 1e3, "M": 1e6}[unit])
    assert list(tmp_path.iterdir()) == []
    expected = 1000 * 40 * (ANSWER + FRAMING)
    assert sizes[0] - sizes[1] == pytest.approx(expected, abs=1e5)


@pytest.mark.slow
def test_a_cache_of_another_run_leaves_the_other_steps(begun, config):
    there = tree(begun)
    code, found = examine(config, begun, "--set=distill.temperature=3")
    assert code == 5
    assert tree(begun) == there
    assert {"soft targets", "result"} <= found.with_mark("FAILED")
    text = dict(found["soft targets"])["FAILED"]
    assert_states(text, "top 3", "temperature 3", "got 4")
    assert found["student step"] == [("skipped", "needs soft targets")]
    assert found["baseline step"][0][0] == "ok"


@pytest.mark.slow
def test_soft_targets_beyond_memory_are_streamed_in_the_step(tmp_path, tfds_dir):
    config = whole_run.write_config(tmp_path, tfds_dir)
    flags = (
        "--set=distill.soft_targets='cached'",
        "--set=student.train.augment='shift'",
    )
    budget = "--set=data.memory_budget_bytes=0"
    code, found = examine(config, tmp_path / "workdir", *flags, budget)
    assert code == 0
    assert_states(found.text("soft targets"), "streamed")
    assert found["student step"][0][0] == "ok"
    # These images fit, and the answers to twenty views of them do not.
    more = ("--set=data.memory_budget_bytes=1600000", "--set=distill.views=20")
    code, found = examine(config, tmp_path / "workdir", *flags, *more)
    assert code == 5
    assert found.with_mark("FAILED") == {"soft targets", "result"}
    facts = ("data.memory_budget_bytes", "distill.views = 20")
    assert_states(dict(found["soft targets"])["FAILED"], *facts)
    assert found["student step"] == [("skipped", "needs soft targets")]
