import copy
import re
import subprocess
import sys

import pytest

from tests.helpers.messages import assert_states
from tests.helpers.results import many_seeds, metrics, model, one_seed
from trainer import report
from trainer.report import table


def with_gain(results, mean, standard_error):
    results = copy.deepcopy(results)
    gain = {"per_seed": [mean] * 5, "mean": mean, "standard_error": standard_error}
    results["gain"]["errors"] = gain
    return results


MANY_SEEDS = """\
model     parameters  test errors     accuracy %             NLL               ECE    agreement %  train examples/s
--------  ----------  -----------  -------------  --------------  ----------------  -------------  ----------------
teacher    1,663,370           26          98.70           0.040            0.0040              -                 -
student      101,770  83.2 +- 2.1  95.84 +- 0.10  0.141 +- 0.002  0.0123 +- 0.0010  97.00 +- 0.30            12,346
baseline     101,770  97.4 +- 3.0  95.13 +- 0.20  0.170 +- 0.003  0.0200 +- 0.0020  96.00 +- 0.40            20,000"""  # noqa: E501

ONE_SEED = """\
model     parameters  test errors  accuracy %    NLL     ECE  agreement %  train examples/s
--------  ----------  -----------  ----------  -----  ------  -----------  ----------------
teacher    1,663,370           26       98.70  0.040  0.0040            -                 -
student      101,770           81       95.84  0.141  0.0123        97.00            12,346
baseline     101,770           95       95.13  0.170  0.0200        96.00            20,000"""  # noqa: E501


def test_table_of_many_seeds_puts_the_teacher_first_and_spreads_beside_means():
    *rows, note, verdict = report.render(many_seeds()).splitlines()
    assert "\n".join(rows) == MANY_SEEDS
    assert_states(note, "+-", "5 seeds")
    assert_states(verdict, "baseline", "14.2 +- 1.9 errors", "2,000", "5 seeds")


def test_table_of_one_seed_has_neither_spread_nor_standard_error():
    *rows, verdict = report.render(one_seed()).splitlines()
    assert "\n".join(rows) == ONE_SEED
    assert_states(verdict, "baseline", "14 errors", "2,000", "one seed")
    assert "+-" not in verdict


def test_an_ensemble_has_a_mean_member_whose_spread_is_not_over_seeds():
    results = one_seed()
    models = results["models"]
    member = model(
        500_000,
        mean=metrics(31.5, accuracy=0.9843, nll=0.05, ece=0.01, agreement=0.99),
        std=metrics(2.1, accuracy=0.001, nll=0.002, ece=0.001, agreement=0.003),
        num_seeds=3,
    )
    results["models"] = {"teacher": models["teacher"], "member": member, **models}
    lines = table.render(results).splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["teacher", "member"]
    assert "31.5 +- 2.1" in lines[3]
    assert_states(lines[-2], "+-", "3 members")
    assert "seeds" not in lines[-2]
    models["student"]["seeds"] *= 2
    (note,) = table.comparison(results).notes
    assert_states(note, "+-", "2 seeds", "3 members")


def with_excluded_classes(results):
    """Each student before and after, as test errors 72.1 and 60.5 of 83.2 are."""
    models = results["models"]
    found = {}
    for name, entry in models.items():
        mean = {"excluded_examples": 210.0, "excluded_errors": 30.25}
        found[name] = entry | {"mean": entry["mean"] | mean}
        if name != "teacher":
            bias = {"errors": 60.5, "excluded_errors": 12.0, "class_bias": 3.456}
            found[f"{name}_class_bias"] = entry | {
                "mean": entry["mean"] | mean | bias,
                "std": entry["std"] | {"class_bias": 0.5},
            }
    results["models"] = found
    return results


def test_excluded_classes_have_a_column_and_say_how_many_examples_they_have():
    assert "excluded" not in table.render(many_seeds())
    compared = table.comparison(with_excluded_classes(many_seeds()))
    column = compared.header.index("excluded errors")
    assert column == compared.header.index("test errors") + 1
    assert [row[column] for row in compared.rows] == (
        ["30.2", "30.2", "12", "30.2", "12"]
    )
    assert_states(compared.notes[1], "excluded errors", 210, "data.exclude_labels")


