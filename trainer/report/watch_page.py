"""The report of a watch: its batches, with links to their pages, and how they fare."""

from collections.abc import Iterator
from typing import Any

from etils import epath

from trainer.report import markup, reproduction
from trainer.report.chart import Axis, plot
from trainer.report.data_table import Cell, table
from trainer.report.marks import Series
from trainer.report.problems import ReportError
from trainer.report.section import Card, Head, Section
from trainer.storage import files, seal
from trainer.storage.workdir import CELLS, REPORT, WATCH

Batch = dict[str, Any]  # one of watch.json
# Those that earlier versions did not write, and those that come last.
_OF_EARLIER: Batch = {
    "status": "open",
    "set_aside": {},
    "accuracy": None,
    "reference": "",
    "reason": "",
}
_HEADER = ("batch", "new images", "set aside", "validation accuracy %", "state", "page")


def write(workdir: epath.Path) -> epath.Path:
    """Writes `report/index.html` of a watch from its watch.json.

    Returns:
      The path of the page. It refers to nothing but the pages of the batches.

    Raises:
      ReportError: watch.json, or a file of a batch, is missing or malformed.
      OSError: the report's folder cannot be written.
    """
    page = workdir / REPORT
    batches = _read(workdir / WATCH)
    sections = list(_sections(batches, workdir))
    names = [_cell(batch) for batch in batches]
    sections.append(reproduction.section_of_cells("watch", workdir, names))
    files.write_text(page, markup.document(_head(batches, workdir.name), sections))
    return page


def _read(path: epath.Path) -> list[Batch]:
    try:
        found = seal.parse(path.read_bytes())["batches"]
        batches = [_OF_EARLIER | batch for batch in found]
        for batch in batches:
            _row(batch, path.parent)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ReportError(
            f"{path} must say which batches there were, got something else "
            f"({error!r}); restore it, or choose another --workdir"
        ) from error
    return batches


def _head(batches: list[Batch], name: str) -> Head:
    states = [batch["status"] for batch in batches]
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in dict.fromkeys(states)
    )
    return Head(
        title=name,
        kind="Watch",
        facts=((f"{len(batches)} batches:", counts),) if batches else (),
        cards=tuple(_cards(batches)),
        summary="" if batches else "No batch has begun yet.",
    )


def _cards(batches: list[Batch]) -> Iterator[Card]:
    registered = [batch for batch in batches if batch["status"] == "registered"]
    if registered:
        last = registered[-1]
        yield Card(
            title="Newest registered student",
            number=_percent(last["accuracy"]),
            unit="% validation accuracy",
            note=f"registry:{last['reference']}",
        )
    if batches:
        yield Card(
            title="New images learned from",
            number=f"{sum(batch['num_images'] for batch in batches):,}",
            note=f"{sum(len(batch['set_aside']) for batch in batches):,} set aside",
        )


def _sections(batches: list[Batch], workdir: epath.Path) -> Iterator[Section]:
    if not batches:
        return
    points = [
        (float(batch["number"]), 100 * batch["accuracy"])
        for batch in batches
        if batch["accuracy"] is not None
    ]
    chart = plot(
        "Students of the batches",
        [Series(name="validation accuracy", points=points)],
        x=Axis(label="batch", ticks=tuple((x, f"{x:g}") for x, _ in points[:12])),
        y=Axis(label="validation accuracy (%)"),
    )
    if chart:
        yield Section(
            name="accuracy",
            title="Accuracy",
            part="charts",
            content=[chart],
            note="On the validation split, of the student of each batch, refused ones "
            "too.",
        )
    yield Section(
        name="batches",
        title="Batches",
        part="table",
        content=table(_HEADER, [_row(batch, workdir) for batch in batches]),
    )


def _row(batch: Batch, workdir: epath.Path) -> list[str | Cell]:
    state = f"registry:{batch['reference']}" if batch["reference"] else batch["status"]
    name = _cell(batch)
    has_page = files.exists(workdir / CELLS / name / REPORT)
    aside = "\n".join(f"{path}: {why}" for path, why in batch["set_aside"].items())
    return [
        str(batch["number"]),
        f"{batch['num_images']:,}",
        Cell(text=f"{len(batch['set_aside']):,}", hint=aside),
        _percent(batch["accuracy"]),
        Cell(text=state, hint=batch["reason"]),
        Cell(text="report", address=f"../{CELLS}/{name}/{REPORT}") if has_page else "",
    ]


def _cell(batch: Batch) -> str:
    return f"batch-{batch['number']:04d}"


def _percent(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{100 * accuracy:.2f}"
