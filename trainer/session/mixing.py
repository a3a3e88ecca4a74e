"""Mixed pairs, looked at before anything trains."""

from trainer.config import ConfigError, TrainConfig
from trainer.devices import distribution
from trainer.session.datasets import Datasets


def check_mixing(datasets: Datasets, setting: str, section: TrainConfig) -> None:
    """Looks whether the training of the section `setting` can mix as it is to.

    Raises:
      ConfigError: a micro-batch of a replica cuts a pair, or rows have no pixels.
    """
    name, mixing = datasets.config.mixing_section(setting, section)
    if not mixing.mixes:
        return
    shape = datasets.source.input_shape
    if mixing.cutmix and len(shape) != 3:
        raise ConfigError(
            f"{name}.cutmix needs images, of which boxes are cut, got {mixing.cutmix:g}"
            f" and examples of shape {list(shape)}; set {name}.cutmix = 0, or use "
            f"{name}.mixup"
        )
    distribution.check_groups(
        section,
        datasets.devices.num_replicas,
        size=2,
        why=f"pairs are mixed ({mixing.described(name)})",
        setting=setting,
    )
