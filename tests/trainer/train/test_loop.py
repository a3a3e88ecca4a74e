"""Cadence and divergence, with recorded calls."""

import re

import pytest

from tests.helpers.messages import assert_states, refusal, refused
from trainer.cluster.termination import StoppedError
from trainer.exit_codes import from_error
from trainer.train import loop


class Recorder:
    """A training that costs nothing and remembers what was asked of it."""

    def __init__(
        self,
        *,
        best: set[int] = frozenset(),
        exhausted: set[int] = frozenset(),
        losses=None,
        accuracy: float = 0.5,
        stops: set[int] = frozenset(),
        wish: float = 1.0,
        stopped_evaluations: set[int] = frozenset(),
    ) -> None:
        self.calls: list[tuple] = []
        self.lines: dict[int, dict[str, float]] = {}
        self.finished = 0
        self._best = best
        self._exhausted = exhausted
        self._accuracy = accuracy
        self._stops = stops
        self._wish = wish
        self._stopped_evaluations = stopped_evaluations
        self._losses = losses or {}

    def train_steps(self, num_steps: int) -> dict[str, float]:
        self.finished += num_steps
        self.calls.append(("run", num_steps))
        return {
            "loss": self._losses.get(self.finished, float(self.finished)),
            "stop": self._wish * (self.finished in self._stops),
        }

    def evaluate(self, step: int) -> dict[str, float]:
        self.calls.append(("evaluate", step))
        if step in self._stopped_evaluations:
            raise StoppedError
        return {"eval/accuracy": self._accuracy}

    def advance(self, step: int) -> None:
        self.calls.append(("advance", step))

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self.calls.append(("log", step))
        self.lines[step] = metrics

    def save(self, state: loop.LoopState) -> None:
        self.calls.append(("save", state.step))
        self.saved = state

    def is_best(self, step: int) -> bool:
        return step in self._best

    def stops_early(self, step: int) -> bool:
        return step in self._exhausted

    def train(
        self,
        *,
        last_step: int,
        first_step: int = 0,
        start: loop.LoopState | None = None,
        **cadence: int,
    ) -> None:
        start = start or loop.LoopState(
            step=first_step, is_closed=True, unlogged=loop.MetricAccumulator()
        )
        self.finished = start.step
        periods = {
            "steps_per_loop": 10,
            "log_every_steps": 10,
            "eval_every_steps": 20,
            "save_every_steps": 40,
        }
        loop.Loop(
            callbacks=self,
            cadence=loop.Cadence(**periods | cadence),
            last_step=last_step,
            examples_per_step=4,
            setting="teacher.train.learning_rate",
        ).run(start)

    def steps_of(self, name: str) -> list[int]:
        return [value for call, value in self.calls if call == name]


def test_each_action_comes_at_its_multiples_and_at_the_last_step():
    recorder = Recorder()
    recorder.train(last_step=55)
    assert recorder.steps_of("run") == [10, 10, 10, 10, 10, 5]
    assert recorder.steps_of("advance") == [10, 20, 30, 40, 50, 55]
    assert recorder.steps_of("log") == [10, 20, 30, 40, 50, 55]
    assert recorder.steps_of("evaluate") == [20, 40, 55]
    assert recorder.steps_of("save") == [40, 55]


def test_a_step_is_evaluated_then_written_then_saved():
    recorder = Recorder()
    recorder.train(last_step=40)
    assert recorder.calls[-5:] == [
        ("run", 10),
        ("advance", 40),
        ("evaluate", 40),
        ("log", 40),
        ("save", 40),
    ]


def test_a_new_best_is_saved_between_the_periodic_saves():
    recorder = Recorder(best={20})
    recorder.train(last_step=80)
    assert recorder.steps_of("save") == [20, 40, 80]


def test_a_resumed_training_keeps_the_cadence_of_the_whole():
    recorder = Recorder()
    recorder.train(first_step=20, last_step=55)
    assert recorder.steps_of("log") == [30, 40, 50, 55]
    assert recorder.steps_of("evaluate") == [40, 55]


def test_a_training_without_hope_ends_after_an_evaluation_and_is_saved():
    # Step 30 is past all patience too, but nobody looks before step 40.
    recorder = Recorder(exhausted={30, 40, 60})
    recorder.train(last_step=80, save_every_steps=80)
    assert recorder.steps_of("run") == [10, 10, 10, 10]
    assert recorder.steps_of("evaluate") == [20, 40]
    assert recorder.calls[-2:] == [("log", 40), ("save", 40)]


def test_a_training_that_had_ended_for_want_of_hope_does_not_go_on():
    recorder = Recorder(exhausted={40, 50, 60})
    recorder.train(first_step=40, last_step=80)
    assert recorder.calls == []
    recorder.train(first_step=50, last_step=80)  # saved between two evaluations
    assert recorder.steps_of("run") == [10]


