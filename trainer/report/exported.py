"""The formats that a model was exported in, as rows for any page."""

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from etils import epath

from trainer.report.inputs import ReportError
from trainer.report.table import align
from trainer.storage import seal
from trainer.storage.workdir import EXPORTED

_HEADER = (
    *("format", "bytes", "accuracy %", "agreement %"),
    *("max difference", "ms an example"),
)

Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]


def read(workdir: epath.Path) -> dict[str, Any]:
    """Reads export.json.

    Raises:
      ReportError: it is missing or damaged.
    """
    path = workdir / EXPORTED
    try:
        found = seal.parse(path.read_bytes())
        _rows(found)
        _caption(found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ReportError(
            f"{path} must hold what an export came to, got something else ({error!r}); "
            "delete it if it is there, and run `python -m trainer export`"
        ) from error
    return dict(found)


def render(exported: dict[str, Any]) -> str:
    """The formats as aligned text."""
    lines = align([_HEADER, *_rows(exported)])
    return "\n".join([*lines, _caption(exported)])


def sections(workdir: epath.Path, table: Table) -> Iterator[str]:
    """The section of a page, where there was an export."""
    if (workdir / EXPORTED).exists():
        found = read(workdir)
        yield (
            f"<h2>Export</h2>\n{table(_HEADER, _rows(found))}\n"
            f'<p class="note">{html.escape(_caption(found))}</p>'
        )


def _rows(exported: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            f"{values['num_bytes']:,}" if values["num_bytes"] else "-",
            f"{100 * values['accuracy']:.2f}",
            f"{100 * values['agreement']:.2f}",
            f"{values['max_difference']:.2g}",
            f"{values['ms_per_example']:.3f}",
        )
        for name, values in exported["formats"].items()
    ]


def _caption(exported: dict[str, Any]) -> str:
    text = (
        f"{exported['role']} of seed {exported['seed']} on {exported['examples']:,} "
        "test examples; differences of probabilities from those of the model itself, "
        "times in batches of one"
    )
    return "; ".join([text, *exported["problems"]])
