"""What the cells of a study share, before any of them runs."""

import json
import re

import pytest
from etils import epath

from tests.helpers import whole_run
from tests.helpers.messages import assert_states, refused
from trainer import main, report
from trainer.config import SavedOptions, load
from trainer.storage import workdir
from trainer.study.variants import baseline_identity, variants_of

RUN = """
name = "small"
seeds = [5, 6]

[data]
dataset = "mnist_mini"

[teacher]
model = "mlp"
options = {dropout = 0.5, max_norm = 3.0}
head = {global_batch_size = 8, epochs = 1}
train = {global_batch_size = 8, epochs = 1}
weights = "before.keras"

[student]
model = "mlp"
train = {global_batch_size = 8, epochs = 2, augment = "AUGMENT"}
"""


@pytest.fixture
def cells(tmp_path):
    def made(grid: str, *overrides: str, augment="none", text=RUN):
        path = tmp_path / "study.toml"
        path.write_text(text.replace("AUGMENT", augment) + f"\n[study.grid]\n{grid}")
        study = load(str(path), overrides)
        return variants_of(str(path), overrides, study, epath.Path("/w"))

    return made


def test_each_cell_takes_the_weights_of_the_study_s_teacher(cells):
    first, second = cells("distill.temperature = [1, 20]")
    for cell in (first, second):
        teacher = cell.config.teacher
        assert teacher.weights == "/w/teacher/model.keras"
        assert (teacher.head, teacher.train) == (None, None)
        assert teacher.options.dropout == 0.5
    assert str(second.path) == "/w/cells/temperature=20"


def test_cells_do_without_inference_times_that_nobody_asked_for(cells):
    grid, asked = "distill.temperature = [1, 20]", "evaluate.inference_times=true"
    for overrides, times in (((), False), ([asked], True)):
        found = [cell.config.evaluate for cell in cells(grid, *overrides)]
        assert [each.inference_times for each in found] == [times, times]


def test_members_are_taken_by_their_own_folders_and_given_weights_stay(cells):
    members = (
        'teacher.members=[{model="mlp", train={global_batch_size=8, steps=3}, '
        'weight=3.0}, {model="mlp", weights="given.keras"}]'
    )
    text = RUN.replace(RUN[RUN.index("[teacher]") : RUN.index("[student]")], "")
    [cell] = cells("distill.temperature = [20]", f"{members}", text=text)
    one, other = cell.config.teacher.members
    assert (one.weights, one.weight) == ("/w/teacher/member-0/model.keras", 3.0)
    assert other.weights == "given.keras"


def test_a_whole_model_from_a_file_comes_from_the_study_s_file(cells):
    saved = """
[teacher]
model = "saved"
options = {path = "my.keras", input = "imagenet_caffe", output = "probabilities"}
train = {global_batch_size = 8, epochs = 1}

"""
    text = RUN.replace(RUN[RUN.index("[teacher]") : RUN.index("[student]")], saved)
    [cell] = cells("distill.temperature = [20]", text=text)
    assert cell.config.teacher.options == SavedOptions(
        path="/w/teacher/model.keras", input="zero_to_255", output="logits"
    )


CACHED = "distill.soft_targets='cached'"


def folders(cells):
    return [cell.config.distill.soft_targets_dir for cell in cells]


