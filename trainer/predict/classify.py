"""Classifying examples, a batch after the other. B = examples of one, C = classes."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

import numpy as np
import tensorflow as tf
from etils import epath

from trainer import console
from trainer.config import (
    Config,
    ConfigError,
    NoRun,
    PredictConfig,
    RuntimeConfig,
    background_name,
)
from trainer.devices import compilation, distribution
from trainer.evaluation import metrics
from trainer.exit_codes import CheckFailedError
from trainer.predict import network, paths, prediction_lines
from trainer.predict.example_reader import Place, Reader
from trainer.predict.images import ImageReader
from trainer.progress import Bar, show_bar
from trainer.storage import files


def run(
    settings: Config | NoRun,
    workdir: epath.Path | None,
    words: Sequence[str],
    output: epath.Path | None,
) -> None:
    """See trainer.predict.run; on one device."""
    # Decides on GPUs before anything else touches TensorFlow.
    alone = RuntimeConfig(strategy="one_device", xla=settings.runtime.xla)
    strategy = distribution.strategy(alone, num_workers=1)
    with strategy.scope():
        opened = network.open_network(settings, workdir)
    prediction_lines.check(settings.predict, opened.class_names)
    listed, skipped = paths.list_files(words, opened.reader)
    for one in skipped:
        _tell(one)
    with _open(output) as file, _bar(listed, opened.reader, output) as bar:
        table = prediction_lines.PredictionWriter(
            file,
            opened.class_names,
            settings.predict,
            keys=opened.reader.keys,
            format=_format(settings.predict, output),
        )
        counts = _classify(
            opened,
            listed,
            table,
            bar,
            batch_size=settings.runtime.eval_batch_size,
            xla=compilation.compiles_with_xla(alone, opened.role),
        )
        table.end()
    counts.left_out += len(skipped)
    _conclude(counts, opened.reader.unit, output)


@dataclasses.dataclass
class _Counts:
    read: int = 0
    found: int = 0  # and those of them that cannot be read
    left_out: int = 0  # and files of which it is not known how many they have
    transparent: int = 0


def _classify(
    opened: network.Network,
    listed: Sequence[str],
    table: prediction_lines.PredictionWriter,
    bar: Bar,
    *,
    batch_size: int,
    xla: bool,
) -> _Counts:
    """Writes the predictions for the files, and counts their examples."""
    predict = _compile(opened, batch_size=batch_size, xla=xla)
    reader, counts = opened.reader, _Counts()
    for batch in reader.batches(listed, batch_size=batch_size):
        read: dict[Place, np.ndarray] = {}
        for each in batch:
            if isinstance(each.inputs, str):
                _tell(paths.Skipped(path=each.place[0], reason=each.inputs))
            else:
                read[each.place] = each.inputs
        counts.read += len(read)
        counts.found += sum(len(each.place) == len(reader.keys) for each in batch)
        counts.left_out += len(batch) - len(read)
        counts.transparent += sum(each.is_transparent for each in batch)
        if read:
            logits = predict(np.stack(list(read.values())))
            table.write(list(read), metrics.probabilities(logits))
        bar.update(len(batch))
    if counts.transparent and isinstance(reader, ImageReader):
        told = f"{counts.transparent:,} ({background_name(reader.background)})"
        console.log(f"images with transparent pixels: {told}")
    return counts


def _conclude(counts: _Counts, unit: str, output: epath.Path | None) -> None:
    told = f"{counts.read:,} of {counts.found:,} {unit}s"
    if output:
        print(f"predictions: {output} ({told})")
    if counts.left_out:
        raise CheckFailedError(
            f"{told} are classified; those, files and folders that cannot be read, as "
            f"said above: {counts.left_out:,}; mend or remove them, and start the same "
            "command again"
        )


def _compile(
    opened: network.Network, *, batch_size: int, xla: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """From at most `batch_size` examples to their logits: [B, ...] -> [B, C]."""
    [source] = opened.model.inputs
    shape, dtype = source.shape[1:], np.dtype(source.dtype)

    @tf.function(jit_compile=xla, autograph=False)
    def forward(inputs: tf.Tensor) -> tf.Tensor:
        return tf.cast(opened.model(inputs, training=False), tf.float32)

    def predict(inputs: np.ndarray) -> np.ndarray:
        # One shape, or each number of examples would be compiled.
        filled = np.zeros((batch_size, *shape), dtype)
        filled[: len(inputs)] = inputs
        logits: np.ndarray = forward(tf.constant(filled)).numpy()[: len(inputs)]
        if not np.isfinite(logits).all():
            raise ConfigError(
                "the model must give finite logits, got "
                f"{logits[~np.isfinite(logits)][0]}; train it again, or give another"
            )
        return logits

    return predict


@contextlib.contextmanager
def _open(output: epath.Path | None) -> Iterator[TextIO]:
    """The file to write to, which appears when the body ends."""
    if not output:
        yield sys.stdout
        return
    with (
        files.atomic_path(output, hint="choose another --output") as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        yield file


def _format(
    section: PredictConfig, output: epath.Path | None
) -> prediction_lines.Format:
    if section.format != "auto":
        return section.format
    endings: dict[str, prediction_lines.Format] = {".jsonl": "jsonl", ".json": "json"}
    return endings.get(output.suffix if output else "", "csv")


def _bar(
    listed: Sequence[str], reader: Reader, output: epath.Path | None
) -> contextlib.AbstractContextManager[Bar]:
    """The bar, unless predictions would come between its lines."""
    if output is None and sys.stdout.isatty():
        return contextlib.nullcontext(Bar())
    total = len(listed) if isinstance(reader, ImageReader) else None
    return show_bar("predicting", total, unit=reader.unit)


def _tell(skipped: paths.Skipped) -> None:
    console.log(f"left out {skipped.path!r}: {skipped.reason}")