def test_a_loop_without_updates_does_not_dilute_the_means():
    recorder = Recorder()
    left_out = {"overflow": 1.0, "stop": 0.0}
    losses = iter([left_out, {"overflow": 0.0, "loss": 3.0, "stop": 0.0}])
    recorder.train_steps = lambda num_steps: next(losses)
    recorder.train(last_step=20, log_every_steps=20)
    assert recorder.lines[20]["train/loss"] == pytest.approx(3.0)
    assert recorder.lines[20]["train/overflow"] == pytest.approx(0.5)


def test_a_finished_training_does_nothing():
    recorder = Recorder()
    recorder.train(first_step=55, last_step=55)
    assert recorder.calls == []


def test_a_logged_mean_covers_the_steps_since_the_last_line():
    recorder = Recorder()
    recorder.train(last_step=25, log_every_steps=20)
    # Loops of 10, 10, 5 steps report losses 10, 20, 25.
    assert recorder.lines[20]["train/loss"] == pytest.approx(15.0)
    assert recorder.lines[25]["train/loss"] == pytest.approx(25.0)


def test_evaluation_is_part_of_the_step_s_one_line():
    recorder = Recorder()
    recorder.train(last_step=20)
    assert recorder.lines[20].keys() == {
        "train/loss",
        "perf/examples_per_sec",
        "eval/accuracy",
    }
    assert "eval/accuracy" not in recorder.lines[10]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_divergence_names_the_steps_and_nothing_of_them_is_kept(value):
    recorder = Recorder(losses={40: value})
    with refused(loop.DivergedError, "step 31", "step 40", "loss", value):
        recorder.train(last_step=80)
    assert recorder.steps_of("log") == [10, 20, 30]
    assert recorder.steps_of("save") == []


def test_weights_lost_by_the_last_update_are_seen_by_the_evaluation():
    recorder = Recorder(accuracy=float("nan"))
    message = refusal(lambda: recorder.train(last_step=80), loop.DivergedError)
    assert set(re.findall(r"step (\d+)", message)) == {"20"}
    assert_states(message, "eval/accuracy", "nan", "teacher.train.learning_rate")
    assert recorder.steps_of("log") == [10]
    assert recorder.steps_of("save") == []


@pytest.mark.parametrize(
    ("stopped_after", "due", "wish", "code"),
    [(30, "log", 1.0, 143), (40, "evaluation", 2.0, 143), (30, "log", 2.0**40, 130)],
)
def test_a_stop_saves_the_step_and_the_next_start_does_what_it_left(
    stopped_after, due, wish, code
):
    whole, second = Recorder(), Recorder()
    first = Recorder(stops={stopped_after}, wish=wish)
    whole.train(last_step=60)
    with pytest.raises(StoppedError) as stop:
        first.train(last_step=60)
    assert_states(str(stop.value), f"step {stopped_after}", "saved")
    assert from_error(stop.value) == code
    assert first.calls[-3:] == [
        ("run", 10),
        ("advance", stopped_after),
        ("save", stopped_after),
    ]
    assert not first.saved.is_closed
    second.train(last_step=60, start=first.saved)
    assert first.steps_of("run") + second.steps_of("run") == whole.steps_of("run")
    for name in ("evaluate", "log"):
        assert first.steps_of(name) + second.steps_of(name) == whole.steps_of(name)
    assert without_speed(first.lines | second.lines) == without_speed(whole.lines)


def test_a_stop_between_two_lines_loses_nothing_of_the_next_line():
    whole, first, second = Recorder(), Recorder(stops={30}), Recorder()
    whole.train(last_step=80, log_every_steps=40, eval_every_steps=40)
    with pytest.raises(StoppedError):
        first.train(last_step=80, log_every_steps=40, eval_every_steps=40)
    second.train(
        last_step=80, start=first.saved, log_every_steps=40, eval_every_steps=40
    )
    # The mean of the losses 10, 20, 30 and 40, of which the first run saw three.
    assert second.lines[40]["train/loss"] == 25
    assert without_speed(second.lines) == without_speed(whole.lines)


def test_an_evaluation_that_is_stopped_is_done_again():
    whole, first, second = Recorder(), Recorder(stopped_evaluations={40}), Recorder()
    whole.train(last_step=60)
    with pytest.raises(StoppedError):
        first.train(last_step=60)
    assert first.calls[-2:] == [("evaluate", 40), ("save", 40)]
    second.train(last_step=60, start=first.saved)
    assert second.calls[:2] == [("evaluate", 40), ("log", 40)]
    assert without_speed(first.lines | second.lines) == without_speed(whole.lines)


def without_speed(lines):
    return {
        step: {k: v for k, v in line.items() if not k.startswith("perf/")}
        for step, line in lines.items()
    }
