"""Tables: what rows, labels and features become, and which cells are refused."""

import dataclasses
import errno
import io
import math
import os
import pathlib

import numpy as np
import pytest

from tests.helpers.messages import assert_states, refusal, refused
from trainer import data
from trainer.config import DataConfig

CSV = """\
width,label,height
1.5,b,10
2.5,a,-2e3
3.5,b,0
-4,c,7
 5 ,a,8
6,c,9
"""
FEATURES = [[1.5, 10], [2.5, -2000], [3.5, 0], [-4, 7], [5, 8], [6, 9]]
LABELS = [1, 0, 1, 2, 0, 2]
SPLITS = {
    "train_split": "train[:3]",
    "validation_split": "train[3:5]",
    "test_split": "train[5:]",
}
# Of a folder with train and test.
TWO_FILES = {
    "train_split": "train[:50%]",
    "validation_split": "train[50%:]",
    "test_split": "test",
}


def write(path: pathlib.Path, text: str = CSV) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def csv(path: pathlib.Path, **settings: object) -> DataConfig:
    return DataConfig(dataset=f"csv:{path}", **{**SPLITS, **settings})


def npz(path: pathlib.Path, **settings: object) -> DataConfig:
    return DataConfig(dataset=f"npz:{path}", **{**SPLITS, **settings})


def opened(config: DataConfig) -> data.Source:
    return data.open_source(config, pathlib.Path("/nowhere"))


