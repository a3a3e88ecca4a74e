"""Pinned versions: a run keeps those that it began with, whatever `latest` becomes."""

from etils import epath

from trainer.config import Config, ConfigError, Reference
from trainer.registry import versions
from trainer.registry.actions import root_of
from trainer.storage import files, seal
from trainer.storage.workdir import PINS


def locked_models(config: Config, folder: epath.Path) -> dict[str, str]:
    """The file that each reference of the config stands for: {reference: path}.

    What is found first is kept in `folder`, and found there when the run goes on.

    Raises:
      ConfigError: there is no such model, or the run began with another.
      StorageError: its file is damaged.
    """
    root = root_of(config.registry)
    path = folder / PINS
    kept = _read(path)
    now = dict(kept)
    found = {}
    for reference in config.references:
        before = kept.get(reference.setting, kept.get(str(reference)))
        number = _number(root, reference, before)
        now[reference.setting] = f"{reference.name}@{number}"
        version = root / reference.name / str(number)
        found[str(reference)] = str(versions.check_file(version, versions.MODEL))
    if now != kept:
        files.write_json(path, seal.add_checksum(now))
    return found


def share_lock(
    whole: Config, folder: epath.Path, variant: Config, variant_folder: epath.Path
) -> None:
    """Has a variant begin with the models that the `whole` run or another one found.

    `folder` is that of the whole run and of its variants together, `variant_folder` the
    variant's own. Variants may name several models for one setting.

    Raises:
      ConfigError: there is no such model, or a file of these is damaged.
    """
    own = _read(variant_folder / PINS)
    new = [each for each in variant.references if each.setting not in own]
    if not new:
        return
    kept = _read(folder / PINS)
    now = dict(kept)
    for reference in whole.references:
        if reference.setting in kept:
            now[str(reference)] = kept[reference.setting]
    root = root_of(variant.registry)
    for reference in new:
        if str(reference) not in now:
            number = versions.number_of(root, reference)
            now[str(reference)] = f"{reference.name}@{number}"
        own[reference.setting] = now[str(reference)]
    if now != kept:
        files.write_json(folder / PINS, seal.add_checksum(now))
    files.write_json(variant_folder / PINS, seal.add_checksum(own))


def _number(root: epath.Path, reference: Reference, kept: str | None) -> int:
    if kept is None:
        return versions.number_of(root, reference)
    name, _, number = kept.partition("@")
    if name != reference.name or reference.number not in (None, int(number)):
        raise ConfigError(
            f"{reference.setting} must be the model that this run began with, "
            f"'registry:{kept}', got '{reference}'; set it back, or choose another "
            "--workdir"
        )
    return int(number)


def _read(path: epath.Path) -> dict[str, str]:
    if not files.exists(path):
        return {}
    try:
        kept = seal.parse(path.read_bytes())
        for text in kept.values():
            int(text.partition("@")[2])
        return kept
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} must say which registered models a run began with, got something "
            f"else ({error}); choose another --workdir"
        ) from error
