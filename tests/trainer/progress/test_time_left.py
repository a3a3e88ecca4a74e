"""The time left of a run, by a clock that the test moves."""

import pytest

from trainer.progress.time_left import Pace, TimeLeft, Work, secs_of, tell


def training(role: str, seed: int, examples: int, predictions: int = 0) -> Work:
    return Work(
        stage=role,
        title=f"{role} seed {seed}",
        kind=role,
        network="teacher" if role == "teacher" else "student",
        examples=examples,
        predictions=predictions,
    )


RUN = [
    training("teacher", 0, 1000, 300),  # as large as 1100
    *(training("student", seed, 200) for seed in (0, 1)),
    training("baseline", 0, 200),
    Work(
        stage="evaluate",
        title="teacher on the test split",
        kind="teacher",
        network="teacher",
        predictions=330,  # 110
    ),
    Work(stage="report", title="report", kind="", network="", fixed_secs=4.0),
]


class Clock:
    """A clock that stands still until it is moved."""

    now = 50.0

    def __call__(self) -> float:
        return self.now

    def move(self, secs: float) -> None:
        self.now += secs


def test_the_time_left_follows_what_was_measured():
    clock = Clock()
    left = TimeLeft(RUN, clock)
    assert left.secs() is None
    left.begin("teacher seed 0")
    clock.move(20)
    assert left.secs() is None
    # A tenth in 20 seconds, of which nobody knows yet what comes once.
    left.advance(0.1)
    pace = 200 / 1100
    assert left.secs() == pytest.approx(180 + (600 + 110) * pace + 4)
    # Another tenth in 11 seconds: 0.1 a unit, and 9 seconds came once.
    clock.move(11)
    left.advance(0.2)
    assert left.secs() == pytest.approx(88 + 3 * (9 + 20) + 11 + 4)
    # Without news the clock alone goes on.
    clock.move(8)
    assert left.secs() == pytest.approx(80 + 3 * 29 + 11 + 4)
    clock.move(80)
    left.advance(1.0)
    left.end()
    left.drop("teacher")
    # The last eight tenths took as long as they were said to.
    assert left.secs() == pytest.approx(3 * 29 + 11 + 4)


def test_each_kind_has_its_own_pace_and_lends_it_to_the_same_network():
    clock = Clock()
    left = TimeLeft(RUN[1:], clock)
    left.begin("student seed 0")
    clock.move(6)
    left.advance(0.25)  # 50 examples
    clock.move(3)
    left.advance(0.75)  # 100 more: 0.03 each, and 4.5 once
    per_training = 4.5 + 6
    # The teacher's predictions are by the only pace there is; they compile nothing.
    assert left.secs() == pytest.approx(1.5 + 2 * per_training + 3.3 + 4)
    clock.move(1.5)
    left.advance(1.0)
    left.end()
    left.begin("student seed 1")
    # What comes once is to come, and passes.
    assert left.secs() == pytest.approx(2 * per_training + 7.3)
    clock.move(5)
    assert left.secs() == pytest.approx(2 * per_training + 7.3 - 5)


def test_a_training_that_goes_on_is_timed_by_what_it_does_now():
    clock = Clock()
    left = TimeLeft(RUN[:1], clock)
    left.begin("teacher seed 0", done=0.5)
    clock.move(3)
    left.advance(0.6)
    clock.move(2)
    left.advance(0.7)
    assert left.secs() == pytest.approx(6)


def test_a_stage_that_ends_early_leaves_nothing_of_itself():
    left = TimeLeft(RUN, Clock())
    for stage in ("teacher", "student", "baseline", "evaluate"):
        left.drop(stage)
    assert left.secs() == 4.0  # which takes the same at any speed
    left.drop("report")
    assert left.secs() == 0.0


def test_a_title_that_is_not_planned_changes_nothing():
    clock = Clock()
    left = TimeLeft(RUN[-1:], clock)
    left.begin("teacher_head seed 0")
    clock.move(1)
    left.advance(0.5)
    left.end()
    assert left.secs() == 4.0


def test_paces_of_other_kinds_stand_in():
    slow = Pace(network="teacher", start_secs=2.0, example_secs=0.5)
    quick = Pace(network="other", start_secs=0.0, example_secs=0.1)
    works = [training("teacher", 0, 10), training("student", 0, 10)]
    # The slowest that is known stands for a network that is not.
    assert secs_of(works, {"teacher": slow, "x": quick}) == pytest.approx(7 + 7)
    assert secs_of(works, {}) is None
    assert secs_of([], {}) == 0


@pytest.mark.parametrize(
    ("secs", "told"),
    [(0.2, "1 s"), (59, "59 s"), (89, "1 min"), (3000, "50 min"), (7500, "2 h 05 min")],
)
def test_a_time_is_told_as_exactly_as_it_is_known(secs, told):
    assert tell(secs) == told
