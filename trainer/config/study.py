"""The study section: variants of one run that share its teacher, for one table."""

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainer.config.errors import ConfigError

# What neither trains another teacher nor is tested on other examples.
OF_STUDENTS = (
    *("seeds", "student", "distill", "finetune"),
    *("data.exclude_labels", "data.transfer_split", "data.unlabeled"),
)
# Sections whose values an axis may give as a whole: a loss comes with the weight of the
# labels beside it.
_WHOLE = ("distill",)
_MOST_CELLS = 1000
_MAX_CHARACTERS = 100  # of a variant's name; file systems take 255 bytes
_HASH_CHARACTERS = 8

Settings = Mapping[str, Any]  # {"section.field": value}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A variant for each combination of the values that some settings take in turn."""

    # The values that each setting takes in turn, by its path.
    grid: dict[str, tuple[Any, ...]]

    @property
    def labels(self) -> dict[str, str]:
        """The shortest end of each setting's path that no other setting has."""
        return {path: label_of(path, list(self.grid)) for path in self.grid}

    @property
    def variants(self) -> dict[str, Settings]:
        """The settings of each variant by its name, which can be that of a folder.

        The last axis varies fastest.
        """
        named = [
            [(path, text, value) for text, value in _texts(values).items()]
            for path, values in self.grid.items()
        ]
        variants: dict[str, Settings] = {}
        for combination in itertools.product(*named):
            parts = [f"{self.labels[path]}={text}" for path, text, _ in combination]
            settings = {path: value for path, _, value in combination}
            variants[_shorten(",".join(parts), settings)] = settings
        return variants

    def check_shared(self) -> None:
        """Refuses axes along which the variants could not share a teacher and a test.

        Raises:
          ConfigError: it names the first of them.
        """
        within = [
            f"{path}.{name}"
            for path, values in self.grid.items()
            for value in values
            if isinstance(value, dict)
            for name in value
        ]
        check_shared("study.grid", [*self.grid, *within], OF_STUDENTS)

    def __post_init__(self) -> None:
        """Checks that the grid has variants, and none twice."""
        if not self.grid:
            raise ConfigError(
                "study.grid must have a setting and its values, got none; for example "
                '"distill.temperature" = [2.0, 8.0]'
            )
        for path, values in self.grid.items():
            check_values("study.grid", path, values, whole=path in _WHOLE)
            within = [axis for axis in self.grid if axis.startswith(f"{path}.")]
            if within:
                raise ConfigError(
                    f"study.grid must vary {path!r} as a whole or settings of it, got "
                    f"both {path!r} and {within[0]!r}; remove one"
                )
        num_variants = math.prod(map(len, self.grid.values()))
        if num_variants > _MOST_CELLS:
            raise ConfigError(
                f"study.grid must have at most {_MOST_CELLS} cells, got "
                f"{num_variants}; give fewer values, or let the sweep command draw "
                "some of them"
            )


def check_shared(
    section: str, paths: Iterable[str], of_students: Sequence[str]
) -> None:
    """Refuses settings in which runs that share teacher and test cannot differ.

    Raises:
      ConfigError: it names the first of `paths` that is in none of `of_students`.
    """
    for path in paths:
        is_free = any(
            path == name or path.startswith(f"{name}.") for name in of_students
        )
        if is_free and path != "distill.soft_targets_dir":
            continue
        is_view = path.startswith("data.augment")
        way = f"use student.train.{path[5:]}" if is_view else "run it by itself"
        raise ConfigError(
            f"{section} must vary settings of {', '.join(of_students)}, since "
            f"all cells share one teacher, one test split and one cache, got "
            f"{path!r}; {way}"
        )


def check_values(
    section: str, path: str, values: Sequence[Any], *, whole: bool = False
) -> None:
    """Refuses no values for the setting `path`, one twice, and sections but if `whole`.

    Raises:
      ConfigError: it says what is wrong in `section`.
    """
    if not values:
        raise ConfigError(
            f"{section} must have values for {path!r}, got an empty list; add some, "
            "or remove the setting"
        )
    for i, value in enumerate(values):
        if isinstance(value, dict) and not whole:
            raise ConfigError(
                f"{section} must have values of one setting for {path!r}, got the "
                f"section {value!r}; name each of its settings, as in '{path}.FIELD', "
                "or write a list of sections in brackets of its own, as in [[{...}]]"
            )
        if value in values[:i]:
            raise ConfigError(
                f"{section} must name each value once for {path!r}, got {value!r} "
                "twice; remove one"
            )


def label_of(path: str, paths: Sequence[str]) -> str:
    """The shortest end of `path` that no other one of `paths` has."""
    parts = path.split(".")
    ends = (".".join(parts[-length:]) for length in range(1, len(parts)))
    others = [f".{other}" for other in paths if other != path]
    return next(
        (end for end in ends if not any(other.endswith(f".{end}") for other in others)),
        path,
    )


def value_text(value: Any) -> str:
    """A value as people write it in a table: 2.5, relu, 800-800, kl weight 3."""
    if isinstance(value, list):
        is_of_tables = any(isinstance(one, dict) for one in value)
        return (" + " if is_of_tables else "-").join(map(value_text, value)) or "none"
    if isinstance(value, dict):
        named = [f"{name} {value_text(one)}" for name, one in value.items()]
        return " ".join(named).removeprefix("loss ")
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(values: Sequence[Any]) -> dict[str, Any]:
    """The values by texts that differ even where capitals do not count."""
    texts: dict[str, Any] = {}
    seen: set[str] = set()
    for value in values:
        text = re.sub(r"[^A-Za-z0-9.+-]+", "_", value_text(value)).strip("_") or "_"
        if text.lower() in seen:
            text = f"{text}-{_hash(value)}"
        seen.add(text.lower())
        texts[text] = value
    return texts


def _shorten(name: str, settings: Settings) -> str:
    if len(name) <= _MAX_CHARACTERS:
        return name
    kept = name[: _MAX_CHARACTERS - _HASH_CHARACTERS - 1]
    return f"{kept}-{_hash(settings)}"


def _hash(value: Any) -> str:
    import hashlib  # here, for runs without a study

    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:_HASH_CHARACTERS]
