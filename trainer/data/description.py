"""One line on an opened dataset."""

from collections.abc import Sequence

from trainer.config import DataConfig


def describe(
    data: DataConfig,
    *,
    num_examples: Sequence[int],  # of each split
    num_classes: int,  # 0: they have no labels
    input_shape: tuple[int, ...],
    num_bytes: int,  # of all these examples, decoded
    pipeline: str,  # where batches are made from
    notes: Sequence[str] = (),
) -> str:
    """One line on a dataset.

    Such as "mnist_mini: 9000 + 1000 + 2000 examples of 10 classes, 28 x 28 x 1".
    """
    shape = " x ".join(map(str, input_shape))
    labels = f"of {num_classes} classes" if num_classes else "without labels"
    facts = (
        f"{' + '.join(map(str, num_examples))} examples {labels}",
        f"{shape} features" if len(input_shape) == 1 else shape,
        f"{num_bytes / 1e6:.1f} MB decoded",
        pipeline,
        *notes,
    )
    return f"{data.dataset.removesuffix(':')}: {', '.join(facts)}"
