"""Runs that an earlier version began, and runs that grow: the same ones, or refused.

golden/earlier.json holds that version's settings, configs and names of checkpoints.
"""

import copy
import dataclasses
import json
import pathlib
import random
import shutil
import typing

import numpy as np
import pytest
from etils import epath

from tests.helpers import whole_run
from tests.helpers.messages import assert_a_line_states, assert_states, refusal, refused
from tests.helpers.pages import undrawn
from tests.helpers.repository import REPOSITORY
from trainer import config, main
from trainer.config import (
    ColorJitterOptions,
    ConfigError,
    MemoryOptions,
    MobilenetV2CifarOptions,
    RandAugmentOptions,
    RandomErasingOptions,
    ResnetCifarOptions,
    ShiftOptions,
    ShufflenetV1Options,
    ShufflenetV2Options,
    TrivialAugmentOptions,
    VggCifarOptions,
    WideResnetOptions,
    differences,
    earlier,
    from_resolved,
    is_earlier_name,
    load,
    plain_options,
    resolve,
    run_name,
)
from trainer.config.augmentations import InceptionCropOptions
from trainer.config.datasets import TfrecordOptions
from trainer.config.distill import DistillTermsConfig
from trainer.config.fields import fields_of
from trainer.config.schema import Config
from trainer.config.tracking import MlflowOptions
from trainer.runs.variant import share_teacher
from trainer.stages.soft_targets import caches
from trainer.storage import workdir
from trainer.study import variants
from trainer.sweep import results

GOLDEN = json.loads((REPOSITORY / "tests" / "golden" / "earlier.json").read_text())

RUN = """
name = "points"
seeds = [0]

[data]
dataset = "csv:points.csv"
train_split = "train[:60%]"
validation_split = "train[60%:80%]"
test_split = "train[80%:]"

[teacher]
model = "mlp"
options.hidden_sizes = [8]
train = {global_batch_size = 16, steps = 20}

[student]
model = "mlp"
options = {hidden_sizes = [4], dropout = 0.1}
train = {global_batch_size = 16, steps = 20}

[distill]
soft_targets = "cached"

[runtime]
steps_per_loop = 2
log_every_steps = 2
eval_every_steps = 4
save_every_steps = 4
eval_batch_size = 32
keep_checkpoints = 9
"""
GRID = '\n[study.grid]\n"distill.top_k" = [0, 1]\n'
GROWN = ('name="renamed"', "seeds=[0, 5]")
HALF = 8  # steps
ENDS = ("results.json", "predictions.npz", "index.html")
TODAY, LATER = "today", "with settings that come later"
LATER_VALUE = 3


@pytest.fixture
def file(tmp_path, monkeypatch) -> pathlib.Path:
    """The config of the golden run, in the working directory, beside its table."""
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    points = [(rng.gauss(0, 1), rng.gauss(0, 1)) for _ in range(200)]
    rows = [f"{x},{y},{'abc'[(x > 0) + (y > 0)]}" for x, y in points]
    (tmp_path / "points.csv").write_text("\n".join(["x,y,label", *rows]) + "\n")
    path = tmp_path / "run.toml"
    path.write_text(RUN)
    return path


NETWORKS = (
    MemoryOptions,
    MobilenetV2CifarOptions,
    ResnetCifarOptions,
    ShufflenetV1Options,
    ShufflenetV2Options,
    VggCifarOptions,
    WideResnetOptions,
)
VIEWS = (
    RandAugmentOptions,
    TrivialAugmentOptions,
    ColorJitterOptions,
    RandomErasingOptions,
)


def is_section(hint: object) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def paths_of(section: type, prefix: str = "") -> typing.Iterator[str]:
    hints = typing.get_type_hints(section, include_extras=True)
    for name, field in fields_of(section).items():
        path, hint, rule = prefix + name, hints[field.attribute], field.options
        if typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        parts = [hint, *typing.get_args(hint)]
        below = list(rule.table.values()) if rule else []
        below = below or [part for part in parts if is_section(part)]
        if typing.get_origin(hint) is tuple and below:
            path += "[]"
        for part in below:
            yield from paths_of(part, f"{path}.")
        if not below:
            yield path


