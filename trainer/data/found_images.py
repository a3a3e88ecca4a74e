"""The images found in a folder, with their classes."""

from collections.abc import Iterable, Iterator, Mapping

_BETWEEN = "\0"  # which no name has


class FoundImages(Mapping[str, str]):
    """The class of each path, kept folder by folder: names alone, in one text.

    A path is found quickly where the one before it was in the same folder.
    """

    def __init__(self) -> None:
        """None are found yet."""
        self._folders: dict[str, tuple[str, str]] = {}  # their classes, their names
        self._count = 0
        self._last: tuple[str, frozenset[str]] = ("", frozenset())

    def add(self, folder: str, class_name: str, names: Iterable[str]) -> None:
        """Adds the images of a class that are in a folder; "" is the folder itself."""
        ordered = sorted(names)
        self._folders[folder] = (class_name, _BETWEEN.join(ordered))
        self._count += len(ordered)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        for folder, (_, names) in self._folders.items():
            above = f"{folder}/" if folder else ""
            yield from (f"{above}{name}" for name in names.split(_BETWEEN))

    def __getitem__(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        class_name, names = self._folders[folder]
        if self._last[0] != folder or not self._last[1]:
            self._last = (folder, frozenset(names.split(_BETWEEN)))
        if name not in self._last[1]:
            raise KeyError(path)
        return class_name
