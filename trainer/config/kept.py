"""The config that a run keeps in its workdir, read back; and none at all."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from trainer.config.earlier import with_earlier
from trainer.config.errors import ConfigError
from trainer.config.identity import flatten, resolve
from trainer.config.origins import Origins
from trainer.config.overrides import Override, apply_overrides, typed
from trainer.config.predict import PredictConfig
from trainer.config.reader import build, build_of
from trainer.config.registry import RegistryConfig
from trainer.config.runtime import RuntimeConfig
from trainer.config.schema import Config


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoRun:
    """The settings of a command that works on no run."""

    predict: PredictConfig = PredictConfig()
    registry: RegistryConfig = RegistryConfig()
    runtime: RuntimeConfig = RuntimeConfig()


def from_resolved(
    settings: Mapping[str, Any], overrides: Iterable[Override], *, kept_in: object
) -> Config:
    """The Config of resolved settings, with each "section.field=value" in place.

    Raises:
      ConfigError: what was `kept_in` that place, or an override, breaks a rule.
    """
    overrides = list(overrides)
    given = _without_nulls(settings)
    kept = Origins(file=str(kept_in))
    today = resolve(build_of(Config, given, kept, ()))
    # A setting that it lacks had the value of its time, not today's default.
    given = _without_nulls(with_earlier(given, flatten(dict(settings)), flatten(today)))
    problems: tuple[str, ...] = ()
    try:
        apply_overrides(given, overrides, schema=Config)
    except ConfigError as error:
        problems = error.problems  # each names its flag
    origins = dataclasses.replace(kept, typed=typed(overrides))
    return build_of(Config, given, origins, problems)


def without_run(overrides: Iterable[Override]) -> NoRun:
    """The settings that each "section.field=value" makes of the defaults.

    Raises:
      ConfigError: an override breaks a rule, or is of another section.
    """
    given: dict[str, Any] = {}
    apply_overrides(given, overrides, schema=NoRun)
    return build(NoRun, given)


def _without_nulls(value: Any) -> Any:
    """Leaves out settings that are null, which TOML cannot write."""
    if isinstance(value, Mapping):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
