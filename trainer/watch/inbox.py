"""New images that nobody writes any more."""

import time

from etils import epath

from trainer import data
from trainer.config import DataConfig


class NewFiles:
    """The new images of data.unlabeled, as one process sees them from look to look.

    Ages are of this process's own, which no clock that is set changes.
    """

    def __init__(self, section: DataConfig, index_dir: epath.Path) -> None:
        """`index_dir` has the lists of the images that are known already."""
        self._section = section
        self._index_dir = index_dir
        self._seen: dict[str, tuple[data.Signature, float]] = {}

    def look(self) -> None:
        """Sees what is there now.

        Raises:
          DataError: the folder cannot be read.
        """
        now, before = time.monotonic(), self._seen
        self._seen = {}
        for path, signature in data.find_new_files(
            self._section, self._index_dir
        ).items():
            known, since = before.get(path, (None, now))
            self._seen[path] = (signature, since if known == signature else now)

    def __len__(self) -> int:
        """New images, those that are still written too."""
        return len(self._seen)

    def settled_files(self, secs: float) -> list[str]:
        """New files that have been the same for `secs`, over two looks at least."""
        now = time.monotonic()
        return sorted(
            path for path, (_, since) in self._seen.items() if now - since >= secs
        )
