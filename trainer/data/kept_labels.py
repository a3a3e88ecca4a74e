"""Labels of streamed examples, kept beside a run's lists once they have been read."""

import base64
import binascii
import dataclasses
import zlib

import numpy as np
from etils import epath

from trainer.storage import files, seal

_STORED = "<i4"  # the lowest byte of each label first
_NAME_CHARACTERS = 16  # of a digest


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptLabels:
    """The labels that are kept in a folder, by the digest of whose they are."""

    folder: epath.Path
    may_write: bool  # whether they do not belong to another process

    def read(self, digest: str) -> np.ndarray | None:
        """The labels, int32 [R]; None where they are not kept, or damaged."""
        path = self._path(digest)
        if not files.exists(path):
            return None
        try:
            with files.wrap_read_errors(path):
                found = seal.parse(path.read_bytes())
            if found["examples"] != digest:
                return None
            packed = zlib.decompress(base64.b64decode(found["labels"], validate=True))
            return np.frombuffer(packed, _STORED).astype(np.int32)
        except (ValueError, TypeError, KeyError, binascii.Error, zlib.error):
            return None  # damaged: they are read again

    def write(self, digest: str, labels: np.ndarray) -> None:
        """Keeps labels, int32 [R].

        Raises:
          StorageError: the folder cannot be written.
        """
        if not self.may_write:
            return
        packed = zlib.compress(labels.astype(_STORED).tobytes())
        told = {"examples": digest, "labels": base64.b64encode(packed).decode()}
        files.write_json(self._path(digest), seal.add_checksum(told))

    def _path(self, digest: str) -> epath.Path:
        return self.folder / f"labels-{digest[:_NAME_CHARACTERS]}.json"
