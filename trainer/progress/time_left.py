"""The time that work takes, by the speed of what was done before it."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping

# Of a step's time, that of predicting: going back through a network takes about twice
# as long as going through it.
_PREDICTING = 1 / 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """A piece of work: a training, the making of a cache, an evaluation."""

    stage: str  # that it is a part of
    title: str  # for people, such as "student seed 0"; one of its run has it
    kind: str  # what it shares its speed with, such as a role
    network: str  # what other kinds are likest to it: those that train the same one
    examples: float = 0  # that its steps see
    predictions: float = 0  # that are made beside
    fixed_secs: float = 0.0  # whatever the speed is

    @property
    def size(self) -> float:
        """All of it, in examples that a step sees."""
        return self.examples + _PREDICTING * self.predictions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """The speed of a kind of work."""

    network: str
    start_secs: float  # once: tracing, compiling, the first batch
    example_secs: float  # of an example in a step

    def secs(self, work: Work) -> float:
        """The seconds of a whole piece of work."""
        if not work.size:
            return work.fixed_secs
        is_trained = work.examples > 0  # what only predicts compiles in no time
        return self.start_secs * is_trained + self.example_secs * work.size


def secs_of(works: Iterable[Work], paces: Mapping[str, Pace]) -> float | None:
    """The seconds of all `works`, by the `paces` of their kinds; None without any.

    One of a kind that is not known is taken to be as fast as another with the same
    network, or else as the slowest that is known.
    """
    works = list(works)
    if not paces and any(work.size for work in works):
        return None
    return sum(_pace_of(work, paces).secs(work) for work in works)


def _pace_of(work: Work, paces: Mapping[str, Pace]) -> Pace:
    if work.kind in paces:
        return paces[work.kind]
    like = [pace for pace in paces.values() if pace.network == work.network]
    return max(
        like or paces.values(),
        key=lambda pace: pace.example_secs,
        default=Pace(network="", start_secs=0.0, example_secs=0.0),  # of no size
    )


class TimeLeft:
    """The time that is left of a run, by what it has come to so far."""

    def __init__(
        self, works: Iterable[Work] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """All `works` are to come."""
        self._to_come = {work.title: work for work in works}
        self._clock = clock
        self._paces: dict[str, Pace] = {}
        self._current: Work | None = None
        self._began = self._at = clock()  # the current work, and the last news
        self._before = self._done = 0.0  # shares of it: at its begin, and now
        self._first: tuple[float, float] | None = None  # its first news: time, share

    def begin(self, title: str, done: float = 0.0) -> None:
        """The work of this title begins, or goes on with a share of it done."""
        self._current = self._to_come.pop(title, None)
        self._began = self._at = self._clock()
        self._before = self._done = done
        self._first = None

    def advance(self, done: float) -> None:
        """So large a share of the current work is done."""
        self._at, self._done = self._clock(), done
        work = self._current
        if work is None or not work.size or done <= self._before:
            return
        if self._first is None:
            self._first = self._at, done
            # All that comes once is in the time of the first share.
            if work.kind not in self._paces:
                per_size = (self._at - self._began) / (done - self._before) / work.size
                self._learn(work, start_secs=0.0, example_secs=per_size)
            return
        first_at, first = self._first
        if done > first:
            per_size = (self._at - first_at) / (done - first) / work.size
            usual_secs = (first - self._before) * work.size * per_size
            start_secs = first_at - self._began - usual_secs
            self._learn(work, start_secs=max(0.0, start_secs), example_secs=per_size)

    def _learn(self, work: Work, *, start_secs: float, example_secs: float) -> None:
        self._paces[work.kind] = Pace(
            network=work.network, start_secs=start_secs, example_secs=example_secs
        )

    def end(self) -> None:
        """The current work has ended, whether or not all of it was to be done."""
        self._current = None
        self._at = self._clock()

    def drop(self, stage: str) -> None:
        """Nothing of a stage is left."""
        self._to_come = {
            title: work for title, work in self._to_come.items() if work.stage != stage
        }
        self._at = self._clock()

    def secs(self) -> float | None:
        """The seconds that are left; None as long as no speed is known."""
        others = secs_of(self._to_come.values(), self._paces)
        work = self._current
        if others is None or (work and not self._paces):
            return None
        since = self._clock() - self._at  # the last news
        if work is None:
            return max(0.0, others - since)
        pace = _pace_of(work, self._paces)
        own = (1 - self._done) * work.size * pace.example_secs
        own += pace.start_secs if self._first is None else 0.0
        return max(0.0, own - since) + others


def tell(secs: float) -> str:
    """A time for people, as exact as an estimate is."""
    if secs < 60:
        return f"{max(1, round(secs))} s"
    minutes = round(secs / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
