"""Bits flipped and ends cut in every kind of file that a run writes and reads again.

What is read then is what was written, or the reading ends with 2 or 5: never with
another value, and never with a traceback.
"""

import dataclasses
import json
import pathlib
import random
import shutil
import zlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from etils import epath

from tests.helpers import configs, whole_run
from tests.helpers.caches import write_teacher
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_a_line_states, assert_states
from tests.helpers.pets import SIZE, draw
from tests.helpers.sweeps import all_of, open_sweep
from tests.helpers.versions import card
from tests.helpers.versions import publish as publish_version
from trainer import config, exit_codes, models, report, soft_targets, stages
from trainer.cluster import restart_budget
from trainer.config import reference
from trainer.data import begun, contents, file_list
from trainer.registry import lock_file, versions
from trainer.report import beside, crossval_table, exported, inputs
from trainer.session import Session, weight_files
from trainer.stages import register
from trainer.stages.soft_targets import caches
from trainer.storage import files, model_classes, seal, workdir
from trainer.storage.evaluation_files import ENVIRONMENT, INFERENCE_TIMES, THUMBNAILS
from trainer.storage.workdir import FINISHED, METRICS, PREDICTIONS
from trainer.tracking import sent
from trainer.train import checkpoint
from trainer.watch import arrivals

NUM_PLACES = 15  # in each kind
SWEEP = ("sweep.trials=8",)


@dataclasses.dataclass(frozen=True)
class World:
    """A finished run with all that belongs to it, and what is read of it."""

    root: pathlib.Path
    session: Session
    cache: soft_targets.Manifest  # as the run wants it

    @property
    def workdir(self) -> epath.Path:
        return self.session.path


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    root = tmp_path_factory.mktemp("damage")
    draw(root / "pets" / "train" / "cat", range(12))
    draw(root / "pets" / "train" / "dog", range(100, 112))
    draw(root / "pets" / "test" / "cat", range(50, 54))
    draw(root / "pets" / "test" / "dog", range(150, 154))
    write_teacher(root / "teacher.keras", (SIZE, SIZE, 3), 2)
    text = configs.GROWN.format(folder=root).replace("steps = 4", "steps = 8")
    (root / "pets.toml").write_text(
        f"{text}\n[runtime]\nsteps_per_loop = 2\nlog_every_steps = 2\n"
        "eval_every_steps = 2\nsave_every_steps = 2\n"
    )
    settings = config.load(str(root / "pets.toml"), [])
    session = whole_run.session(settings, root / "workdir", strategy_of(1))
    workdir.claim(session.path, settings)
    stages.run(session, stages.select_stages(settings), whole=False)
    student = session.networks.build("student", 0)
    student.save_weights(root / "student.weights.h5")
    weight_files.load(
        session.networks,
        student,
        str(root / "student.weights.h5"),
        setting="student.weights",
    )
    (transfer,) = caches.transfer_sets(session.config, session.datasets)
    weights = models.fingerprint(session.networks.teachers[0])
    write_others(root)
    return World(
        root, session, caches.manifest(session.networks, 0, transfer, weights=weights)
    )


FOLD = {"examples": 9, "errors": 2, "accuracy": 0.75, "agreement": 0.5}
FOLD |= {"teacher_accuracy": 0.875}
FORMAT = {"num_bytes": 123, "accuracy": 0.75, "agreement": 0.5}
FORMAT |= {"max_difference": 1e-6, "ms_per_example": 0.25}
TOLD = {
    "tracking.json": {
        "trackers": [
            {
                "to": {"tracker": "mlflow", "options": {"uri": "http://host"}},
                "runs": {x: {"key": 32 * x, "step": 50} for x in "ab"},
            }
        ]
    },
    "crossval.json": {
        "folds": [{"fold": i, **FOLD} for i in range(3)],
        "mean": FOLD,
        "std": FOLD,
    },
    "export/export.json": {
        "role": "student",
        "seed": 0,
        "examples": 9,
        "formats": {"model": FORMAT, "keras": FORMAT},
        "problems": [],
    },
    "tables.json": {name: name * 16 for name in ("beef", "cafe")},
    INFERENCE_TIMES: {"models": {"student": {"inference_rounds": {"1": 9, "256": 9}}}},
    "attempts.json": {"in_vain": 2, "kept": ["teacher/checkpoints/step-00000005.npz"]},
    "study.json": {
        "name": "study",
        "grid": {"distill.alpha": [0.1, 0.9]},
        "cells": [
            {
                "name": f"cell-{i}",
                "settings": {"distill.alpha": alpha},
                "status": "diverged",
                "models": {},
                "gain": None,
            }
            for i, alpha in enumerate((0.1, 0.9))
        ],
    },
}