def test_cells_share_a_cache_unless_it_would_be_another(cells):
    grid = "distill.temperature = [1, 20]\ndata.exclude_labels = [[], [3]]"
    assert folders(cells(grid, CACHED)) == ["/w/soft_targets"] * 4
    assert folders(cells(grid)) == [""] * 4
    assert folders(cells(grid, CACHED, "distill.soft_targets_dir='/c'")) == ["/c"] * 4
    first, second = folders(cells("seeds = [[5, 7], [8]]", CACHED, augment="shift"))
    assert first == "/w/soft_targets"
    assert second.startswith("/w/soft_targets/")
    # Without augmentation no seed is in a cache.
    assert len(set(folders(cells("seeds = [[5], [8]]", CACHED)))) == 1
    views = cells("distill.views = [1, 2]", CACHED, augment="shift")
    assert len(set(folders(views))) == 1
    axis = "student.train.augment = ['none', 'shift', ['shift', 'rand_augment']]"
    assert len(set(folders(cells(axis, CACHED)))) == 3
    top = ("distill.top_k=3", CACHED)
    assert len(set(folders(cells("distill.temperature = [1, 20]", *top)))) == 2
    listed = (*top, "distill.tail_temperatures=[1, 20]", "distill.temperature=20")
    assert (
        folders(cells("distill.alpha = [1, 0.5]", *listed)) == ["/w/soft_targets"] * 2
    )


def test_a_cache_of_the_top_k_has_the_temperatures_of_all_terms(cells):
    terms = "distill={terms=[{loss='kl'}, {loss='reverse_kl'}]}"
    top = (terms, CACHED, "distill.top_k=3")
    temperatures = cells("'distill.terms[1].temperature' = [1, 20]", *top)
    assert len(set(folders(temperatures))) == 2
    weights = cells("'distill.terms[1].weight' = [1, 2]", *top)
    assert folders(weights) == ["/w/soft_targets"] * 2


def test_a_cache_of_embeddings_is_no_other_s(cells):
    kept = "distill.cache_embedding=true"
    varied = "distill.cache_embedding = [false, true]"
    for study, grid in (((), varied), ((kept,), varied)):
        found = folders(cells(grid, CACHED, *study))
        # The one that the study itself builds, and one beside it.
        assert found.index("/w/soft_targets") == len(study)
        assert len(set(found)) == 2
    types = "distill.cache_embedding_dtype = ['float32', 'float16']"
    first, second = folders(cells(types, CACHED, kept))
    assert first == "/w/soft_targets" != second
    weights = folders(cells("distill.alpha = [0.5, 1]", CACHED, kept))
    assert weights == ["/w/soft_targets"] * 2


SAME = (
    "distill.alpha = [0.5, 1]",
    "distill.temperature = [1, 20]",
    "distill.mixup = [0, 0.5]",
    "distill.soft_targets = ['online', 'cached']",
    "seeds = [[5], [6]]",
)
OTHER = (
    "student.options.hidden_sizes = [[3], [4]]",
    "student.train.learning_rate = [0.1, 0.2]",
    "student.weights = ['a.keras', 'b.keras']",
    "data.exclude_labels = [[], [3]]",
    "data.unlabeled.split = ['train', 'test']",
)


@pytest.mark.parametrize("axis", [*SAME, *OTHER])
def test_a_baseline_depends_on_everything_but_the_distillation(cells, axis):
    overrides = ["distill.alpha=1"]
    if "unlabeled" in axis:
        overrides.append("data.unlabeled.dataset='folder:x'")
    first, second = cells(axis, *overrides)
    same = baseline_identity(first.config) == baseline_identity(second.config)
    assert same == (axis in SAME)


@pytest.mark.parametrize(
    "axis",
    [
        "distill.soft_targets = ['online', 'cached']",
        "distill.views = [1, 2]",
        "seeds = [[5, 6], [6, 5]]",
    ],
)
def test_a_baseline_sees_the_student_s_cached_views(cells, axis):
    overrides = () if "soft_targets" in axis else (CACHED,)
    first, second = cells(axis, *overrides, augment="shift")
    assert baseline_identity(first.config) != baseline_identity(second.config)


