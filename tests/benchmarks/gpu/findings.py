"""What a part has found, written down at once, so that nothing is lost when it ends."""

import json
import pathlib
from typing import Any


class Findings:
    """Rows by their kind, in a file of JSON."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def add(self, kind: str, **row: Any) -> None:
        """Adds a row and writes all of them."""
        self._rows.setdefault(kind, []).append(row)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._rows))
        partial.replace(self._path)


def read(path: pathlib.Path) -> dict[str, list[dict[str, Any]]]:
    """What a part has written, {} where it has found nothing."""
    return json.loads(path.read_text()) if path.exists() else {}