def write_others(root: pathlib.Path) -> None:
    """What other commands leave, by what writes it for them."""
    for name, value in TOLD.items():
        files.write_json(epath.Path(root / "told" / name), seal.add_checksum(value))
    for i in range(8):
        batch = arrivals.begin(epath.Path(root / "watch"), [f"{i}.png", f"{i}{i}.png"])
        arrivals.replace(
            epath.Path(root / "watch"), dataclasses.replace(batch, accuracy=i / 10)
        )
    (root / "sweep").mkdir()
    all_of(open_sweep(root / "sweep", *SWEEP))
    open_sweep(root / "sweep", *SWEEP)  # writes down what came of it
    source = root / "source"
    (source / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "variables/variables.index", "model.keras"):
        (source / name).write_bytes(random.Random(name).randbytes(400))
    for _ in range(3):
        publish_version(root / "registry", source, card())
    versions.promote(epath.Path(root / "registry"), named("registry:digits@2"))
    registered(root)


def named(text: str) -> Any:
    return reference(text, setting="teacher.weights")


# Readers, each from a path to what it holds.


def checkpoints(world: World, path: pathlib.Path) -> object:
    """What the training goes on from, and whether it is what was saved there."""
    folder = epath.Path(path.parent)
    step = checkpoint.newest_intact(folder)
    # Those that are not damaged here are read by NumPy alone.
    with np.load(path.with_name("step-00000006.npz")) as arrays:
        kept = {name: arrays[name] for name in arrays if name != "header"}
        run = json.loads(str(arrays["header"]))["run"]
    state: dict[str, list[keras.Variable]] = {}
    for name in sorted(kept):
        variable = keras.Variable(np.zeros_like(kept[name]))
        state.setdefault(name.partition("/")[0], []).append(variable)
    restored = checkpoint.Checkpoints(folder, state=state, run=run, keep=2)
    restored.restore(step)
    found = [x.numpy() for name in sorted(state) for x in state[name]]
    if step == 6:
        assert (folder / "set-aside-step-00000008.npz").exists()
        same(found, [kept[name] for name in sorted(kept)])
        return SET_ASIDE
    return found


SET_ASIDE = "set aside"


def model(world: World, path: pathlib.Path) -> object:
    student = world.session.networks.build("student", 1)
    world.session.networks.load(student, epath.Path(path), stage="student")
    return [np.asarray(variable.numpy()) for variable in student.variables]


def whole_model(world: World, path: pathlib.Path) -> object:
    options = config.SavedOptions(path=str(path), input="zero_to_255")
    found = models.alone(options, setting="predict.model")
    return [np.asarray(variable.numpy()) for variable in found.variables]


def weights(world: World, path: pathlib.Path) -> object:
    student = world.session.networks.build("student", 1)
    file = str(world.root / "student.weights.h5")
    weight_files.load(world.session.networks, student, file, setting="student.weights")
    return [np.asarray(variable.numpy()) for variable in student.variables]


def cache(world: World, path: pathlib.Path) -> object:
    folder = caches.root(world.session.config, world.session.path) / "train"
    return [soft_targets.Cache(folder, world.cache).records(0)["logits"]]


def whole_report(world: World, path: pathlib.Path) -> object:
    found = inputs.read(world.workdir)
    answers = found.predictions
    lines = [
        {name: value for name, value in line.items() if not name.startswith("perf/")}
        for histories in found.histories.values()
        for history in histories
        for line in history
    ]
    arrays = [answers.labels, answers.example_rows, answers.example_images]
    return [*arrays, *answers.logits.values(), answers.class_names, lines]


def registered(root: pathlib.Path, path: object = None) -> object:
    settings = config.load(
        str(root / "pets.toml"),
        ["teacher.weights='registry:digits@2'", f"registry.root='{root}/registry'"],
    )
    return lock_file.locked_models(settings, epath.Path(root))


def version(world: World, path: pathlib.Path) -> object:
    root = epath.Path(world.root / "registry")
    return str(versions.model_of(root, named("registry:digits@promoted")))


def whole_version(world: World, path: pathlib.Path) -> object:
    root = epath.Path(world.root / "registry")
    return versions.promote(root, named("registry:digits@2"))


def starts(world: World, path: pathlib.Path) -> object:
    """What starts came to; damaged, the next one counts as the first."""
    found = restart_budget._read(epath.Path(path.parent))
    return SET_ASIDE if found == (0, None) else list(found)