def test_corrected_models_stand_below_their_own_with_the_number_found():
    results = with_excluded_classes(many_seeds())
    compared = table.comparison(results)
    assert [row[0] for row in compared.rows] == [
        "teacher",
        "student",
        "student + class bias",
        "baseline",
        "baseline + class bias",
    ]
    bias = ("student 3.46 +- 0.50", "baseline 3.46 +- 0.50")
    assert_states(compared.notes[-1], "class bias", *bias)
    summary = report.summary(results)
    assert_states(summary, "class bias")
    corrected = ["60.5 +- 2.1", "60.5 +- 3.0"]
    assert counts_of_errors(summary)[1:4] == ["97.4 +- 3.0", *corrected]


def test_inference_times_have_a_line_each_batch_size_with_their_ratio():
    results = many_seeds()
    times = {"teacher": {"1": 0.75, "256": 0.0406}, "student": {"1": 0.3, "256": 0.01}}
    for role, found in times.items():
        results["models"][role]["inference_ms_per_example"] = found
    lines = table.render(results).splitlines()
    one, many = lines[-3:-1]
    assert_states(one, "batch 1", "teacher 0.75 ms", "student 0.3 ms", "ratio 2.5")
    assert_states(many, "batch 256", "teacher 0.0406 ms", "student 0.01 ms")
    assert_states(many, "ratio 4.06")


def test_terminal_text_is_ascii():
    assert report.render(many_seeds()).isascii()


def test_cells_and_header_have_one_source():
    compared = report.comparison(many_seeds())
    assert [row[0] for row in compared.rows] == ["teacher", "student", "baseline"]
    for row in (compared.header, *compared.rows):
        assert len(row) == len(compared.header)
        for cell in row:
            assert cell in MANY_SEEDS


def test_models_of_other_names_keep_the_order_of_the_results():
    results = many_seeds()
    student = results["models"]["student"]
    results["models"] = {
        "ensemble": student,
        "int8": student,
        "teacher": results["models"]["teacher"],
    }
    del results["gain"]
    compared = report.comparison(results)
    assert [row[0] for row in compared.rows] == ["teacher", "ensemble", "int8"]
    assert_states(report.render(results).splitlines()[-1], "not measured")
    assert_states(report.summary(results), "student", "baseline")


@pytest.mark.parametrize(
    ("mean", "facts"),
    [(14.2, ["removes 14.2 errors", "15%"]), (-4.0, ["adds 4 errors", "4%"])],
)
def test_summary_is_honest_about_the_sign(mean, facts):
    assert_states(report.summary(with_gain(many_seeds(), mean, 1.9)), *facts)


def counts_of_errors(summary: str) -> list[str]:
    return re.findall(r"([\d.]+ \+- [\d.]+) errors", summary)


def test_summary_compares_sizes_and_errors():
    summary = report.summary(many_seeds())
    assert_states(summary, "101,770 parameters", "16.3 times fewer", "1,663,370")
    assert counts_of_errors(summary) == ["83.2 +- 2.1", "97.4 +- 3.0"]
    assert_states(summary, 2000)


def test_summary_tells_what_training_on_with_labels_alone_came_to():
    results = many_seeds()
    assert "further" not in report.summary(results)
    results["models"]["finetune"] = results["models"]["student"] | {
        "mean": metrics(80.4, accuracy=0.96, nll=0.14, ece=0.01),
        "std": metrics(1.5, accuracy=0.001, nll=0.002, ece=0.001),
    }
    summary = report.summary(results)
    assert_states(summary, "trained further")
    assert counts_of_errors(summary)[1:3] == ["97.4 +- 3.0", "80.4 +- 1.5"]


def test_a_single_error_is_in_the_singular():
    results = one_seed()
    results["models"]["student"]["mean"]["errors"] = 1.0
    results["gain"]["errors"]["mean"] = -1.0
    assert_states(report.summary(results), "makes 1 error", "adds 1 error", "1%")
    assert_states(report.render(results).splitlines()[-1], "worse", "1 error")


def test_a_value_that_is_not_finite_is_absent():
    assert table.value(float("nan"), digits=3) == "-"
    assert table.value(None, digits=3) == "-"


def test_table_needs_neither_matplotlib_nor_tensorflow():
    code = (
        "import sys; from trainer import report; "
        "sys.exit(bool({'matplotlib', 'tensorflow'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_other_metrics_have_columns_where_accuracy_does_not_select():
    found = many_seeds()
    found["models"]["student"]["mean"]["balanced_accuracy"] = 0.8125
    assert "balanced" not in report.render(found)
    for more in ({"select_by": "nll"}, {"class_weights": {"a": 0.5, "b": 4.25}}):
        text = report.render({**found, "select_by": "accuracy", **more})
        assert "balanced acc. %" in text
        assert "81.25" in text
        assert "AUC" not in text  # which no model has
    assert "0.5 to 4.25" in text