def test_each_setting_that_came_later_says_what_was_done_without_it():
    before = set(" ".join(GOLDEN["settings"]).split())
    today = set(paths_of(Config))
    # A kept config has the long form of the loss whole, or not at all.
    whole = set(paths_of(DistillTermsConfig, "distill."))
    # And so the options of a kind of dataset, view or network that came later.
    whole |= set(paths_of(TfrecordOptions, "data.options."))
    whole |= set(paths_of(MlflowOptions, "tracking.options."))
    for network in ("student", "teacher", "teacher.members[]"):
        for options in NETWORKS:
            whole |= set(paths_of(options, f"{network}.options."))
    for section in (p for p in before if p.endswith(".augment")):
        for options in VIEWS:
            whole |= set(paths_of(options, f"{section}_options."))
        # In a list of views each has its options by its name.
        for name in ("", "inception_crop."):
            crop = paths_of(InceptionCropOptions, f"{section}_options.{name}")
            whole |= set(crop)
    assert sorted(today - before - whole - earlier.LATER.keys()) == []
    # Of what there never was nothing is said.
    assert earlier.LATER.keys() - today - whole == set()


def with_a_later_setting(section, *, options: bool = True):
    """The same section, in which each one has one setting more."""
    if isinstance(section, tuple):
        return tuple(with_a_later_setting(item, options=options) for item in section)
    if not dataclasses.is_dataclass(section):
        return section
    kind = type(section)
    grown = dataclasses.make_dataclass(
        kind.__name__,
        [("later", int, dataclasses.field(default=LATER_VALUE))],
        bases=(kind,),
        frozen=True,
        kw_only=True,
    )
    values = {
        field.name: with_a_later_setting(value, options=options)
        if options or not field.name.endswith("options")
        else value
        for field in dataclasses.fields(section)
        for value in [getattr(section, field.name)]
    }
    return grown(**values)


@pytest.fixture(params=[TODAY, LATER])
def grow(request, monkeypatch):
    """Gives a config each of whose sections may have got one setting more."""
    if request.param == TODAY:
        return lambda settings, **kwargs: settings

    rows = {path.rpartition(".")[0] + ".later" for path in paths_of(Config)}
    rows = {path.removeprefix(".") for path in rows}
    table = earlier.LATER | dict.fromkeys(rows, LATER_VALUE)
    monkeypatch.setattr(earlier, "LATER", table)
    return with_a_later_setting


def names(settings: Config, kept: dict[str, str]) -> list[bool]:
    found = []
    for folder, name in kept.items():
        role = "teacher" if folder == "teacher" else folder.split("/")[-2]
        found.append(is_earlier_name(name, settings, role, 0))
    return found


def test_checkpoints_of_an_earlier_version_are_known_by_their_names(file, grow):
    kept = GOLDEN["run"]["names"]
    assert len(kept) == 3
    for more in ([], GROWN, ["runtime.precision='mixed_bfloat16'"]):
        assert all(names(grow(load(str(file), more)), kept)), more
    for other in (
        "seeds=[5, 0]",
        "student.train.steps=21",
        "teacher.train.learning_rate=0.5",
        "distill.alpha=0.5",
    ):
        assert not any(names(grow(load(str(file), [other])), kept)), other
    settings = grow(load(str(file)))
    renamed = kept["teacher"].replace("points", "another")
    assert not is_earlier_name(renamed, settings, "teacher", 0)
    assert not is_earlier_name(kept["teacher"], settings, "student", 0)
    assert not is_earlier_name(kept["student/seed-0"], settings, "student", 5)


def test_cells_of_an_earlier_study_are_known(file, grow):
    file.write_text(RUN + GRID)
    study = load(str(file))
    found = variants.variants_of(str(file), [], study, epath.Path("study"))
    assert [cell.name for cell in found] == ["top_k=0", "top_k=1"]
    for cell in found:
        golden = GOLDEN["study"]["cells"][cell.name]
        shared = grow(
            share_teacher(
                grow(load(str(file), variant=cell.settings)),
                grow(study),
                epath.Path("study"),
            )
        )
        assert differences(golden, resolve(shared)) == []
        # The variant's folder has a hash for its name.
        golden_folder = golden["distill"]["soft_targets_dir"]
        assert shared.distill.soft_targets_dir == golden_folder
        kept = {
            folder: name
            for folder, name in GOLDEN["study"]["names"].items()
            if f"{cell.name}/student" in folder
        }
        assert names(shared, kept) == [True]


