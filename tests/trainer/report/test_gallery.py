"""Examples on which models differ: which they are, and what of them is shown."""

import json

import numpy as np
import pytest
from etils import epath

from tests.helpers.finished_run import (
    write_beside,
    write_examples,
    write_thumbnails,
    write_workdir,
)
from tests.helpers.messages import refused
from tests.helpers.oracle import softmax
from trainer import report
from trainer.evaluation.disagreements import (
    LOST,
    NOBODY,
    RESCUED,
    TEACHER_ONLY,
    disagreements,
)
from trainer.report import gallery, inputs, markup, page


def logits_of(*choices, confidence=2.0):
    """Logits of three classes, a row for each choice."""
    return confidence * np.eye(3)[list(choices)]


def test_kinds_are_by_who_is_right():
    labels = np.zeros(6, int)
    found = disagreements(
        {
            "teacher": logits_of(0, 0, 0, 1, 1, 0),
            "student": logits_of(0, 1, 1, 2, 0, 0),
            "baseline": logits_of(1, 0, 1, 1, 1, 0),
        },
        labels,
    )
    rows = {kind: which.tolist() for kind, which in found.items()}
    # The fifth was right without its teacher, so that it was not rescued by it.
    assert rows == {RESCUED: [0], LOST: [1], TEACHER_ONLY: [2], NOBODY: [3]}
    with_out = disagreements(
        {"student": logits_of(0, 1), "baseline": logits_of(1, 0)}, labels[:2]
    )
    assert {kind: w.tolist() for kind, w in with_out.items()} == {
        RESCUED: [0],
        LOST: [1],
    }
    assert disagreements({"teacher": logits_of(0)}, labels[:1]) == {}


def test_the_most_telling_come_first():
    rng = np.random.default_rng(0)
    logits = {
        name: rng.normal(size=(500, 3)) * 3
        for name in ("teacher", "student", "baseline")
    }
    labels = rng.integers(3, size=500)
    rows = disagreements(logits, labels)[RESCUED]
    apart = [
        softmax(logits["student"][row])[labels[row]]
        - softmax(logits["baseline"][row])[labels[row]]
        for row in rows
    ]
    assert len(rows) > 20
    assert apart == sorted(apart, reverse=True)


@pytest.fixture
def found(tmp_path):
    write_workdir(tmp_path, class_names=["a", "b", "c"], channels=3)
    write_beside(tmp_path, channels=3)
    return inputs.read(epath.Path(tmp_path))


def test_a_tile_has_the_probabilities_of_all_models(found):
    [section] = gallery.section(found)
    group = section.content.groups[0]
    first = int(
        disagreements(found.predictions.logits, found.predictions.labels)[RESCUED][0]
    )
    tile = group.tiles[0]
    true = found.predictions.labels[first]
    assert tile.title == f"true: {'abc'[true]}"
    assert tile.image.startswith("data:image/")
    bars = tile.bars[0]
    assert bars.is_true
    shares = [share for _, share, _ in bars.shares]
    known = [
        softmax(found.predictions.logits[name][first])[true]
        for name in ("teacher", "student", "baseline")
    ]
    np.testing.assert_allclose(shares, known, rtol=1e-6)


def test_examples_without_pictures_are_told_by_their_numbers(tmp_path):
    write_workdir(tmp_path, class_names=["a", "b", "c"], num_images=0)
    [section] = gallery.section(inputs.read(epath.Path(tmp_path)))
    tile = section.content.groups[0].tiles[0]
    assert not tile.image
    assert tile.label.startswith("test example ")


def test_rows_of_a_table_show_their_features(tmp_path):
    write_workdir(tmp_path, class_names=["a", "b", "c"], num_images=0)
    names = ["width <mm>", *(f"x{i}" for i in range(7))]
    rows = np.arange(200)
    values = rows[:, np.newaxis] + np.arange(8) / 8
    write_examples(tmp_path, "rows", rows=rows, values=values, names=names)
    text = report.write(epath.Path(tmp_path)).read_text()
    found = inputs.read(epath.Path(tmp_path))
    [section] = gallery.section(found)
    tile = section.content.groups[0].tiles[0]
    row = int(tile.label.removeprefix("test example "))
    assert tile.features.startswith(f"width <mm> {row}, x0 {row + 0.125:.4g}")
    told = f"{tile.features}, {tile.more_features}".split(", ")
    assert [each.rpartition(" ")[0] for each in told] == names
    assert "width &lt;mm&gt;" in text
    write_examples(tmp_path, "rows", rows=rows, values=values, names=names[1:])
    path = tmp_path / "evaluation" / "rows.npz"
    with refused(report.ReportError, path, "python -m trainer evaluate"):
        inputs.read(epath.Path(tmp_path))


@pytest.mark.parametrize(
    "arrays",
    [
        {"rows": np.array([0])},
        {"rows": np.array([999]), "images": np.zeros((1, 4, 4, 3), np.uint8)},
        {"rows": np.array([0]), "images": np.zeros((1, 4, 4, 2), np.uint8)},
        {"rows": np.array([0]), "images": np.zeros((1, 4, 4, 3), np.float32)},
    ],
)
def test_damaged_thumbnails_are_named(found, tmp_path, arrays):
    path = tmp_path / "evaluation" / "thumbnails.npz"
    write_thumbnails(tmp_path, **arrays)
    with refused(report.ReportError, path, "python -m trainer evaluate"):
        inputs.read(epath.Path(tmp_path))


def test_thumbnails_that_were_not_written_whole_are_named(found, tmp_path):
    path = tmp_path / "evaluation" / "thumbnails.npz"
    path.write_bytes(path.read_bytes()[:-1])
    with refused(report.ReportError, path):
        inputs.read(epath.Path(tmp_path))
    # Nobody knows those of which the other file does not tell.
    (tmp_path / "evaluation" / "environment.json").unlink()
    assert inputs.read(epath.Path(tmp_path)).thumbnails == {}


def test_times_beside_the_results_are_theirs(tmp_path):
    write_workdir(tmp_path, class_names=["a", "b"])
    write_beside(tmp_path)
    models = report.read_results(epath.Path(tmp_path))["models"]
    assert models["student"]["inference_ms_per_example"] == {"1": 0.5, "256": 0.125}
    assert "inference_ms_per_example" not in models["baseline"]
    path = tmp_path / "evaluation" / "inference_times.json"
    path.write_text(json.dumps({"models": {}})[:-1])
    with refused(report.ReportError, path):
        report.read_results(epath.Path(tmp_path))


def test_the_largest_gallery_is_within_a_megabyte(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"a very long name of species number {index}" for index in range(200)]
    write_workdir(tmp_path, class_names=names, channels=3)
    write_beside(tmp_path, channels=3)
    path = tmp_path / "evaluation" / "thumbnails.npz"
    with np.load(path) as saved:
        rows = saved["rows"]
    # Noise, of which no image format saves anything.
    images = rng.integers(256, size=(len(rows), 64, 64, 3), dtype=np.uint8)
    write_thumbnails(tmp_path, rows=rows, images=images)
    found = inputs.read(epath.Path(tmp_path))
    sections = list(page._sections(found, epath.Path(tmp_path)))
    text = markup.document(page._head(found, epath.Path(tmp_path)), sections)
    assert len(text.encode()) < 1_000_000
