"""Tables: what rows, labels and features become, and which cells are refused."""

import dataclasses
import io
import math
import pathlib
import re
from collections.abc import Callable

import numpy as np
import pytest

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


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(data.DataError) as caught:
        action()
    return str(caught.value)


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
    assert source.description == (
        f"csv:{tmp_path}/a.csv: 3 + 2 + 1 examples of 3 classes, 2 features, "
        "0.0 MB decoded, in memory"
    )


# What is refused.


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("3.5,b,0", "3.5,b,", "line 4, column 'height', .* an empty cell"),
        ("3.5,b,0", "3.5,b, ", "line 4, column 'height', .* an empty cell"),
        ("3.5,b,0", "tall,b,0", "line 4, column 'width', .* got 'tall'"),
        ("3.5,b,0", "nan,b,0", "line 4, column 'width', .* got 'nan'"),
        ("3.5,b,0", "3,b,-inf", "line 4, column 'height', .* got '-inf'"),
        ("3.5,b,0", "1e399,b,0", "line 4, column 'width', .* got 'inf'"),
        ("3.5,b,0", "3.5, ,0", "line 4, column 'label', must be a label"),
        ("3.5,b,0", "3.5,b", "line 4, must have 3 cells .* got 2"),
        ("3.5,b,0", "3.5,b,0,1", "line 4, must have 3 cells .* got 4"),
        ("3.5,b,0", "", "line 4, must have 3 cells .* got 0"),
        ("3.5,b,0", '3.5,"b,0', "must hold comma-separated values"),
        ("1.5,b,10", '"1\n",b,tall', "line 3, column 'height', .* got 'tall'"),
        ("width", "height", "a name for each column, got 'height' again"),
        (CSV, "", "got nothing"),
        (CSV, "width,label\n", "got none"),
        (CSV, "label\na\nb\n", "a column beside 'label'"),
    ],
)
def test_a_bad_cell_is_refused_by_line_and_column(tmp_path, old, new, words):
    path = write(tmp_path / "a.csv", CSV.replace(old, new))
    message = refusal(lambda: opened(csv(path)))
    assert message.startswith(str(path))
    assert re.search(words, message)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("label_column", "class"), ("feature_columns", ("width", "depth"))],
)
def test_an_unknown_column_is_refused_with_the_known_ones(tmp_path, setting, value):
    path = write(tmp_path / "a.csv")
    message = refusal(lambda: opened(csv(path, **{setting: value})))
    assert message.startswith(f"data.{setting} must name columns of {path}")
    assert "known: 'width', 'label', 'height'" in message


@pytest.mark.parametrize("columns", [("width", "label"), ("width", "width")])
def test_a_feature_is_a_column_once_and_no_label(tmp_path, columns):
    config = csv(write(tmp_path / "a.csv"), feature_columns=columns)
    assert refusal(lambda: opened(config)).startswith("data.feature_columns must")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("width,label\n1,a\n2,b\n3,c\n", "features .* none only .* 'height' only"),
        (CSV.replace(",a,", ",z,"), "classes .* 'z' only .* 'a' only"),
    ],
)
def test_files_that_differ_are_refused_both_ways(tmp_path, text, words):
    write(tmp_path / "train.csv")
    write(tmp_path / "test.csv", text)
    message = refusal(lambda: opened(csv(tmp_path, **TWO_FILES)))
    assert re.search(words, message)
    assert str(tmp_path / "train.csv") in message
    assert str(tmp_path / "test.csv") in message


def test_all_bad_columns_and_cells_of_all_files_are_told_at_once(tmp_path):
    write(
        tmp_path / "train.csv",
        ",x,y,x,label\n1,2,tall,4,a\n1,-,1_000,4,\n1,2\n1,nan,5,4,b\n",
    )
    write(tmp_path / "test.csv", "x,y,label\n1,2,a\n1,,nan\n")
    message = refusal(lambda: opened(csv(tmp_path, **TWO_FILES)))
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    for fact in (
        f"{train}, must have a name for each column, got 'x' again",
        f"{train}, column 1, must have a name where it is a feature, got ''",
        f"{train}, line 4, must have 5 cells as the first line has, got 2",
        f"{train}, line 3, column 'x', must be a finite number, got '-'",
        "also 'nan' in line 5",
        f"{train}, line 2, column 'y', must be a finite number, got 'tall'",
        "also '1_000' in line 3",
        f"{train}, line 3, column 'label', must be a label, got an empty cell",
        f"{test}, line 3, column 'y', must be a finite number, got an empty cell",
        f"{test}, line 3, column 'label', must be a label, got 'nan'",
        "data.feature_columns",
    ):
        assert fact in message


def test_all_bad_arrays_are_told_at_once(tmp_path):
    arrays = {"x": np.ones(5), "y": np.array(["a"] * 6), "z": np.full(6, np.nan)}
    (tmp_path / "a.npz").write_bytes(saved(label=Y, **arrays))
    message = refusal(lambda: opened(npz(tmp_path / "a.npz")))
    for fact in ("array 'x', must have the shape", "array 'y', must", "column 'z', mu"):
        assert fact in message


def test_of_many_bad_cells_the_first_are_told_and_the_others_counted(tmp_path):
    rows = "".join(f"a{i},{i % 2}\n" for i in range(1000))
    config = csv(write(tmp_path / "a.csv", f"x,label\n{rows}"))
    message = refusal(lambda: opened(config))
    assert "got 'a0', also 'a1' in line 3" in message
    assert "and 995 more" in message
    assert len(message) < 1000


