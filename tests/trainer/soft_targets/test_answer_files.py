"""Files of answers, as they are read and refused before anything is made of them."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from etils import epath

from tests.helpers.messages import refused
from trainer.soft_targets import SoftTargetsError, answer_files

NAMES = ("cat", "dog", "owl")
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
ARRAYS = {
    "id": np.array([4, 0, 9]),
    "probabilities": PROBABILITIES,
    "class_names": np.array(NAMES),
}


def written(folder, **changed):
    arrays = {k: v for k, v in {**ARRAYS, **changed}.items() if v is not None}
    np.savez(folder / "train.npz", **arrays)
    return epath.Path(folder / "train.npz")


def test_probabilities_become_their_logarithms(tmp_path):
    found = answer_files.read(written(tmp_path))
    assert found.class_names == NAMES
    assert found.ids.tolist() == [4, 0, 9]
    np.testing.assert_allclose(found.logits[0], np.log([0.7, 0.2, 0.1]), rtol=1e-6)
    # What float32 has next to 0 in the place of 0, whose logarithm is infinite.
    assert found.logits[1, 0] == np.float32(np.log(np.finfo(np.float32).tiny))
    again = np.exp(found.logits.astype(np.float64))
    np.testing.assert_allclose(again, PROBABILITIES, rtol=1e-6, atol=1e-37)


def test_logits_stay_as_they_are(tmp_path):
    logits = np.array([[3, -1, 0], [2, 2, 2], [-5, 1, 4]], np.float64)
    path = written(tmp_path, probabilities=None, logits=logits)
    found = answer_files.read(path)
    assert found.logits.dtype == np.float32
    np.testing.assert_array_equal(found.logits, logits)


def test_parquet_is_read_as_npz(tmp_path):
    embedding = np.arange(6.0).reshape(3, 2)
    plain = answer_files.read(
        written(tmp_path, view=np.array([0, 1, 0]), embedding=embedding)
    )
    columns = {
        "id": ARRAYS["id"],
        "probabilities": list(PROBABILITIES),
        "view": np.array([0, 1, 0]),
        "embedding": list(embedding),
    }
    table = pyarrow.table(columns).replace_schema_metadata(
        {"class_names": json.dumps(NAMES)}
    )
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    found = answer_files.read(epath.Path(tmp_path / "train.parquet"))
    assert found.class_names == plain.class_names
    for name in ("ids", "logits", "views", "embedding"):
        ours, theirs = getattr(found, name), getattr(plain, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_names_of_classes_may_stand_beside_the_files(tmp_path):
    table = pyarrow.table({"id": ["a.png"], "logits": [[1.0, 2.0, 3.0]]})
    pyarrow.parquet.write_table(table, tmp_path / "test-1.parquet")
    (tmp_path / "class_names.txt").write_text("cat\ndog\nowl\n")
    found = answer_files.read(epath.Path(tmp_path / "test-1.parquet"))
    assert (found.class_names, found.ids.tolist()) == (NAMES, ["a.png"])


@pytest.mark.parametrize(
    ("changed", "facts"),
    [
        ({"id": None}, ("id", "probabilities, class_names")),
        ({"id": np.array([4.0, 0.5, 9])}, ("id", "float64")),
        ({"id": np.array([[4], [0], [9]])}, ("id", "[3, 1]")),
        ({"probabilities": None}, ("logits or probabilities", "id, class_names")),
        ({"logits": PROBABILITIES}, ("either logits or probabilities",)),
        ({"probs": PROBABILITIES}, ("'probs'", "'probabilities'")),
        ({"probabilities": PROBABILITIES[:2]}, ("[3, ...]", "[2, 3]")),
        ({"class_names": None}, ("class_names", "3 columns")),
        ({"class_names": np.array(["cat", "dog"])}, ("3 class_names", "[2]")),
        ({"view": np.array([0.0, 1.0, 0.0])}, ("view", "3 whole numbers")),
        ({"embedding": np.ones(3)}, ("embedding", "[3]")),
    ],
)
def test_arrays_that_are_missing_unknown_or_of_another_shape_are_refused(
    tmp_path, changed, facts
):
    with refused(SoftTargetsError, "train.npz", *facts):
        answer_files.read(written(tmp_path, **changed))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_numbers_that_are_not_finite_are_counted_and_named(tmp_path, bad):
    logits = np.full((3, 3), 2.0)
    logits[1:, 2] = bad
    path = written(tmp_path, probabilities=None, logits=logits)
    with refused(SoftTargetsError, "logits", "2 of 3", "0, 9"):
        answer_files.read(path)


@pytest.mark.parametrize(
    ("row", "facts"),
    [([0.7, 0.2, 0.2], ("1 of 3", "9", "1.1")), ([-0.5, 0.75, 0.75], ("1 of 3", "9"))],
)
def test_probabilities_that_are_none_are_refused(tmp_path, row, facts):
    changed = PROBABILITIES.copy()
    changed[2] = row
    with refused(SoftTargetsError, "probabilities", *facts):
        answer_files.read(written(tmp_path, probabilities=changed))


def test_float16_is_exact_enough(tmp_path):
    drawn = np.random.default_rng(0).dirichlet(np.ones(3), 3).astype(np.float16)
    assert len(answer_files.read(written(tmp_path, probabilities=drawn)).logits) == 3


def test_probabilities_under_the_name_of_logits_are_refused(tmp_path):
    path = written(tmp_path, probabilities=None, logits=PROBABILITIES)
    with refused(SoftTargetsError, "logits", "probabilities"):
        answer_files.read(path)


def test_a_damaged_parquet_file_is_refused(tmp_path):
    path = tmp_path / "train.parquet"
    path.write_bytes(b"PAR1 nothing PAR1")
    with refused(SoftTargetsError, "train.parquet", "Parquet"):
        answer_files.read(epath.Path(path))


@pytest.mark.parametrize(
    ("cells", "facts"),
    [
        ([[0.5, 0.5], None], ("logits", "1 empty")),
        ([[1.0, 2.0], [1.0, 2.0, 3.0]], ("logits", "one length", "2, 3")),
    ],
)
def test_ragged_columns_are_refused(tmp_path, cells, facts):
    table = pyarrow.table({"id": [1, 2], "logits": cells})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    with refused(SoftTargetsError, *facts):
        answer_files.read(epath.Path(tmp_path / "train.parquet"))


def test_files_are_of_the_parts_that_their_names_say(tmp_path):
    names = ("train-2.npz", "train-1.parquet", "test.npz", "notes.txt")
    for name in names:
        (tmp_path / name).touch()
    found = answer_files.find(epath.Path(tmp_path))
    assert {part: [path.name for path in paths] for part, paths in found.items()} == {
        "train": ["train-1.parquet", "train-2.npz"],
        "test": ["test.npz"],
    }


def test_files_of_no_part_and_empty_folders_are_refused(tmp_path):
    with refused(SoftTargetsError, "distill.soft_targets_dir", str(tmp_path)):
        answer_files.find(epath.Path(tmp_path))
    (tmp_path / "val.npz").touch()
    with refused(SoftTargetsError, "val.npz", "validation"):
        answer_files.find(epath.Path(tmp_path))
