"""The watch section: what new images without labels have to bring about."""

import dataclasses
from typing import Annotated, Literal

from trainer.config import places
from trainer.config.data import DataConfig, UnlabeledConfig
from trainer.config.errors import ConfigError
from trainer.config.export import ExportConfig
from trainer.config.registry import RegistryConfig
from trainer.config.rules import MOST, Count, above, between

_ROLES = ("student", "finetune")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """A student learns from all images once data.unlabeled has so many new ones."""

    min_new: Count = 100  # new images that begin a batch
    # How long a file must have been the same, so that nobody writes it any more.
    settle_secs: Annotated[float, between(0, MOST)] = 60
    # The time from one look to the next.
    look_every_secs: Annotated[float, above(0, most=MOST)] = 60
    # What the student of a batch begins with: its own weights, or those of the batch
    # before.
    student: Literal["scratch", "last"] = "scratch"


def check(
    data: DataConfig,
    export: ExportConfig,
    registry: RegistryConfig,
) -> None:
    """Refuses what leaves new images or the models without a place.

    Raises:
      ConfigError: it names the setting.
    """
    unlabeled = data.unlabeled or UnlabeledConfig(dataset="none")
    _need(
        unlabeled.dataset.startswith(places.FOLDER),
        f"data.unlabeled.dataset = 'folder:PATH', got {unlabeled.dataset!r}; name the "
        "folder that images come to",
    )
    _need(
        "[" not in unlabeled.split,
        f"a whole split in data.unlabeled.split, got {unlabeled.split!r}; drop [...]",
    )
    _need(
        data.skip_corrupt,
        "data.skip_corrupt = true, got false; it sets aside what cannot be decoded",
    )
    _need(bool(registry.root), "registry.root, got none; name the folder for models")
    _need(
        export.role in _ROLES,
        f"export.role = 'student' or 'finetune', got {export.role!r}; other models do "
        "not learn from new images",
    )


def _need(is_so: bool, rule: str) -> None:
    if not is_so:
        raise ConfigError(f"[watch] needs {rule}")
