"""Records of a training: metrics.jsonl, its lines and their checksums."""

import hashlib
import json
import statistics
from collections.abc import Callable, Iterable
from typing import Any

from etils import epath

from trainer import console
from trainer.storage import files, json_text
from trainer.storage.growing_file import GrowingFile

Copy = Callable[[int, dict[str, float]], None]  # takes a step and its metrics


class MetricsFile:
    """One JSON object a line, each step once: {"step": 50, "train/loss": 0.3, ...}."""

    def __init__(
        self,
        path: epath.Path,
        *,
        last_step: int,
        copies: Iterable[Copy] = (),
        checksum: str = "",
        check_held: Callable[[], None] = lambda: None,
    ) -> None:
        """Opens `path` for what follows `last_step`; lines past that step are dropped.

        They come from a process that went on after its last checkpoint, and will be
        written again. Each of `copies` gets the kept lines now, later ones as they are
        written. `checksum` is that of the lines up to that step, where it is known.
        Nothing is written when `check_held`, which is asked before, raises.

        Raises:
          StorageError: they are others.
        """
        self._copies = tuple(copies)
        kept = check_lines(path, checksum, last_step=last_step)
        text = "".join(json.dumps(line) + "\n" for line in kept)
        self._file = GrowingFile(
            path, text.encode(), durable=True, check_held=check_held
        )
        self._digest = _digest(kept)
        for line in kept:
            self._copy(line.pop("step"), line)

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Appends one line.

        Raises:
          StorageError: the disk is full.
        """
        line = json.dumps({"step": step, **metrics}) + "\n"
        self._file.append(line.encode())
        self._digest.update(_encode({"step": step, **metrics}))
        self._copy(step, metrics)

    def flush(self) -> None:
        """Leaves no line that is not kept, as a checkpoint must not outlive its own.

        Raises:
          StorageError: the store cannot be written.
        """
        self._file.flush()

    @property
    def checksum(self) -> str:
        """The checksum of all lines so far, as the function `checksum` computes it."""
        return str(self._digest.hexdigest())

    def _copy(self, step: int, metrics: dict[str, float]) -> None:
        for copy in self._copies:
            copy(step, metrics)


def read_metrics(path: epath.Path) -> list[dict[str, Any]]:
    """The complete lines of a metrics file; none where there is no file.

    Raises:
      StorageError: one of them is none of JSON.
    """
    content = files.read(path) or b""
    lines = []
    # What follows the last end of a line was cut off by a kill or a full disk.
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            row = dict(json_text.parse(line))
            lines.append(row | {"step": int(row["step"])})
        except (ValueError, TypeError, KeyError) as error:
            raise files.StorageError(
                f"{path}, line {number}, must hold the metrics of a step as JSON, got "
                f"something else ({error}); remove the line"
            ) from error
    return lines


def check_lines(
    path: epath.Path, known: str, *, last_step: int
) -> list[dict[str, Any]]:
    """Compares the lines up to `last_step` with the checksum `known`; gives them.

    A file that was deleted is said to be gone, and missed by nothing.

    Raises:
      StorageError: they are others.
    """
    kept = [line for line in read_metrics(path) if line["step"] <= last_step]
    if not known or known == checksum(kept):
        return kept
    if not files.exists(path):
        console.log(f"{path} is gone, and with it what it told of earlier steps")
        return kept
    raise files.StorageError(
        f"{path} must hold the lines up to step {last_step} as they were written, got "
        f"{len(kept)} lines of which some are others: it was changed or damaged; put "
        "it back, or delete it to go on without what it told"
    )


def checksum(lines: Iterable[dict[str, Any]]) -> str:
    """SHA-256 of what lines tell but for the speed, which no two runs share."""
    return str(_digest(lines).hexdigest())


def _digest(lines: Iterable[dict[str, Any]]) -> Any:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(_encode(line))
    return digest


def _encode(line: dict[str, Any]) -> bytes:
    kept = {k: v for k, v in line.items() if not k.startswith("perf/")}
    return json.dumps(kept).encode() + b"\n"


def median_throughput(path: epath.Path) -> float | None:
    """The median of perf/examples_per_sec in a metrics file; None where none is."""
    rates = [
        line["perf/examples_per_sec"]
        for line in read_metrics(path)
        if "perf/examples_per_sec" in line
    ]
    return statistics.median(rates) if rates else None