def test_the_manifest_of_an_earlier_cache_is_that_of_today(file, grow):
    settings = grow(load(str(file)))
    teacher = caches._identity("teacher", settings.teacher, "")
    assert teacher == GOLDEN["manifest"]["teacher"] | {"weights": ""}
    plain = plain_options(grow(ShiftOptions()), setting="data.augment_options")
    assert plain == dataclasses.asdict(ShiftOptions())


def test_a_run_may_get_another_name_and_more_seeds_and_nothing_else(file, grow):
    kept = GOLDEN["run"]["config"]
    assert differences(kept, resolve(grow(load(str(file))))) == []
    assert differences(kept, resolve(grow(load(str(file), GROWN)))) == []
    reused = ["evaluate.inference_times=true", "registry.name='x'"]
    assert differences(kept, resolve(grow(load(str(file), reused)))) == []
    kept = copy.deepcopy(kept) | {"seeds": [0, 5]}
    for seeds in ([5, 0], [0], [5], [0, 6, 5]):
        found = resolve(grow(load(str(file), [f"seeds={seeds}"])))
        assert differences(kept, found) == [f"seeds: [0, 5] -> {seeds}"]
    appended = resolve(grow(load(str(file), ["seeds=[0, 5, 1]"])))
    assert differences(kept, appended) == []


def test_a_later_setting_with_another_value_makes_another_run(file, monkeypatch):
    monkeypatch.setattr(earlier, "LATER", {**earlier.LATER, "distill.x": 3})
    now = resolve(load(str(file)))
    now["distill"]["x"] = 4
    assert differences(GOLDEN["run"]["config"], now) == ["distill.x: 3 -> 4"]
    assert differences(now, GOLDEN["run"]["config"]) == ["distill.x: 4 -> 3"]


def test_the_name_of_a_training_has_neither_the_runs_nor_its_other_seeds(file, grow):
    known = run_name(load(str(file)), "student", 0)
    assert run_name(grow(load(str(file), GROWN)), "student", 0) == known
    others = {
        run_name(load(str(file), ["distill.alpha=0.5"]), "student", 0),
        run_name(load(str(file), ["seeds=[5, 0]"]), "student", 0),
        run_name(load(str(file)), "student", 5),
        run_name(load(str(file)), "baseline", 0),
    }
    assert len(others) == 4
    assert known not in others


def test_a_kept_config_means_what_was_done_when_it_was_written(file, monkeypatch):
    rows = {
        "distill.temperature": 7.0,
        "student.options.dropout": 0.25,
        "student.options.filters": [9],  # of another model
        "teacher.members[].weight": 2.0,
        "evaluate.inference_times": True,
        "data.unlabeled.split": "no such section",
    }
    monkeypatch.setattr(earlier, "LATER", rows)
    kept = copy.deepcopy(GOLDEN["run"]["config"])
    del kept["distill"]["temperature"], kept["student"]["options"]["dropout"]
    del kept["evaluate"]
    member = kept["teacher"]
    kept["teacher"] = {"members": [member, member | {"seed": 1, "weight": 3.0}]}
    found = from_resolved(kept, ["distill.alpha=0.5"], kept_in="config.json")
    assert (found.distill.temperature, found.distill.alpha) == (7.0, 0.5)
    assert found.student.options.dropout == 0.25
    assert found.teacher.weights == (2.0, 3.0)
    assert found.evaluate.inference_times
    assert found.data.unlabeled is None


