"""The formats that a model was exported in, as rows for any page."""

from collections.abc import Iterator
from typing import Any

from etils import epath

from trainer.report.data_table import table
from trainer.report.problems import ReportError
from trainer.report.section import Section
from trainer.report.table import align
from trainer.storage import seal
from trainer.storage.workdir import EXPORTED

_HEADER = (
    *("format", "bytes", "accuracy %", "agreement %"),
    *("max difference", "ms an example"),
)


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


def sections(workdir: epath.Path) -> Iterator[Section]:
    """The section of a page, where there was an export."""
    if (workdir / EXPORTED).exists():
        found = read(workdir)
        yield Section(
            name="export",
            title="Export",
            part="table",
            content=table(_HEADER, _rows(found)),
            note=_caption(found),
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
