"""Pages as HTML: the templates of this package, filled in by Jinja.

Every value is escaped where a template shows it. A page's policy lets one script run,
the package's own, and lets nothing be asked for.
"""

import base64
import functools
import hashlib
import importlib.resources
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from etils import epath

import trainer
from trainer.report.chart import cut
from trainer.report.figures import Figure
from trainer.report.problems import ReportError
from trainer.report.section import Head, Section
from trainer.storage import files

try:
    import jinja2
    import markupsafe
except ModuleNotFoundError as error:
    raise ReportError("pages need Jinja2; run `pip install jinja2`") from error

DOTS_PER_INCH = 150


class Picture(NamedTuple):
    """A figure beside a page, for other documents: the stem of its PNG, its drawing."""

    stem: str
    figure: Figure


def document(head: Head, sections: Sequence[Section]) -> str:
    """A whole page, with its style and its script inside it."""
    script = _text("script.js")
    digest = hashlib.sha256(script.encode()).digest()
    page: str = (
        _environment()
        .get_template("page.html")
        .render(
            head=head,
            sections=sections,
            style=markupsafe.Markup(_text("style.css")),
            script=markupsafe.Markup(script),
            script_hash=f"sha256-{base64.b64encode(digest).decode()}",
            version=trainer.__version__,
        )
    )
    return page


def draw_picture(picture: Picture, folder: epath.Path) -> None:
    """Writes the PNG of a picture into `folder`.

    Raises:
      StorageError: the folder cannot be written.
    """
    with files.atomic_path(folder / f"{picture.stem}.png") as temporary:
        picture.figure.savefig(temporary, dpi=DOTS_PER_INCH)


@functools.cache
def _environment() -> Any:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("trainer.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sign": _sign, "compact": _compact, "cut": cut}
    return environment


def _text(name: str) -> str:
    """A file of the templates that is no template."""
    folder = importlib.resources.files("trainer.report") / "templates"
    return (folder / name).read_text(encoding="utf-8").strip()


def _sign(text: str) -> str:
    """The text with the sign that the ASCII of the tables stands for."""
    return text.replace("+-", "\N{PLUS-MINUS SIGN}")


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
