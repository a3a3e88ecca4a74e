"""The helper that reads messages finds what stands in them, and nothing else."""

import pytest

from tests.helpers.messages import assert_states, foreign_lines, refusal, refused

MESSAGE = "distill.alpha must be from 0 to 1, got 10.5 in /a-7/b.toml; see --set='x'"


@pytest.mark.parametrize(
    "fact", ["distill.alpha", 0, 1, 10.5, "/a-7/b.toml", "--set='x'", "from 0 to 1,"]
)
def test_what_stands_in_a_message_is_found(fact):
    assert_states(MESSAGE, fact)


@pytest.mark.parametrize("fact", [10, 0.5, 5, 7, "alph", "distill", "b.tom", "set.x"])
def test_a_part_of_a_word_or_a_number_is_not(fact):
    with pytest.raises(AssertionError, match="must be in"):
        assert_states(MESSAGE, "distill.alpha", fact)


def test_an_error_is_told_by_its_kind_and_its_facts():
    with refused(ValueError, "b", 2):
        raise ValueError("a b c: 2")
    with pytest.raises(AssertionError), refused(ValueError, 3):
        raise ValueError("a b c: 2")
    assert refusal(lambda: int("x")).endswith("'x'")


def test_lines_of_other_programs_are_found_among_ours():
    ours = [
        "trainer: run configs/demo.toml in runs/demo; loading TensorFlow",
        "[worker-0] trainer: worker-0 is one of worker-0 and worker-1",
        "[worker-0] student seed 2: step 60/240, loss 0.1, 10 examples/s",
        "teacher.members[1] seed 0: step 1/2, loss 0.1, 10 examples/s",
        "launch: worker-1 ended with 137; the others get SIGTERM",
        "✓ baseline seed 0: loss 0.3, 8180 examples/s, 9 s",
        "",
    ]
    theirs = [
        "I0000 00:00:1796002065.215390    9897 port.cc:153] oneDNN is on",
        "[worker-1] E0000 00:00:1796002065.2    9897 cuda_platform.cc:52] cuInit: 303",
        "UserWarning: something",
    ]
    assert foreign_lines("\n".join([*ours, *theirs])) == theirs