def test_a_workdir_is_of_one_run_one_study_or_one_sweep(tmp_path, capsys):
    config = tmp_path / "run.toml"
    config.write_text(RUN.replace("AUGMENT", "none"))
    assert main.main(whole_run.command("study", config, tmp_path / "w")) == 2
    assert_states(capsys.readouterr().err, config, "[study.grid]", "none")
    axis = "--set=study.grid.distill.alpha=[1]"
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / workdir.RESULTS).write_text("{}")
    assert main.main(whole_run.command("study", config, tmp_path / "w", axis)) == 2
    place = ("--workdir", tmp_path / "w")
    assert_states(capsys.readouterr().err, *place, "one run")
    (tmp_path / "w" / workdir.RESULTS).rename(tmp_path / "w" / workdir.STUDY)
    for name in ("run", "evaluate"):
        assert main.main(whole_run.command(name, config, tmp_path / "w", axis)) == 2
        assert_states(capsys.readouterr().err, *place, "a study")
    (tmp_path / "w" / workdir.STUDY).rename(tmp_path / "w" / workdir.SWEEP)
    assert main.main(whole_run.command("study", config, tmp_path / "w", axis)) == 2
    assert_states(capsys.readouterr().err, *place, "a sweep")


def test_what_cells_keep_belongs_to_the_study(tmp_path):
    path = epath.Path(tmp_path)
    for name in ("teacher/model.keras", "cells/a=1/student/seed-0/last.keras"):
        (path / name).parent.mkdir(parents=True)
        (path / name).write_text("")
    assert workdir.kept_files(path) == [
        "cells/a=1/student/seed-0/last.keras",
        "teacher/model.keras",
    ]


# The table and the page.


def model(errors, *, std=None, seeds=1, **more):
    return {
        "mean": {"errors": errors, **more},
        "std": {"errors": std, **dict.fromkeys(more, std and 0.01)},
        "seeds": seeds,
    }


def entry(name, settings, student, *, std=None, seeds=1, status="finished"):
    finished = status == "finished"
    return {
        "name": name,
        "settings": settings,
        "status": status,
        "models": {
            "teacher": model(67.0),
            "student": model(student, std=std, seeds=seeds, agreement=0.98),
            "baseline": model(146.0, std=std, seeds=seeds, agreement=0.9),
            "student_class_bias": model(60.0, std=std, seeds=seeds),
        }
        if finished
        else {},
        "gain": {"errors": {"mean": 146 - student, "standard_error": std}}
        if finished
        else None,
    }


def write_study(path, grid, cells):
    study = {"name": "a <study>", "grid": grid, "cells": cells}
    (path / workdir.CONFIG).write_text(json.dumps({"name": "a <study>"}))
    (path / workdir.STUDY).write_text(json.dumps(study))
    return epath.Path(path)


def test_the_table_has_a_column_for_each_axis_and_each_model(tmp_path):
    grid = {"distill.temperature": [2.5, 20, 40], "data.exclude_labels": [[3]]}
    cells = [
        entry("t=2.5", {"distill.temperature": 2.5, "data.exclude_labels": [3]}, 80.0),
        entry(
            "t=20",
            {"distill.temperature": 20, "data.exclude_labels": [3]},
            74.25,
            std=2.0,
            seeds=3,
        ),
        entry(
            "t=40",
            {"distill.temperature": 40, "data.exclude_labels": [3]},
            0,
            status="diverged",
        ),
    ]
    study = report.read_study(write_study(tmp_path, grid, cells))
    lines = [line.split("  ") for line in report.render_study(study).splitlines()]
    header, _, first, second, third, note = (
        [cell.strip() for cell in line if cell.strip()] for line in lines
    )
    assert header == [
        *("temperature", "exclude_labels", "teacher", "student", "baseline"),
        *("student + class bias", "gain", "agreement %"),
    ]
    assert first == ["2.5", "3", "67", "80", "146", "60", "66", "98.00"]
    assert second[3:5] == ["74.2 +- 2.0", "146.0 +- 2.0"]
    assert second[-2:] == ["71.8 +- 2.0", "98.00 +- 1.00"]
    assert third == ["40", "3", "diverged", *"-----"]
    assert_states(note[0], "test errors", "+-", "seeds")


