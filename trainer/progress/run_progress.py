"""The progress of a run: its stages, the training that goes on, the time left."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from trainer.config.selection import ACCURACY, TITLE
from trainer.progress import region
from trainer.progress.bar import Bar, ShownBar, bar_line
from trainer.progress.time_left import TimeLeft, Work, tell

if TYPE_CHECKING:
    import rich.console

Metrics = Mapping[str, float]


class StepBar:
    """The steps of a training: a line for each logged one."""

    def __init__(self, title: str, last_step: int, metric: str) -> None:
        self._title = title
        self._last_step = last_step
        self._metric = metric

    def advance(self, step: int) -> None:
        """Shows that `step` steps are done."""

    def validate(self) -> None:
        """Shows that the validation split is predicted."""

    def show(self, step: int, metrics: Metrics) -> None:
        """Shows the metrics of a logged step."""
        told = describe(metrics, self._metric)
        print(
            f"{self._title}: step {step}/{self._last_step}, {told}",
            file=sys.stderr,
            flush=True,
        )


class RunProgress:
    """Shows how far a run is; nobody watches, unless that is found out."""

    def __init__(
        self, *, is_live: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.is_live = is_live
        self._clock = clock
        self._stages: Sequence[str] = ()
        self._ended: set[str] = set()
        self._going_on = ""  # a stage
        self._left = TimeLeft(clock=clock)
        self.later_secs = 0.0  # of what comes after the stages, such as other cells

    def plan(self, stages: Sequence[str], works: Iterable[Work]) -> None:
        """The run is these stages, of which there are `works` to do."""
        self._stages, self._ended = tuple(stages), set()
        self._left = TimeLeft(works, self._clock)

    @contextlib.contextmanager
    def stage(self, name: str, doing: str = "") -> Iterator[None]:
        """The stage goes on in the body, which has no bars if it says what is `doing`.

        Its works are over with it.
        """
        if not self.is_live:
            yield
            return
        self._going_on = name
        try:
            with self._shown(lambda: doing) if doing else contextlib.nullcontext():
                yield
        finally:
            self._going_on = ""
            self._left.drop(name)
        self._ended.add(name)

    @contextlib.contextmanager
    def steps(
        self,
        title: str,
        *,
        first_step: int,
        last_step: int,
        epoch_steps: float,
        metric: str,
    ) -> Iterator[StepBar]:
        """The bar of a training, from one step to another.

        Of the metrics of the validation split it shows the one that chooses the step.
        """
        if not self.is_live:
            yield StepBar(title, last_step, metric)
            return
        began = self._clock()
        self._left.begin(title, first_step / last_step)
        bar = _ShownSteps(title, first_step, last_step, epoch_steps, metric, self._left)
        with self._shown(bar.draw) as bar.region:
            yield bar
        self._left.end()
        told = f"{bar.told}, " if bar.told else ""
        region.say(f"{region.marks()[0]} {title}: {told}{tell(self._clock() - began)}")

    @contextlib.contextmanager
    def bar(self, title: str, total: int | None, *, unit: str) -> Iterator[Bar]:
        """The bar of counted work; where its `total` is not known, its count alone."""
        if not self.is_live:
            yield Bar()
            return
        self._left.begin(title)
        bar = ShownBar(title, total, unit, self._left)
        with self._shown(bar.draw) as bar.region:
            yield bar
        self._left.end()

    @contextlib.contextmanager
    def _shown(
        self, draw: "Callable[[], rich.console.RenderableType]"
    ) -> Iterator[region.Region]:
        from rich.console import Group

        def draw_all() -> Group:
            # The last line is empty: a process that is killed leaves the cursor there.
            return Group(*self._draw_stages(), draw(), "")

        shown = region.Region(draw_all, self._clock)
        with shown.shown():
            yield shown

    def _draw_stages(self) -> "Iterator[rich.console.RenderableType]":
        """The stages, what is done of them, and the time left of all."""
        from rich.table import Table

        ended, going_on, to_come = region.marks()
        names = [
            f"{ended if name in self._ended else to_come} {name}"
            if name != self._going_on
            else f"{going_on} {name}"
            for name in self._stages
        ]
        secs = self._left.secs()
        if secs is not None:
            secs += self.later_secs
        if names or secs:
            line = Table.grid(padding=(0, 1), expand=True)
            line.add_column(ratio=1)
            line.add_column(no_wrap=True)
            line.add_row("  ".join(names), f"about {tell(secs)} left" if secs else "")
            yield line


def show_bar(
    title: str, total: int | None, *, unit: str
) -> contextlib.AbstractContextManager[Bar]:
    """A bar by itself, of what is no part of a run or comes before its plan."""
    work = Work(stage="", title=title, kind="", network="", examples=total or 0)
    progress = RunProgress(is_live=region.is_terminal())
    progress.plan((), [work] if total else [])
    return progress.bar(title, total, unit=unit)


class _ShownSteps(StepBar):
    region: region.Region

    def __init__(
        self,
        title: str,
        first_step: int,
        last_step: int,
        epoch_steps: float,
        metric: str,
        left: TimeLeft,
    ) -> None:
        super().__init__(title, last_step, metric)
        self._step = first_step
        self._epoch_steps = epoch_steps
        self._left = left
        self._doing = "compiling"
        self.told = ""  # of the last logged step

    def advance(self, step: int) -> None:
        self._step, self._doing = step, ""
        self._left.advance(step / self._last_step)
        self.region.refresh()

    def validate(self) -> None:
        self._doing = "evaluating"
        self.region.refresh()

    def show(self, step: int, metrics: Metrics) -> None:
        self._doing = ""
        self.told = describe(metrics, self._metric)
        self.region.refresh()

    def draw(self) -> "rich.console.RenderableType":
        """The bar with the epoch, and below it the metrics."""
        from rich.console import Group

        epochs = self._last_step / self._epoch_steps
        epoch = f"epoch {self._step / self._epoch_steps:.1f} of {epochs:.4g}"
        line = bar_line(self._title, self._step / self._last_step, epoch)
        told = ", ".join(filter(None, (self.told, self._doing)))
        return Group(line, told) if told else line


def describe(metrics: Metrics, metric: str) -> str:
    """The metrics that tell of a training, of the validation split one."""
    parts = []
    if "train/loss" in metrics:  # not where every update was left out
        parts.append(f"loss {metrics['train/loss']:.4f}")
    if f"{TITLE}{metric}" in metrics:
        name = "" if metric == ACCURACY else f"{metric} "
        parts.append(f"validation {name}{metrics[f'{TITLE}{metric}']:.4f}")
    parts.append(f"{metrics['perf/examples_per_sec']:.0f} examples/s")
    return ", ".join(parts)
