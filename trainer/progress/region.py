"""The last lines of a terminal, which are drawn anew while work goes on."""

import contextlib
import functools
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.console

# A loop of steps may take a millisecond, and a drawing takes as long.
_EVERY_SECS = 0.2


def is_terminal() -> bool:
    """Whether people watch standard error, on a terminal that can draw lines anew."""
    return bool(sys.stderr and sys.stderr.isatty()) and _console().is_interactive


@functools.cache
def _console() -> "rich.console.Console":
    # Keras has rich, and no import takes its time where nobody watches.
    import rich.console

    class Console(rich.console.Console):
        def show_cursor(self, show: bool = True) -> bool:
            return False  # a process that is killed would leave none

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


@functools.cache
def marks() -> tuple[str, str, str]:
    """The signs of what is done, of what goes on and of what is to come."""
    return ("+", ">", "-") if _console().options.ascii_only else ("✓", "▸", "·")


def say(line: str) -> None:
    """Leaves a line on the terminal, above what is drawn anew."""
    _console().print(line)


class Region:
    """Lines at the end of the terminal; what is printed meanwhile stands above."""

    def __init__(
        self,
        draw: Callable[[], "rich.console.RenderableType"],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`draw` gives what to show now."""
        import rich.live

        self._clock = clock
        self._drawn_at = clock()
        self._live = rich.live.Live(
            get_renderable=draw,
            console=_console(),
            auto_refresh=False,
            transient=True,
            # What callbacks of a program print, unless it is for a file.
            redirect_stdout=bool(sys.stdout and sys.stdout.isatty()),
        )

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Shows it in the body, and leaves nothing of it."""
        with self._live:
            self._live.refresh()
            yield

    def refresh(self) -> None:
        """Draws it anew, unless that was done just now."""
        now = self._clock()
        if now - self._drawn_at >= _EVERY_SECS:
            self._drawn_at = now
            self._live.refresh()
