"""Results of a study so far, in study.json."""

from collections.abc import Sequence
from typing import Any

from etils import epath

from trainer import report
from trainer.config import Config
from trainer.runs.variant import Variant
from trainer.storage import files, seal, workdir


def write(path: epath.Path, study: Config, variants: Sequence[Variant]) -> None:
    """Replaces study.json in the workdir `path`; equal variants give equal bytes."""
    grid = study.study.grid if study.study else {}
    files.write_json(
        path / workdir.STUDY,
        seal.add_checksum(
            {
                "name": study.name,
                "grid": {setting: list(values) for setting, values in grid.items()},
                "cells": [_entry(variant) for variant in variants],
            }
        ),
    )


def _entry(variant: Variant) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": variant.name, "settings": dict(variant.settings)}
    if not variant.is_evaluated:
        status = "diverged" if variant.is_diverged else "waiting"
        return entry | {"status": status, "models": {}, "gain": None}
    results = report.read_results(variant.path)
    models = {
        role: {
            "mean": model["mean"],
            "std": model["std"],
            "seeds": len(model["seeds"]),
        }
        for role, model in results["models"].items()
    }
    return entry | {"status": "finished", "models": models, "gain": results["gain"]}
