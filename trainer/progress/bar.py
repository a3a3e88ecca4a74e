"""Bars of work that is counted: files, bytes, predictions."""

from typing import TYPE_CHECKING

from trainer.progress.region import Region
from trainer.progress.time_left import TimeLeft

if TYPE_CHECKING:
    import rich.console

_UNITS = {"B": (1e6, "MB")}  # what a number of it is divided by, and is called then


class Bar:
    """Counts work, and shows nothing."""

    is_shown = False

    def update(self, count: int = 1) -> None:
        """So much more is done."""


class ShownBar(Bar):
    """Counts work in a region that shows it, and tells others the share of it."""

    is_shown = True
    region: Region

    def __init__(
        self, title: str, total: int | None, unit: str, left: TimeLeft
    ) -> None:
        """Tells the share that is done to what says how much time is `left`."""
        self._title = title
        self._total = total
        self._unit = unit
        self._left = left
        self._done = 0

    def update(self, count: int = 1) -> None:
        """So much more is done, and is drawn."""
        self._done += count
        self.region.refresh()

    def draw(self) -> "rich.console.RenderableType":
        """The bar, and what of it is done."""
        share = self._done / self._total if self._total else 0.0
        self._left.advance(share)
        size, unit = _UNITS.get(self._unit, (1, f"{self._unit}s"))
        told = f"{self._done / size:,.0f}"
        told += f" of {self._total / size:,.0f}" if self._total else ""
        return bar_line(self._title, share, f"{told} {unit}")


def bar_line(title: str, share: float, told: str) -> "rich.console.RenderableType":
    """One line: a name, a bar of which a share is full, and what is told of it."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(no_wrap=True)
    table.add_row(title, ProgressBar(total=1.0, completed=share), told)
    return table