def test_a_refused_config_is_told_how_to_keep_the_teacher(file, tmp_path):
    path = epath.Path(tmp_path / "workdir")
    model = path / "teacher" / "model.keras"
    model.parent.mkdir(parents=True)
    model.write_text("")
    (path / "config.json").write_text(json.dumps(GOLDEN["run"]["config"]))
    other = load(str(file), ["distill.alpha=0.5"])
    with refused(ConfigError, f'teacher.weights = "{model}"'):
        workdir.check(path, other)
    other = load(str(file), ["teacher.train.steps=9"])
    message = refusal(lambda: workdir.check(path, other), ConfigError)
    assert_states(message, "teacher.train.steps", 20, 9)
    assert "teacher.weights" not in message


def test_the_trials_of_a_sweep_are_means_over_the_same_seeds(file, tmp_path):
    file.write_text(RUN + '\n[sweep]\nspace."distill.alpha" = [0.5, 0.9]\n')
    path = epath.Path(tmp_path / "workdir")
    workdir.claim(path, load(str(file)))
    (path / "sweep.json").write_text("{}")
    with refused(ConfigError, "seeds", "[0]", "[0, 5]"):
        results.begun(path, load(str(file), ["seeds=[0, 5]"]))


def as_begun(source: pathlib.Path, target: pathlib.Path, golden) -> None:
    """Copies a finished workdir as the earlier version would have left half of it."""
    shutil.copytree(source, target)
    for path in filter(pathlib.Path.is_file, list(target.rglob("*"))):
        if path.parent == target / "teacher":
            continue
        if path.suffix == ".keras" or path.name in ENDS:
            path.unlink()
        elif path.name.startswith("step-"):
            folder = str(path.parents[1].relative_to(target))
            if int(path.stem[5:]) > HALF and folder != "teacher":
                path.unlink()
                continue
            with np.load(path, allow_pickle=False) as arrays:
                kept = dict(arrays)
            header = json.loads(str(kept["header"]))
            header["run"] = golden["names"][folder]
            np.savez(path, **kept | {"header": np.array(json.dumps(header))})
    (target / "config.json").write_text(json.dumps(golden["config"]))
    for name, settings in golden.get("cells", {}).items():
        place = target / "cells" / name / "config.json"
        place.write_text(json.dumps(settings))


def models(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.keras"))
    }


def assert_same_weights(folder: pathlib.Path, other: pathlib.Path) -> None:
    for name in models(folder):
        pairs = zip(
            whole_run.weights(folder / name),
            whole_run.weights(other / name),
            strict=True,
        )
        assert all(np.array_equal(a, b) for a, b in pairs), name


def seeds_of(path: pathlib.Path) -> list[int]:
    results = json.loads((path / "results.json").read_text())
    return [entry["seed"] for entry in results["models"]["baseline"]["seeds"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "grow"), [("run", TODAY), ("study", LATER)], indirect=["grow"]
)
def test_what_an_earlier_version_began_goes_on_bit_for_bit(
    file, tmp_path, monkeypatch, capsys, grow, name
):
    if name == "study":
        file.write_text(RUN + GRID)

    def do(folder, *more):
        code = main.main(whole_run.command(name, file, folder, *more))
        assert code == 0, capsys.readouterr().err
        return capsys.readouterr().err

    with undrawn():
        do("whole")
    as_begun(tmp_path / "whole", tmp_path / "half", GOLDEN[name])
    plain = load

    def grown(*args, **kwargs):
        return grow(plain(*args, **kwargs), options=False)

    monkeypatch.setattr(config, "load", grown)
    monkeypatch.setattr(variants, "load", grown)
    with undrawn():
        told = do("half", *(f"--set={text}" for text in GROWN))
    assert_a_line_states(told, "student seed 0", f"from step {HALF}")
    assert_same_weights(tmp_path / "whole", tmp_path / "half")
    # And a finished one gets its new seeds, the models of the old one untouched.
    before = models(tmp_path / "whole")
    told = do("whole", *(f"--set={text}" for text in GROWN))
    assert_a_line_states(told, "student seed 5", "step 20/20")
    assert "student seed 0: step" not in told
    assert before.items() <= models(tmp_path / "whole").items()
    assert_same_weights(tmp_path / "half", tmp_path / "whole")
    for path in (tmp_path / "whole").rglob("results.json"):
        assert seeds_of(path.parent) == [0, 5]
        assert (path.parent / "report" / "index.html").exists()
