"""The table of docs/soft_targets.md on caches of the largest logits."""

import numpy as np
import pytest

from tests.benchmarks import top_k
from tests.helpers.oracle import softmax
from tests.helpers.repository import REPOSITORY


@pytest.fixture(scope="module")
def teacher():
    return top_k.teacher_logits()


@pytest.fixture(scope="module")
def lines():
    return list(top_k.lines())


def test_the_teacher_is_like_one_of_imagenet(teacher):
    confidence = softmax(teacher).max(axis=1)
    assert 0.7 < confidence.mean() < 0.9
    # Certain of some, in doubt of others.
    assert np.quantile(confidence, 0.9) > 0.99
    assert np.quantile(confidence, 0.1) < 0.5
    assert teacher.std(axis=1).mean() == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize(
    ("k", "float16", "float32"),
    [
        # 16 of framing, 8 of the id, 4 of the tail; each logit has 4 of its class.
        (10, 28 + 10 * 6, 28 + 10 * 8),
        (100, 28 + 100 * 6, 28 + 100 * 8),
        (1000, 24 + 1000 * 2, 24 + 1000 * 4),
    ],
)
def test_bytes_of_a_record(k, float16, float32):
    assert top_k.record_bytes(k, "float16") == float16
    assert top_k.record_bytes(k, "float32") == float32


@pytest.mark.parametrize(("name", "agreement"), [("early", 0.1), ("late", 0.93)])
def test_students_agree_with_the_teacher_as_far_as_they_have_come(
    teacher, name, agreement
):
    (student,) = (each for each in top_k.STUDENTS if each.name == name)
    same = top_k.student_logits(teacher, student).argmax(axis=1) == teacher.argmax(1)
    assert same.mean() == pytest.approx(agreement, abs=0.05)


def test_no_top_k_that_saves_bytes_serves_at_a_temperature_of_four(teacher):
    """The rule of the page: dense is more exact there and smaller."""
    largest = 332
    for more, is_smaller in ((0, True), (1, False)):
        few = top_k.record_bytes(largest + more, "float16")
        assert (few < top_k.record_bytes(1000, "float16")) == is_smaller
    for student in top_k.STUDENTS:
        logits = top_k.student_logits(teacher, student)
        lost = {
            temperature: top_k.errors(
                logits, teacher, k=largest, temperature=temperature
            )[1]
            for temperature in (1.0, 4.0)
        }
        assert lost[1.0] < 0.02
        assert lost[4.0] > 0.25


def test_float32_serves_no_better_than_float16(teacher):
    for student in top_k.STUDENTS:
        logits = top_k.student_logits(teacher, student)
        for temperature in top_k.TEMPERATURES:
            given = {"k": 10, "temperature": temperature}
            np.testing.assert_allclose(
                top_k.errors(logits, teacher, **given, dtype="float32"),
                top_k.errors(logits, teacher, **given, dtype="float16"),
                atol=2e-4,
            )


def test_all_logits_in_float32_lose_nothing(teacher):
    student = top_k.student_logits(teacher, top_k.STUDENTS[0])
    found = top_k.errors(student, teacher, k=1000, temperature=4.0, dtype="float32")
    assert found == (0, 0)


def test_errors_of_ten_logits_are_those_of_numpy(teacher):
    student = top_k.student_logits(teacher, top_k.STUDENTS[1]).astype(np.float64)
    order = np.argsort(-teacher, axis=1)
    p, q = (
        np.take_along_axis(softmax(x, 4.0), order, axis=1) for x in (teacher, student)
    )
    tail_p, tail_q = (x[:, 10:].sum(axis=1, keepdims=True) for x in (p, q))
    dense = (p * np.log(p / q)).sum()
    few = (p * np.log(p / q))[:, :10].sum() + (tail_p * np.log(tail_p / tail_q)).sum()
    # Of the tail a student learns the mass, and not how it is shared.
    slope = q - p
    lost = (p - tail_p * q / tail_q)[:, 10:]
    found = top_k.errors(
        student.astype(np.float32), teacher, k=10, temperature=4.0, dtype="float32"
    )
    np.testing.assert_allclose(
        found,
        (1 - few / dense, np.linalg.norm(lost) / np.linalg.norm(slope)),
        rtol=1e-3,
    )


def test_the_page_has_the_table_that_the_command_prints(lines):
    page = (REPOSITORY / "docs" / "soft_targets.md").read_text().splitlines()
    start = page.index(lines[0])
    assert page[start : start + len(lines)] == lines
