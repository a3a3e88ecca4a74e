"""TensorBoard events: the numbers of metrics.jsonl and the report's figures.

The package is an optional extra, and TensorFlow's own tf.summary raises without it.
Events are appended to a file here instead of being handed to the thread behind
tf.summary: a line is in the file once it is logged, and a full disk is seen at once. A
store gets blocks.
"""

import importlib.util
import io
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from etils import epath

from trainer.storage import files
from trainer.storage.growing_file import GrowingFile


def is_installed() -> bool:
    """Whether the package is there, so that somebody can look at event files."""
    return importlib.util.find_spec("tensorboard") is not None


class EventFile:
    """The only event file of a folder; TensorBoard must be installed."""

    def __init__(
        self, folder: epath.Path, *, check_held: Callable[[], None] = lambda: None
    ) -> None:
        """Starts a new file in `folder`; the event files of earlier processes go.

        Nothing is written later when `check_held`, which is asked before, raises.

        Raises:
          StorageError: the folder cannot be written.
        """
        # TensorBoard finds the file by "tfevents"; one that is open in a browser reads
        # on in the file whose name comes next.
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        self._path = folder / f"{name}.{os.getpid()}"
        with files.wrap_write_errors(folder):
            for earlier in files.list_folder(folder):
                if ".tfevents." in earlier.name:
                    earlier.unlink()
        first = _record(file_version="brain.Event:2")
        self._file = GrowingFile(
            self._path, first, durable=False, check_held=check_held
        )

    def flush(self) -> None:
        """Writes what a store does not have yet.

        Raises:
          StorageError: the store cannot be written.
        """
        self._file.flush()

    def add_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Appends the values of one step, which TensorBoard keeps as float32.

        Raises:
          StorageError: the disk is full.
        """
        values = [{"tag": tag, "simple_value": v} for tag, v in scalars.items()]
        self._append(step=step, summary={"value": values})

    def add_summary(self, summary: Any) -> None:
        """Appends a summary of one of TensorBoard's plugins.

        Raises:
          StorageError: the disk is full.
        """
        self._append(summary=summary)

    def add_images(self, pngs: Iterable[epath.Path]) -> None:
        """Appends PNG files as they are, each under the stem of its name.

        Raises:
          StorageError: the disk is full.
        """
        for path in pngs:
            png = files.read(path) or b""
            # A PNG begins with 8 bytes of signature and the IHDR chunk's length and
            # name, then width and height.
            width, height = struct.unpack(">II", png[16:24])
            image = {"width": width, "height": height, "encoded_image_string": png}
            self._append(summary={"value": [{"tag": path.stem, "image": image}]})

    def _append(self, **event: Any) -> None:
        if not files.is_remote(self._path):
            # Each time: somebody may tidy up event files while a training runs.
            with files.wrap_write_errors(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file.append(_record(**event))


def _record(**event: Any) -> bytes:
    """An event as the file holds it."""
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    framed = io.BytesIO()
    record = event_pb2.Event(wall_time=time.time(), **event).SerializeToString()
    RecordWriter(framed).write(record)
    return framed.getvalue()