def counted(numbers, name="x"):
    rows = "".join(f"{number},1,{i % 2}\n" for i, number in enumerate(numbers))
    return f"{name},y,label\n{rows}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (counted(range(100)), r"column 'x'.* 100 numbers from 0 to 99"),
        (counted(np.arange(200) + 1e8), r"column 'x'.* from 100000000 to 100000199"),
        (counted(range(100, 0, -1)), r"column 'x'.* from 1 to 100"),
        (counted(np.random.default_rng(0).permutation(100)), r"column 'x'.* 0 to 99"),
        (counted(np.arange(0, 1000, 10) + 0.5), r"column 'x'.* from 0.5 to 990.5"),
        (counted(np.delete(range(200), [7, 90])), r"column 'x'.* 198 numbers"),
        (counted([7] * 20, ""), "column 1, must have a name .* got ''"),
        (counted([7] * 20, "Unnamed: 0"), "column 1, must .* got 'Unnamed: 0'"),
    ],
)
def test_a_column_that_is_no_feature_is_refused_unless_it_is_named(
    tmp_path, text, words
):
    path = write(tmp_path / "a.csv", text)
    parts = {
        "train_split": "train[:50%]",
        "validation_split": "train[50%:75%]",
        "test_split": "train[75%:]",
    }
    message = refusal(lambda: opened(csv(path, **parts)))
    assert message.startswith(str(path))
    assert re.search(words, message)
    assert "data.feature_columns" in message
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
    ("labels", "words"),
    [
        (np.random.default_rng(0).normal(size=40), "40 numbers in 40 rows.*regression"),
        (np.arange(40) % 4 + 0.5, "4 numbers in 40 rows, such as 0.5.*regression"),
        (np.arange(40) % 30, "30 numbers in 40 rows.*regression"),
        ([f"row {i}" for i in range(40)], "40 texts in 40 rows.*names"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_labels_that_are_no_classes_are_refused(tmp_path, kind, labels, words):
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        write(path, "x,label\n" + "".join(f"1,{label}\n" for label in labels))
    else:
        np.savez(path, x=np.ones(40), label=labels)
    config = DataConfig(dataset=f"{kind}:{path}", **SPLITS)
    message = refusal(lambda: opened(config))
    assert message.startswith("data.label_column 'label'")
    assert re.search(words, message)


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
    message = refusal(lambda: opened(csv(write(tmp_path / "a.csv", text))))
    assert "must have two classes or more, got a;" in message


def test_text_of_another_encoding_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(CSV.replace("a", "\u00e4").encode("latin-1"))
    assert refusal(lambda: opened(csv(path))).startswith(
        f"{path} must be text in UTF-8"
    )


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_file_that_is_not_there_is_refused(tmp_path, kind):
    config = DataConfig(dataset=f"{kind}:{tmp_path}/none.{kind}", **SPLITS)
    message = refusal(lambda: opened(config))
    assert message.startswith(
        f"data.dataset must name a file or a folder after '{kind}:'"
    )
    assert "No such file" in message


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_folder_without_tables_is_refused(tmp_path, kind):
    config = DataConfig(dataset=f"{kind}:{tmp_path}", **SPLITS)
    assert f"must hold a .{kind} file" in refusal(lambda: opened(config))


def test_an_unknown_split_is_refused_with_the_known_ones(tmp_path):
    for name in ("train", "test"):
        write(tmp_path / f"{name}.csv")
    config = csv(tmp_path, **{**TWO_FILES, "test_split": "tset"})
    assert "'tset'; known: test, train" in refusal(lambda: opened(config))


def test_overlapping_splits_are_refused(tmp_path):
    config = csv(write(tmp_path / "a.csv"), test_split="train[2:]")
    assert "got 1 in both" in refusal(lambda: opened(config))


@pytest.mark.parametrize(("budget", "enough"), [(6 * 2 * 4, True), (47, False)])
def test_the_memory_budget_covers_all_features(tmp_path, budget, enough):
    config = csv(write(tmp_path / "a.csv"), memory_budget_bytes=budget)
    if enough:
        assert len(opened(config).read("train")) == 6
    else:
        assert "48 bytes, got 47" in refusal(lambda: opened(config))


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
    ("contents", "words"),
    [
        (GOOD[:-30], "must hold arrays"),
        (b"x,label\n1,a\n", "must hold arrays"),
        (b"", "must hold arrays"),
        (saved_alone(Y), "must hold arrays"),
        (saved(label=Y, x=np.array([{}] * 6)), "must hold arrays"),
        (saved(label=Y, x=np.ones(5)), "array 'x', must have the shape"),
        (saved(label=Y, x=np.ones((6, 2, 2))), "array 'x', must have the shape"),
        (saved(label=Y, x=np.float64(1)), "array 'x', must have the shape"),
        (saved(label=Y, x=np.array(["a"] * 6)), "array 'x', must hold numbers"),
        (saved(label=Y[:, None], x=np.ones(6)), "array 'label', must be a list"),
        (saved(label=Y[:0], x=np.ones(0)), "array 'label', must be a list"),
        (saved(label=np.array(["a", ""] * 3), x=np.ones(6)), "row 1, column 'label'"),
        (
            saved(label=Y, x=np.eye(6, 3) * np.nan),
            r"row 0, column 'x\[0\]', .* got 'nan'",
        ),
        (saved(label=Y, x=np.full(6, np.inf)), "row 0, column 'x', .* got 'inf'"),
    ],
)
def test_bad_arrays_are_refused_by_name(tmp_path, contents, words):
    path = tmp_path / "a.npz"
    path.write_bytes(contents)
    message = refusal(lambda: opened(npz(path)))
    assert message.startswith(str(path))
    assert re.search(words, message)