def sweep(world: World, path: pathlib.Path) -> object:
    found = open_sweep(world.root / "sweep", *SWEEP)
    return [(t.number, t.params, t.value) for t in found.study.get_trials()]


def of_folder(read: Callable[[epath.Path], object]) -> Callable[..., object]:
    return lambda world, path: read(epath.Path(path.parent))


STUDENT = "workdir/student/seed-0"
READERS: dict[str, tuple[str, Callable[[World, pathlib.Path], object]]] = {
    "checkpoint": (f"{STUDENT}/checkpoints/step-00000008.npz", checkpoints),
    "model": (f"{STUDENT}/{FINISHED}", model),
    "whole model": (f"{STUDENT}/{FINISHED}", whole_model),
    "weights": ("student.weights.h5", weights),
    "weights.json": ("workdir/weights.json", weights),
    "shard": ("shared/train/view-0000/shard-00000.tfrecord", cache),
    "manifest": ("shared/train/manifest.json", cache),
    "list": ("workdir/files/train.jsonl", lambda _, path: file_list.read(path)),
    "config.json": ("workdir/config.json", of_folder(workdir.read_config)),
    "results.json": ("workdir/results.json", of_folder(report.read_results)),
    "predictions.npz": (f"workdir/{PREDICTIONS}", whole_report),
    "metrics.jsonl": (f"{STUDENT}/{METRICS}", whole_report),
    "environment.json": (
        f"workdir/{ENVIRONMENT}",
        lambda _, path: beside.read(epath.Path(path)),
    ),
    "thumbnails.npz": (
        f"workdir/{THUMBNAILS}",
        lambda world, _: list(inputs.read(world.workdir).thumbnails.values()),
    ),
    "inference_times.json": (
        f"told/{INFERENCE_TIMES}",
        lambda _, path: beside.read(epath.Path(path)),
    ),
    "crossval.json": ("told/crossval.json", of_folder(crossval_table.read)),
    "export.json": (
        "told/export/export.json",
        lambda _, path: exported.read(epath.Path(path.parent.parent)),
    ),
    "study.json": ("told/study.json", of_folder(report.read_study)),
    "watch.json": ("watch/watch.json", of_folder(arrivals.read)),
    "images.json": (
        "watch/cells/batch-0008/images.json",
        lambda world, _: [
            arrivals.images(epath.Path(world.root / "watch"), batch)
            for batch in arrivals.read(epath.Path(world.root / "watch"))
        ],
    ),
    "sweep.json": ("sweep/workdir/sweep.json", sweep),
    "sweep.journal": ("sweep/workdir/sweep.journal", sweep),
    "dataset.json": ("workdir/files/dataset.json", lambda _, path: begun._read(path)),
    "tables.json": ("told/tables.json", lambda _, path: contents._read(path)),
    "classes": (
        f"{STUDENT}/classes.{FINISHED}.json",
        lambda _, path: model_classes.read(epath.Path(path.with_name(FINISHED))),
    ),
    "attempts.json": ("told/attempts.json", starts),
    "tracking.json": ("told/tracking.json", lambda _, path: sent._read(path)),
    "registered.json": ("registered.json", lambda world, _: registered(world.root)),
    "promoted.json": ("registry/digits/promoted.json", version),
    "card.json": ("registry/digits/2/card.json", version),
    "registered model": ("registry/digits/2/model.keras", version),
    "registered files": ("registry/digits/2/saved_model.pb", whole_version),
}


def damaged(content: bytes, rng: random.Random) -> bytes:
    """With a bit flipped, or without an end of it."""
    place = rng.randrange(len(content))
    if rng.random() < 0.2:
        return content[:place]
    flipped = bytearray(content)
    flipped[place] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def same(found: object, expected: object) -> None:
    if isinstance(expected, list) and any(isinstance(x, np.ndarray) for x in expected):
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, strict=True)
    else:
        assert found == expected


def outcome(read: Callable[[], object]) -> tuple[Exception | None, object]:
    """The error of reading, or what was read."""
    try:
        return None, read()
    except Exception as error:
        return error, None


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_damage_is_found_or_harmless(world, kind, tmp_path):
    name, read = READERS[kind]
    path = world.root / name
    whole, expected = path.read_bytes(), read(world, path)
    shutil.copytree(path.parent, tmp_path / "whole")
    rng = random.Random(zlib.crc32(kind.encode()))
    tally = dict.fromkeys(("refused", "harmless", SET_ASIDE), 0)
    for _ in range(NUM_PLACES):
        path.write_bytes(damaged(whole, rng))
        refused, found = outcome(lambda: read(world, path))
        # The reading may have put others in the place of files.
        shutil.rmtree(path.parent)
        shutil.copytree(tmp_path / "whole", path.parent)
        if refused:
            assert exit_codes.from_error(refused) in (2, 5), f"{kind}: {refused!r}"
            assert len(str(refused)) < 1000
            tally["refused"] += 1
        elif isinstance(found, str) and found == SET_ASIDE:
            tally[SET_ASIDE] += 1
        else:
            same(found, expected)
            tally["harmless"] += 1
    print(f"{kind}: {tally}")
    same(read(world, path), expected)


