"""The page docs/settings.md, from the comments beside the settings themselves.

    python -m tests.tools.settings_page

writes it anew, after a setting has come, gone or changed. `python -m trainer config
--explain=SETTING` prints an entry of it.
"""

from collections.abc import Iterable, Sequence

from tests.helpers.repository import REPOSITORY
from trainer.config import entries
from trainer.config.entries import Entry
from trainer.storage import files

PAGE = REPOSITORY / "docs" / "settings.md"
# Of sections with the same settings, the one that lists them.
_LISTED_AT = ("data.", "student.", "")

_TOP = """\
# All settings

Made from the comments in `trainer/config/` by `python -m tests.tools.settings_page`.
`python -m trainer config --explain=distill.views` prints one entry.
[configuration.md](configuration.md) says how a file is written; other pages say what
belongs together.

| Word | Means |
| --- | --- |
| must be set | there is no default: a file must say it |
| absent | there is no such section or value unless a file says it |
| Of | the name whose option a setting is, as in `student.model = "mlp"` |

Several sections have the same settings. These are listed once.
"""


def render() -> str:
    """The page, in Markdown."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries.entries():
        groups.setdefault(entry.name.rpartition(".")[0], []).append(entry)
    listed = _listed(groups)
    parts = [_TOP]
    for path, group in groups.items():
        if listed[path] == path:
            parts += [_heading(path), _table(group)]
        elif listed.get(path.rpartition(".")[0]) == path.rpartition(".")[0]:
            parts += [_heading(path), f"As {_link(listed[path])}.\n"]
    return "\n".join(parts)


def _listed(groups: dict[str, list[Entry]]) -> dict[str, str]:
    """The section that lists the settings of each."""
    alike: dict[Sequence[object], list[str]] = {}
    for path, group in groups.items():
        rows = tuple(_row(entry, with_owner=True) for entry in group)
        alike.setdefault(rows, []).append(path)
    found = {"": ""}
    for paths in alike.values():
        at = next(
            path for start in _LISTED_AT for path in paths if path.startswith(start)
        )
        found |= dict.fromkeys(paths, at)
    return found


def _heading(path: str) -> str:
    if not path:
        return "## The top of a file\n"
    return f"{'##' if '.' not in path else '###'} `{path}`\n"


def _link(path: str) -> str:
    kept = "".join(letter for letter in path if letter.isalnum() or letter == "_")
    return f"[`{path}`](#{kept.lower()})"


def _table(group: Sequence[Entry]) -> str:
    with_owner = any(entry.owner for entry in group)
    names = ["Setting", *(["Of"] if with_owner else [])]
    names += ["Type", "Default", "Rule", "Meaning"]
    rows = [names, ["---"] * len(names)]
    rows += [_row(entry, with_owner=with_owner) for entry in group]
    return "\n".join(map(_line, rows)) + "\n"


def _row(entry: Entry, *, with_owner: bool) -> tuple[str, ...]:
    name = f"`{entry.name.rpartition('.')[2]}`"
    default = entry.default
    if default not in ("must be set", "absent") and "its settings" not in default:
        default = f"`{default}`"
    rule = "; ".join(filter(None, (entry.unit, entry.rule)))
    owner = [entry.owner] if with_owner else []
    return (name, *owner, entry.type, default, rule, entry.meaning)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Writes the page."""
    files.write_text(PAGE, render())


if __name__ == "__main__":
    main()
