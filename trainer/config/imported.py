"""Rules of runs whose teacher is elsewhere: its answers are imported from files."""

from trainer.config.distill import Distill, DistillConfig
from trainer.config.errors import ConfigError

_OF_IMPORTED = ("class_map", "min_accuracy")


def check(distill: Distill, *, teacher: object, watch: object) -> None:
    """Looks whether there is one teacher, here or elsewhere.

    Sections that are absent are None.

    Raises:
      ConfigError: there is none, or both, or settings are of the other one.
    """
    if not distill.is_imported:
        _check_here(distill, teacher)
        return
    if teacher is not None:
        raise ConfigError(
            "[teacher] must be absent where distill.soft_targets is 'imported', "
            "because students learn from the answers of another, got both; remove the "
            "section, or set 'cached' or 'online'; answers on the validation and the "
            "test split may be imported too"
        )
    if not distill.soft_targets_dir:
        raise ConfigError(
            "distill.soft_targets_dir must name the folder of the files where "
            "distill.soft_targets is 'imported', got ''; set it"
        )
    if watch is not None:
        raise ConfigError(
            "[watch] needs a teacher that is here, got distill.soft_targets = "
            "'imported', which says nothing of new images; remove one of both"
        )
    for i, term in enumerate(distill.terms):
        if term.row.beside == "classifier":
            raise ConfigError(
                f"distill.terms[{i}], loss {term.loss!r}, needs the teacher's last "
                "layer, got distill.soft_targets = 'imported'; use loss 'hint'"
            )


def _check_here(distill: Distill, teacher: object) -> None:
    if teacher is None:
        raise ConfigError(
            "teacher is missing and has no default; add [teacher] to the file, or set "
            "distill.soft_targets = 'imported' where its answers are in files"
        )
    plain = DistillConfig()
    for name in _OF_IMPORTED:
        value = getattr(distill, name)
        if value != getattr(plain, name):
            raise ConfigError(
                f"distill.{name} needs distill.soft_targets = 'imported', got "
                f"{distill.soft_targets!r}; set teacher.{name} in its place"
            )
