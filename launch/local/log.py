"""The file that keeps the lines of one worker."""

import pathlib

from launch.errors import LaunchError
from launch.local.screen import Screen


class Log:
    """Both streams in the order of arrival; more attempts follow one another."""

    def __init__(self, path: pathlib.Path, *, attempt: int, screen: Screen) -> None:
        """Opens `path`; where it has lines already, a line with the attempt follows.

        Raises:
          LaunchError: the file cannot be opened.
        """
        self._path = path
        self._screen = screen
        self._is_whole = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise LaunchError(
                f"{path} cannot be written: {error.strerror}; choose another --log-dir"
            ) from error
        if self._file.tell():
            self.write(f"--- attempt {attempt} ---")

    def write(self, line: str) -> None:
        """Appends one line, or says once why there will be no more."""
        try:
            if self._is_whole:
                self._file.write((line + "\n").encode(errors="replace"))
        except OSError as error:
            self._is_whole = False
            self._screen.say(f"{self._path} ends here: {error.strerror}")

    def close(self) -> None:
        """Ends the file."""
        self._file.close()
