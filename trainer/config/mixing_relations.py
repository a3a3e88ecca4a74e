"""Checks of mixed pairs against the loss, the teacher's predictions and one another."""

from collections.abc import Mapping

from trainer.config.data import DataConfig
from trainer.config.datasets import TfrecordOptions
from trainer.config.distill import Distill, DistillConfig
from trainer.config.errors import ConfigError, gathering
from trainer.config.mixing import MixConfig
from trainer.config.training import TrainConfig

_ROUNDING = 1e-9  # of a sum of shares


def check(
    distill: Distill, trainings: Mapping[str, TrainConfig], data: DataConfig
) -> None:
    """Refuses shares that exceed all pairs, and what mixed examples do not have."""
    sections: dict[str, MixConfig] = {"distill": distill, **trainings}
    with gathering() as gather:
        for path, section in sections.items():
            gather(_check_section, path, section)
            if section.cutmix:
                gather(_check_images, path, section, data)
            if section.mixes:
                setting = "student.train" if path == "distill" else path
                gather(_check_pairs, path, section, setting, trainings[setting])
        gather(_check_both, distill, trainings["student.train"])
        if distill.mixes:
            gather(_check_hard_weight, distill)
        for path in ("distill", "student.train"):
            if sections[path].mixes:
                gather(_check_teaching, path, sections[path], distill)


def _check_both(distill: Distill, student: TrainConfig) -> None:
    if distill.mixes and student.mixes:
        raise ConfigError(
            "distill and student.train must not both mix pairs, got "
            f"{distill.described('distill')} and {student.described('student.train')}; "
            "keep student.train's, whose labels are mixed too and which the baseline "
            "shares, or distill's, without labels and for the student alone"
        )


def _check_section(path: str, section: MixConfig) -> None:
    if section.mixup + section.cutmix > 1 + _ROUNDING:
        raise ConfigError(
            f"{path}.mixup + {path}.cutmix must be at most 1, because they are shares "
            f"of the same pairs, got {section.mixup:g} + {section.cutmix:g}; lower one"
        )
    for name, share, beta in (
        ("mixup", section.mixup, section.mixup_beta),
        ("cutmix", section.cutmix, section.cutmix_beta),
    ):
        if beta != 1 and not share:
            raise ConfigError(
                f"{path}.{name}_beta = {beta:g} needs {path}.{name}, the share of the "
                f"pairs, above 0, got 0; for example {path}.{name} = 1, or remove "
                f"{path}.{name}_beta"
            )


def _check_images(path: str, section: MixConfig, data: DataConfig) -> None:
    """Refuses boxes of rows, as far as the section `data` tells what examples are."""
    options = data.options
    if data.is_table:
        what = f"the rows of {data.dataset!r}"
    elif (
        isinstance(options, TfrecordOptions)
        and options.encoding != "image"
        and len(options.shape) != 3
    ):
        what = f"data.options.shape = {list(options.shape)}"
    else:
        return
    raise ConfigError(
        f"{path}.cutmix needs images, of which boxes are cut, got {section.cutmix:g} "
        f"and {what}; set {path}.cutmix = 0, or use {path}.mixup"
    )


def _check_pairs(
    path: str, section: MixConfig, setting: str, train: TrainConfig
) -> None:
    """Refuses batches of the training `setting` that cut a pair on any device."""
    unit = 2 * train.accumulate
    if train.global_batch_size % unit:
        up = -(-train.global_batch_size // unit) * unit
        raise ConfigError(
            f"{setting}.global_batch_size must be a multiple of 2 times "
            f"{setting}.accumulate ({train.accumulate}), because pairs are mixed "
            f"({section.described(path)}), got {train.global_batch_size}; nearest "
            f"above: {up}"
        )


def _check_hard_weight(distill: Distill) -> None:
    if not distill.hard_weight:
        return
    got, name, value = distill.hard_weight, "distill.hard_weight", "0"
    if isinstance(distill, DistillConfig):
        got, name, value = distill.alpha, "distill.alpha", "1.0"
    raise ConfigError(
        f"pairs that distill mixes need {name} = {value}, because they have no label "
        f"there, got {got} and {distill.described('distill')}; set {name} = {value}, "
        f"or {_without('distill', distill)}; student.train.mixup mixes labels too"
    )


def _check_teaching(path: str, mixing: MixConfig, distill: Distill) -> None:
    """Refuses terms that need one label, and soft targets that were known before."""
    told = mixing.described(path)
    for i, term in enumerate(distill.terms):
        if term.row.needs_labels:
            raise ConfigError(
                f"distill.terms[{i}], loss {term.loss!r}, needs one label of each "
                f"example, which mixed ones do not have, got {told}; set "
                f"{_without(path, mixing)}, or remove the term"
            )
    if distill.is_cached:
        raise ConfigError(
            "mixed pairs need distill.soft_targets = 'online', because other ones are "
            "mixed in each step: a cache of them would be of one seed and save "
            f"nothing, got {distill.soft_targets!r} and {told}; set it, or "
            f"{_without(path, mixing)}"
        )


def _without(path: str, mixing: MixConfig) -> str:
    """The settings with which the section `path` mixes nothing."""
    shares = {"mixup": mixing.mixup, "cutmix": mixing.cutmix}
    return " and ".join(f"{path}.{name} = 0" for name, x in shares.items() if x)
