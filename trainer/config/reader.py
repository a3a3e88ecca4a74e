"""TOML file and overrides to a checked Config."""

import copy
import pathlib
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from trainer.config import bundled, places, toml_words
from trainer.config.build import Builder
from trainer.config.errors import ConfigError, join_alike, nearest
from trainer.config.identity import flatten, resolve
from trainer.config.origins import Origins, are_related, named_in
from trainer.config.overrides import Override, apply_overrides, put, typed
from trainer.config.schema import Config
from trainer.config.study import Settings

Section = TypeVar("Section")


def load(
    path: str, overrides: Iterable[Override] = (), *, variant: Settings | None = None
) -> Config:
    """Reads `path`, applies each "section.field=value", checks, and builds the Config.

    With the settings of a `variant` it is that one run of the study or of the sweep.

    Raises:
      ConfigError: the file is missing or no TOML, or settings break rules.
    """
    overrides = list(overrides)
    origins = Origins(file=path, typed=typed(overrides))
    settings = _read_toml(path)
    try:
        apply_overrides(settings, overrides, schema=Config)
        problems: tuple[str, ...] = ()
    except ConfigError as error:
        # Each names its flag; the rest of the settings is looked at too.
        problems = error.problems
    if variant is not None:
        settings = _of_variant(settings, variant, path)
    return _checked(settings, origins, problems)


def of_settings(settings: Settings, *, origin: str) -> Config:
    """Checks settings as TOML has them, and builds the Config.

    Raises:
      ConfigError: settings break rules; each problem begins with their `origin`.
    """
    return _checked(settings, Origins(file=origin), ())


def read_settings(
    path: str, overrides: Iterable[Override] = (), *, variant: Settings | None = None
) -> dict[str, Any]:
    """The settings that `path` and the overrides write down, as TOML has them.

    With the settings of a `variant` they are those of that one run.

    Raises:
      ConfigError: the file is missing or no TOML, or a setting cannot be put into it.
    """
    settings = _read_toml(path)
    apply_overrides(settings, overrides, schema=Config)
    return settings if variant is None else _of_variant(settings, variant, path)


def build(section: type[Section], settings: Settings) -> Section:
    """The dataclass of a section, of settings as TOML has them.

    Raises:
      ConfigError: settings break rules.
    """
    return build_of(section, settings, Origins(file=""), ())


def build_of(
    section: type[Section], settings: Settings, origins: Origins, told: tuple[str, ...]
) -> Section:
    """The same of settings whose `origins` messages name; `told` is wrong with others.

    Raises:
      ConfigError: settings break rules, or there is what was `told`.
    """
    builder = Builder(section, settings)
    built: Section = builder.build()
    # What could not be put there is not told of again.
    absent = [path for text in told for path in named_in(text)]
    problems = list(told)
    for problem in builder.problems:
        if not are_related(problem.path, absent):
            problems.append(_within(origins.of_setting(problem.path), problem.text))
    for text in builder.relations:
        if not any(are_related(path, absent) for path in named_in(text)):
            problems.append(_within(origins.of_relation(text), text))
    if problems:
        raise ConfigError(*join_alike(problems))
    return built


def _within(place: str, text: str) -> str:
    return f"{place}: {text}" if place else text


def _checked(settings: Settings, origins: Origins, told: tuple[str, ...]) -> Config:
    config = build_of(Config, settings, origins, told)
    try:
        if config.study:
            _check_variants(settings, config.study.variants)
            config.study.check_shared()
        if config.sweep:
            config.sweep.axes(
                lambda variant: flatten(
                    resolve(_as_variant(settings, variant, "sweep.space"))
                )
            )
    except ConfigError as error:
        raise error.within(origins.file) from None
    return config


def _check_variants(settings: Settings, variants: Mapping[str, Settings]) -> None:
    """Looks at each cell of a study; what several have is told of the first."""
    told: dict[str, str] = {}
    for name, variant in variants.items():
        try:
            _as_variant(settings, variant, "study.grid")
        except ConfigError as error:
            for problem in error.problems:
                told.setdefault(problem, f"study.grid, cell {name}: {problem}")
    if told:
        raise ConfigError(*told.values())


def _as_variant(settings: Settings, variant: Settings, section: str) -> Config:
    return build(Config, _variant_settings(settings, variant, section))


def _of_variant(settings: Settings, variant: Settings, path: str) -> dict[str, Any]:
    section = "sweep.space" if "sweep" in settings else "study.grid"
    try:
        return _variant_settings(settings, variant, section)
    except ConfigError as error:
        raise error.within(path) from None


def _variant_settings(
    settings: Settings, variant: Settings, section: str
) -> dict[str, Any]:
    """The settings of a file as a variant of its study or its sweep has them."""
    others = ("study", "sweep")
    own = copy.deepcopy({k: v for k, v in settings.items() if k not in others})
    for path, value in variant.items():
        put(own, path.split("."), value, given=f"{section} {path!r}")
    return own


def _read_toml(path: str) -> dict[str, Any]:
    own = bundled.file_of(path)
    file = str(own) if own else places.expand_home(path)
    places.remember(file)
    content = ""
    try:
        # Some editors begin a file with a mark of its encoding.
        content = pathlib.Path(file).read_text(encoding="utf-8-sig")
        settings = tomllib.loads(content)
    except OSError as error:
        is_absent = isinstance(error, FileNotFoundError)
        known = nearest(pathlib.PurePath(path).stem, bundled.names())
        way_out = f"; of those that come with Alambic: {known}" if is_absent else ""
        raise ConfigError(
            "--config must name a readable TOML file, or a config that comes with "
            f"Alambic, got {path!r}: {error.strerror}{way_out}"
        ) from None
    # ValueError: no TOML, no UTF-8, or a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        found = toml_words.explain(content, error)
        way_out = f"; {found}" if found else ""
        raise ConfigError(
            f"{path} must be a TOML file in UTF-8: {error}{way_out}"
        ) from None
    if own:
        bundled.point_to_data(settings)
    return settings