def by_id(examples: data.ArrayExamples) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels in the order of the file."""
    order = np.argsort(examples.ids)
    return examples.inputs[order], examples.labels[order]


# What is read.


def test_rows_of_a_csv_file_are_examples(tmp_path):
    source = opened(csv(write(tmp_path / "a.csv")))
    assert source.class_names == ("a", "b", "c")
    assert source.input_shape == (2,)
    examples = source.read("train")
    assert sorted(examples.ids) == [0, 1, 2, 3, 4, 5]
    features, labels = by_id(examples)
    assert features.tolist() == FEATURES
    assert labels.tolist() == LABELS
    types = [a.dtype for a in (examples.inputs, examples.labels, examples.ids)]
    assert types == [np.float32, np.int32, np.int64]


def test_splits_carve_the_rows(tmp_path):
    source = opened(csv(write(tmp_path / "a.csv")))
    parts = [source.read(split) for split in SPLITS.values()]
    assert [len(part) for part in parts] == [3, 2, 1]
    ids = np.concatenate([part.ids for part in parts])
    assert ids.tolist() == source.read("train").ids.tolist()
    assert sorted(ids) == [0, 1, 2, 3, 4, 5]


def test_a_stretch_of_a_file_sorted_by_class_is_a_fair_sample(tmp_path):
    rows = "".join(f"{math.sin(i)},{i // 100}\n" for i in range(200))
    config = csv(write(tmp_path / "a.csv", f"x,label\n{rows}"))
    # Of a random half, 50 with a standard deviation of 3.5.
    assert 35 < opened(config).read("train[:50%]").labels.sum() < 65


@pytest.mark.parametrize("text", [CSV, "\ufeff" + CSV, CSV.replace("\n", "\r\n")])
def test_columns_are_taken_in_the_order_that_was_asked_for(tmp_path, text):
    config = csv(
        write(tmp_path / "a.csv", text),
        label_column="width",
        feature_columns=("height",),
    )
    source = opened(config)
    assert source.input_shape == (1,)
    assert by_id(source.read("train"))[0][:, 0].tolist() == [10, -2000, 0, 7, 8, 9]


def test_whole_numbers_are_classes_in_the_order_of_numbers(tmp_path):
    rows = "x,label\n1,10\n2,9\n3,-1\n4,9\n5,10\n6,10\n"
    source = opened(csv(write(tmp_path / "a.csv", rows)))
    assert source.class_names == ("-1", "9", "10")
    assert by_id(source.read("train"))[1].tolist() == [2, 1, 0, 1, 2, 2]


def test_quoted_cells_may_hold_commas_and_lines(tmp_path):
    text = 'x,label\n1,"a,b"\n2,"c\nd"\n3,"a,b"\n4,"a,b"\n5,"a,b"\n6,"a,b"\n'
    assert opened(csv(write(tmp_path / "a.csv", text))).class_names == ("a,b", "c\nd")


def test_a_folder_holds_a_file_a_split(tmp_path):
    write(tmp_path / "train.csv")
    write(tmp_path / "test.csv", "height,width,label\n3,1,a\n4,2,b\n5,3,c\n")
    write(tmp_path / "notes.csv", "not in use")
    source = opened(csv(tmp_path, **TWO_FILES))
    # Columns are told by their names.
    features, labels = by_id(source.read("test"))
    assert features.tolist() == [[1, 3], [2, 4], [3, 5]]
    assert labels.tolist() == [0, 1, 2]
    assert len(source.read("train")) == 6


def test_mean_and_variance_are_those_of_the_training_split(tmp_path):
    rng = np.random.default_rng(0)
    # Far from 0, where sums in float32 would lose the variance.
    values = 1e4 + rng.normal(size=(300, 2))
    rows = "".join(f"{a},{b},{i % 3}\n" for i, (a, b) in enumerate(values))
    source = opened(
        csv(
            write(tmp_path / "a.csv", f"a,b,label\n{rows}"),
            train_split="train[:50%]",
            validation_split="train[50%:90%]",
            test_split="train[90%:]",
        )
    )
    chosen = values.astype(np.float32)[source.read("train[:50%]").ids]
    mean, variance = source.mean_and_variance
    assert (mean.dtype, variance.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(mean, chosen.astype(np.float64).mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(
        variance, chosen.astype(np.float64).var(axis=0), rtol=1e-6
    )


def test_arrays_are_features_side_by_side(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "spectrum": rng.normal(size=(6, 3)),
        "count": rng.integers(0, 9, 6),
        "flag": rng.integers(0, 2, 6).astype(bool),
    }
    np.savez(tmp_path / "a.npz", **arrays, label=np.array(LABELS))
    source = opened(npz(tmp_path / "a.npz"))
    features, labels = by_id(source.read("train"))
    expected = np.column_stack(list(arrays.values())).astype(np.float32)
    np.testing.assert_array_equal(features, expected)
    assert labels.tolist() == LABELS
    assert source.class_names == ("0", "1", "2")


def test_a_folder_of_arrays_may_name_its_labels(tmp_path):
    for split in ("train", "test"):
        y = np.array(["no", "yes", "no", "yes"])
        np.savez(tmp_path / f"{split}.npz", x=np.arange(4.0), y=y, z=y)
    config = npz(tmp_path, label_column="y", feature_columns=("x",), **TWO_FILES)
    source = opened(config)
    assert source.class_names == ("no", "yes")
    assert by_id(source.read("test"))[0].tolist() == [[0], [1], [2], [3]]


def test_a_table_describes_itself(tmp_path):
    source = opened(csv(write(tmp_path / "a.csv")))
    sizes = ("3 + 2 + 1", "3 classes", "2 features", "0.0 MB")
    assert_states(source.description, f"csv:{tmp_path}/a.csv", *sizes, "in memory")


# What is refused.


@pytest.mark.parametrize(
    ("old", "new", "place", "facts"),
    [
        ("3.5,b,0", "3.5,b,", ", line 4, column 'height'", ("finite", "empty")),
        ("3.5,b,0", "3.5,b, ", ", line 4, column 'height'", ("finite", "empty")),
        ("3.5,b,0", "tall,b,0", ", line 4, column 'width'", ("finite", "'tall'")),
        ("3.5,b,0", "nan,b,0", ", line 4, column 'width'", ("finite", "'nan'")),
        ("3.5,b,0", "3,b,-inf", ", line 4, column 'height'", ("finite", "'-inf'")),
        ("3.5,b,0", "1e399,b,0", ", line 4, column 'width'", ("finite", "'inf'")),
        ("3.5,b,0", "3.5, ,0", ", line 4, column 'label'", ("a label", "empty")),
        ("3.5,b,0", "3.5,b", ", line 4", ("3 cells", 2)),
        ("3.5,b,0", "3.5,b,0,1", ", line 4", ("3 cells", "got 4")),
        ("3.5,b,0", "", ", line 4", ("3 cells", 0)),
        ("3.5,b,0", '3.5,"b,0', ", line 7", ("comma-separated",)),
        ("1.5,b,10", '"1\n",b,tall', ", line 3, column 'height'", ("'tall'",)),
        ("width", "height", "", ("column", "'height' again", 2)),
        (CSV, "", "", ("columns", "rows", "nothing")),
        (CSV, "width,label\n", "", ("rows", "none")),
        (CSV, "label\na\nb\n", "", ("column", "'label'", "none")),
    ],
)
def test_a_bad_cell_is_refused_by_line_and_column(tmp_path, old, new, place, facts):
    path = write(tmp_path / "a.csv", CSV.replace(old, new))
    with refused(data.DataError, f"{path}{place}", *facts):
        opened(csv(path))


@pytest.mark.parametrize(
    ("setting", "value", "got"),
    [
        ("label_column", "class", "'class'"),
        ("feature_columns", ("width", "depth"), "'depth'"),
    ],
)
def test_an_unknown_column_is_refused_with_the_known_ones(
    tmp_path, setting, value, got
):
    path = write(tmp_path / "a.csv")
    known = "'width', 'label', 'height'"
    with refused(data.DataError, f"data.{setting}", path, got, known):
        opened(csv(path, **{setting: value}))


@pytest.mark.parametrize("columns", [("width", "label"), ("width", "width")])
def test_a_feature_is_a_column_once_and_no_label(tmp_path, columns):
    config = csv(write(tmp_path / "a.csv"), feature_columns=columns)
    with refused(data.DataError, "data.feature_columns", "once", list(columns)):
        opened(config)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("width,label\n1,a\n2,b\n3,c\n", ("features", "none only", "'height' only")),
        (CSV.replace(",a,", ",z,"), ("classes", "'z' only", "'a' only")),
    ],
)
def test_files_that_differ_are_refused_both_ways(tmp_path, text, facts):
    train = write(tmp_path / "train.csv")
    test = write(tmp_path / "test.csv", text)
    with refused(data.DataError, train, test, *facts):
        opened(csv(tmp_path, **TWO_FILES))


def parts_of(config: DataConfig) -> list[str]:
    """The parts of a message that tells everything at once."""
    return refusal(lambda: opened(config), data.DataError).split("; ")


def assert_a_part_states(parts: list[str], place: str, *facts: object) -> None:
    (part,) = (part for part in parts if part.startswith(f"{place}, must"))
    assert_states(part, *facts)


def test_all_bad_columns_and_cells_of_all_files_are_told_at_once(tmp_path):
    write(
        tmp_path / "train.csv",
        ",x,y,x,label\n1,2,tall,4,a\n1,-,1_000,4,\n1,2\n1,nan,5,4,b\n",
    )
    write(tmp_path / "test.csv", "x,y,label\n1,2,a\n1,,nan\n")
    parts = parts_of(csv(tmp_path, **TWO_FILES))
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    for place, *facts in (
        (f"{train}", "'x' again", 2),
        (f"{train}, column 1", "name", "''"),
        (f"{train}, line 4", 5, 2),
        (f"{train}, line 3, column 'x'", "finite", "'-'", "'nan' in line 5"),
        (f"{train}, line 2, column 'y'", "finite", "'tall'", "'1_000' in line 3"),
        (f"{train}, line 3, column 'label'", "a label", "empty"),
        (f"{test}, line 3, column 'y'", "finite", "empty"),
        (f"{test}, line 3, column 'label'", "a label", "'nan'"),
    ):
        assert_a_part_states(parts, place, *facts)
    assert_states(parts[-1], "data.label_column", "data.feature_columns")


def test_all_bad_arrays_are_told_at_once(tmp_path):
    arrays = {"x": np.ones(5), "y": np.array(["a"] * 6), "z": np.full(6, np.nan)}
    (tmp_path / "a.npz").write_bytes(saved(label=Y, **arrays))
    path = tmp_path / "a.npz"
    parts = parts_of(npz(path))
    for place, *facts in (
        ("array 'x'", "[6]", "[6, K]", "[5]"),
        ("array 'y'", "numbers", "<U1"),
        ("row 0, column 'z'", "finite", "'nan'"),
    ):
        assert_a_part_states(parts, f"{path}, {place}", *facts)


def test_of_many_bad_cells_the_first_are_told_and_the_others_counted(tmp_path):
    rows = "".join(f"a{i},{i % 2}\n" for i in range(1000))
    config = csv(write(tmp_path / "a.csv", f"x,label\n{rows}"))
    message = refusal(lambda: opened(config), data.DataError)
    assert_states(message, "line 2, column 'x'", "'a0'", "'a1' in line 3", 995)
    assert len(message) < 1000


def counted(numbers, name="x"):
    rows = "".join(f"{number},1,{i % 2}\n" for i, number in enumerate(numbers))
    return f"{name},y,label\n{rows}"


@pytest.mark.parametrize(
    ("text", "place", "facts"),
    [
        (counted(range(100)), "column 'x'", ("100 numbers", "0 to 99")),
        (
            *(counted(np.arange(200) + 1e8), "column 'x'"),
            ("200 numbers", "100000000 to 100000199"),
        ),
        (counted(range(100, 0, -1)), "column 'x'", ("100 numbers", "1 to 100")),
        (
            *(counted(np.random.default_rng(0).permutation(100)), "column 'x'"),
            ("100 numbers", "0 to 99"),
        ),
        (counted(np.arange(0, 1000, 10) + 0.5), "column 'x'", ("0.5 to 990.5",)),
        (counted(np.delete(range(200), [7, 90])), "column 'x'", ("198 numbers",)),
        (counted([7] * 20, ""), "column 1", ("name", "''")),
        (counted([7] * 20, "Unnamed: 0"), "column 1", ("name", "'Unnamed: 0'")),
    ],
)
def test_a_column_that_is_no_feature_is_refused_unless_it_is_named(
    tmp_path, text, place, facts
):
    path = write(tmp_path / "a.csv", text)
    parts = {
        "train_split": "train[:50%]",
        "validation_split": "train[50%:75%]",
        "test_split": "train[75%:]",
    }
    with refused(data.DataError, f"{path}, {place}", *facts, "data.feature_columns"):
        opened(csv(path, **parts))
    name = text.partition(",")[0]
    asked = opened(csv(path, feature_columns=(name, "y"), **parts))
    assert asked.input_shape == (2,)
    assert opened(csv(path, feature_columns=("y",), **parts)).input_shape == (1,)


@pytest.mark.parametrize(
    "numbers",
    [[*range(199), 198], np.sin(np.arange(200)), range(99), np.arange(200) ** 2],
)
def test_numbers_that_number_no_rows_are_features(tmp_path, numbers):
    config = csv(write(tmp_path / "a.csv", counted(numbers)))
    assert opened(config).input_shape == (2,)


@pytest.mark.parametrize(
    ("labels", "facts"),
    [
        (
            np.random.default_rng(0).normal(size=40),
            ("40 numbers", "40 rows", "regression"),
        ),
        (np.arange(40) % 4 + 0.5, ("4 numbers", "40 rows", 0.5, "regression")),
        (np.arange(40) % 30, ("30 numbers", "40 rows", "regression")),
        ([f"row {i}" for i in range(40)], ("40 texts", "40 rows", "names")),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_labels_that_are_no_classes_are_refused(tmp_path, kind, labels, facts):
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        write(path, "x,label\n" + "".join(f"1,{label}\n" for label in labels))
    else:
        np.savez(path, x=np.ones(40), label=labels)
    config = DataConfig(dataset=f"{kind}:{path}", **SPLITS)
    with refused(
        data.DataError, "data.label_column 'label'", f"'{kind}:{path}'", *facts
    ):
        opened(config)


def test_few_rows_of_each_class_are_enough(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(60), label=np.arange(60) % 20)
    assert len(opened(npz(tmp_path / "a.npz")).class_names) == 20


def test_spaces_around_names_and_labels_are_none_in_either_kind(tmp_path):
    write(tmp_path / "a.csv", CSV.replace("label", " label ").replace(",b,", ", b ,"))
    np.savez(
        tmp_path / "a.npz",
        **{" height ": Y, "width": Y, "label\u00a0": np.array(["b ", " a", "b"] * 2)},
    )
    for config in (csv(tmp_path / "a.csv"), npz(tmp_path / "a.npz")):
        chosen = dataclasses.replace(config, feature_columns=("height", "width"))
        assert opened(chosen).class_names[:2] == ("a", "b")


def test_one_class_only_is_refused(tmp_path):
    text = "x,label\n" + "1,a\n" * 6
    path = write(tmp_path / "a.csv", text)
    with refused(data.DataError, f"'csv:{path}'", "two classes", "got a"):
        opened(csv(path))


def test_text_of_another_encoding_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(CSV.replace("a", "\u00e4").encode("latin-1"))
    with refused(data.DataError, path, "UTF-8", "0xe4"):
        opened(csv(path))


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_file_that_is_not_there_is_refused(tmp_path, kind):
    config = DataConfig(dataset=f"{kind}:{tmp_path}/none.{kind}", **SPLITS)
    names = (f"'{kind}:'", f"'{tmp_path}/none.{kind}'")
    with refused(data.DataError, "data.dataset", *names, os.strerror(errno.ENOENT)):
        opened(config)


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_folder_without_tables_is_refused(tmp_path, kind):
    config = DataConfig(dataset=f"{kind}:{tmp_path}", **SPLITS)
    with refused(data.DataError, tmp_path, f".{kind}", f"train.{kind}", "data.dataset"):
        opened(config)


def test_an_unknown_split_is_refused_with_the_known_ones(tmp_path):
    for name in ("train", "test"):
        write(tmp_path / f"{name}.csv")
    config = csv(tmp_path, **{**TWO_FILES, "test_split": "tset"})
    with refused(data.DataError, "data.test_split", "'tset'", "known: test, train"):
        opened(config)


def test_overlapping_splits_are_refused(tmp_path):
    config = csv(write(tmp_path / "a.csv"), test_split="train[2:]")
    splits = ("data.test_split 'train[2:]'", "data.train_split 'train[:3]'")
    with refused(data.DataError, *splits, 1):
        opened(config)


@pytest.mark.parametrize(("budget", "enough"), [(6 * 2 * 4, True), (47, False)])
def test_the_memory_budget_covers_all_features(tmp_path, budget, enough):
    config = csv(write(tmp_path / "a.csv"), memory_budget_bytes=budget)
    if enough:
        assert len(opened(config).read("train")) == 6
    else:
        with refused(data.DataError, "data.memory_budget_bytes", "48 bytes", 47):
            opened(config)


def saved(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def saved_alone(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


Y = np.array(LABELS)
GOOD = saved(label=Y, x=np.ones(6))


@pytest.mark.parametrize(
    ("contents", "place", "facts"),
    [
        (GOOD[:-30], "", ("numpy.savez",)),
        (b"x,label\n1,a\n", "", ("numpy.savez",)),
        (b"", "", ("numpy.savez",)),
        (saved_alone(Y), "", ("numpy.savez",)),
        (saved(label=Y, x=np.array([{}] * 6)), "", ("numpy.savez", "Object")),
        (saved(label=Y, x=np.ones(5)), ", array 'x'", ("[6]", "[6, K]", "[5]")),
        (saved(label=Y, x=np.ones((6, 2, 2))), ", array 'x'", ("[6, K]", "[6, 2, 2]")),
        (saved(label=Y, x=np.float64(1)), ", array 'x'", ("[6, K]", "[]")),
        (saved(label=Y, x=np.array(["a"] * 6)), ", array 'x'", ("numbers", "<U1")),
        (saved(label=Y[:, None], x=np.ones(6)), ", array 'label'", ("list", "(6, 1)")),
        (saved(label=Y[:0], x=np.ones(0)), ", array 'label'", ("list", "(0,)")),
        (
            saved(label=np.array(["a", ""] * 3), x=np.ones(6)),
            *(", row 1, column 'label'", ("a label", "empty")),
        ),
        (
            saved(label=Y, x=np.eye(6, 3) * np.nan),
            *(", row 0, column 'x[0]'", ("finite", "'nan'")),
        ),
        (
            saved(label=Y, x=np.full(6, np.inf)),
            *(", row 0, column 'x'", ("finite", "'inf'")),
        ),
    ],
)
def test_bad_arrays_are_refused_by_name(tmp_path, contents, place, facts):
    path = tmp_path / "a.npz"
    path.write_bytes(contents)
    with refused(data.DataError, f"{path}{place}", *facts):
        opened(npz(path))