def test_errors_on_classes_that_students_do_not_see_have_columns(tmp_path):
    cell = entry("3", {"data.exclude_labels": [3]}, 155.0, std=5.0, seeds=3)
    for role, errors in (("teacher", 6), ("student", 66.5), ("baseline", 1010.0)):
        cell["models"][role]["mean"]["excluded_errors"] = errors
    grid = {"data.exclude_labels": [[3], [7]]}
    cells = [cell, entry("7", {"data.exclude_labels": [7]}, 0, status="waiting")]
    study = report.read_study(write_study(tmp_path, grid, cells))
    header, _, first, second, note = (
        re.split("  +", line.strip())
        for line in report.render_study(study).splitlines()
    )
    assert header[5:7] == ["student: excluded", "baseline: excluded"]
    assert first[5:7] == ["66.5", "1010"]
    assert second == ["7", "waiting", *"-------"]
    assert_states(note[0], "excluded", "data.exclude_labels")


@pytest.mark.parametrize("content", ["{", "[]", '{"grid": {}, "cells": []}'])
def test_a_malformed_study_is_refused(tmp_path, content):
    (tmp_path / workdir.STUDY).write_text(content)
    with refused(report.ReportError, tmp_path / "study.json"):
        report.read_study(epath.Path(tmp_path))


def test_the_figure_is_over_the_axis_with_the_most_numbers(tmp_path):
    from trainer.report.study_figure import study_figure

    temperatures, sizes = [1.0, 4, 20], [[800], [30]]
    grid = {
        "distill.alpha": [1.0],
        "student.options.hidden_sizes": sizes,
        "distill.temperature": temperatures,
    }
    cells = [
        entry(
            f"{size} {t}",
            {
                "distill.alpha": 1.0,
                "student.options.hidden_sizes": size,
                "distill.temperature": t,
            },
            100 * i + t,
        )
        for i, size in enumerate(sizes)
        for t in reversed(temperatures)
    ]
    study = report.read_study(write_study(tmp_path, grid, cells))
    [axes] = study_figure(study).axes
    drawn = {container.get_label(): container.lines[0] for container in axes.containers}
    assert list(drawn) == [
        "alpha 1, hidden_sizes 800: student",
        "alpha 1, hidden_sizes 800: baseline",
        "alpha 1, hidden_sizes 30: student",
        "alpha 1, hidden_sizes 30: baseline",
    ]
    line = drawn["alpha 1, hidden_sizes 30: student"]
    assert line.get_xydata().tolist() == [[1, 101], [4, 104], [20, 120]]
    assert axes.get_xscale() == "log"
    assert drawn["alpha 1, hidden_sizes 800: baseline"].get_linestyle() == "--"
    study["grid"]["distill.temperature"] = [4, 20]
    study["cells"] = [c for c in cells if c["settings"]["distill.temperature"] > 1]
    assert study_figure(study).axes[0].get_xscale() == "linear"


def test_without_numbers_the_figure_has_a_dot_for_each_cell(tmp_path):
    sets = [[3], [0, 1]]
    cells = [
        entry(f"x={i}", {"data.exclude_labels": labels}, 70.0 + i, std=1.0, seeds=2)
        for i, labels in enumerate(sets)
    ]
    waiting = entry("x=2", {"data.exclude_labels": [2]}, 0, status="waiting")
    grid = {"data.exclude_labels": [*sets, [2]]}
    path = write_study(tmp_path, grid, [*cells, waiting])
    page = report.write_study(path)
    text = page.read_text()
    assert "a &lt;study&gt;" in text
    assert_states(text, "3 cells", "2 finished", "1 waiting")
    assert 'href="../cells/x%3D1/report/index.html"' in text
    assert "x%3D2" not in text
    assert "71.0 \N{PLUS-MINUS SIGN} 1.0" in text
    assert (page.parent / "study.png").exists()
    from trainer.report.study_figure import study_figure

    [axes] = study_figure(report.read_study(path)).axes
    [student] = [c for c in axes.containers if c.get_label() == "student"]
    assert student.lines[0].get_xydata().tolist() == [[70, 0], [71, 1]]
