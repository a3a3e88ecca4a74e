"""First configs for data of a user's own: `python -m trainer init`."""

import dataclasses
import os
import pathlib
import re
import tempfile
from collections.abc import Sequence
from typing import Any

from trainer import config, console
from trainer.config import places
from trainer.config.errors import no_section, rule_error
from trainer.config.overrides import apply_overrides
from trainer.data.examples import DataError
from trainer.draft import choices, folders, tables, tfds_sets
from trainer.draft.findings import Findings
from trainer.draft.text import commented

_NAMED = 8  # classes in a sentence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draft:
    """A first config: its text, and what it is for in a sentence."""

    text: str
    summary: str


def draft(dataset: str, overrides: Sequence[config.Override], *, name: str) -> Draft:
    """The config that a look at `dataset` suggests, with the `overrides` put into it.

    Raises:
      ConfigError: the overrides break a rule.
      DataError: the dataset cannot be used; the message says how to mend it.
    """
    found = _look(dataset, _given(overrides))
    if len(found.class_names) < 2:
        raise DataError(
            f"{dataset!r} must have two classes or more, got "
            f"{', '.join(found.class_names)}; a run needs labels that tell examples "
            "apart"
        )
    settings, comments = choices.choose(found, name)
    apply_overrides(settings, overrides, schema=config.Config)
    summary = _summary(found)
    top = (
        f"{summary} A first config, made by looking at them: nothing was trained. What "
        "else can be set, and each default: python -m trainer config --config=FILE."
    )
    text = commented(settings, comments, top=console.as_started(top))
    _check(text)
    return Draft(text=text, summary=summary)


def name_of(dataset: str) -> str:
    """A name for runs and files, made of the dataset's."""
    path = dataset.partition(":")[2].rstrip("/") or dataset
    stem = re.sub(r"\.(csv|npz)$", "", os.path.basename(os.path.abspath(path)))
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-") or "mine"


def _given(overrides: Sequence[config.Override]) -> dict[str, Any]:
    """The settings of [data] that hold for the look, with the kinds that it needs."""
    settings: dict[str, Any] = {}
    apply_overrides(settings, overrides, schema=config.Config)
    given: dict[str, Any] = settings.get("data", {})
    if not isinstance(given, dict):
        raise no_section("data", given)
    kinds = {
        "image_size": (int, "a whole number"),
        "data_dir": (str, "a string"),
        "label_column": (str, "a string"),
        "feature_columns": (list, "a list"),
    }
    for name, (kind, rule) in kinds.items():
        if not isinstance(given.get(name, kind()), kind):
            raise rule_error(f"data.{name}", rule, given[name])
    return given


def _look(dataset: str, given: dict[str, Any]) -> Findings:
    looks = {
        **dict.fromkeys(("folder", "list"), folders.look),
        **dict.fromkeys(("csv", "npz"), tables.look),
        **dict.fromkeys(("name", "tfds"), tfds_sets.look),
    }
    look = looks.get(places.kind_of(dataset))
    if look is None:
        raise DataError(
            "a first config must be for a folder of images, list:FILE.csv, a .csv or "
            f".npz table, a TFDS name or tfds:PATH, got {dataset!r}; write it by "
            "hand, as docs/configuration.md says"
        )
    return look(places.expand_home(dataset), given)


def _summary(found: Findings) -> str:
    names = ", ".join(found.class_names[:_NAMED])
    more = len(found.class_names) - _NAMED
    told = f"{names} and {more} more" if more > 0 else names
    return (
        f"{found.num_examples:,} {found.examples} in {len(found.class_names)} classes: "
        f"{told}."
    )


def _check(text: str) -> None:
    """Has the reader of configs look at the text."""
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        file = pathlib.Path(folder, "draft.toml")
        file.write_text(text, encoding="utf-8")
        try:
            config.load(str(file))
        except config.ConfigError as error:
            raise config.ConfigError(str(error).removeprefix(f"{file}: ")) from None
