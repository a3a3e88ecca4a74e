"""Results of a study so far, in study.json."""

from collections.abc import Sequence
from typing import Any

from etils import epath

from trainer import report
from trainer.config import Config
from trainer.runs.variant import Variant
from trainer.storage import files, seal, workdir


def write(path: epath.Path, study: Config, cells: Sequence[Variant]) -> None:
    """Replaces study.json in the workdir `path`; the same cells give the same bytes."""
    grid = study.study.grid if study.study else {}
    files.write_json(
        path / workdir.STUDY,
        seal.add_checksum(
            {
                "name": study.name,
                "grid": {setting: list(values) for setting, values in grid.items()},
                "cells": [_entry(cell) for cell in cells],
            }
        ),
    )


def _entry(cell: Variant) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": cell.name, "settings": dict(cell.settings)}
    if not cell.is_evaluated:
        status = "diverged" if cell.is_diverged else "waiting"
        return entry | {"status": status, "models": {}, "gain": None}
    results = report.read_results(cell.path)
    models = {
        role: {
            "mean": model["mean"],
            "std": model["std"],
            "seeds": len(model["seeds"]),
        }
        for role, model in results["models"].items()
    }
    return entry | {"status": "finished", "models": models, "gain": results["gain"]}
