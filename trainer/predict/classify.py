"""Classifying images, a batch after the other. B = images of one, C = classes."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

import numpy as np
import tensorflow as tf
import tqdm
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
from trainer.devices import distribution
from trainer.evaluation import metrics
from trainer.exit_codes import CheckFailedError
from trainer.predict import images, network, paths, prediction_lines
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
    listed, skipped = paths.list_files(words)
    for one in skipped:
        _tell(one)
    with _open(output) as file:
        table = prediction_lines.PredictionWriter(
            file,
            opened.class_names,
            settings.predict,
            is_json=_is_json(settings.predict, output),
        )
        num_unread = _classify(
            opened,
            listed,
            table,
            batch_size=settings.runtime.eval_batch_size,
            xla=distribution.compiles_with_xla(alone),
        )
    told = f"{len(listed) - num_unread:,} of {len(listed):,} images"
    if output:
        print(f"predictions: {output} ({told})")
    num_skipped = num_unread + len(skipped)
    if num_skipped:
        raise CheckFailedError(
            f"{told} are classified; files and folders that cannot be read, as "
            f"said above: {num_skipped:,}; mend or remove them, and start the same "
            "command again"
        )


def _classify(
    opened: network.Network,
    listed: Sequence[str],
    table: prediction_lines.PredictionWriter,
    *,
    batch_size: int,
    xla: bool,
) -> int:
    """Writes the predictions for the files; how many of them could not be read."""
    predict = _compile(opened, batch_size=batch_size, xla=xla)
    num_unread = num_transparent = 0
    with _bar(len(listed)) as bar:
        for batch in images.batches(
            listed,
            shape=opened.input_shape,
            view=opened.view,
            background=opened.background,
            batch_size=batch_size,
        ):
            for path, unread in batch:
                if isinstance(unread, str):
                    _tell(paths.Skipped(path=path, reason=unread))
                    num_unread += 1
            found = {path: it for path, it in batch if not isinstance(it, str)}
            num_transparent += sum(it.is_transparent for it in found.values())
            if found:
                logits = predict(np.stack([it.pixels for it in found.values()]))
                table.write(list(found), metrics.probabilities(logits))
            bar.update(len(batch))
    if num_transparent:
        behind = background_name(opened.background)
        console.log(f"images with transparent pixels: {num_transparent:,} ({behind})")
    return num_unread


def _compile(
    opened: network.Network, *, batch_size: int, xla: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """From at most `batch_size` images to their logits: uint8 [B, ...] -> [B, C]."""

    @tf.function(jit_compile=xla, autograph=False)
    def forward(inputs: tf.Tensor) -> tf.Tensor:
        return tf.cast(opened.model(inputs, training=False), tf.float32)

    def predict(inputs: np.ndarray) -> np.ndarray:
        # One shape, or each number of images would be compiled.
        filled = np.zeros((batch_size, *opened.input_shape), np.uint8)
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


def _is_json(section: PredictConfig, output: epath.Path | None) -> bool:
    if section.format != "auto":
        return section.format == "jsonl"
    return output is not None and output.suffix == ".jsonl"


def _bar(num_files: int) -> "tqdm.tqdm[None]":
    return tqdm.tqdm(
        desc="predicting",
        total=num_files,
        unit="image",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
    )


def _tell(skipped: paths.Skipped) -> None:
    # Not through the middle of the bar.
    with tqdm.tqdm.external_write_mode(file=sys.stderr):
        console.log(f"left out {skipped.path!r}: {skipped.reason}")