@pytest.mark.slow
def test_a_student_goes_on_from_the_checkpoint_before_bit_for_bit(world, capsys):
    folder = world.root / STUDENT
    before = model(world, folder / FINISHED)
    lines = whole_report(world, folder)[-1]
    for name in (FINISHED, "last.keras"):
        (folder / name).unlink()
    newest = folder / "checkpoints" / "step-00000008.npz"
    with np.load(newest) as arrays:
        kept = {name: arrays[name] for name in arrays}
    newest.write_bytes(newest.read_bytes()[:-100])
    capsys.readouterr()
    stages.STAGES["student"](world.session)
    told = capsys.readouterr().err
    assert_states(told, newest)
    assert_a_line_states(told, "student seed 0", "from step 6")
    assert newest.with_name("set-aside-step-00000008.npz").exists()
    same(model(world, folder / FINISHED), before)
    same(whole_report(world, folder)[-1], lines)
    with np.load(newest) as arrays:
        again = {name: arrays[name] for name in arrays}
    # The header has times in it.
    header, first = (json.loads(str(x.pop("header"))) for x in (again, kept))
    assert header["lines"] == first["lines"] != ""
    assert header["best_step"] == first["best_step"]
    same([again[name] for name in kept], list(kept.values()))
    newest.with_name("set-aside-step-00000008.npz").unlink()


@pytest.mark.slow
def test_an_evaluation_goes_on_without_the_newest_checkpoint(world, capsys):
    newest = world.root / STUDENT / "checkpoints" / "step-00000008.npz"
    results = world.root / "workdir" / "results.json"
    whole, expected = newest.read_bytes(), json.loads(results.read_text())
    results.unlink()
    newest.write_bytes(whole[:-100])
    stages.STAGES["evaluate"](world.session)
    assert_states(capsys.readouterr().err, newest, "damaged")
    found, before = json.loads(results.read_text())["models"], expected["models"]
    for entries in (found, before):
        for entry in entries.values():
            del entry["train_examples_per_sec"]  # the test before trained it again
    same(found, before)
    assert found["student"]["seeds"][0]["last"]["step"] == 8
    newest.write_bytes(whole)


@pytest.mark.slow
def test_another_model_than_the_evaluated_one_is_not_registered(world, tmp_path):
    path = world.root / STUDENT / FINISHED
    whole = path.read_bytes()
    path.write_bytes((world.root / "workdir/baseline/seed-0" / FINISHED).read_bytes())
    text = (world.root / "pets.toml").read_text()
    (tmp_path / "pets.toml").write_text(f'{text}\n[registry]\nroot = "{tmp_path}/r"\n')
    settings = config.load(str(tmp_path / "pets.toml"), [])
    session = whole_run.session(settings, world.root / "workdir", strategy_of(1))
    refused, _ = outcome(lambda: register.publish(session))
    path.write_bytes(whole)
    assert exit_codes.from_error(refused) == 2
    assert_states(str(refused), path)
    assert not versions.complete(epath.Path(tmp_path / "r" / "grown"))


@pytest.mark.slow
def test_what_earlier_versions_wrote_is_read_as_before(world, tmp_path, capsys):
    expected = whole_report(world, world.root)
    listed = file_list.read(epath.Path(world.root / "workdir/files/train.jsonl"))
    old = tmp_path / "old"
    shutil.copytree(world.root / "workdir", old)
    for path in (old / "config.json", old / "results.json"):
        said = json.loads(path.read_text())
        for name in ("checksum", "files", "histories"):
            said.pop(name, None)
        path.write_text(json.dumps(said))
    path = old / "files" / "train.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    del lines[0]["list"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    capsys.readouterr()
    same(
        whole_report(dataclasses.replace(world, session=at(world, old)), old), expected
    )
    told = capsys.readouterr().err
    assert told.count("earlier version") == 1
    assert file_list.read(epath.Path(path)) == listed
    assert workdir.read_config(epath.Path(old)) == workdir.read_config(world.workdir)


def at(world: World, path: pathlib.Path) -> Session:
    return whole_run.session(world.session.config, path, strategy_of(1))
