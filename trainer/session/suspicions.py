"""Warnings of what may be wrong with a run's examples."""

from collections.abc import Iterator, Sequence

from etils import epath

from trainer import data, registry
from trainer.config import Config, background_name, colour_of
from trainer.session.datasets import Datasets


def duplicates(config: Config, datasets: Datasets, test: data.Examples) -> str:
    """One line on examples that are in two splits, or under two labels."""

    def read(source: data.Source, split: str) -> data.Examples:
        section = config.data
        if source is not datasets.source:
            return datasets.read_from(source, split)
        if split in (section.train_split, section.validation_split):
            is_training = split == section.train_split
            return datasets.training if is_training else datasets.validation
        return test if split == section.test_split else datasets.read(split)

    return data.duplicates(datasets.sources, read)


def other_backgrounds(
    config: Config, lock_dir: epath.Path, sources: Sequence[data.Source]
) -> Iterator[str]:
    """A line on each registered model that learned with another background."""
    shown = sum(source.num_transparent for source in sources)
    own = config.data.background_name
    references = config.references if shown else ()
    # Not with the other workers: the chief alone tells.
    known = registry.locked_models(config, lock_dir) if references else {}
    for reference in references:
        model = epath.Path(known[str(reference)])
        before = background_name(colour_of(registry.background_of(model)))
        if before != own:
            yield (
                f"{reference.setting} {str(reference)!r} learned with "
                f"data.background {before}, and sees {shown:,} images with "
                f"transparent pixels on {own} here"
            )
